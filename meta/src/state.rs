//! The meta group's state in memory.
//!
//! A clone is cheap and shares the maps; a command copies the map it changes. So readers keep what they have read, and
//! comparing two states tells what a command changed (`records`).

use std::{
    collections::BTreeMap,
    ops::{Index, IndexMut},
    sync::Arc,
};

use proto::meta::{Node, NodeState, Setting, Snapshot};
use sharddb_proto as proto;

use crate::ranges::RangeTable;

/// Object ids below this belong to built-in objects.
pub(crate) const FIRST_OBJECT_ID: u64 = 16_384;

/// Numbers of the meta group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    /// No timestamp at or above it was handed out.
    Window,
    NextShard,
    NextObjectId,
    NextNode,
    CatalogVersion,
    SafePoint,
    RangesVersion,
    NodesVersion,
    SettingsVersion,
}

impl Counter {
    pub(crate) const ALL: [Self; 9] = [
        Self::Window,
        Self::NextShard,
        Self::NextObjectId,
        Self::NextNode,
        Self::CatalogVersion,
        Self::SafePoint,
        Self::RangesVersion,
        Self::NodesVersion,
        Self::SettingsVersion,
    ];

    /// Its name in the store; part of the format.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::NextShard => "next_shard",
            Self::NextObjectId => "next_object_id",
            Self::NextNode => "next_node",
            Self::CatalogVersion => "catalog_version",
            Self::SafePoint => "safe_point",
            Self::RangesVersion => "ranges_version",
            Self::NodesVersion => "nodes_version",
            Self::SettingsVersion => "settings_version",
        }
    }
}

/// The state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) cluster_id: Arc<str>,
    counters: [u64; Counter::ALL.len()],
    pub(crate) nodes: Arc<BTreeMap<u64, Node>>,
    pub(crate) settings: Arc<BTreeMap<String, String>>,
    pub(crate) ranges: RangeTable,
}

impl Default for State {
    fn default() -> Self {
        let mut state = Self {
            cluster_id: Arc::from(""),
            counters: [0; Counter::ALL.len()],
            nodes: Arc::default(),
            settings: Arc::default(),
            ranges: RangeTable::default(),
        };
        state[Counter::NextObjectId] = FIRST_OBJECT_ID;
        state[Counter::NextNode] = 1;
        state
    }
}

impl Index<Counter> for State {
    type Output = u64;

    fn index(&self, counter: Counter) -> &u64 {
        &self.counters[counter as usize]
    }
}

impl IndexMut<Counter> for State {
    fn index_mut(&mut self, counter: Counter) -> &mut u64 {
        &mut self.counters[counter as usize]
    }
}

impl State {
    /// Nodes that replicas may be spread over, now or once they are back.
    pub(crate) fn members(&self) -> usize {
        let counts = |node: &&Node| matches!(node.state(), NodeState::Active | NodeState::Draining);
        self.nodes.values().filter(counts).count()
    }

    /// Versions of the nodes and of the settings.
    pub(crate) fn versions(&self) -> (u64, u64) {
        (self[Counter::NodesVersion], self[Counter::SettingsVersion])
    }

    /// The node that keeps its data in a store.
    pub(crate) fn node_of_store(&self, store: &str) -> Option<&Node> {
        self.nodes.values().find(|node| node.store == store)
    }
}

impl From<&State> for Snapshot {
    fn from(state: &State) -> Self {
        let setting = |(name, value): (&String, &String)| Setting { name: name.clone(), value: Some(value.clone()) };
        Self {
            cluster_id: state.cluster_id.to_string(),
            nodes: state.nodes.values().cloned().collect(),
            ranges: state.ranges.to_vec(),
            settings: state.settings.iter().map(setting).collect(),
            window: state[Counter::Window],
            next_shard: state[Counter::NextShard],
            catalog_version: state[Counter::CatalogVersion],
            safe_point: state[Counter::SafePoint],
            next_object_id: state[Counter::NextObjectId],
            next_node: state[Counter::NextNode],
            ranges_version: state[Counter::RangesVersion],
            nodes_version: state[Counter::NodesVersion],
            settings_version: state[Counter::SettingsVersion],
        }
    }
}

impl From<Snapshot> for State {
    fn from(snapshot: Snapshot) -> Self {
        // A map of before there were versions has one all the same: 0 stands for no map.
        let ranges_version = snapshot.ranges_version.max(u64::from(!snapshot.ranges.is_empty()));
        let last_node = snapshot.nodes.iter().map(|node| node.id).max().unwrap_or(0);
        let settings = snapshot.settings.into_iter();
        let mut state = Self {
            cluster_id: snapshot.cluster_id.into(),
            nodes: Arc::new(snapshot.nodes.into_iter().map(|node| (node.id, node)).collect()),
            settings: Arc::new(settings.filter_map(|setting| Some((setting.name, setting.value?))).collect()),
            ranges: RangeTable::restore(snapshot.ranges, ranges_version),
            ..Self::default()
        };
        state[Counter::Window] = snapshot.window;
        state[Counter::NextShard] = snapshot.next_shard;
        state[Counter::CatalogVersion] = snapshot.catalog_version;
        state[Counter::SafePoint] = snapshot.safe_point;
        state[Counter::NextObjectId] = snapshot.next_object_id.max(FIRST_OBJECT_ID);
        state[Counter::NextNode] = snapshot.next_node.max(last_node + 1);
        state[Counter::RangesVersion] = ranges_version;
        state[Counter::NodesVersion] = snapshot.nodes_version;
        state[Counter::SettingsVersion] = snapshot.settings_version;
        state
    }
}

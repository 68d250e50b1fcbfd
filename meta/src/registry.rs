//! What the leader of the meta group hears from nodes and keeps only in memory: signs of life, statistics, leaders of
//! shards, snapshots in use, waits.
//!
//! A new leader begins with nothing and counts every silence from its own beginning. Pure: time comes with each call.

use std::collections::{BTreeMap, BTreeSet};

use proto::meta::{NodeHeartbeat, NodeState, NodeStatistics};
use sharddb_proto as proto;

use crate::{deadlock::Detector, state::State};

/// How often nodes send heartbeats.
pub const HEARTBEAT_MS: u64 = 1000;
/// A node silent for longer gets no new replicas and leaders.
pub(crate) const LIVE_MS: u64 = 4000;
/// A node silent for longer uses no snapshot any more. Nodes report every minute.
const SNAPSHOT_EXPIRY_MS: u64 = 180_000;

/// What is known of one node.
#[derive(Clone, Debug, Default)]
struct Heard {
    /// Last sign of life.
    at_ms: u64,
    statistics: Option<NodeStatistics>,
    leads: Option<BTreeSet<u64>>,
    /// Oldest snapshot that it uses.
    snapshot: Option<u64>,
}

/// The leader's memory.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    since_ms: u64,
    nodes: BTreeMap<u64, Heard>,
    leaders: BTreeMap<u64, u64>,
    /// Changes whenever a shard is said to have another leader.
    leaders_version: u64,
    pub(crate) detector: Detector,
}

impl Registry {
    /// The memory of a leader that begins now.
    pub(crate) fn new(term: u64, now_ms: u64) -> Self {
        Self { since_ms: now_ms, detector: Detector::new(term), ..Self::default() }
    }

    fn heard(&mut self, node: u64, now_ms: u64) -> &mut Heard {
        let heard = self.nodes.entry(node).or_default();
        heard.at_ms = now_ms;
        heard
    }

    /// Notes that a node is alive.
    pub(crate) fn hear(&mut self, node: u64, now_ms: u64) {
        self.heard(node, now_ms);
    }

    /// Takes a heartbeat; answers whether the next one is to say which shards the node leads.
    pub(crate) fn heartbeat(&mut self, node: u64, heartbeat: NodeHeartbeat, now_ms: u64) -> bool {
        let heard = self.heard(node, now_ms);
        heard.statistics = heartbeat.statistics;
        let Some(leads) = heartbeat.leads else { return heard.leads.is_none() };
        let leads: BTreeSet<u64> = leads.shards.into_iter().collect();
        let before = heard.leads.replace(leads.clone()).unwrap_or_default();
        for shard in before.difference(&leads) {
            if self.leaders.get(shard) == Some(&node) {
                self.leaders.remove(shard);
                self.leaders_version += 1;
            }
        }
        for shard in leads {
            self.note_leader(shard, node);
        }
        false
    }

    /// The node that said last that it leads a shard.
    pub(crate) fn leader_of(&self, shard: u64) -> Option<u64> {
        self.leaders.get(&shard).copied()
    }

    /// Notes that a shard has another leader.
    pub(crate) fn note_leader(&mut self, shard: u64, node: u64) {
        if self.leaders.insert(shard, node) != Some(node) {
            self.leaders_version += 1;
        }
    }

    /// How long the leader has led.
    pub(crate) fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.since_ms)
    }

    pub(crate) fn leaders_version(&self) -> u64 {
        self.leaders_version
    }

    /// How long a node has been silent.
    pub(crate) fn silent_ms(&self, node: u64, now_ms: u64) -> u64 {
        let heard = self.nodes.get(&node).map_or(0, |heard| heard.at_ms);
        now_ms.saturating_sub(heard.max(self.since_ms))
    }

    /// Whether a node has been heard of and is not silent.
    pub(crate) fn is_live(&self, node: u64, now_ms: u64) -> bool {
        self.nodes.contains_key(&node) && self.silent_ms(node, now_ms) < LIVE_MS
    }

    pub(crate) fn statistics(&self, node: u64) -> Option<NodeStatistics> {
        self.nodes.get(&node)?.statistics
    }

    /// Takes the oldest snapshot that a node uses; answers the oldest of all nodes, once all of them have reported.
    pub(crate) fn report_snapshot(&mut self, node: u64, snapshot: u64, state: &State, now_ms: u64) -> Option<u64> {
        self.heard(node, now_ms).snapshot = Some(snapshot);
        let present = state.nodes.values().filter(|known| known.state() != NodeState::Gone);
        let expected = present.map(|known| known.id).chain([node]);
        let counted = expected.filter(|id| self.silent_ms(*id, now_ms) < SNAPSHOT_EXPIRY_MS);
        let snapshots: Option<Vec<u64>> = counted.map(|id| self.nodes.get(&id)?.snapshot).collect();
        snapshots?.into_iter().min()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto::meta::{Node, Shards};

    use super::*;

    fn two_nodes() -> State {
        let nodes = [1, 2].map(|id| (id, Node { id, ..Node::default() }));
        let mut state = State::default();
        state.nodes = Arc::new(nodes.into());
        state
    }

    #[test]
    fn the_oldest_snapshot_of_all_nodes_counts_once_all_have_reported() {
        let state = two_nodes();
        let mut registry = Registry::new(1, 1000);
        assert_eq!(registry.report_snapshot(1, 50, &state, 1000), None, "node 2 may use an older one");
        assert_eq!(registry.report_snapshot(2, 40, &state, 2000), Some(40));
        assert_eq!(registry.report_snapshot(1, 70, &state, 61_000), Some(40));
        let later = 2000 + SNAPSHOT_EXPIRY_MS;
        assert_eq!(registry.report_snapshot(1, 90, &state, later), Some(90), "node 2 is gone");
        registry.hear(2, later);
        assert_eq!(registry.report_snapshot(1, 95, &state, later), Some(40), "and back");
    }

    #[test]
    fn leaders_are_as_said_last() {
        let mut registry = Registry::new(1, 0);
        let says = |registry: &mut Registry, node, shards: Option<Vec<u64>>| {
            let leads = shards.map(|shards| Shards { shards });
            registry.heartbeat(node, NodeHeartbeat { leads, ..NodeHeartbeat::default() }, 0)
        };
        assert!(says(&mut registry, 1, None), "a new leader does not know");
        assert!(!says(&mut registry, 1, Some(vec![7, 8])));
        assert!(!says(&mut registry, 1, None));
        says(&mut registry, 2, Some(vec![8]));
        says(&mut registry, 1, Some(vec![7]));
        assert_eq!([7, 8, 9].map(|shard| registry.leader_of(shard)), [Some(1), Some(2), None]);
        let version = registry.leaders_version();
        says(&mut registry, 1, Some(vec![7]));
        assert_eq!(registry.leaders_version(), version);
        assert!(!registry.is_live(3, 0) && registry.is_live(1, LIVE_MS - 1) && !registry.is_live(1, LIVE_MS));
    }
}

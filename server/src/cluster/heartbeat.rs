//! Telling the meta group that this node lives and what it leads, and hearing what has changed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use kv::{Client, MetaClient};
use meta::{HEARTBEAT_MS, RemoteMeta};
use parking_lot::Mutex;
use proto::{
    NodeId,
    meta::{HeartbeatAnswer, Node as NodeRecord, NodeHeartbeat, NodeStatistics, RangeDescriptor, Shards},
};
use rpc::Nodes;
use shard::Node;
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_rpc as rpc;
use sharddb_shard as shard;

use crate::identity::{KnownNode, NodeIdentity};

/// What this node says of itself. Addresses are known once everything listens.
pub(crate) type Record = Arc<Mutex<NodeRecord>>;

/// What a heartbeat needs.
pub(crate) struct Heart {
    pub(crate) record: Record,
    pub(crate) meta: RemoteMeta,
    pub(crate) node: Node,
    pub(crate) client: Client,
    /// None for a node that stands alone.
    pub(crate) peers: Option<(Nodes, PathBuf, NodeIdentity)>,
}

/// Versions of what was heard last.
#[derive(Default)]
struct Heard {
    nodes: u64,
    ranges: u64,
    want_leads: bool,
    leads: Vec<u64>,
}

impl Heart {
    /// Beats for as long as the task runs.
    pub(crate) async fn beat(mut self) {
        let mut heard = Heard { want_leads: true, ..Heard::default() };
        let mut ticks = tokio::time::interval(Duration::from_millis(HEARTBEAT_MS));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.once(&mut heard).await {
                tracing::debug!(%error, "the meta group did not hear this node");
                heard.want_leads = true;
            }
        }
    }

    async fn once(&mut self, heard: &mut Heard) -> kv::Result<()> {
        let led = self.node.led();
        let leads: Vec<u64> = led.iter().map(|range| range.shard).collect();
        let say = heard.want_leads || leads != heard.leads;
        let heartbeat = NodeHeartbeat {
            node: Some(self.record.lock().clone()),
            statistics: Some(self.statistics(leads.len())),
            leads: say.then(|| Shards { shards: leads.clone() }),
        };
        let answer = self.meta.heartbeat(heartbeat).await?;
        heard.want_leads = answer.want_leads;
        heard.leads = leads;
        self.meta.set_members(answer.meta_members.clone());
        self.publish(led).await?;
        self.hear(&answer, heard).await
    }

    fn statistics(&self, leaders: usize) -> NodeStatistics {
        let node = self.node.statistics();
        NodeStatistics { replicas: node.shards as u64, leaders: leaders as u64, ..NodeStatistics::default() }
    }

    /// A crash between a change of a shard and that of the range map leaves the map behind: who leads a shard knows better.
    async fn publish(&self, led: Vec<RangeDescriptor>) -> kv::Result<()> {
        let map = self.client.ranges();
        let is_known = |range: &RangeDescriptor| {
            let route = map.route(&range.start);
            let replicas: Vec<u64> = route.replicas.iter().map(|node| node.0).collect();
            route.shard.0 == range.shard && route.epoch.0 >= range.epoch && replicas == range.replicas
        };
        let news: Vec<RangeDescriptor> = led.into_iter().filter(|range| !is_known(range)).collect();
        drop(map);
        if news.is_empty() {
            return Ok(());
        }
        // Refused while a part of what was cut is led elsewhere and not told of yet.
        if let Err(error) = self.meta.put_ranges(news).await {
            tracing::debug!(%error, "the range map did not take what this node leads");
        }
        self.client.refresh_ranges().await
    }

    async fn hear(&mut self, answer: &HeartbeatAnswer, heard: &mut Heard) -> kv::Result<()> {
        if answer.ranges_version != heard.ranges {
            self.client.refresh_ranges().await?;
            heard.ranges = answer.ranges_version;
        }
        if answer.nodes_version != heard.nodes {
            self.learn_nodes().await?;
            heard.nodes = answer.nodes_version;
        }
        Ok(())
    }

    async fn learn_nodes(&mut self) -> kv::Result<()> {
        let Some((nodes, directory, identity)) = &mut self.peers else { return Ok(()) };
        let known = self.meta.nodes().await?;
        let records: Vec<NodeRecord> = known.nodes.into_iter().filter_map(|report| report.node).collect();
        nodes.set_members(records.iter().map(|record| (NodeId(record.id), record.rpc_addr.clone())));
        let others = records.into_iter().filter(|record| record.id != identity.node);
        identity.nodes = others.map(|record| KnownNode { id: record.id, rpc_addr: record.rpc_addr }).collect();
        identity.meta_members = known.meta_members;
        if let Err(error) = identity.save(directory) {
            tracing::warn!(%error, "could not note where the other nodes are");
        }
        Ok(())
    }
}

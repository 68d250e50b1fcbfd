//! What this node tells the meta group of itself, and what it does about the answers.

use std::{collections::BTreeSet, sync::Arc};

use kv::Client;
use meta::{RemoteMeta, Vitals};
use parking_lot::Mutex;
use proto::{
    NodeId,
    meta::{HeartbeatAnswer, Node as NodeRecord, NodeStatistics, RangeDescriptor},
};
use shard::Node;
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_shard as shard;
use tokio::time::Instant;

use crate::Peers;

/// A node as the meta group hears of it.
pub(crate) struct NodeVitals {
    pub(crate) record: NodeRecord,
    pub(crate) meta: RemoteMeta,
    pub(crate) node: Node,
    pub(crate) client: Client,
    /// None for a node that stands alone.
    pub(crate) peers: Option<Arc<dyn Peers>>,
    pub(crate) heard: Mutex<Heard>,
    /// When it started, and for which time.
    pub(crate) since: Instant,
    pub(crate) life: u64,
}

/// Versions that were heard of last.
#[derive(Default)]
pub(crate) struct Heard {
    nodes: u64,
    ranges: u64,
}

impl Vitals for NodeVitals {
    fn node(&self) -> NodeRecord {
        self.record.clone()
    }

    fn statistics(&self) -> NodeStatistics {
        let node = self.node.statistics();
        let (disk_free, disk_total) = self.peers.as_ref().map_or((0, 0), |peers| peers.disk());
        NodeStatistics {
            replicas: node.shards as u64,
            leaders: node.served as u64,
            bytes: 0,
            disk_free,
            disk_total,
            uptime_ms: u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            starts: self.life,
        }
    }

    fn leads(&self) -> BTreeSet<u64> {
        self.node.served()
    }

    fn ranges_version(&self) -> u64 {
        self.node.ranges_version()
    }

    fn ranges(&self) -> Vec<RangeDescriptor> {
        self.node.descriptors()
    }

    fn heard(&self, answer: &HeartbeatAnswer) {
        let mut heard = self.heard.lock();
        if heard.ranges != answer.ranges_version {
            heard.ranges = answer.ranges_version;
            tokio::spawn(refresh(self.client.clone()));
        }
        if heard.nodes != answer.nodes_version
            && let Some(peers) = &self.peers
        {
            heard.nodes = answer.nodes_version;
            tokio::spawn(learn(self.meta.clone(), Arc::clone(peers), self.client.clone(), self.record.clone()));
        }
    }
}

async fn refresh(client: Client) {
    if let Err(error) = client.refresh_ranges().await {
        tracing::debug!(%error, "could not read the range map");
    }
}

async fn learn(meta: RemoteMeta, peers: Arc<dyn Peers>, client: Client, own: NodeRecord) {
    match meta.nodes().await {
        Ok(nodes) => {
            let records: Vec<NodeRecord> = nodes.nodes.into_iter().filter_map(|report| report.node).collect();
            let near = |node: &&NodeRecord| !own.locality.is_empty() && node.locality == own.locality;
            client.set_neighbours(records.iter().filter(near).map(|node| NodeId(node.id)).collect());
            peers.learn(records, nodes.meta_members);
        }
        Err(error) => tracing::warn!(%error, "could not learn where the other nodes are"),
    }
}

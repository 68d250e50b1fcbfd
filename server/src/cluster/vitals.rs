//! What this node tells the meta group of itself, and what it does about the answers.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use kv::Client;
use meta::{RemoteMeta, Vitals};
use parking_lot::Mutex;
use proto::{
    NodeId,
    meta::{HeartbeatAnswer, Node as NodeRecord, NodeStatistics, RangeDescriptor},
};
use rpc::Nodes;
use shard::Node;
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_rpc as rpc;
use sharddb_shard as shard;

use crate::{
    identity::{KnownNode, NodeIdentity},
    system,
};

/// The address book, in memory and in the file NODE.
pub(crate) struct Peers {
    pub(crate) nodes: Nodes,
    pub(crate) directory: PathBuf,
    pub(crate) identity: Mutex<NodeIdentity>,
}

/// A node as the meta group hears of it.
pub(crate) struct NodeVitals {
    pub(crate) record: NodeRecord,
    pub(crate) meta: RemoteMeta,
    pub(crate) node: Node,
    pub(crate) client: Client,
    /// None for a node that stands alone.
    pub(crate) peers: Option<Arc<Peers>>,
    pub(crate) heard: Mutex<Heard>,
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
        let (disk_free, disk_total) = self.peers.as_ref().map_or((0, 0), |peers| system::disk(&peers.directory));
        NodeStatistics { replicas: node.shards as u64, leaders: node.served as u64, bytes: 0, disk_free, disk_total }
    }

    fn leads(&self) -> BTreeSet<u64> {
        self.node.served()
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
            tokio::spawn(learn(self.meta.clone(), Arc::clone(peers)));
        }
    }
}

async fn refresh(client: Client) {
    if let Err(error) = client.refresh_ranges().await {
        tracing::debug!(%error, "could not read the range map");
    }
}

async fn learn(meta: RemoteMeta, peers: Arc<Peers>) {
    match meta.nodes().await {
        Ok(nodes) => {
            let records = nodes.nodes.into_iter().filter_map(|report| report.node).collect();
            peers.learn(records, nodes.meta_members);
        }
        Err(error) => tracing::warn!(%error, "could not learn where the other nodes are"),
    }
}

impl Peers {
    /// The other nodes.
    pub(crate) fn known(&self) -> Vec<u64> {
        self.identity.lock().nodes.iter().map(|node| node.id).collect()
    }

    /// Takes over who belongs to the cluster.
    pub(crate) fn learn(&self, records: Vec<NodeRecord>, meta_members: Vec<u64>) {
        let members = records.iter().filter(|record| record.state() != proto::meta::NodeState::Gone);
        self.nodes.set_members(members.map(|record| (NodeId(record.id), record.rpc_addr.clone())));
        let mut identity = self.identity.lock();
        let own = identity.node;
        let others = records.into_iter().filter(|record| record.id != own);
        identity.nodes = others.map(|record| KnownNode { id: record.id, rpc_addr: record.rpc_addr }).collect();
        identity.meta_members = meta_members;
        if let Err(error) = identity.save(&self.directory) {
            tracing::warn!(%error, "could not note where the other nodes are");
        }
    }
}

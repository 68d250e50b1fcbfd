//! Where the other nodes are.

use std::path::PathBuf;

use parking_lot::Mutex;
use proto::{NodeId, meta::Node as NodeRecord};
use rpc::Nodes;
use sharddb_proto as proto;
use sharddb_rpc as rpc;

use crate::{
    identity::{KnownNode, NodeIdentity},
    system,
};

/// The address book, in memory and in the file NODE.
pub(crate) struct Peers {
    pub(crate) nodes: Nodes,
    directory: PathBuf,
    pub(crate) identity: Mutex<NodeIdentity>,
}

impl Peers {
    pub(crate) fn new(nodes: Nodes, directory: PathBuf, identity: NodeIdentity) -> Self {
        suit(&identity);
        Self { nodes, directory, identity: Mutex::new(identity) }
    }
}

/// A node among others has many groups (see [`system::use_small_pages`]).
fn suit(identity: &NodeIdentity) {
    if !identity.nodes.is_empty() {
        system::use_small_pages();
    }
}

impl sharddb_node::Peers for Peers {
    fn known(&self) -> Vec<u64> {
        self.identity.lock().nodes.iter().map(|node| node.id).collect()
    }

    fn heard_of(&self, node: NodeId) -> Option<(u64, bool)> {
        self.nodes.heard_of(node)
    }

    fn learn(&self, records: Vec<NodeRecord>, meta_members: Vec<u64>) {
        let members = records.iter().filter(|record| record.state() != proto::meta::NodeState::Gone);
        self.nodes.set_members(members.map(|record| (NodeId(record.id), record.rpc_addr.clone())));
        let mut identity = self.identity.lock();
        let own = identity.node;
        let others = records.into_iter().filter(|record| record.id != own);
        identity.nodes = others.map(|record| KnownNode { id: record.id, rpc_addr: record.rpc_addr }).collect();
        identity.meta_members = meta_members;
        suit(&identity);
        if let Err(error) = identity.save(&self.directory) {
            tracing::warn!(%error, "could not note where the other nodes are");
        }
    }

    fn disk(&self) -> (u64, u64) {
        system::disk(&self.directory)
    }
}

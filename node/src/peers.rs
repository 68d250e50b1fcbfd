//! What a node knows of the others.

use proto::{NodeId, meta::Node};
use sharddb_proto as proto;

/// The address book of a node and what its connections tell.
pub trait Peers: Send + Sync + 'static {
    /// The other nodes.
    fn known(&self) -> Vec<u64>;

    /// The incarnation of a node that was heard of last, and whether it can be heard now.
    fn heard_of(&self, node: NodeId) -> Option<(u64, bool)>;

    /// Takes over who belongs to the cluster.
    fn learn(&self, records: Vec<Node>, meta_members: Vec<u64>);

    /// Bytes that are free and bytes there are on the node's disk; zeros where that is not known.
    fn disk(&self) -> (u64, u64);
}

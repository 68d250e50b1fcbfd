//! How hosts of different nodes reach each other: the seam between consensus and the network.
//!
//! A host hands messages to a [`Transport`]; whoever receives them at the other end hands them to `RaftHost::receive`.
//! Consensus stays correct whatever is lost, delayed, repeated or reordered; order only saves retries.

use futures::future::BoxFuture;
use proto::raft::{FetchSnapshot, Message, SnapshotChunk};
use sharddb_proto as proto;

/// Largest part of a snapshot that is asked for at once.
pub const SNAPSHOT_CHUNK_BYTES: u32 = 1 << 20;

/// Carries messages to other nodes.
pub trait Transport: Send + Sync + 'static {
    /// Queues a message for a node: in order for one pair of nodes while the connection lives, best effort. It is lost when
    /// the node cannot be reached or the queue is full. Never blocks.
    fn send(&self, node: u64, message: Message);

    /// Reads a part of a snapshot that `node` offered: `RaftHost::serve_snapshot` answers there.
    fn fetch(&self, node: u64, request: FetchSnapshot) -> BoxFuture<'_, Result<SnapshotChunk, TransportError>>;
}

/// Why a part of a snapshot did not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The node cannot be reached, or the answer was lost. Asking again may help.
    #[error("the node cannot be reached: {0}")]
    Unreachable(String),
    /// The node does not offer this snapshot, or not this part of it. Asking again does not help.
    #[error("the snapshot is not offered any more")]
    Gone,
    /// The node could not read it.
    #[error("the snapshot could not be read: {0}")]
    Failed(String),
}

/// The transport of a node that has no peers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

impl Transport for NoPeers {
    fn send(&self, _node: u64, _message: Message) {}

    fn fetch(&self, _node: u64, _request: FetchSnapshot) -> BoxFuture<'_, Result<SnapshotChunk, TransportError>> {
        Box::pin(async { Err(TransportError::Unreachable("this node has no peers".to_owned())) })
    }
}

//! The seam between the client and the nodes.

use std::{future::Future, pin::Pin};

use proto::{
    NodeId,
    kv::{Request, Response},
};
use sharddb_proto as proto;

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries a request to a node and brings its answer.
///
/// A request that surely was not carried out is answered by `Failure::unreachable`, one that may have been although no
/// answer came by `Failure::ambiguous`.
/// Dropping the future gives up waiting; lock waits end at the shard, commits that were proposed go on.
pub trait Transport: Send + Sync {
    /// Every other node that is known.
    fn others(&self) -> Vec<NodeId> {
        Vec::new()
    }

    /// Sends one request to `node`.
    fn call<'a>(&'a self, node: NodeId, request: Request) -> BoxFuture<'a, Response>;
}

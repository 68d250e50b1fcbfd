//! What a node does with the calls of others.

use fragment::FragmentStream;
use futures::future::BoxFuture;
use proto::{
    NodeId, kv, meta,
    raft::{FetchSnapshot, Message, SnapshotChunk},
    rpc::{JoinAnswer, JoinRequest},
};
use raft::TransportError;
use sharddb_fragment as fragment;
use sharddb_proto as proto;
use sharddb_raft as raft;

/// What a node does with the calls of others. `from` was greeted: it is a member of the cluster.
pub trait Service: Send + Sync + 'static {
    /// Carries out a request to a shard of this node. The future is dropped when nobody waits for the answer any more; what
    /// was proposed goes on.
    fn request(&self, from: NodeId, request: kv::Request) -> BoxFuture<'static, kv::Response>;

    /// Runs a fragment. The stream is dropped when nobody reads any more.
    fn fragment(&self, from: NodeId, request: kv::Fragment) -> FragmentStream;

    /// Takes a message of consensus. Must not block: what follows on the link waits.
    fn raft(&self, from: NodeId, message: Message);

    /// Reads a part of a snapshot that this node offered.
    fn fetch_snapshot(
        &self,
        from: NodeId,
        request: FetchSnapshot,
    ) -> BoxFuture<'static, Result<SnapshotChunk, TransportError>>;

    /// Answers a call to the meta group as this node's member knows it.
    fn meta(&self, from: NodeId, call: meta::Call) -> BoxFuture<'static, meta::Answer>;

    /// Decides about a process that wants to become a node. It means this cluster and speaks its protocol, and if the cluster
    /// has certificates it holds one; nothing else is known about it.
    fn join(&self, request: JoinRequest) -> BoxFuture<'static, JoinAnswer>;
}

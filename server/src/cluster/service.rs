//! The calls of other nodes, as they come from their connections.

use fragment::FragmentStream;
use futures::future::BoxFuture;
use proto::{
    NodeId,
    kv::{Fragment, Request, Response},
    meta::{Answer, Call},
    raft::{FetchSnapshot, Message, SnapshotChunk},
    rpc::{JoinAnswer, JoinRequest},
};
use raft::TransportError;
use sharddb_fragment as fragment;
use sharddb_node::Hub;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_rpc as rpc;

/// Hands calls to the layers of this node.
pub(crate) struct Served(pub(crate) Hub);

impl rpc::Service for Served {
    fn request(&self, _from: NodeId, request: Request) -> BoxFuture<'static, Response> {
        self.0.request(request)
    }

    fn fragment(&self, _from: NodeId, request: Fragment) -> FragmentStream {
        self.0.fragment(request)
    }

    fn raft(&self, from: NodeId, message: Message) {
        self.0.raft(from, message);
    }

    fn fetch_snapshot(
        &self,
        _from: NodeId,
        request: FetchSnapshot,
    ) -> BoxFuture<'static, Result<SnapshotChunk, TransportError>> {
        self.0.fetch_snapshot(request)
    }

    fn meta(&self, _from: NodeId, call: Call) -> BoxFuture<'static, Answer> {
        self.0.meta(call)
    }

    fn join(&self, request: JoinRequest) -> BoxFuture<'static, JoinAnswer> {
        self.0.join(request)
    }
}

//! Requests to the own node stay calls; the others go to the other nodes.

use std::sync::Arc;

use fragment::{FragmentStream, FragmentTransport};
use proto::{NodeId, kv};
use sharddb_fragment as fragment;
use sharddb_kv::{BoxFuture, Transport};
use sharddb_proto as proto;

use crate::Nodes;

/// This node and the others. Cheap to clone.
#[derive(Clone)]
pub struct NearAndFar {
    near: Arc<dyn Transport>,
    near_fragments: Arc<dyn FragmentTransport>,
    far: Nodes,
}

impl NearAndFar {
    /// `near` and `near_fragments` carry what is meant for `far.own()`.
    pub fn new(near: Arc<dyn Transport>, near_fragments: Arc<dyn FragmentTransport>, far: Nodes) -> Self {
        Self { near, near_fragments, far }
    }
}

impl Transport for NearAndFar {
    fn others(&self) -> Vec<NodeId> {
        self.far.known()
    }

    fn call<'a>(&'a self, node: NodeId, request: kv::Request) -> BoxFuture<'a, kv::Response> {
        if node == self.far.own() { self.near.call(node, request) } else { self.far.call(node, request) }
    }
}

impl FragmentTransport for NearAndFar {
    fn fragment(&self, node: NodeId, request: kv::Fragment) -> FragmentStream {
        if node == self.far.own() {
            self.near_fragments.fragment(node, request)
        } else {
            self.far.fragment(node, request)
        }
    }
}

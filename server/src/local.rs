//! Fragments that run at the shards of the same process: direct calls.

use fragment::{FragmentStream, FragmentTransport};
use proto::{NodeId, kv::Fragment};
use shard::Node;
use sharddb_fragment as fragment;
use sharddb_proto as proto;
use sharddb_shard as shard;

/// Runs fragments at the shards of this process.
pub(crate) struct LocalFragments(pub(crate) Node);

impl FragmentTransport for LocalFragments {
    fn fragment(&self, _node: NodeId, request: Fragment) -> FragmentStream {
        self.0.fragment(request)
    }
}

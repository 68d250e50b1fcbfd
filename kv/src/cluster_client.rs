//! Looking after the cluster: nodes, placement, cluster settings.

use proto::meta::{Job, Nodes, PutReplication, RangeDescriptor, SetNodeState, Setting};
use sharddb_proto as proto;

use crate::{BoxFuture, Result};

/// Access to what the meta group knows besides the range map, for those who administer a cluster.
pub trait ClusterClient: Send + Sync {
    /// Every node, with what is known of it.
    fn nodes(&self) -> BoxFuture<'_, Result<Nodes>>;

    /// The range map sorted by start key, with the leaders last heard of.
    fn range_reports(&self) -> BoxFuture<'_, Result<Vec<RangeDescriptor>>>;

    /// Changes of placement under way or ended not long ago.
    fn jobs(&self) -> BoxFuture<'_, Result<Vec<Job>>>;

    /// The cluster settings that are set.
    fn settings(&self) -> BoxFuture<'_, Result<Vec<Setting>>>;

    /// Sets a cluster setting, or resets it.
    fn put_setting(&self, setting: Setting) -> BoxFuture<'_, Result<()>>;

    /// Drains or decommissions a node, or takes it back.
    fn set_node_state(&self, set: SetNodeState) -> BoxFuture<'_, Result<()>>;

    /// Sets the replication factor of the ranges in a span.
    fn put_replication(&self, put: PutReplication) -> BoxFuture<'_, Result<()>>;
}

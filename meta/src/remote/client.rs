//! What the transactional client needs of the meta group.

use kv::{BoxFuture, ClusterClient, MetaClient};
use proto::{
    CatalogVersion, Timestamp,
    meta::{Job, Nodes, PutReplication, RangeDescriptor, SetNodeState, Setting, call},
};
use sharddb_kv as kv;
use sharddb_proto as proto;

use super::RemoteMeta;

impl MetaClient for RemoteMeta {
    fn timestamp(&self) -> BoxFuture<'_, kv::Result<Timestamp>> {
        Box::pin(self.timestamp_above(Timestamp::ZERO))
    }

    fn try_timestamp(&self) -> Option<Timestamp> {
        self.local_timestamp(Timestamp::ZERO)
    }

    fn catalog_version(&self) -> CatalogVersion {
        self.newest_catalog_version()
    }

    fn note_catalog_version(&self, version: CatalogVersion) {
        self.note_catalog(version);
    }

    fn bump_catalog(&self) -> BoxFuture<'_, kv::Result<CatalogVersion>> {
        Box::pin(self.bump())
    }

    fn ranges(&self) -> BoxFuture<'_, kv::Result<Vec<RangeDescriptor>>> {
        Box::pin(async { Ok(self.range_table().await?.to_vec()) })
    }

    fn put_ranges(&self, ranges: Vec<RangeDescriptor>) -> BoxFuture<'_, kv::Result<()>> {
        Box::pin(self.put(ranges))
    }

    fn allocate_shards(&self, count: u64) -> BoxFuture<'_, kv::Result<u64>> {
        Box::pin(self.allocate(call::Body::AllocateShards(count)))
    }

    fn allocate_object_ids(&self, count: u64) -> BoxFuture<'_, kv::Result<u64>> {
        Box::pin(self.allocate(call::Body::AllocateObjectIds(count)))
    }

    fn raise_safe_point(&self, timestamp: Timestamp) -> BoxFuture<'_, kv::Result<Timestamp>> {
        Box::pin(self.report_snapshot(timestamp))
    }

    fn cluster(&self) -> &dyn ClusterClient {
        self
    }
}

impl ClusterClient for RemoteMeta {
    fn nodes(&self) -> BoxFuture<'_, kv::Result<Nodes>> {
        Box::pin(self.nodes())
    }

    fn range_reports(&self) -> BoxFuture<'_, kv::Result<Vec<RangeDescriptor>>> {
        Box::pin(self.range_reports())
    }

    fn jobs(&self) -> BoxFuture<'_, kv::Result<Vec<Job>>> {
        Box::pin(self.jobs())
    }

    fn settings(&self) -> BoxFuture<'_, kv::Result<Vec<Setting>>> {
        Box::pin(async { Ok(self.settings().await?.settings) })
    }

    fn put_setting(&self, setting: Setting) -> BoxFuture<'_, kv::Result<()>> {
        Box::pin(self.put_setting(setting.name, setting.value))
    }

    fn set_node_state(&self, set: SetNodeState) -> BoxFuture<'_, kv::Result<()>> {
        let state = set.state();
        Box::pin(self.set_node_state(set.node, state))
    }

    fn put_replication(&self, put: PutReplication) -> BoxFuture<'_, kv::Result<()>> {
        Box::pin(self.put_replication(put))
    }
}

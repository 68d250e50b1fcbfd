//! What the transactional client needs of the meta group.

use kv::{BoxFuture, MetaClient};
use proto::{
    CatalogVersion, Timestamp,
    meta::{RangeDescriptor, call},
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
}

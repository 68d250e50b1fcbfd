//! The meta group as another client of the same process reaches it.

use sharddb_kv::{BoxFuture, Client, ClusterClient, MetaClient, Result};
use sharddb_proto::{CatalogVersion, Timestamp, meta::RangeDescriptor};

/// Asks what a client asks.
pub(crate) struct Through(pub(crate) Client);

impl MetaClient for Through {
    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>> {
        self.0.meta().timestamp()
    }

    fn try_timestamp(&self) -> Option<Timestamp> {
        self.0.meta().try_timestamp()
    }

    fn catalog_version(&self) -> CatalogVersion {
        self.0.meta().catalog_version()
    }

    fn note_catalog_version(&self, version: CatalogVersion) {
        self.0.meta().note_catalog_version(version);
    }

    fn bump_catalog(&self) -> BoxFuture<'_, Result<CatalogVersion>> {
        self.0.meta().bump_catalog()
    }

    fn ranges(&self) -> BoxFuture<'_, Result<Vec<RangeDescriptor>>> {
        self.0.meta().ranges()
    }

    fn put_ranges(&self, ranges: Vec<RangeDescriptor>) -> BoxFuture<'_, Result<()>> {
        self.0.meta().put_ranges(ranges)
    }

    fn allocate_shards(&self, count: u64) -> BoxFuture<'_, Result<u64>> {
        self.0.meta().allocate_shards(count)
    }

    fn allocate_object_ids(&self, count: u64) -> BoxFuture<'_, Result<u64>> {
        self.0.meta().allocate_object_ids(count)
    }

    fn raise_safe_point(&self, timestamp: Timestamp) -> BoxFuture<'_, Result<Timestamp>> {
        self.0.meta().raise_safe_point(timestamp)
    }

    fn cluster(&self) -> &dyn ClusterClient {
        self.0.meta().cluster()
    }
}

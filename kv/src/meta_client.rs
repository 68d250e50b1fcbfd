//! What the client needs of the meta group.

use proto::{CatalogVersion, Timestamp, meta::RangeDescriptor};
use sharddb_proto as proto;

use crate::{BoxFuture, ClusterClient, Result};

/// Access to the meta group: range map, timestamps, identifiers.
pub trait MetaClient: Send + Sync {
    /// A timestamp above every one handed out before, anywhere in the cluster.
    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>>;

    /// A timestamp if one is to be had without waiting; in one process it nearly always is.
    fn try_timestamp(&self) -> Option<Timestamp>;

    /// The newest catalog version this process has heard of with a timestamp.
    fn catalog_version(&self) -> CatalogVersion;

    /// Takes note of a catalog version that somebody else has heard of.
    fn note_catalog_version(&self, version: CatalogVersion);

    /// Raises the catalog version before a DDL commit and answers the new one.
    fn bump_catalog(&self) -> BoxFuture<'_, Result<CatalogVersion>>;

    /// The whole range map, sorted by start key, without gaps.
    fn ranges(&self) -> BoxFuture<'_, Result<Vec<RangeDescriptor>>>;

    /// Replaces the ranges that these cover.
    fn put_ranges(&self, ranges: Vec<RangeDescriptor>) -> BoxFuture<'_, Result<()>>;

    /// Takes `count` shard ids and answers the first.
    fn allocate_shards(&self, count: u64) -> BoxFuture<'_, Result<u64>>;

    /// Takes `count` object ids (OIDs and storage ids) and answers the first.
    fn allocate_object_ids(&self, count: u64) -> BoxFuture<'_, Result<u64>>;

    /// Announces that this process needs no snapshot below this timestamp any more. Answers the timestamp of which the
    /// whole cluster has said so.
    fn raise_safe_point(&self, timestamp: Timestamp) -> BoxFuture<'_, Result<Timestamp>>;

    /// What is asked by those who administer the cluster.
    fn cluster(&self) -> &dyn ClusterClient;
}

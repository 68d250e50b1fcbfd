//! Reading tables: which spans of keys, at which shards, and what the shards do with the rows.

pub(super) mod bounds;
mod figures;
mod index_scan;
mod partition;
mod shard_scan;

pub(super) use index_scan::IndexScan;
pub(super) use shard_scan::{ShardScan, ShardScanExec};

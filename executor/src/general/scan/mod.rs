//! Reading tables: which spans of keys, at which shards, and what the shards do with the rows.

pub(super) mod bounds;
mod shard_scan;

pub(super) use shard_scan::{ShardScan, ShardScanExec};

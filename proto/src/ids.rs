//! Identifiers as distinct types, so that a shard cannot be passed where a node is meant.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($repr:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $repr);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// A shard: one contiguous key range with a Raft group. Starts at 1; 0 means none.
    ShardId(u64), "s");
id!(
    /// A process that hosts shards. Assigned by meta, starts at 1; 0 means none.
    NodeId(u64), "n");
id!(
    /// Version of a shard's key range. Grows by one with each split, merge or move.
    Epoch(u64), "e");
id!(
    /// Version of the catalog. Grows with each committed or attempted DDL transaction.
    CatalogVersion(u64), "c");

/// A transaction: random, unique across the cluster and never reused. 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(pub u64);

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{:016x}", self.0)
    }
}

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

/// A transaction: unique across the cluster and never reused. 0 means none.
///
/// From the highest bit: 12 bits of the coordinator's node id, 12 of the number of its starts, 40 random ones. So whoever
/// holds something for a transaction can tell whether its coordinator still lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(pub u64);

/// The process that coordinates a transaction, as far as [`TxnId`] names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinator {
    /// Its node id, modulo 4096.
    pub node: u64,
    /// How often the node had started, modulo 4096.
    pub life: u64,
}

const COORDINATOR_PART: u64 = 0xFFF;

impl Coordinator {
    /// A node in its `incarnation`-th life.
    pub fn new(node: NodeId, incarnation: u64) -> Self {
        Self { node: node.0 & COORDINATOR_PART, life: incarnation & COORDINATOR_PART }
    }

    /// A transaction of this coordinator.
    pub fn txn(self, random: u64) -> TxnId {
        TxnId((self.node << 52) | (self.life << 40) | (random & ((1 << 40) - 1)).max(1))
    }
}

impl TxnId {
    /// Who coordinates it.
    pub fn coordinator(self) -> Coordinator {
        Coordinator { node: self.0 >> 52, life: (self.0 >> 40) & COORDINATOR_PART }
    }
}

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_names_its_coordinator() {
        for (node, life, random) in [(1, 1, 0), (4095, 4095, u64::MAX), (7, 4099, 42)] {
            let coordinator = Coordinator::new(NodeId(node), life);
            let txn = coordinator.txn(random);
            assert_eq!(txn.coordinator(), coordinator);
            assert_ne!(txn, TxnId::default());
        }
    }
}

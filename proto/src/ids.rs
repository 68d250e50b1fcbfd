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

    /// Whether this is the same node in a life after that one. Half of the numbers that there are count as later.
    pub fn is_later_life_of(self, other: Self) -> bool {
        let ahead = self.life.wrapping_sub(other.life) & COORDINATOR_PART;
        self.node == other.node && ahead != 0 && ahead <= COORDINATOR_PART / 2
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

    #[test]
    fn lives_follow_each_other_also_where_their_numbers_begin_again() {
        let life = |life| Coordinator::new(NodeId(3), life);
        assert!(life(8).is_later_life_of(life(7)) && life(4096).is_later_life_of(life(4095)));
        assert!(!life(7).is_later_life_of(life(8)) && !life(4095).is_later_life_of(life(4096)));
        assert!(!life(7).is_later_life_of(life(7)) && !Coordinator::new(NodeId(4), 8).is_later_life_of(life(7)));
    }
}

//! Which coordinators live, as far as this node knows. A transaction whose coordinator does not is nobody's: its locks
//! are free at once, and its intents and its record do not wait for their age.
//!
//! To be wrong about one costs it an abort and nothing else: commits check versions where they miss a lock, and a
//! record is decided once.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use proto::{Coordinator, NodeId, TxnId};
use sharddb_proto as proto;

/// Nodes that transactions come from, and whether they can be heard.
#[derive(Clone, Debug, Default)]
pub struct Living(HashMap<u64, Heard>);

#[derive(Clone, Copy, Debug)]
struct Heard {
    /// In which life it was heard last, if ever.
    last: Option<Coordinator>,
    now: bool,
}

impl Living {
    /// Adds a node that was heard last in its `incarnation`-th life, if ever, and whether it is heard now.
    pub fn add(&mut self, node: NodeId, incarnation: Option<u64>, now: bool) {
        let last = incarnation.map(|incarnation| Coordinator::new(node, incarnation));
        self.0.insert(Coordinator::new(node, 0).node, Heard { last, now });
    }

    /// A life after the last that was heard of has just begun.
    fn has(&self, coordinator: Coordinator) -> bool {
        let is = |heard: &Heard| match heard.last {
            Some(last) if coordinator == last => heard.now,
            Some(last) => coordinator.is_later_life_of(last),
            None => heard.now,
        };
        self.0.get(&coordinator.node).is_some_and(is)
    }
}

/// The newest knowledge of them; nothing is gone before there is any.
#[derive(Debug, Default)]
pub(crate) struct Known(RwLock<Option<Arc<Living>>>);

impl Known {
    pub(crate) fn set(&self, living: Living) {
        *self.0.write() = Some(Arc::new(living));
    }

    /// Whether the coordinator of a transaction is gone.
    pub(crate) fn is_gone(&self, txn: TxnId) -> bool {
        self.0.read().as_ref().is_some_and(|living| !living.has(txn.coordinator()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_started_again_is_gone_and_who_is_silent_or_not_known_too() {
        let known = Known::default();
        let txn = |node: u64, life: u64| Coordinator::new(NodeId(node), life).txn(1);
        assert!(!known.is_gone(txn(1, 1)), "nobody has said anything");
        let mut living = Living::default();
        living.add(NodeId(1), Some(2), true);
        living.add(NodeId(2), Some(2), false);
        living.add(NodeId(3), None, true);
        living.add(NodeId(4), None, false);
        known.set(living);
        let gone = |node: u64| [1, 2, 3].map(|life| known.is_gone(txn(node, life)));
        assert_eq!(gone(1), [true, false, false]);
        assert_eq!(gone(2), [true, true, false], "what it begins in its next life is not gone");
        assert_eq!(gone(3), [false; 3]);
        assert_eq!((gone(4), gone(5)), ([true; 3], [true; 3]));
    }
}

//! Promises about transactions whose records lie here: when a pending one may still commit.
//!
//! A reader that meets an intent of a transaction that is not committing yet need not wait for it. It raises the
//! transaction's floor to its snapshot and passes by. A decision to commit at or below the floor is refused, and the
//! coordinator decides again with a new timestamp.
//!
//! # How a reader misses nothing
//! Raising the floor and beginning a decision exclude each other. While a decision is under way nothing can be promised.
//! Once it has ended the record says how, and who raised the floor looks at the record again.
//!
//! A new leader knows of no promise: it starts with a floor for all, above every snapshot of before.

use ahash::AHashMap;
use parking_lot::Mutex;
use proto::{Timestamp, TxnId};
use sharddb_proto as proto;

/// Floors of pending transactions, and decisions under way.
#[derive(Default)]
pub(crate) struct Promises {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Floor of every transaction.
    floor: Timestamp,
    txns: AHashMap<TxnId, Promise>,
}

#[derive(Default)]
struct Promise {
    floor: Timestamp,
    deciding: bool,
}

impl Promises {
    /// Forgets all but that nobody commits at or below `floor`.
    pub(crate) fn reset(&self, floor: Timestamp) {
        *self.state.lock() = State { floor, txns: AHashMap::default() };
    }

    /// Begins a decision to commit at `commit_ts`; refused with the floor if that is too low.
    pub(crate) fn begin_decision(&self, txn: TxnId, commit_ts: Timestamp) -> Result<(), Timestamp> {
        let mut state = self.state.lock();
        let least = state.floor;
        let promise = state.txns.entry(txn).or_default();
        let floor = promise.floor.max(least);
        if commit_ts <= floor {
            return Err(floor);
        }
        promise.deciding = true;
        Ok(())
    }

    /// The transaction is decided, or its decision is known not to have been carried out.
    pub(crate) fn forget(&self, txn: TxnId) {
        self.state.lock().txns.remove(&txn);
    }

    /// Promises that the transaction commits above `ts`; false while a decision is under way.
    pub(crate) fn raise(&self, txn: TxnId, ts: Timestamp) -> bool {
        let mut state = self.state.lock();
        let promise = state.txns.entry(txn).or_default();
        if !promise.deciding {
            promise.floor = promise.floor.max(ts);
        }
        !promise.deciding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_above_every_promise() {
        let promises = Promises::default();
        promises.reset(Timestamp(5));
        let txn = TxnId(1);
        assert_eq!(promises.begin_decision(txn, Timestamp(5)), Err(Timestamp(5)));
        assert!(promises.raise(txn, Timestamp(9)) && promises.raise(txn, Timestamp(7)));
        assert_eq!(promises.begin_decision(txn, Timestamp(9)), Err(Timestamp(9)));
        assert_eq!(promises.begin_decision(txn, Timestamp(10)), Ok(()));
        assert!(!promises.raise(txn, Timestamp(11)), "the decision is under way");
        promises.forget(txn);
        assert!(promises.state.lock().txns.is_empty());
    }
}

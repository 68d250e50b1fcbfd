//! Keys that are being committed or prepared: their writes are in the log but not yet applied.
//!
//! # How a snapshot misses nothing
//! A writer takes the lock, picks a timestamp above `max_read_ts`, and enters its keys with it. A reader raises
//! `max_read_ts` to its snapshot, then takes the lock and looks for entries at or below the snapshot. Whoever takes the
//! lock second sees the other: either the writer's timestamp is above the snapshot, or the reader finds the entry and
//! waits until it is applied.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use proto::{Timestamp, TxnId, kv};
use sharddb_proto as proto;
use tokio::sync::Notify;

/// The writes in flight of one shard, and the highest timestamp read there.
#[derive(Default)]
pub(crate) struct Marks {
    max_read_ts: AtomicU64,
    /// The highest timestamp that a command has brought, whoever led: no later commit may get one below it.
    applied: AtomicU64,
    entered: Mutex<Entered>,
    changed: Notify,
}

#[derive(Default)]
struct Entered {
    keys: BTreeMap<Bytes, (TxnId, Timestamp)>,
    /// The last timestamp given. Two writers of a key must not get theirs out of order, however old the floor is that
    /// the second brings.
    last: Timestamp,
}

impl Marks {
    /// Forgets every write under way, and takes everything at or below `ts` for read.
    pub(crate) fn reset(&self, ts: Timestamp) {
        self.raise_read_ts(ts);
        self.entered.lock().keys.clear();
        self.changed.notify_waiters();
    }

    /// Promises that no later commit on this shard has a timestamp at or below `ts`.
    pub(crate) fn raise_read_ts(&self, ts: Timestamp) {
        self.max_read_ts.fetch_max(ts.0, Ordering::SeqCst);
    }

    pub(crate) fn max_read_ts(&self) -> Timestamp {
        Timestamp(self.max_read_ts.load(Ordering::SeqCst))
    }

    /// Notes the timestamp of a command that is applied. The leader that made it may have been ahead of the oracle.
    pub(crate) fn note_applied(&self, ts: u64) {
        self.applied.fetch_max(ts, Ordering::SeqCst);
    }

    /// Enters a transaction's keys and fixes its timestamp: above every read so far and above `floor`.
    pub(crate) fn enter<'k>(&self, txn: TxnId, keys: impl Iterator<Item = &'k Bytes>, floor: Timestamp) -> Timestamp {
        let mut entered = self.entered.lock();
        let applied = Timestamp(self.applied.load(Ordering::SeqCst));
        let ts = self.max_read_ts().max(floor).max(entered.last).max(applied).next();
        entered.last = ts;
        for key in keys {
            entered.keys.insert(key.clone(), (txn, ts));
        }
        ts
    }

    /// Removes a transaction's keys and wakes those that wait for them.
    pub(crate) fn leave<'k>(&self, txn: TxnId, keys: impl Iterator<Item = &'k Bytes>) {
        let mut entered = self.entered.lock();
        for key in keys {
            if entered.keys.get(key).is_some_and(|(owner, _)| *owner == txn) {
                entered.keys.remove(key);
            }
        }
        drop(entered);
        self.changed.notify_waiters();
    }

    /// Tells those that wait in `changed` to look again.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Completes when keys were removed after this call.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Whether a reader of `key` at `ts` has to wait.
    pub(crate) fn blocks_key(&self, key: &[u8], ts: Timestamp) -> bool {
        self.entered.lock().keys.get(key).is_some_and(|(_, mark)| *mark <= ts)
    }

    /// Whether a write of this transaction to `key` is under way.
    pub(crate) fn holds(&self, txn: TxnId, key: &[u8]) -> bool {
        self.entered.lock().keys.get(key).is_some_and(|(owner, _)| *owner == txn)
    }

    /// Whether anything of this transaction is under way.
    pub(crate) fn has(&self, txn: TxnId) -> bool {
        self.entered.lock().keys.values().any(|(owner, _)| *owner == txn)
    }

    /// Whether a reader of `span` at `ts` has to wait.
    pub(crate) fn blocks_span(&self, span: &kv::Span, ts: Timestamp) -> bool {
        self.entered.lock().keys.range::<[u8], _>(bounds(span)).any(|(_, (_, mark))| *mark <= ts)
    }

    /// A key in the span that another transaction is writing.
    pub(crate) fn foreign_in_span(&self, txn: TxnId, span: &kv::Span) -> Option<Bytes> {
        let entered = self.entered.lock();
        let mut range = entered.keys.range::<[u8], _>(bounds(span));
        range.find(|(_, (owner, _))| *owner != txn).map(|(key, _)| key.clone())
    }
}

fn bounds(span: &kv::Span) -> (Bound<&[u8]>, Bound<&[u8]>) {
    if !span.end.is_empty() && span.end <= span.start {
        return (Bound::Included(&span.start), Bound::Excluded(&span.start));
    }
    let end = if span.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&span.end[..]) };
    (Bound::Included(&span.start), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_leader_commits_above_what_an_earlier_one_has_committed_ahead_of_the_oracle() {
        let marks = Marks::default();
        marks.note_applied(20);
        marks.reset(Timestamp(10));
        let key = Bytes::from_static(b"k");
        assert_eq!(marks.enter(TxnId(1), [&key].into_iter(), Timestamp(12)), Timestamp(21));
    }

    #[test]
    fn a_writer_commits_above_every_earlier_read_and_blocks_later_ones() {
        let marks = Marks::default();
        marks.reset(Timestamp(10));
        let key = Bytes::from_static(b"k");
        let ts = marks.enter(TxnId(1), [&key].into_iter(), Timestamp(7));
        assert_eq!(ts, Timestamp(11));
        assert!(!marks.blocks_key(b"k", Timestamp(10)));
        assert!(marks.blocks_key(b"k", Timestamp(11)));
        let span = kv::Span { start: Bytes::from_static(b"a"), end: Bytes::new() };
        assert!(marks.blocks_span(&span, Timestamp(11)) && !marks.blocks_span(&span, Timestamp(10)));
        assert_eq!(marks.foreign_in_span(TxnId(1), &span), None);
        assert_eq!(marks.foreign_in_span(TxnId(2), &span), Some(key.clone()));
        marks.leave(TxnId(1), [&key].into_iter());
        assert!(!marks.blocks_key(b"k", Timestamp::MAX));
    }
}

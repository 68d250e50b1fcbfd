//! Locks on their way to the next leader.
//!
//! They spare transactions a conflict when the lead is handed over in order. Commits rely on nothing here: what was locked in
//! another tenure is checked again.

use bytes::Bytes;
use prost::Message;
use proto::{TABLE_PREFIX, TxnId, kv};
use sharddb_proto as proto;
use sharddb_storage::Span;

use super::{
    modes::Mode,
    table::{Answer, LockTable},
};

/// Locks that are left to a successor. With more, it begins without any.
const LOCKS_MAX: usize = 16 << 10;

impl LockTable {
    /// Everything that is locked in a span, and its tables. Nothing if that is too much.
    pub(crate) fn bequest(&self, span: &Span) -> Bytes {
        let held = self.held_where(|key| concerns(span, key));
        if held.len() > LOCKS_MAX {
            return Bytes::new();
        }
        let lock = |(key, txn, mode): (Bytes, TxnId, Mode)| kv::HeldLock { key, txn: txn.0, mode: mode.code() };
        kv::Bequest { locks: held.into_iter().map(lock).collect() }.encode_to_vec().into()
    }

    /// Takes over what the last leader has left. What somebody else holds here by now is left out.
    pub(crate) fn inherit(&self, bequest: &Bytes) {
        let Ok(bequest) = kv::Bequest::decode(&bequest[..]) else { return };
        let (tables, rows): (Vec<_>, Vec<_>) =
            bequest.locks.into_iter().partition(|lock| lock.key.len() <= TABLE_PREFIX);
        for lock in tables.into_iter().chain(rows) {
            if let Some(mode) = Mode::from_code(lock.mode) {
                self.inherit_one(TxnId(lock.txn), &lock.key, mode);
            }
        }
    }

    fn inherit_one(&self, txn: TxnId, key: &Bytes, mode: Mode) {
        let is_row = key.len() > TABLE_PREFIX;
        let shares =
            || matches!(self.request(txn, &proto::table_prefix(key), Mode::TableShared, false), Answer::Granted);
        if !is_row || shares() {
            // Busy: whoever has been quicker keeps it.
            let _granted = self.request(txn, key, mode, false);
        }
    }
}

/// Whether a key lies in a span, or is a table's that has keys there.
fn concerns(span: &Span, key: &Bytes) -> bool {
    if key.len() > TABLE_PREFIX {
        return span.contains(key);
    }
    let ends_behind = span.end.is_empty() || key[..] < span.end[..];
    ends_behind && key[..] >= span.start[..span.start.len().min(TABLE_PREFIX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &'static str) -> Bytes {
        Bytes::from_static(name.as_bytes())
    }

    #[test]
    fn a_successor_keeps_out_whoever_the_leader_kept_out() {
        let leader = LockTable::default();
        let held = [
            ("tab1", TxnId(1), Mode::TableShared),
            ("tab1row1", TxnId(1), Mode::Update),
            ("tab1row1x", TxnId(2), Mode::KeyShare),
            ("tab1row9", TxnId(1), Mode::Update),
            ("tab2", TxnId(3), Mode::TableExclusive),
        ];
        for (name, txn, mode) in held {
            assert!(matches!(leader.request(txn, &key(name), mode, false), Answer::Granted));
        }
        let successor = LockTable::default();
        successor.inherit(&leader.bequest(&Span::new("tab1row1", "tab1row9")));
        assert!(successor.holds(TxnId(1), b"tab1row1", Mode::Update));
        assert!(successor.holds(TxnId(2), b"tab1row1x", Mode::KeyShare));
        assert!(successor.holds(TxnId(2), b"tab1", Mode::TableShared), "a row's lock comes with one on its table");
        assert!(!successor.holds(TxnId(1), b"tab1row9", Mode::Update), "another shard's");
        assert!(!successor.holds(TxnId(3), b"tab2", Mode::TableExclusive), "another table's");
        let all = LockTable::default();
        assert!(matches!(all.request(TxnId(9), &key("tab1row9"), Mode::Update, false), Answer::Granted));
        all.inherit(&leader.bequest(&Span::default()));
        assert!(all.holds(TxnId(3), b"tab2", Mode::TableExclusive));
        assert!(!all.holds(TxnId(1), b"tab1row9", Mode::Update), "somebody was quicker");
        all.inherit(&Bytes::from_static(b"\xff garbage"));
    }
}

//! A transaction's buffered writes, with savepoints.
//!
//! # Invariants
//! * `bytes` is the sum of key and value lengths of all entries.
//! * `undo` holds, for each write since the oldest open savepoint, what the key was before; rolling back replays it in
//!   reverse. Without an open savepoint it is empty.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;

/// A buffered write: the new value, or `None` for a deletion.
pub(crate) type Value = Option<Bytes>;

/// A mark to roll back to. Marks are ordered; rolling back to one forgets later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint {
    /// Open savepoints including this one.
    depth: usize,
    /// Length of the undo list when it was opened.
    undo: usize,
}

/// Writes not yet sent to a shard, newest for each key.
#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    entries: BTreeMap<Bytes, Value>,
    undo: Vec<(Bytes, Option<Value>)>,
    savepoints: usize,
    bytes: usize,
}

impl WriteBuffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of keys and values.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn has_savepoints(&self) -> bool {
        self.savepoints > 0
    }

    /// The buffered write of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Value> {
        self.entries.get(key)
    }

    pub(crate) fn put(&mut self, key: Bytes, value: Value) {
        self.bytes += size(&key, &value);
        let before = self.entries.insert(key.clone(), value);
        if let Some(before) = &before {
            self.bytes -= size(&key, before);
        }
        if self.savepoints > 0 {
            self.undo.push((key, before));
        }
    }

    /// Writes with keys in `[start, end)` in key order; an empty end is the end of the key space.
    pub(crate) fn range(&self, start: &[u8], end: &[u8]) -> impl DoubleEndedIterator<Item = (&Bytes, &Value)> {
        let end = if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end) };
        let empty = matches!(end, Bound::Excluded(end) if end <= start);
        let bounds =
            if empty { (Bound::Included(start), Bound::Excluded(start)) } else { (Bound::Included(start), end) };
        self.entries.range::<[u8], _>(bounds)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Value)> {
        self.entries.iter()
    }

    /// Opens a savepoint.
    pub(crate) fn savepoint(&mut self) -> Savepoint {
        self.savepoints += 1;
        Savepoint { depth: self.savepoints, undo: self.undo.len() }
    }

    /// Undoes every write since the savepoint, which stays open; later savepoints are closed.
    pub(crate) fn rollback_to(&mut self, savepoint: Savepoint) {
        assert!(savepoint.undo <= self.undo.len(), "a savepoint lies in the past");
        assert!(savepoint.depth <= self.savepoints, "the savepoint is open");
        self.savepoints = savepoint.depth;
        while self.undo.len() > savepoint.undo {
            let Some((key, before)) = self.undo.pop() else { break };
            let now = match before {
                Some(value) => {
                    self.bytes += size(&key, &value);
                    self.entries.insert(key.clone(), value)
                }
                None => self.entries.remove(&key),
            };
            if let Some(now) = now {
                self.bytes -= size(&key, &now);
            }
        }
    }

    /// Closes the savepoint and later ones and keeps their writes.
    pub(crate) fn release(&mut self, savepoint: Savepoint) {
        assert!((1..=self.savepoints).contains(&savepoint.depth), "a released savepoint is open");
        self.savepoints = savepoint.depth - 1;
        if self.savepoints == 0 {
            self.undo.clear();
        }
    }

    /// Takes every write out, in key order. Only without open savepoints, whose undo would be lost.
    pub(crate) fn take(&mut self) -> BTreeMap<Bytes, Value> {
        assert!(self.savepoints == 0, "writes with an open savepoint stay in the buffer");
        self.take_all()
    }

    /// Takes every write out and closes all savepoints, for the commit.
    pub(crate) fn take_all(&mut self) -> BTreeMap<Bytes, Value> {
        (self.bytes, self.savepoints) = (0, 0);
        self.undo.clear();
        std::mem::take(&mut self.entries)
    }
}

fn size(key: &Bytes, value: &Value) -> usize {
    key.len() + value.as_ref().map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(buffer: &WriteBuffer) -> Vec<(&str, Option<&str>)> {
        let text = |bytes: &'_ Bytes| std::str::from_utf8(bytes).expect("text").to_owned().leak() as &str;
        buffer.iter().map(|(key, value)| (text(key), value.as_ref().map(text))).collect()
    }

    fn put(buffer: &mut WriteBuffer, key: &'static str, value: Option<&'static str>) {
        buffer.put(Bytes::from(key), value.map(Bytes::from));
    }

    #[test]
    fn rolling_back_restores_earlier_writes_and_removes_later_ones() {
        let mut buffer = WriteBuffer::default();
        put(&mut buffer, "a", Some("1"));
        let outer = buffer.savepoint();
        put(&mut buffer, "a", Some("22"));
        put(&mut buffer, "b", None);
        let inner = buffer.savepoint();
        put(&mut buffer, "b", Some("3"));
        buffer.rollback_to(inner);
        assert_eq!(contents(&buffer), [("a", Some("22")), ("b", None)]);
        buffer.release(inner);
        buffer.rollback_to(outer);
        assert_eq!(contents(&buffer), [("a", Some("1"))]);
        assert_eq!(buffer.bytes(), 2);
    }

    #[test]
    fn releasing_keeps_writes() {
        let mut buffer = WriteBuffer::default();
        let outer = buffer.savepoint();
        let inner = buffer.savepoint();
        put(&mut buffer, "a", Some("1"));
        buffer.release(inner);
        assert_eq!(contents(&buffer), [("a", Some("1"))]);
        buffer.rollback_to(outer);
        assert_eq!(contents(&buffer), []);
        assert_eq!(buffer.bytes(), 0);
    }

    #[test]
    fn ranges_are_half_open() {
        let mut buffer = WriteBuffer::default();
        for key in ["a", "b", "c"] {
            put(&mut buffer, key, None);
        }
        let keys = |start: &str, end: &str| -> Vec<Bytes> {
            buffer.range(start.as_bytes(), end.as_bytes()).map(|(key, _)| key.clone()).collect()
        };
        assert_eq!(keys("a", "c"), ["a", "b"]);
        assert_eq!(keys("b", ""), ["b", "c"]);
        assert_eq!(keys("c", "a"), Vec::<Bytes>::new());
    }
}

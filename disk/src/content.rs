//! What one file holds, and what of that a power failure leaves.

use std::ops::Range;

/// A disk writes whole sectors, or none of one.
const SECTOR: usize = 512;

#[derive(Clone, Default)]
pub(crate) struct Content {
    /// What the running system reads.
    now: Vec<u8>,
    /// What a power failure leaves.
    synced: Vec<u8>,
    /// Ranges of `now` that the next sync writes. A sync that fails forgets them: the system takes them for clean.
    dirty: Vec<Range<usize>>,
}

/// What a sync replaced.
#[derive(Clone)]
pub(crate) struct Undo {
    len: usize,
    /// Where bytes were replaced, and by what they were, in the order of the changes.
    parts: Vec<(usize, Vec<u8>)>,
}

impl Content {
    pub(crate) fn now(&self) -> &[u8] {
        &self.now
    }

    pub(crate) fn write(&mut self, bytes: &[u8], start: usize) {
        let end = start + bytes.len();
        self.now.resize(self.now.len().max(end), 0);
        self.now[start..end].copy_from_slice(bytes);
        self.dirty.push(start..end);
    }

    pub(crate) fn set_len(&mut self, len: usize) {
        self.now.resize(len, 0);
        self.synced.truncate(len);
    }

    pub(crate) fn sync(&mut self) -> Undo {
        let mut undo = Undo { len: self.synced.len(), parts: Vec::new() };
        self.synced.resize(self.now.len(), 0);
        for range in self.take_dirty() {
            undo.parts.push((range.start, self.synced[range.clone()].to_vec()));
            self.synced[range.clone()].copy_from_slice(&self.now[range]);
        }
        undo
    }

    /// Writes those dirty sectors of which `survives` says so.
    pub(crate) fn sync_some(&mut self, mut survives: impl FnMut() -> bool) {
        for Range { mut start, end } in self.take_dirty() {
            while start < end {
                let next = (start / SECTOR * SECTOR + SECTOR).min(end);
                if survives() {
                    self.synced.resize(self.synced.len().max(next), 0);
                    self.synced[start..next].copy_from_slice(&self.now[start..next]);
                }
                start = next;
            }
        }
    }

    pub(crate) fn forget_dirty(&mut self) {
        self.dirty.clear();
    }

    fn take_dirty(&mut self) -> Vec<Range<usize>> {
        let len = self.now.len();
        let within = |range: Range<usize>| range.start.min(len)..range.end.min(len);
        std::mem::take(&mut self.dirty).into_iter().map(within).collect()
    }

    pub(crate) fn crash(&mut self) {
        self.now = self.synced.clone();
        self.dirty.clear();
    }

    pub(crate) fn damage(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.now);
        self.synced = self.now.clone();
        self.dirty.clear();
    }

    /// Takes back a sync but for those changed sectors whose bit is set. Answers how many it changed.
    pub(crate) fn tear(&mut self, undo: &Undo, kept: u64) -> u32 {
        let mut before = self.synced.clone();
        // The file may have been cut since.
        let end = undo.parts.iter().map(|(start, bytes)| start + bytes.len()).max();
        before.resize(before.len().max(end.unwrap_or_default()), 0);
        for (start, bytes) in undo.parts.iter().rev() {
            before[*start..*start + bytes.len()].copy_from_slice(bytes);
        }
        before.truncate(undo.len);
        let (mut after, mut count) = (before.clone(), 0);
        for (i, new) in self.synced.chunks(SECTOR).enumerate() {
            let range = i * SECTOR..i * SECTOR + new.len();
            if before.get(range.clone()) == Some(new) {
                continue;
            }
            if kept >> (count % 64) & 1 == 1 {
                after.resize(after.len().max(range.end), 0);
                after[range].copy_from_slice(new);
            }
            count += 1;
        }
        self.now = after.clone();
        self.synced = after;
        count
    }
}

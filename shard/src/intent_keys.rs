//! Which keys of a shard have intents, in memory.
//!
//! Intents are few and go quickly, but each leaves a tombstone in the engine: whoever looked for them there would pass
//! over those of every transaction since the last compaction. A large transaction may have more than fit here; until the
//! last intent of the shard is gone, readers look into the engine then.
//!
//! # Invariants
//! * A key is here before its intent can be read, and until after the intent is removed. A reader that finds a key without
//!   an intent finds what became of it among the versions.
//! * Changed by applying commands only.

use std::{
    collections::BTreeSet,
    ops::Bound,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use parking_lot::RwLock;
use proto::kv;
use sharddb_proto as proto;

/// Keys kept for one shard: some megabytes.
pub(crate) const KEYS_MAX: usize = 1 << 16;

/// The keys with intents.
#[derive(Default)]
pub(crate) struct IntentKeys {
    count: AtomicU64,
    known: RwLock<Known>,
}

enum Known {
    All(BTreeSet<Bytes>),
    /// There were too many.
    TooMany,
}

impl Default for Known {
    fn default() -> Self {
        Self::All(BTreeSet::new())
    }
}

impl IntentKeys {
    /// Intents in the shard.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// False if the key has no intent.
    pub(crate) fn may_have(&self, key: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        match &*self.known.read() {
            Known::All(keys) => keys.contains(key),
            Known::TooMany => true,
        }
    }

    /// The first keys in a span, at most `max`; `None` if only the engine knows.
    pub(crate) fn first_in(&self, span: &kv::Span, max: usize) -> Option<Vec<Bytes>> {
        match &*self.known.read() {
            Known::All(_) if !span.end.is_empty() && span.end <= span.start => Some(Vec::new()),
            Known::All(keys) => {
                let end = if span.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&span.end[..]) };
                let inside = keys.range::<[u8], _>((Bound::Included(&span.start[..]), end));
                Some(inside.take(max).cloned().collect())
            }
            Known::TooMany => None,
        }
    }

    /// Takes over what the engine holds.
    pub(crate) fn reset(&self, count: u64, keys: BTreeSet<Bytes>) {
        let complete = keys.len() as u64 == count && keys.len() <= KEYS_MAX;
        *self.known.write() = if complete { Known::All(keys) } else { Known::TooMany };
        self.count.store(count, Ordering::SeqCst);
    }

    /// Adds keys that had no intent.
    pub(crate) fn add(&self, added: Vec<Bytes>) {
        let mut known = self.known.write();
        self.count.fetch_add(added.len() as u64, Ordering::SeqCst);
        let Known::All(keys) = &mut *known else { return };
        keys.extend(added);
        if keys.len() > KEYS_MAX {
            *known = Known::TooMany;
        }
    }

    /// Removes keys that had one.
    pub(crate) fn remove(&self, removed: &[Bytes]) {
        let mut known = self.known.write();
        let before = self.count.fetch_sub(removed.len() as u64, Ordering::SeqCst);
        assert!(before >= removed.len() as u64, "intents are counted");
        match &mut *known {
            Known::All(keys) => {
                for key in removed {
                    keys.remove(key);
                }
            }
            Known::TooMany if before == removed.len() as u64 => *known = Known::default(),
            Known::TooMany => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(range: std::ops::Range<u32>) -> Vec<Bytes> {
        range.map(|n| Bytes::copy_from_slice(&n.to_be_bytes())).collect()
    }

    #[test]
    fn too_many_keys_are_forgotten_until_all_are_gone() {
        let intents = IntentKeys::default();
        let whole = kv::Span::default();
        let many = KEYS_MAX as u32;
        intents.add(keys(0..many));
        assert!(intents.may_have(&5u32.to_be_bytes()) && !intents.may_have(&many.to_be_bytes()));
        assert_eq!(intents.first_in(&whole, 2), Some(keys(0..2)));
        intents.add(keys(many..many + 1));
        assert!(intents.may_have(b"anything") && intents.first_in(&whole, 2).is_none());
        intents.remove(&keys(0..many));
        assert!(intents.may_have(b"anything"), "one is left");
        intents.remove(&keys(many..many + 1));
        assert!(intents.is_empty() && !intents.may_have(b"anything"));
        intents.add(keys(3..4));
        assert_eq!(intents.first_in(&kv::Span { start: keys(1..2).remove(0), end: Bytes::new() }, 9), Some(keys(3..4)));
    }
}

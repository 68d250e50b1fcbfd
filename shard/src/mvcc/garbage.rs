//! Garbage collection: dropping versions that no snapshot can see any more.

use proto::Timestamp;
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::{Batch, Cf, Engine, Result, Span};

use super::{
    key::{decode_version, split_version},
    read::damaged,
};

/// Versions dropped in one batch: small, so that writers are not held up.
const BATCH_VERSIONS: usize = 4096;

/// What collecting came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    /// Versions that were dropped.
    pub(crate) dropped: u64,
    /// Whether versions above the safe point are left: a later one may make garbage of them, or of those below them.
    pub(crate) unripe: bool,
}

/// Drops versions in `span` that no snapshot at or above `safe` sees: all but the newest at or below `safe`, and that one
/// too when it is a deletion.
///
/// Needs no order with concurrent commits: those add versions above `safe` only.
pub(crate) fn collect(engine: &dyn Engine, span: &Span, safe: Timestamp) -> Result<Collected> {
    let mut cursor = engine.cursor(Cf::Data, span)?;
    let mut batch = Batch::default();
    let mut collected = Collected::default();
    let mut key: Vec<u8> = Vec::new();
    // Whether the version that a snapshot at `safe` sees of this key has been passed.
    let mut passed = false;
    let mut more = cursor.first()?;
    while more {
        let (here, ts) = split_version(cursor.key()).ok_or_else(damaged)?;
        if here != key {
            key = here.to_vec();
            passed = false;
        }
        let visible = ts <= safe && !passed;
        let tombstone = decode_version(cursor.value()).ok_or_else(damaged)?.is_none();
        if (ts <= safe && passed) || (visible && tombstone) {
            batch.delete(Cf::Data, cursor.key());
            collected.dropped += 1;
        }
        collected.unripe |= ts > safe;
        passed |= visible;
        if batch.operations().len() >= BATCH_VERSIONS {
            engine.write(&std::mem::take(&mut batch))?;
        }
        more = cursor.next()?;
    }
    if !batch.is_empty() {
        engine.write(&batch)?;
    }
    Ok(collected)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use proptest::prelude::*;
    use storage::MemoryEngine;

    use super::*;
    use crate::mvcc::{
        Direction, VersionCursor,
        key::{encode_put, encode_tombstone, version_key},
        read_at,
    };

    type History = BTreeMap<(u8, u64), Option<u8>>;

    fn engine(history: &History) -> Arc<MemoryEngine> {
        let engine = Arc::new(MemoryEngine::default());
        let mut batch = Batch::default();
        for ((key, ts), value) in history {
            let stored = value.map_or_else(encode_tombstone, |value| encode_put(&[value]));
            batch.put(Cf::Data, version_key(&[*key], Timestamp(*ts)), stored);
        }
        engine.write(&batch).expect("memory takes every write");
        engine
    }

    fn model(history: &History, ts: u64) -> Vec<(u8, u8)> {
        let mut state = BTreeMap::new();
        for ((key, at), value) in history {
            if *at <= ts {
                state.insert(*key, *value);
            }
        }
        state.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    fn scan(engine: &dyn Engine, ts: u64, direction: Direction) -> Vec<(u8, u8)> {
        let mut cursor = VersionCursor::open(engine, &Span::default(), Timestamp(ts), direction).expect("opens");
        let mut rows = Vec::new();
        while cursor.advance().expect("moves") {
            rows.push((cursor.key()[0], cursor.value()[0]));
        }
        rows
    }

    fn histories() -> impl Strategy<Value = History> {
        prop::collection::btree_map((0_u8..6, 1_u64..40), prop::option::of(any::<u8>()), 0..60)
    }

    proptest! {
        #[test]
        fn reads_and_scans_agree_with_a_model(history in histories(), ts in 0_u64..45) {
            let engine = engine(&history);
            let expected = model(&history, ts);
            prop_assert_eq!(scan(engine.as_ref(), ts, Direction::Forward), expected.clone());
            let mut backward = scan(engine.as_ref(), ts, Direction::Reverse);
            backward.reverse();
            prop_assert_eq!(backward, expected.clone());
            for key in 0..6 {
                let found = read_at(engine.as_ref(), &[key], Timestamp(ts)).expect("reads");
                let value = found.and_then(|version| version.value).map(|value| value[0]);
                prop_assert_eq!(value, expected.iter().find(|(k, _)| *k == key).map(|(_, v)| *v));
            }
        }

        #[test]
        fn collecting_garbage_changes_no_snapshot_at_or_above_the_safe_point(history in histories(), safe in 0_u64..45) {
            let engine = engine(&history);
            let before: Vec<_> = (safe..46).map(|ts| scan(engine.as_ref(), ts, Direction::Forward)).collect();
            let collected = collect(engine.as_ref(), &Span::default(), Timestamp(safe)).expect("collects");
            let after: Vec<_> = (safe..46).map(|ts| scan(engine.as_ref(), ts, Direction::Forward)).collect();
            prop_assert_eq!(before, after);
            let again = collect(engine.as_ref(), &Span::default(), Timestamp(safe)).expect("collects");
            prop_assert_eq!(again, Collected { dropped: 0, unripe: collected.unripe });
            let late = collect(engine.as_ref(), &Span::default(), Timestamp::MAX).expect("collects");
            prop_assert!(collected.unripe || late.dropped == 0);
        }
    }
}

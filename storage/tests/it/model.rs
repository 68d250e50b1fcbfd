//! The engine on disk answers like the one in memory, whatever is done to both.

use proptest::prelude::*;
use sharddb_storage::{Batch, Cf, Engine, MemoryEngine, RocksEngine, Span};

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Change>),
    Flush,
    /// Walks a span; the flag walks it backwards from its end.
    Scan(Cf, Vec<u8>, Vec<u8>, bool),
    Seek(Cf, Vec<u8>),
    Version(Vec<u8>),
}

#[derive(Clone, Debug)]
enum Change {
    Put(Cf, Vec<u8>, Vec<u8>),
    Delete(Cf, Vec<u8>),
    DeleteRange(Cf, Vec<u8>, Vec<u8>),
}

fn family() -> impl Strategy<Value = Cf> {
    prop_oneof![Just(Cf::Data), Just(Cf::Intents), Just(Cf::Local)]
}

/// One-byte keys with a version, so that keys are prefix-free; the extreme bytes test the ends of the key space.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = || prop_oneof![Just(0u8), Just(1), Just(2), Just(0xff)];
    (byte(), byte()).prop_map(|(key, version)| [vec![key], vec![version; 8]].concat())
}

/// A bound of a span: empty, short of a whole key, or a key.
fn bound() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), (0u8..3).prop_map(|byte| vec![byte]), key()]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (family(), key(), prop::collection::vec(any::<u8>(), 0..5)).prop_map(|(cf, k, v)| Change::Put(cf, k, v)),
        2 => (family(), key()).prop_map(|(cf, key)| Change::Delete(cf, key)),
        1 => (family(), bound(), bound()).prop_map(|(cf, start, end)| Change::DeleteRange(cf, start, end)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(change(), 1..6).prop_map(Step::Write),
        1 => Just(Step::Flush),
        2 => (family(), bound(), bound(), any::<bool>()).prop_map(|(cf, start, end, back)| Step::Scan(cf, start, end, back)),
        1 => (family(), bound()).prop_map(|(cf, key)| Step::Seek(cf, key)),
        2 => key().prop_map(Step::Version),
    ]
}

fn batch(changes: &[Change]) -> Batch {
    let mut batch = Batch::default();
    for change in changes {
        match change.clone() {
            Change::Put(cf, key, value) => batch.put(cf, key, value),
            Change::Delete(cf, key) => batch.delete(cf, key),
            Change::DeleteRange(cf, start, end) => batch.delete_range(cf, Span::new(start, end)),
        }
    }
    batch
}

/// What a step shows of an engine.
fn run(engine: &dyn Engine, step: &Step) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut seen = Vec::new();
    match step {
        Step::Write(changes) => engine.write(&batch(changes)).expect("a write succeeds"),
        Step::Flush => engine.flush().expect("a flush succeeds"),
        Step::Scan(cf, start, end, back) => {
            let mut cursor = engine.cursor(*cf, &Span::new(start.clone(), end.clone())).expect("a cursor opens");
            let mut more = if *back { cursor.last() } else { cursor.first() }.expect("a cursor moves");
            while more {
                seen.push((cursor.key().to_vec(), cursor.value().to_vec()));
                more = if *back { cursor.prev() } else { cursor.next() }.expect("a cursor moves");
            }
        }
        Step::Seek(cf, key) => {
            let mut cursor = engine.cursor(*cf, &Span::default()).expect("a cursor opens");
            for forward in [true, false] {
                let found = if forward { cursor.seek(key) } else { cursor.seek_back(key) }.expect("a cursor moves");
                seen.extend(found.then(|| (cursor.key().to_vec(), cursor.value().to_vec())));
            }
        }
        Step::Version(key) => seen.extend(engine.first_version(key).expect("a read succeeds")),
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn engines_agree(steps in prop::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let rocks = RocksEngine::open(folder.path(), &crate::small()).expect("opens");
        let memory = MemoryEngine::default();
        let before = (rocks.snapshot(), memory.snapshot());
        for (at, step) in steps.iter().enumerate() {
            prop_assert_eq!(run(&rocks, step), run(&memory, step), "step {}", at);
        }
        for cf in Cf::ALL {
            let whole = Step::Scan(cf, Vec::new(), Vec::new(), false);
            prop_assert_eq!(run(&rocks, &whole), run(&memory, &whole));
            for snapshot in [&before.0, &before.1] {
                prop_assert!(!snapshot.cursor(cf, &Span::default()).expect("opens").first().expect("moves"));
            }
        }
    }
}

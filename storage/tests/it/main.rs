//! Every engine passes the conformance suite; the one on disk keeps what was flushed.

mod model;

use std::sync::Arc;

use sharddb_storage::{Batch, Cf, Engine, FaultyEngine, MemoryEngine, RocksEngine, RocksOptions, Span, conformance};

fn small() -> RocksOptions {
    RocksOptions { block_cache_bytes: 1 << 20, memtable_bytes: 1 << 20, background_jobs: 1 }
}

#[test]
fn memory_conforms() {
    conformance::run(MemoryEngine::default);
}

#[test]
fn a_faulty_engine_without_faults_conforms() {
    conformance::run(|| FaultyEngine::new(Arc::new(MemoryEngine::default())));
}

#[test]
fn rocks_conforms() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let count = std::cell::Cell::new(0);
    conformance::run(|| {
        count.set(count.get() + 1);
        RocksEngine::open(&folder.path().join(count.get().to_string()), &small()).expect("opens")
    });
}

#[test]
fn what_was_flushed_is_there_after_reopening_and_families_agree() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let write = |engine: &RocksEngine, value: &[u8]| {
        let mut batch = Batch::default();
        for cf in Cf::ALL {
            batch.put(cf, *b"key________", value);
        }
        engine.write(&batch).expect("a write succeeds");
    };
    let engine = RocksEngine::open(folder.path(), &small()).expect("opens");
    write(&engine, b"1");
    engine.flush().expect("flushes");
    drop(engine);
    let engine = RocksEngine::open(folder.path(), &small()).expect("opens again");
    for cf in Cf::ALL {
        assert_eq!(engine.get(cf, b"key________").expect("reads"), Some(b"1".to_vec()));
    }
}

#[test]
fn a_directory_is_open_once() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let _first = RocksEngine::open(folder.path(), &small()).expect("opens");
    assert!(RocksEngine::open(folder.path(), &small()).is_err());
}

#[test]
fn a_checkpoint_holds_what_was_written_and_nothing_later() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let engine = RocksEngine::open(&folder.path().join("engine"), &small()).expect("opens");
    let write = |value: &[u8]| {
        let mut batch = Batch::default();
        Cf::ALL.into_iter().for_each(|cf| batch.put(cf, *b"key________", value));
        engine.write(&batch).expect("a write succeeds");
    };
    write(b"1");
    let copy = folder.path().join("copy");
    engine.checkpoint(&copy).expect("a checkpoint is made");
    write(b"2");
    assert!(engine.checkpoint(&copy).is_err(), "the directory exists");
    let copy = RocksEngine::open(&copy, &small()).expect("the copy opens");
    for cf in Cf::ALL {
        assert_eq!(copy.get(cf, b"key________").expect("reads"), Some(b"1".to_vec()));
        assert_eq!(engine.get(cf, b"key________").expect("reads"), Some(b"2".to_vec()));
    }
    let memory = MemoryEngine::default().checkpoint(&folder.path().join("none"));
    assert_eq!(memory.expect_err("nothing to copy").sqlstate(), "0A000");
}

#[test]
fn readers_outlive_the_engine_handle() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let engine = RocksEngine::open(folder.path(), &small()).expect("opens");
    let mut batch = Batch::default();
    batch.put(Cf::Local, *b"key", *b"value");
    engine.write(&batch).expect("a write succeeds");
    let snapshot = engine.snapshot();
    drop(engine);
    let mut cursor = snapshot.cursor(Cf::Local, &Span::default()).expect("a cursor opens");
    drop(snapshot);
    assert!(cursor.first().expect("moves"));
    assert_eq!(cursor.value(), b"value");
}

/// Replicas are filled from files while others write and flush.
#[test]
fn tables_are_taken_in_beside_writes_and_flushes() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let engine = RocksEngine::open(&folder.path().join("data"), &small()).expect("opens");
    let writing = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for count in 0_u64.. {
                if !writing.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
                let mut batch = Batch::default();
                batch.put(Cf::Data, [&b"z"[..], &count.to_be_bytes()].concat(), vec![0; 1000]);
                engine.write(&batch).expect("a write succeeds");
                if count.is_multiple_of(50) {
                    engine.flush().expect("a flush succeeds");
                }
            }
        });
        let takers: Vec<_> = ["a", "b"].map(|name| scope.spawn(|| take_in(&engine, folder.path(), name))).into();
        let taken: Vec<bool> = takers.into_iter().map(|taker| taker.join().is_ok()).collect();
        writing.store(false, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(taken, [true, true]);
    });
}

/// Replaces a span by what it holds, again and again.
fn take_in(engine: &RocksEngine, folder: &std::path::Path, name: &str) {
    let span = Span::new(name, format!("{name}~"));
    let key = format!("{name}00000001");
    for count in 0..50 {
        let mut batch = Batch::default();
        batch.put(Cf::Data, key.as_bytes(), format!("{count}").into_bytes());
        engine.write(&batch).expect("a write succeeds");
        let base = folder.join(format!("{name}{count}"));
        let files = sharddb_storage::export(engine, engine.snapshot().as_ref(), Cf::Data, &span, &base);
        let mut batch = Batch::default();
        batch.delete_range(Cf::Data, span.clone());
        engine.write(&batch).expect("a write succeeds");
        engine.ingest(Cf::Data, &files.expect("a span is exported")).expect("tables are taken in");
        let found = engine.get(Cf::Data, key.as_bytes()).expect("reads");
        assert_eq!(found, Some(format!("{count}").into_bytes()));
    }
}

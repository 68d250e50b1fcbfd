//! Every engine passes the conformance suite; the one on disk keeps what was flushed.

use std::sync::Arc;

use sharddb_storage::{Batch, Cf, Engine, FaultyEngine, MemoryEngine, RocksEngine, RocksOptions, conformance};

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

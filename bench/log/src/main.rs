//! Synced appends a second of three logs that many Raft groups could share: ShardDB's own, raft-engine, and RocksDB's
//! write-ahead log. Each writer appends one entry to a group of its own and waits until it is durable.
//!
//! Arguments: seconds for each measurement (default 5), bytes of an entry (default 300).

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use raft_engine::{Config, Engine, LogBatch};
use rocksdb::{DB, Options, WriteBatch, WriteOptions};
use sharddb_raft::log::{GroupId, LogOptions, RealFiles, SharedLog};

const WRITERS: [u64; 4] = [1, 4, 16, 64];

/// A log under test: appends an entry to a group and returns once it is durable.
trait Log: Send + Sync {
    fn append(&self, group: u64, index: u64, entry: &[u8]);
}

impl Log for SharedLog {
    fn append(&self, group: u64, index: u64, entry: &[u8]) {
        let (told, outcome) = mpsc::channel();
        let entries = vec![(index, Bytes::copy_from_slice(entry))];
        let done = Box::new(move |result| told.send(result).expect("the writer waits"));
        SharedLog::append(self, GroupId(group), entries, done);
        outcome.recv().expect("the log answers").expect("the append succeeds");
    }
}

impl Log for Engine {
    fn append(&self, group: u64, index: u64, entry: &[u8]) {
        let mut batch = LogBatch::default();
        batch.put(group, index.to_be_bytes().to_vec(), entry.to_vec()).expect("the batch takes an entry");
        self.write(&mut batch, true).expect("the append succeeds");
    }
}

impl Log for DB {
    fn append(&self, group: u64, index: u64, entry: &[u8]) {
        let mut batch = WriteBatch::default();
        batch.put([group.to_be_bytes(), index.to_be_bytes()].concat(), entry);
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.write_opt(batch, &options).expect("the append succeeds");
    }
}

fn open(name: &str, directory: &Path) -> Arc<dyn Log> {
    match name {
        "own" => {
            let files = Arc::new(RealFiles::open(directory).expect("the directory opens"));
            Arc::new(SharedLog::open(files, LogOptions::default()).expect("the log opens"))
        }
        "raft-engine" => {
            let dir = directory.to_str().expect("a plain path").to_owned();
            Arc::new(Engine::open(Config { dir, ..Config::default() }).expect("raft-engine opens"))
        }
        _ => {
            let mut options = Options::default();
            options.create_if_missing(true);
            Arc::new(DB::open(&options, directory).expect("RocksDB opens"))
        }
    }
}

/// Appends a second by so many writers.
fn measure(log: &Arc<dyn Log>, writers: u64, time: Duration, bytes: usize) -> f64 {
    let appended = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for writer in 1..=writers {
            let appended = &appended;
            scope.spawn(move || {
                let entry = vec![b'x'; bytes];
                let first = writers << 40;
                for index in 0.. {
                    if begun.elapsed() >= time {
                        break;
                    }
                    // Groups of their own for each measurement: an index follows the one before.
                    log.append(first + writer, index + 1, &entry);
                    appended.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    appended.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let time = Duration::from_secs(arguments.next().unwrap_or(5));
    let bytes = arguments.next().unwrap_or(300) as usize;
    println!("{:<12} {:>8} {:>14}", "log", "writers", "appends/s");
    for name in ["own", "raft-engine", "rocksdb"] {
        let directory = tempfile::tempdir_in("/var/tmp").expect("a temporary directory");
        let log = open(name, directory.path());
        for writers in WRITERS {
            println!("{name:<12} {writers:>8} {:>14.0}", measure(&log, writers, time, bytes));
        }
    }
}

//! An engine on a simulated disk: after a crash it holds what the last flush held and some of the writes after it, in order.
//!
//! Ingested files are there after a crash at once, whatever was written before them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use sharddb_storage::{Batch, Cf, Cursor, Engine, MemoryEngine, Result, Snapshot, Span};

/// Something that changed the engine.
#[derive(Clone)]
enum Change {
    Write(Batch),
    Ingest(Batch),
}

impl Change {
    fn batch(&self) -> &Batch {
        match self {
            Self::Write(batch) | Self::Ingest(batch) => batch,
        }
    }
}

/// What a crash leaves in any case, and what came after that.
#[derive(Default)]
struct Durable {
    flushed: MemoryEngine,
    unflushed: Vec<Change>,
}

/// The engine of one life of a node.
#[derive(Default)]
pub(crate) struct DiskEngine {
    now: MemoryEngine,
    durable: Mutex<Durable>,
}

impl DiskEngine {
    /// What is left after a crash: of the writes since the last flush the first ones, as many as `keep` says of how many.
    pub(crate) fn crashed(&self, keep: impl FnOnce(usize) -> usize) -> Arc<Self> {
        let durable = self.durable.lock();
        let kept = keep(durable.unflushed.len());
        let left = Self { now: copy(&durable.flushed), durable: Mutex::default() };
        for (at, change) in durable.unflushed.iter().enumerate() {
            if at < kept || matches!(change, Change::Ingest(_)) {
                left.now.write(change.batch()).expect("memory takes every batch");
            }
        }
        left.durable.lock().flushed = copy(&left.now);
        Arc::new(left)
    }

    /// Every entry of a column family.
    pub(crate) fn contents(&self, cf: Cf) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.now.contents(cf)
    }
}

fn copy(engine: &MemoryEngine) -> MemoryEngine {
    let copy = MemoryEngine::default();
    let mut batch = Batch::default();
    for cf in Cf::ALL {
        engine.contents(cf).into_iter().for_each(|(key, value)| batch.put(cf, key, value));
    }
    copy.write(&batch).expect("memory takes every batch");
    copy
}

impl Engine for DiskEngine {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.now.get(cf, key)
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        let mut durable = self.durable.lock();
        self.now.write(batch)?;
        durable.unflushed.push(Change::Write(batch.clone()));
        Ok(())
    }

    fn cursor(&self, cf: Cf, span: &Span) -> Result<Box<dyn Cursor>> {
        self.now.cursor(cf, span)
    }

    fn first_version(&self, version_key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        self.now.first_version(version_key)
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        self.now.snapshot()
    }

    fn flush(&self) -> Result<()> {
        let mut durable = self.durable.lock();
        for change in std::mem::take(&mut durable.unflushed) {
            durable.flushed.write(change.batch())?;
        }
        Ok(())
    }

    fn checkpoint(&self, directory: &Path) -> Result<()> {
        self.now.checkpoint(directory)
    }

    fn write_table(&self, cf: Cf, cursor: &mut dyn Cursor, file: &Path, bytes_max: u64) -> Result<bool> {
        self.now.write_table(cf, cursor, file, bytes_max)
    }

    fn ingest(&self, cf: Cf, files: &[PathBuf]) -> Result<()> {
        let read = MemoryEngine::default();
        read.ingest(cf, files)?;
        let mut batch = Batch::default();
        read.contents(cf).into_iter().for_each(|(key, value)| batch.put(cf, key, value));
        let mut durable = self.durable.lock();
        self.now.write(&batch)?;
        durable.unflushed.push(Change::Ingest(batch));
        Ok(())
    }

    fn approximate_size(&self, cf: Cf, span: &Span) -> u64 {
        self.now.approximate_size(cf, span)
    }

    fn statistics(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &'static [u8]) -> Batch {
        let mut batch = Batch::default();
        batch.put(Cf::Data, key, *b"v");
        batch
    }

    fn keys(engine: &DiskEngine) -> Vec<Vec<u8>> {
        engine.contents(Cf::Data).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_crash_leaves_what_was_flushed_and_a_beginning_of_the_rest() {
        let engine = DiskEngine::default();
        engine.write(&put(b"a")).expect("written");
        engine.flush().expect("flushed");
        engine.write(&put(b"b")).expect("written");
        engine.write(&put(b"c")).expect("written");
        assert_eq!(keys(&engine), [b"a", b"b", b"c"]);
        assert_eq!(keys(&engine.crashed(|_| 0)), [b"a"]);
        let left = engine.crashed(|count| count - 1);
        assert_eq!(keys(&left), [b"a", b"b"]);
        assert_eq!(keys(&left.crashed(|_| 0)), [b"a", b"b"]);
    }
}

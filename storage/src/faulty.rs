//! An engine that fails on purpose, for tests of what lies above.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{Batch, Cf, Cursor, Engine, Error, Result, Snapshot, Span};

/// A failure to inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call goes through.
    None,
    /// The call fails as if the volume were full, without effect.
    DiskFull,
    /// The call fails as if the device did, without effect.
    Io,
}

/// Wraps an engine; each write or flush takes the next fault of a list, reads take those of another.
pub struct FaultyEngine<E> {
    inner: Arc<E>,
    writes: Mutex<VecDeque<Fault>>,
    reads: Mutex<VecDeque<Fault>>,
}

impl<E: Engine> FaultyEngine<E> {
    /// Wraps an engine; no fault until told so.
    pub fn new(inner: Arc<E>) -> Self {
        Self { inner, writes: Mutex::default(), reads: Mutex::default() }
    }

    /// Appends faults for the next writes and flushes.
    pub fn fail_writes(&self, faults: impl IntoIterator<Item = Fault>) {
        self.writes.lock().extend(faults);
    }

    /// Appends faults for the next reads.
    pub fn fail_reads(&self, faults: impl IntoIterator<Item = Fault>) {
        self.reads.lock().extend(faults);
    }
}

fn take(faults: &Mutex<VecDeque<Fault>>, action: &'static str) -> Result<()> {
    match faults.lock().pop_front() {
        None | Some(Fault::None) => Ok(()),
        Some(Fault::DiskFull) => Err(Error::DiskFull),
        Some(Fault::Io) => Err(Error::Io { action, source: io::Error::other("injected") }),
    }
}

impl<E: Engine> Engine for FaultyEngine<E> {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>> {
        take(&self.reads, "read a key")?;
        self.inner.get(cf, key)
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        take(&self.writes, "write a batch")?;
        self.inner.write(batch)
    }

    fn cursor(&self, cf: Cf, span: &Span) -> Result<Box<dyn Cursor>> {
        take(&self.reads, "open a cursor")?;
        self.inner.cursor(cf, span)
    }

    fn first_version(&self, version_key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        take(&self.reads, "read a version")?;
        self.inner.first_version(version_key)
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        self.inner.snapshot()
    }

    fn checkpoint(&self, directory: &Path) -> Result<()> {
        take(&self.writes, "make a checkpoint")?;
        self.inner.checkpoint(directory)
    }

    fn flush(&self) -> Result<()> {
        take(&self.writes, "flush")?;
        self.inner.flush()
    }

    fn write_table(&self, cf: Cf, cursor: &mut dyn Cursor, file: &Path, bytes_max: u64) -> Result<bool> {
        take(&self.writes, "write a table")?;
        self.inner.write_table(cf, cursor, file, bytes_max)
    }

    fn ingest(&self, cf: Cf, files: &[PathBuf]) -> Result<()> {
        take(&self.writes, "ingest tables")?;
        self.inner.ingest(cf, files)
    }

    fn approximate_size(&self, cf: Cf, span: &Span) -> u64 {
        self.inner.approximate_size(cf, span)
    }

    fn statistics(&self) -> Vec<(&'static str, u64)> {
        self.inner.statistics()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryEngine;

    #[test]
    fn a_failed_write_has_no_effect_and_the_next_one_goes_through() {
        let memory = Arc::new(MemoryEngine::default());
        let engine = FaultyEngine::new(memory.clone());
        engine.fail_writes([Fault::DiskFull, Fault::None]);
        let mut batch = Batch::default();
        batch.put(Cf::Data, *b"k", *b"v");
        assert!(matches!(engine.write(&batch), Err(Error::DiskFull)));
        assert!(memory.contents(Cf::Data).is_empty());
        engine.write(&batch).expect("no fault is left");
        assert_eq!(memory.contents(Cf::Data).len(), 1);
    }
}

//! An engine in memory, for tests and simulation.
//!
//! Cursors copy the span they read, so they are snapshots like those of the disk engine. Made for small data.

use std::{
    collections::BTreeMap,
    ops::Bound,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;

use crate::{Batch, Cf, Cursor, Engine, Error, Operation, Result, Snapshot, Span, plain_table};

type Tree = BTreeMap<Vec<u8>, Arc<[u8]>>;

/// One tree for each column family, in the order of `Cf::ALL`. A snapshot shares them; the next write copies them then.
type Trees = [Tree; 3];

/// An engine that forgets everything when dropped.
#[derive(Default)]
pub struct MemoryEngine {
    trees: RwLock<Arc<Trees>>,
}

impl MemoryEngine {
    /// Every entry of a column family, for comparing engines.
    pub fn contents(&self, cf: Cf) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.trees.read()[cf as usize].iter().map(|(key, value)| (key.clone(), value.to_vec())).collect()
    }
}

fn bounds(span: &Span) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let end = if span.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&span.end[..]) };
    match end {
        Bound::Excluded(end) if end <= &span.start[..] => (Bound::Included(end), Bound::Excluded(end)),
        end => (Bound::Included(&span.start[..]), end),
    }
}

impl Engine for MemoryEngine {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.trees.read()[cf as usize].get(key).map(|value| value.to_vec()))
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        let mut trees = self.trees.write();
        let trees = Arc::make_mut(&mut trees);
        for operation in batch.operations() {
            match operation {
                Operation::Put(cf, key, value) => {
                    trees[*cf as usize].insert(key.clone(), value.as_slice().into());
                }
                Operation::Delete(cf, key) => {
                    trees[*cf as usize].remove(key);
                }
                Operation::DeleteRange(cf, span) => {
                    let tree = &mut trees[*cf as usize];
                    let doomed: Vec<_> = tree.range::<[u8], _>(bounds(span)).map(|(key, _)| key.clone()).collect();
                    for key in doomed {
                        tree.remove(&key);
                    }
                }
            }
        }
        Ok(())
    }

    fn cursor(&self, cf: Cf, span: &Span) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(MemoryCursor::new(&self.trees.read(), cf, span)))
    }

    fn first_version(&self, version_key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let trees = self.trees.read();
        let key = &version_key[..version_key.len() - Cf::VERSION_SUFFIX];
        let mut range = trees[Cf::Data as usize].range::<[u8], _>((Bound::Included(version_key), Bound::Unbounded));
        let found = range
            .next()
            .filter(|(found, _)| found.len() == version_key.len() && &found[..found.len() - Cf::VERSION_SUFFIX] == key);
        Ok(found.map(|(key, value)| (key.clone(), value.to_vec())))
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        Box::new(MemorySnapshot { trees: Arc::clone(&self.trees.read()) })
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn checkpoint(&self, _directory: &Path) -> Result<()> {
        Err(Error::Unsupported("checkpoints in memory"))
    }

    fn write_table(&self, _cf: Cf, cursor: &mut dyn Cursor, file: &Path, bytes_max: u64) -> Result<bool> {
        plain_table::write(cursor, file, bytes_max)
    }

    fn ingest(&self, cf: Cf, files: &[PathBuf]) -> Result<()> {
        for file in files {
            let mut batch = Batch::default();
            for (key, value) in plain_table::read(file)? {
                batch.put(cf, key, value);
            }
            self.write(&batch)?;
        }
        Ok(())
    }

    fn approximate_size(&self, cf: Cf, span: &Span) -> u64 {
        let trees = self.trees.read();
        trees[cf as usize].range::<[u8], _>(bounds(span)).map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    fn statistics(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

struct MemorySnapshot {
    trees: Arc<Trees>,
}

impl Snapshot for MemorySnapshot {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.trees[cf as usize].get(key).map(|value| value.to_vec()))
    }

    fn cursor(&self, cf: Cf, span: &Span) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(MemoryCursor::new(&self.trees, cf, span)))
    }
}

struct MemoryCursor {
    entries: Vec<(Vec<u8>, Arc<[u8]>)>,
    /// Index into `entries`; `None` when at no entry.
    position: Option<usize>,
}

impl MemoryCursor {
    fn new(trees: &Trees, cf: Cf, span: &Span) -> Self {
        let range = trees[cf as usize].range::<[u8], _>(bounds(span));
        let entries = range.map(|(key, value)| (key.clone(), value.clone())).collect();
        Self { entries, position: None }
    }

    fn go_to(&mut self, position: Option<usize>) -> bool {
        self.position = position.filter(|position| *position < self.entries.len());
        self.position.is_some()
    }

    fn here(&self) -> &(Vec<u8>, Arc<[u8]>) {
        &self.entries[self.position.expect("the last move found an entry")]
    }
}

impl Cursor for MemoryCursor {
    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        let position = self.entries.partition_point(|(entry, _)| &entry[..] < key);
        Ok(self.go_to(Some(position)))
    }

    fn seek_back(&mut self, key: &[u8]) -> Result<bool> {
        let after = self.entries.partition_point(|(entry, _)| &entry[..] <= key);
        Ok(self.go_to(after.checked_sub(1)))
    }

    fn first(&mut self) -> Result<bool> {
        Ok(self.go_to(Some(0)))
    }

    fn last(&mut self) -> Result<bool> {
        Ok(self.go_to(self.entries.len().checked_sub(1)))
    }

    fn next(&mut self) -> Result<bool> {
        Ok(self.go_to(self.position.map(|position| position + 1)))
    }

    fn prev(&mut self) -> Result<bool> {
        Ok(self.go_to(self.position.and_then(|position| position.checked_sub(1))))
    }

    fn key(&self) -> &[u8] {
        &self.here().0
    }

    fn value(&self) -> &[u8] {
        &self.here().1
    }
}

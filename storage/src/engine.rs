//! What every storage engine does.

use std::path::{Path, PathBuf};

use crate::{Batch, Result};

/// A column family: a key space of its own within an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cf {
    /// Committed versions: key, then 8 bytes of inverted commit timestamp.
    Data,
    /// Provisional writes by key.
    Intents,
    /// What a shard keeps about itself: applied index, transaction records, descriptor.
    Local,
}

impl Cf {
    /// Every column family.
    pub const ALL: [Self; 3] = [Self::Data, Self::Intents, Self::Local];
    /// Length of the version suffix of keys in `Data`, which filters leave out.
    pub const VERSION_SUFFIX: usize = 8;
}

/// A half-open key range. An empty `end` is the end of the key space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First key.
    pub start: Vec<u8>,
    /// First key after the range.
    pub end: Vec<u8>,
}

impl Span {
    /// The keys from `start` up to but not including `end`.
    pub fn new(start: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> Self {
        Self { start: start.into(), end: end.into() }
    }

    /// Whether the key lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && (self.end.is_empty() || key < &self.end[..])
    }
}

/// An ordered key-value store with column families.
///
/// Contract: a batch is atomic for readers and for crashes; a read sees every batch whose `write` returned before the
/// read began; after a crash the engine holds what the last completed `flush` held, or a later state that is a prefix
/// of the writes in order.
///
/// Keys of `Cf::Data` without their version suffix must be prefix-free: none may be the beginning of another. Otherwise
/// a longer key can sort between two versions of a shorter one, and `first_version` does not look past it.
pub trait Engine: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Applies a batch.
    fn write(&self, batch: &Batch) -> Result<()>;

    /// A cursor over a span as it is now; it does not see later writes. It starts before the first key.
    fn cursor(&self, cf: Cf, span: &Span) -> Result<Box<dyn Cursor>>;

    /// The first entry of `Cf::Data` at or after `version_key` that shares its key, the version suffix left out.
    ///
    /// One point read of a version: faster than a cursor because filters apply.
    fn first_version(&self, version_key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>>;

    /// The engine as it is now, all column families at one moment; it does not see later writes.
    fn snapshot(&self) -> Box<dyn Snapshot>;

    /// Makes everything written so far survive a power failure.
    fn flush(&self) -> Result<()>;

    /// Makes a copy of everything written so far in a directory that does not exist yet. Files are shared where the file
    /// system can.
    fn checkpoint(&self, directory: &Path) -> Result<()>;

    /// Writes entries to a new, durable file that `ingest` of the same kind of engine takes: from where the cursor is on, in
    /// order, until keys and values of `bytes_max` bytes are written. Answers whether the cursor has come to an entry that is not in it.
    fn write_table(&self, cf: Cf, cursor: &mut dyn Cursor, file: &Path, bytes_max: u64) -> Result<bool>;

    /// Adds the entries of files. They win over everything written before, and are there after a crash at once, whatever was
    /// written before them. The files stay as they are. Spans of the files must not overlap.
    fn ingest(&self, cf: Cf, files: &[PathBuf]) -> Result<()>;

    /// Roughly how many bytes a span takes on disk and in memory.
    fn approximate_size(&self, cf: Cf, span: &Span) -> u64;

    /// Names and values of the engine's own statistics, for metrics.
    fn statistics(&self) -> Vec<(&'static str, u64)>;
}

/// An engine at one moment. Cheap to take; one that is kept for long keeps old versions on disk.
pub trait Snapshot: Send + Sync {
    /// The value of a key.
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// A cursor over a span. It may outlive the snapshot it was opened on.
    fn cursor(&self, cf: Cf, span: &Span) -> Result<Box<dyn Cursor>>;
}

/// A position in a span of an engine.
///
/// `key` and `value` may be called only while the last move answered true.
pub trait Cursor: Send {
    /// Moves to the first key at or after `key`. Answers whether there is one in the span.
    fn seek(&mut self, key: &[u8]) -> Result<bool>;

    /// Moves to the last key at or before `key`.
    fn seek_back(&mut self, key: &[u8]) -> Result<bool>;

    /// Moves to the first key of the span.
    fn first(&mut self) -> Result<bool>;

    /// Moves to the last key of the span.
    fn last(&mut self) -> Result<bool>;

    /// Moves to the next key.
    fn next(&mut self) -> Result<bool>;

    /// Moves to the previous key.
    fn prev(&mut self) -> Result<bool>;

    /// The key here.
    fn key(&self) -> &[u8];

    /// The value here.
    fn value(&self) -> &[u8];
}

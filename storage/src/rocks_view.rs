//! Reading the engine on disk: cursors and snapshots that keep their database open.
//!
//! RocksDB's iterators and snapshots borrow the database. Here each holds a share of it instead, so that a reader can
//! keep a cursor for as long as it streams rows. The database is closed when the last of them is gone.

use std::{mem::ManuallyDrop, sync::Arc};

use rocksdb::{DB, DBRawIterator, ReadOptions, SnapshotWithThreadMode};

use crate::{
    Cf, Cursor, Result, Snapshot, Span,
    rocks::{convert, name},
};

fn read_options(span: &Span) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_total_order_seek(true);
    options.set_iterate_lower_bound(span.start.clone());
    if !span.end.is_empty() {
        options.set_iterate_upper_bound(span.end.clone());
    }
    options
}

/// A snapshot and the database it was taken of.
struct Pinned {
    /// Borrows from `db`; released first, in `drop`.
    snapshot: ManuallyDrop<SnapshotWithThreadMode<'static, DB>>,
    db: Arc<DB>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: dropped here and nowhere else, while `db` still keeps the database open.
        unsafe { ManuallyDrop::drop(&mut self.snapshot) }
    }
}

/// The engine at one moment.
pub(crate) struct RocksSnapshot {
    pinned: Arc<Pinned>,
}

impl RocksSnapshot {
    pub(crate) fn new(db: &Arc<DB>) -> Self {
        let snapshot = db.snapshot();
        // SAFETY: the snapshot borrows the database, which `db` keeps open and in place until `Pinned::drop` has released
        // the snapshot; it never leaves `Pinned`.
        let snapshot = unsafe {
            std::mem::transmute::<SnapshotWithThreadMode<'_, DB>, SnapshotWithThreadMode<'static, DB>>(snapshot)
        };
        Self { pinned: Arc::new(Pinned { snapshot: ManuallyDrop::new(snapshot), db: Arc::clone(db) }) }
    }
}

impl Snapshot for RocksSnapshot {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let family = self.pinned.db.cf_handle(name(cf)).expect("every column family is opened with the database");
        self.pinned.snapshot.get_cf(family, key).map_err(|error| convert(error, "read a key"))
    }

    fn cursor(&self, cf: Cf, span: &Span) -> Result<Box<dyn Cursor>> {
        let mut options = read_options(span);
        options.set_snapshot(&self.pinned.snapshot);
        let mut cursor = RocksCursor::new(&self.pinned.db, cf, options);
        cursor._snapshot = Some(Arc::clone(&self.pinned));
        Ok(Box::new(cursor))
    }
}

/// An iterator that keeps its database open.
pub(crate) struct RocksCursor {
    /// Borrows from the fields below; declared first so that it is dropped first.
    iterator: DBRawIterator<'static>,
    /// The snapshot it reads, if it does not read the state of its creation.
    _snapshot: Option<Arc<Pinned>>,
    _db: Arc<DB>,
}

impl RocksCursor {
    /// A cursor over the engine as it is now.
    pub(crate) fn open(db: &Arc<DB>, cf: Cf, span: &Span) -> Self {
        Self::new(db, cf, read_options(span))
    }

    fn new(db: &Arc<DB>, cf: Cf, options: ReadOptions) -> Self {
        let family = db.cf_handle(name(cf)).expect("every column family is opened with the database");
        let iterator = db.raw_iterator_cf_opt(family, options);
        // SAFETY: the iterator borrows the database, which `_db` keeps alive and in place for as long as this struct;
        // fields are dropped in order, the iterator first, and it never leaves the struct.
        let iterator = unsafe { std::mem::transmute::<DBRawIterator<'_>, DBRawIterator<'static>>(iterator) };
        Self { iterator, _snapshot: None, _db: Arc::clone(db) }
    }

    fn arrived(&self) -> Result<bool> {
        if self.iterator.valid() {
            return Ok(true);
        }
        self.iterator.status().map(|()| false).map_err(|error| convert(error, "move a cursor"))
    }
}

impl Cursor for RocksCursor {
    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        self.iterator.seek(key);
        self.arrived()
    }

    fn seek_back(&mut self, key: &[u8]) -> Result<bool> {
        self.iterator.seek_for_prev(key);
        self.arrived()
    }

    fn first(&mut self) -> Result<bool> {
        self.iterator.seek_to_first();
        self.arrived()
    }

    fn last(&mut self) -> Result<bool> {
        self.iterator.seek_to_last();
        self.arrived()
    }

    fn next(&mut self) -> Result<bool> {
        if self.iterator.valid() {
            self.iterator.next();
        }
        self.arrived()
    }

    fn prev(&mut self) -> Result<bool> {
        if self.iterator.valid() {
            self.iterator.prev();
        }
        self.arrived()
    }

    fn key(&self) -> &[u8] {
        self.iterator.key().expect("the last move found an entry")
    }

    fn value(&self) -> &[u8] {
        self.iterator.value().expect("the last move found an entry")
    }
}

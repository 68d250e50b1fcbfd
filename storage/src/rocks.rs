//! The engine on disk: RocksDB without its own write-ahead log.
//!
//! The Raft log is replayed after a crash, so RocksDB writes no log; `flush` writes the memtables of all column
//! families at one point in time (atomic flush). A crash therefore leaves a state that held at one moment.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, ErrorKind, FlushOptions,
    IngestExternalFileOptions, Options, ReadOptions, SliceTransform, SstFileWriter, WriteBatch, WriteOptions,
    checkpoint::Checkpoint,
};

use crate::{
    Batch, Cf, Cursor, Engine, Error, Operation, Result, Snapshot, Span,
    rocks_view::{RocksCursor, RocksSnapshot},
};

/// Sizes of an engine on disk.
#[derive(Clone, Debug)]
pub struct RocksOptions {
    /// Bytes of the block cache, shared by the column families.
    pub block_cache_bytes: usize,
    /// Bytes of one memtable.
    pub memtable_bytes: usize,
    /// Background threads for flushes and compactions.
    pub background_jobs: i32,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self { block_cache_bytes: 512 << 20, memtable_bytes: 64 << 20, background_jobs: 2 }
    }
}

/// Sorts after every key in use: the first four bytes of a key are a storage id, and those are below 2^32 - 1.
const LAST: [u8; 8] = [0xff; 8];
/// Attempts to take tables in while flushes are under way. Each waits for one of them to end.
const INGEST_ATTEMPTS_MAX: u32 = 64;
/// Bits a key of the bloom filters: one percent of needless reads.
const BLOOM_BITS: f64 = 10.0;

/// Entries among which deletions are counted: when half of them are deletions, the file is compacted.
const DELETIONS_WINDOW: usize = 16 << 10;

/// RocksDB behind the engine trait.
pub struct RocksEngine {
    db: Arc<DB>,
    write_options: WriteOptions,
    /// How each family's files are written, in the order of `Cf::ALL`.
    tables: [Options; 3],
}

impl RocksEngine {
    /// Opens the engine in a directory, creating it if there is none.
    pub fn open(path: &Path, options: &RocksOptions) -> Result<Self> {
        // The clock cache is read without locks; 0 lets it learn the size of blocks.
        let cache = Cache::new_hyper_clock_cache(options.block_cache_bytes, 0);
        let families = Cf::ALL.map(|cf| ColumnFamilyDescriptor::new(name(cf), family_options(cf, options, &cache)));
        let db = DB::open_cf_descriptors(&database_options(options), path, families)
            .map_err(|error| Error::Open { path: path.to_owned(), reason: error.to_string() })?;
        let mut write_options = WriteOptions::default();
        write_options.disable_wal(true);
        let tables = Cf::ALL.map(|cf| family_options(cf, options, &cache));
        Ok(Self { db: Arc::new(db), write_options, tables })
    }

    fn family(&self, cf: Cf) -> &ColumnFamily {
        self.db.cf_handle(name(cf)).expect("every column family is opened with the database")
    }

    /// Removes every key from `start` on, those that `earlier` operations of the same batch put among them. A range
    /// deletion has to end somewhere; keys beyond that are removed one by one, and there are none in practice.
    fn delete_rest(&self, writes: &mut WriteBatch, cf: Cf, start: &[u8], earlier: &[Operation]) -> Result<()> {
        let family = self.family(cf);
        if start < &LAST[..] {
            writes.delete_range_cf(family, start, &LAST[..]);
        }
        let beyond = start.max(&LAST[..]);
        for operation in earlier {
            if let Operation::Put(put, key, _) = operation
                && *put == cf
                && &key[..] >= beyond
            {
                writes.delete_cf(family, key);
            }
        }
        let mut cursor = RocksCursor::open(&self.db, cf, &Span::new(beyond, ""));
        let mut more = cursor.first()?;
        while more {
            writes.delete_cf(family, cursor.key());
            more = cursor.next()?;
        }
        Ok(())
    }
}

pub(crate) fn name(cf: Cf) -> &'static str {
    match cf {
        // RocksDB demands a family of this name.
        Cf::Data => "default",
        Cf::Intents => "intents",
        Cf::Local => "local",
    }
}

fn database_options(options: &RocksOptions) -> Options {
    let mut database = Options::default();
    database.create_if_missing(true);
    database.create_missing_column_families(true);
    database.set_atomic_flush(true);
    database.set_max_background_jobs(options.background_jobs);
    database.set_bytes_per_sync(1 << 20);
    database.set_max_open_files(1024);
    database.set_keep_log_file_num(4);
    database.set_paranoid_checks(true);
    database
}

fn family_options(cf: Cf, options: &RocksOptions, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(BLOOM_BITS, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_block_size(16 << 10);
    table.set_format_version(5);
    let mut family = Options::default();
    family.set_write_buffer_size(if cf == Cf::Data { options.memtable_bytes } else { options.memtable_bytes / 4 });
    family.set_max_write_buffer_number(4);
    family.set_compression_type(rocksdb::DBCompressionType::Lz4);
    family.set_level_compaction_dynamic_level_bytes(true);
    if cf == Cf::Data {
        table.set_whole_key_filtering(false);
        family.set_prefix_extractor(SliceTransform::create("key-without-version", without_version, Some(has_version)));
        family.set_memtable_prefix_bloom_ratio(0.1);
    }
    if cf == Cf::Intents {
        // An intent lives for a moment and leaves a tombstone; files of tombstones are compacted early.
        family.add_compact_on_deletion_collector_factory(DELETIONS_WINDOW, DELETIONS_WINDOW / 2, 0.5);
    }
    family.set_block_based_table_factory(&table);
    family
}

/// A second name for a file, which ingesting moves into the database: no byte is copied, and the first name stays.
fn link_anew(file: &Path, link: &Path) -> io::Result<()> {
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::hard_link(file, link)
}

fn without_version(key: &[u8]) -> &[u8] {
    &key[..key.len().saturating_sub(Cf::VERSION_SUFFIX)]
}

fn has_version(key: &[u8]) -> bool {
    key.len() >= Cf::VERSION_SUFFIX
}

pub(crate) fn convert(error: rocksdb::Error, action: &'static str) -> Error {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Corruption => Error::Corrupt(text),
        _ if text.contains("No space left") => Error::DiskFull,
        ErrorKind::IOError => Error::Io { action, source: std::io::Error::other(text) },
        _ => Error::Engine(text),
    }
}

impl Engine for RocksEngine {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.get_cf(self.family(cf), key).map_err(|error| convert(error, "read a key"))
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        let mut writes = WriteBatch::default();
        for (at, operation) in batch.operations().iter().enumerate() {
            match operation {
                Operation::Put(cf, key, value) => writes.put_cf(self.family(*cf), key, value),
                Operation::Delete(cf, key) => writes.delete_cf(self.family(*cf), key),
                Operation::DeleteRange(cf, span) if span.end.is_empty() => {
                    self.delete_rest(&mut writes, *cf, &span.start, &batch.operations()[..at])?;
                }
                Operation::DeleteRange(cf, span) if span.start < span.end => {
                    writes.delete_range_cf(self.family(*cf), &span.start, &span.end);
                }
                Operation::DeleteRange(..) => {}
            }
        }
        self.db.write_opt(writes, &self.write_options).map_err(|error| convert(error, "write a batch"))
    }

    fn cursor(&self, cf: Cf, span: &Span) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(RocksCursor::open(&self.db, cf, span)))
    }

    fn first_version(&self, version_key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let mut options = ReadOptions::default();
        options.set_prefix_same_as_start(true);
        let mut iterator = self.db.raw_iterator_cf_opt(self.family(Cf::Data), options);
        iterator.seek(version_key);
        let prefix = without_version(version_key);
        match iterator.item() {
            Some((key, value)) if key.len() == version_key.len() && without_version(key) == prefix => {
                Ok(Some((key.to_vec(), value.to_vec())))
            }
            Some(_) => Ok(None),
            None => iterator.status().map(|()| None).map_err(|error| convert(error, "read a version")),
        }
    }

    fn snapshot(&self) -> Box<dyn Snapshot> {
        Box::new(RocksSnapshot::new(&self.db))
    }

    fn flush(&self) -> Result<()> {
        let families: Vec<&ColumnFamily> = Cf::ALL.iter().map(|cf| self.family(*cf)).collect();
        self.db.flush_cfs_opt(&families, &FlushOptions::default()).map_err(|error| convert(error, "flush"))
    }

    fn checkpoint(&self, directory: &Path) -> Result<()> {
        // A checkpoint is made of files: what only memtables hold must become one first.
        self.flush()?;
        let checkpoint = Checkpoint::new(&self.db).and_then(|checkpoint| checkpoint.create_checkpoint(directory));
        checkpoint.map_err(|error| convert(error, "make a checkpoint"))
    }

    fn write_table(&self, cf: Cf, cursor: &mut dyn Cursor, file: &Path, bytes_max: u64) -> Result<bool> {
        let failed = |error| convert(error, "write a table");
        let mut writer = SstFileWriter::create(&self.tables[cf as usize]);
        writer.open(file).map_err(failed)?;
        let (mut more, mut bytes) = (true, 0);
        while more && bytes < bytes_max {
            writer.put(cursor.key(), cursor.value()).map_err(failed)?;
            bytes += (cursor.key().len() + cursor.value().len()) as u64;
            more = cursor.next()?;
        }
        writer.finish().map_err(failed)?;
        Ok(more)
    }

    fn ingest(&self, cf: Cf, files: &[PathBuf]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let links: Vec<PathBuf> = files.iter().map(|file| file.with_added_extension("ingested")).collect();
        let mut attempts = 1;
        loop {
            for (file, link) in files.iter().zip(&links) {
                link_anew(file, link).map_err(|source| Error::Io { action: "link a table", source })?;
            }
            let mut options = IngestExternalFileOptions::default();
            options.set_move_files(true);
            match self.db.ingest_external_file_cf_opts(self.family(cf), &options, links.clone()) {
                // Another flush was under way, which has ended by now.
                Err(error) if error.kind() == ErrorKind::TryAgain && attempts < INGEST_ATTEMPTS_MAX => attempts += 1,
                ingested => return ingested.map_err(|error| convert(error, "ingest tables")),
            }
        }
    }

    fn approximate_size(&self, cf: Cf, span: &Span) -> u64 {
        let end = if span.end.is_empty() { &LAST[..] } else { &span.end[..] };
        let range = rocksdb::Range::new(&span.start[..], end);
        self.db.get_approximate_sizes_cf(self.family(cf), &[range]).into_iter().sum()
    }

    fn statistics(&self) -> Vec<(&'static str, u64)> {
        let properties = [
            ("memtable_bytes", "rocksdb.cur-size-all-mem-tables"),
            ("sst_bytes", "rocksdb.total-sst-files-size"),
            ("pending_compaction_bytes", "rocksdb.estimate-pending-compaction-bytes"),
            ("block_cache_bytes", "rocksdb.block-cache-usage"),
        ];
        let value = |property| self.db.property_int_value_cf(self.family(Cf::Data), property).ok().flatten();
        properties.into_iter().filter_map(|(name, property)| Some((name, value(property)?))).collect()
    }
}

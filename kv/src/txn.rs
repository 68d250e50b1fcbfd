//! A transaction: its snapshot, its buffered writes and the locks it holds.

use ahash::AHashMap;
use bytes::Bytes;
use proto::{CatalogVersion, TABLE_PREFIX, Timestamp, TxnId, kv};
use sharddb_proto as proto;

use crate::{
    Client, Error, Result, Savepoint, SnapshotPin, buffer::WriteBuffer, holdings::Holdings, intents::Flushed,
    locks::Grant, past::ReadAt,
};

/// Isolation levels, with PostgreSQL's meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Each statement sees what was committed when it began.
    #[default]
    ReadCommitted,
    /// Every statement sees what was committed when the first began (snapshot isolation).
    RepeatableRead,
    /// As if transactions ran one after the other, in an order that respects real time.
    Serializable,
}

/// How a transaction runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct TxnOptions {
    /// Its isolation level.
    pub isolation: Isolation,
    /// It takes no locks and writes nothing.
    pub read_only: bool,
}

/// Bound of the write buffer while a savepoint is open. Without one, the buffer is flushed as intents instead.
const SAVEPOINT_BUFFER_BYTES_MAX: usize = 512 << 20;

/// An open transaction. Dropping it rolls it back in the background.
pub struct Txn {
    pub(crate) client: Client,
    pub(crate) id: TxnId,
    pub(crate) options: TxnOptions,
    /// What reads see; registered with the client while set.
    snapshot: Option<Timestamp>,
    /// The snapshot lies in the past and stays.
    past: bool,
    pub(crate) buffer: WriteBuffer,
    pub(crate) locks: AHashMap<Bytes, Grant>,
    pub(crate) holdings: Holdings,
    /// Spans read, for SERIALIZABLE.
    pub(crate) read_spans: Vec<kv::Span>,
    pub(crate) flushed: Option<Flushed>,
    pub(crate) fences: Vec<kv::Fence>,
    /// Catalog versions known when tables were first locked.
    pub(crate) guards: Vec<kv::Guard>,
    /// Spans of tables that others are kept from.
    pub(crate) shut_tables: Vec<kv::Span>,
    /// Set by commit and rollback.
    pub(crate) finished: bool,
}

impl Txn {
    pub(crate) fn new(client: Client, options: TxnOptions) -> Self {
        Self {
            id: client.inner.coordinator.txn(rand::random()),
            client,
            options,
            snapshot: None,
            past: false,
            buffer: WriteBuffer::default(),
            locks: AHashMap::new(),
            holdings: Holdings::default(),
            read_spans: Vec::new(),
            flushed: None,
            fences: Vec::new(),
            guards: Vec::new(),
            shut_tables: Vec::new(),
            finished: false,
        }
    }

    /// Its id.
    pub fn id(&self) -> TxnId {
        self.id
    }

    /// Its isolation level.
    pub fn isolation(&self) -> Isolation {
        self.options.isolation
    }

    /// Changes how it runs; only sensible before its first statement.
    pub fn set_options(&mut self, options: TxnOptions) {
        self.options = options;
    }

    /// Whether it has written anything.
    pub fn has_writes(&self) -> bool {
        !self.buffer.is_empty() || self.flushed.is_some()
    }

    /// Whether it has taken a snapshot, lock or write, after which its isolation level is fixed.
    pub fn has_started(&self) -> bool {
        self.snapshot.is_some() || !self.locks.is_empty() || self.has_writes()
    }

    /// Begins a statement: READ COMMITTED forgets the last statement's snapshot.
    pub fn start_statement(&mut self) {
        if self.options.isolation == Isolation::ReadCommitted && !self.past {
            self.forget_snapshot();
        }
    }

    /// Reads at a timestamp of the past, to the end. Fails if what was there then may be gone.
    pub async fn go_back(&mut self, snapshot: Timestamp, now: Timestamp) -> Result<()> {
        self.forget_snapshot();
        self.client.inner.snapshots.register(snapshot);
        self.snapshot = Some(snapshot);
        self.past = true;
        self.client.check_kept(snapshot, now).await
    }

    /// Whether it reads at a timestamp of the past.
    pub fn is_past(&self) -> bool {
        self.past
    }

    pub(crate) fn read_at(&self, ts: u64) -> ReadAt {
        let past = self.past && self.snapshot.is_some_and(|snapshot| snapshot.0 == ts);
        ReadAt { txn: self.read_id(), ts, past }
    }

    /// The snapshot of the running statement, taken at the first call.
    pub async fn snapshot(&mut self) -> Result<Timestamp> {
        if let Some(snapshot) = self.snapshot {
            return Ok(snapshot);
        }
        let snapshot = self.client.timestamp().await?;
        self.client.inner.snapshots.register(snapshot);
        self.snapshot = Some(snapshot);
        Ok(snapshot)
    }

    /// Keeps what the present snapshot sees from being collected as garbage for as long as the pin lives, whatever this
    /// transaction does meanwhile.
    pub fn pin_snapshot(&self) -> Option<SnapshotPin> {
        self.snapshot.map(|snapshot| SnapshotPin::new(self.client.clone(), snapshot))
    }

    /// The snapshot if one was taken.
    pub(crate) fn registered_snapshot(&self) -> Option<Timestamp> {
        self.snapshot
    }

    /// Takes a newer snapshot in the middle of a READ COMMITTED statement, to look again at changed rows.
    pub async fn refresh_snapshot(&mut self) -> Result<Timestamp> {
        if self.options.isolation == Isolation::ReadCommitted && !self.past {
            self.forget_snapshot();
        }
        self.snapshot().await
    }

    /// Buffers a write. The key must be locked, except where nobody else can know it.
    pub fn put(&mut self, key: Bytes, value: Bytes) {
        self.buffer.put(key, Some(value));
    }

    /// Buffers a deletion.
    pub fn delete(&mut self, key: Bytes) {
        self.buffer.put(key, None);
    }

    /// Buffers a write of a key that the lock on another key protects, as a row's lock protects its index entries.
    pub fn put_guarded(&mut self, key: Bytes, value: Bytes) {
        self.locks.entry(key.clone()).or_insert(Grant::ELSEWHERE);
        self.put(key, value);
    }

    /// Buffers a deletion of a key that the lock on another key protects.
    pub fn delete_guarded(&mut self, key: Bytes) {
        self.locks.entry(key.clone()).or_insert(Grant::ELSEWHERE);
        self.delete(key);
    }

    /// Asks that writers that heard of no catalog as new as this be refused at the tables that this transaction keeps
    /// others from: their lock may have been lost with its leader, and the table looks otherwise now.
    pub fn fence_shut_tables(&mut self, version: CatalogVersion) {
        let tables = self.shut_tables.iter().filter_map(|span| table_id(&span.start));
        self.fences = tables.map(|table| kv::Fence { table, version: version.0 }).collect();
        // Its own fences are no news to it.
        let fences = &self.fences;
        self.guards.retain(|guard| fences.iter().all(|fence| fence.table != guard.table));
    }

    /// Notes which catalog was known when the first lock at a table was granted.
    pub(crate) fn guard(&mut self, key: &[u8]) {
        let Some(table) = table_id(key) else { return };
        if self.guards.iter().all(|guard| guard.table != table) {
            self.guards.push(kv::Guard { table, version: self.client.catalog_version().0 });
        }
    }

    /// Opens a savepoint.
    pub fn savepoint(&mut self) -> Savepoint {
        self.buffer.savepoint()
    }

    /// Undoes the writes since a savepoint, which stays open. Locks stay until the end of the transaction.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        self.buffer.rollback_to(savepoint);
    }

    /// Closes a savepoint and keeps its writes.
    pub fn release(&mut self, savepoint: Savepoint) {
        self.buffer.release(savepoint);
    }

    /// The own buffered writes in a span, for a fragment to lay over what it reads.
    pub fn overlay(&self, span: &kv::Span) -> Vec<kv::Write> {
        self.buffer
            .range(&span.start, &span.end)
            .map(|(key, value)| kv::Write { key: key.clone(), value: value.clone(), ..kv::Write::default() })
            .collect()
    }

    /// Whether reads of other nodes must carry the transaction id to see its flushed intents.
    pub fn reads_own_intents(&self) -> bool {
        self.flushed.is_some()
    }

    /// Remembers a span read by a fragment, for SERIALIZABLE.
    pub fn note_read(&mut self, span: kv::Span) {
        if self.options.isolation == Isolation::Serializable && !self.options.read_only {
            self.read_spans.push(span);
        }
    }

    /// The id that reads carry: none unless own intents may be met.
    pub(crate) fn read_id(&self) -> TxnId {
        if self.flushed.is_some() { self.id } else { TxnId::default() }
    }

    pub(crate) fn check_buffer_bound(&self) -> Result<()> {
        if self.buffer.has_savepoints() && self.buffer.bytes() > SAVEPOINT_BUFFER_BYTES_MAX {
            return Err(Error::TooLarge { limit: SAVEPOINT_BUFFER_BYTES_MAX });
        }
        Ok(())
    }

    pub(crate) fn forget_snapshot(&mut self) {
        if let Some(snapshot) = self.snapshot.take() {
            self.client.inner.snapshots.release(snapshot);
        }
    }
}

/// The storage id that a key begins with.
fn table_id(key: &[u8]) -> Option<u32> {
    key.first_chunk::<TABLE_PREFIX>().map(|table| u32::from_be_bytes(*table))
}

impl Drop for Txn {
    fn drop(&mut self) {
        self.forget_snapshot();
        if !self.finished {
            self.abandon();
        }
    }
}

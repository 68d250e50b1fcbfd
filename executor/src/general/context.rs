//! What a statement on the general path runs with.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use datafusion::{
    execution::{
        TaskContext,
        memory_pool::FairSpillPool,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::SessionConfig,
};
use fragment::FragmentTransport;
use kv::BoxFuture;
use parking_lot::Mutex;
use proto::{SqlError, SqlResult, TxnId, kv as wire};
use schema::{Datum, TableDescriptor, functions::EvalContext};
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

/// Rows in a batch: DataFusion's own choice, small enough for the cache and large enough to forget its overhead.
const BATCH_ROWS: usize = 8192;

/// Memory that a sort sets aside for merging what it has put on disk: DataFusion's own choice.
const MERGE_BYTES: usize = 10 << 20;

/// Limits of the general path.
#[derive(Clone, Debug)]
pub struct GeneralOptions {
    /// Memory of all statements together for sorts, hash tables and kept rows. Beyond it sorts and aggregates go to disk
    /// and everything else fails with 53200.
    pub memory_bytes: usize,
    /// Where they go; the system's place for temporary files if not given.
    pub spill_directory: Option<PathBuf>,
    /// Partitions that one statement computes at the same time.
    pub parallelism: usize,
    /// Leaves joins to shards of this node too, as it does to those of others.
    pub near_joins: bool,
}

impl Default for GeneralOptions {
    fn default() -> Self {
        let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
        Self { memory_bytes: 1 << 30, spill_directory: None, parallelism, near_joins: false }
    }
}

/// What all statements of a process share.
pub struct General {
    pub(super) client: kv::Client,
    pub(super) fragments: Arc<dyn FragmentTransport>,
    runtime: Arc<RuntimeEnv>,
    config: SessionConfig,
    traffic: Traffic,
    pub(super) near_joins: bool,
}

/// Counts of what crossed between shards and the executor: of a statement, or of all of them.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    rows: AtomicU64,
    batches: AtomicU64,
    bytes: AtomicU64,
    fragments: AtomicU64,
    resumed: AtomicU64,
}

/// A statement's counts, and with them those of all.
pub(super) struct Counting<'a>([&'a Traffic; 2]);

impl Counting<'_> {
    pub(super) fn add_batch(&self, rows: u64, bytes: u64) {
        self.add(|traffic| &traffic.rows, rows);
        self.add(|traffic| &traffic.batches, 1);
        self.add_bytes(bytes);
    }

    pub(super) fn add_bytes(&self, bytes: u64) {
        self.add(|traffic| &traffic.bytes, bytes);
    }

    pub(super) fn add_fragment(&self) {
        self.add(|traffic| &traffic.fragments, 1);
    }

    pub(super) fn add_resumed(&self) {
        self.add(|traffic| &traffic.resumed, 1);
    }

    /// Rows of the statement.
    pub(super) fn rows(&self) -> u64 {
        self.0[0].rows.load(Ordering::Relaxed)
    }

    /// Bytes of the statement.
    pub(super) fn bytes(&self) -> u64 {
        self.0[0].bytes.load(Ordering::Relaxed)
    }

    fn add(&self, count: impl Fn(&Traffic) -> &AtomicU64, number: u64) {
        for traffic in self.0 {
            count(traffic).fetch_add(number, Ordering::Relaxed);
        }
    }
}

impl General {
    /// Sets up memory and disk.
    pub fn new(client: kv::Client, fragments: Arc<dyn FragmentTransport>, options: &GeneralOptions) -> SqlResult<Self> {
        let mut runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(options.memory_bytes)));
        if let Some(directory) = &options.spill_directory {
            runtime = runtime.with_temp_file_path(directory);
        }
        let runtime = runtime.build_arc().map_err(|error| fragment::from_datafusion(&error))?;
        let parallelism = options.parallelism.max(1);
        let config = SessionConfig::new()
            .with_batch_size(BATCH_ROWS)
            .with_target_partitions(parallelism)
            .with_sort_spill_reservation_bytes(MERGE_BYTES.min(options.memory_bytes / 4));
        Ok(Self { client, fragments, runtime, config, traffic: Traffic::default(), near_joins: options.near_joins })
    }

    /// Rows that shards have sent to the executor since the start.
    pub fn fragment_rows(&self) -> u64 {
        self.traffic.rows.load(Ordering::Relaxed)
    }

    /// Batches that shards have sent to the executor since the start.
    pub fn fragment_batches(&self) -> u64 {
        self.traffic.batches.load(Ordering::Relaxed)
    }

    /// Bytes of rows that shards have sent to the executor since the start.
    pub fn fragment_bytes(&self) -> u64 {
        self.traffic.bytes.load(Ordering::Relaxed)
    }

    /// Fragments that broke off behind some of their rows and were gone on with elsewhere.
    pub fn fragments_resumed(&self) -> u64 {
        self.traffic.resumed.load(Ordering::Relaxed)
    }

    /// Fragments that were sent to shards since the start.
    pub fn fragments_sent(&self) -> u64 {
        self.traffic.fragments.load(Ordering::Relaxed)
    }
}

/// Tables of the system catalog, which the executor fills.
pub(crate) trait VirtualTables: Send + Sync {
    /// Every row of a table, in the order of its columns.
    fn rows<'a>(&'a self, schema: &'a str, name: &'a str) -> BoxFuture<'a, SqlResult<Vec<Vec<Datum>>>>;
}

/// What a session gives for a statement.
pub(crate) struct RunContext {
    /// The process's general path.
    pub(crate) general: Arc<General>,
    /// What functions read.
    pub(crate) eval: Arc<EvalContext>,
    /// The system catalog.
    pub(crate) virtuals: Arc<dyn VirtualTables>,
    /// The transaction's own writes as the statement is to see them, if not as they are.
    pub(crate) frozen: Option<Arc<Frozen>>,
}

/// A transaction's buffered writes as they were at one moment. What was flushed before is seen by all; nothing must be
/// flushed as long as this is in use.
pub(crate) struct Frozen {
    /// In key order.
    writes: Vec<wire::Write>,
}

impl Frozen {
    /// Takes what is buffered now.
    pub(crate) fn take(txn: &kv::Txn) -> Self {
        Self { writes: txn.overlay(&wire::Span::default()) }
    }

    /// Whether a key has been written since.
    pub(crate) fn is_changed(&self, txn: &kv::Txn, key: &Bytes) -> bool {
        let end = [key, &[0][..]].concat();
        let now = txn.overlay(&wire::Span { start: key.clone(), end: end.into() }).pop().map(|write| write.value);
        let before = self.writes.binary_search_by(|write| write.key.cmp(key)).ok();
        now != before.map(|at| self.writes[at].value.clone())
    }

    fn within(&self, span: &wire::Span) -> Vec<wire::Write> {
        let from = self.writes.partition_point(|write| write.key < span.start);
        let to = self.writes.partition_point(|write| write.key < span.end);
        self.writes[from..to.max(from)].to_vec()
    }
}

/// A running statement. Operators that plan at run time keep it.
pub(super) struct Statement {
    pub(super) general: Arc<General>,
    pub(super) eval: Arc<EvalContext>,
    pub(super) virtuals: Arc<dyn VirtualTables>,
    pub(super) task: Arc<TaskContext>,
    pub(super) view: View,
    traffic: Traffic,
}

/// What a statement sees of the data.
pub(super) struct View {
    /// The snapshot.
    pub(super) read_ts: u64,
    /// The snapshot lies in the past: any replica may answer.
    pub(super) past: bool,
    /// Carried by reads that may meet own intents.
    pub(super) txn: TxnId,
    /// Own buffered writes of each table read, by storage id, in key order.
    overlays: HashMap<u32, Arc<Vec<wire::Write>>>,
    /// Spans read, for SERIALIZABLE; taken over by the transaction before rows are answered.
    pub(super) reads: Mutex<Vec<wire::Span>>,
    _pin: Option<kv::SnapshotPin>,
}

impl View {
    /// Takes the statement's snapshot and the own writes to these tables.
    pub(super) async fn take(
        txn: &mut kv::Txn,
        tables: &[Arc<TableDescriptor>],
        frozen: Option<&Frozen>,
    ) -> SqlResult<Self> {
        let read_ts = txn.snapshot().await?.0;
        let mut overlays = HashMap::new();
        for table in tables {
            let (start, end) = schema::key::table_span(table.storage_id);
            let span = span(start, end);
            let writes = match frozen {
                Some(frozen) => frozen.within(&span),
                None => txn.overlay(&span),
            };
            if !writes.is_empty() {
                overlays.insert(table.storage_id, Arc::new(writes));
            }
        }
        let id = if txn.reads_own_intents() { txn.id() } else { TxnId::default() };
        let past = txn.is_past();
        Ok(Self { read_ts, past, txn: id, overlays, reads: Mutex::default(), _pin: txn.pin_snapshot() })
    }

    /// Own writes within spans of a table.
    pub(super) fn overlay(&self, storage_id: u32, spans: &[wire::Span]) -> Vec<wire::Write> {
        let Some(writes) = self.overlays.get(&storage_id) else { return Vec::new() };
        let inside = |span: &wire::Span| {
            let from = writes.partition_point(|write| write.key < span.start);
            let to = if span.end.is_empty() { writes.len() } else { writes.partition_point(|w| w.key < span.end) };
            &writes[from..to.max(from)]
        };
        spans.iter().flat_map(inside).cloned().collect()
    }

    /// The own write of a key, if there is one; `None` inside for a deletion.
    pub(super) fn own_value(&self, storage_id: u32, key: &[u8]) -> Option<Option<Bytes>> {
        let writes = self.overlays.get(&storage_id)?;
        let at = writes.binary_search_by(|write| write.key[..].cmp(key)).ok()?;
        Some(writes[at].value.clone())
    }

    pub(super) fn note_read(&self, span: wire::Span) {
        self.reads.lock().push(span);
    }
}

impl Statement {
    pub(super) fn new(context: &RunContext, view: View) -> Arc<Self> {
        let general = Arc::clone(&context.general);
        let task =
            TaskContext::default().with_session_config(general.config.clone()).with_runtime(general.runtime.clone());
        Arc::new(Self {
            general,
            eval: Arc::clone(&context.eval),
            virtuals: Arc::clone(&context.virtuals),
            task: Arc::new(task),
            view,
            traffic: Traffic::default(),
        })
    }
}

impl Statement {
    /// Counts of what shards send for it.
    pub(super) fn traffic(&self) -> Counting<'_> {
        Counting([&self.traffic, &self.general.traffic])
    }

    /// Reads keys at the statement's snapshot.
    pub(super) fn reader(&self) -> kv::SnapshotReader {
        kv::SnapshotReader::new(self.general.client.clone(), self.view.txn, self.view.read_ts).of_past(self.view.past)
    }
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statement").finish_non_exhaustive()
    }
}

/// A span from its bounds.
pub(super) fn span(start: Vec<u8>, end: Vec<u8>) -> wire::Span {
    wire::Span { start: Bytes::from(start), end: Bytes::from(end) }
}

/// An error of DataFusion as a statement's error.
pub(super) fn failed(error: datafusion::error::DataFusionError) -> SqlError {
    fragment::from_datafusion(&error)
}

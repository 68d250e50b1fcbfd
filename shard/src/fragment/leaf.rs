//! Rows of a fragment's leaf: versions at the snapshot, under intents and the transaction's own writes.

use std::{
    collections::{BTreeMap, VecDeque, btree_map},
    iter::Peekable,
    ops::Bound,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use bytes::Bytes;
use datafusion::{
    common::Result,
    execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext},
};
use fragment::{LeafSource, RowsBuilder, ScanColumn, ScanLeaf, to_datafusion};
use futures::Stream;
use parking_lot::Mutex;
use proto::{SqlError, SqlResult, SqlState, Timestamp, kv};
use sharddb_fragment as fragment;
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::{Cf, Snapshot, Span};
use tokio::sync::mpsc;

use super::BatchResult;
use crate::mvcc::{Direction, VersionCursor};

/// Bytes of row values after which a batch is closed although it has few rows.
const BATCH_BYTES: usize = 4 << 20;

/// Hands the prepared reader to the leaf.
#[derive(Debug, Default)]
pub(super) struct ShardSource(Mutex<Option<SpanReader>>);

impl ShardSource {
    pub(super) fn fill(&self, reader: SpanReader) {
        *self.0.lock() = Some(reader);
    }
}

impl LeafSource for ShardSource {
    fn open(&self, leaf: &ScanLeaf, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let reader = self.0.lock().take();
        let reader = reader.ok_or_else(|| to_datafusion(SqlError::internal("a leaf is read once")))?;
        let spec = leaf.spec();
        let columns: Vec<ScanColumn> = spec.columns.iter().map(|(_, column)| column.clone()).collect();
        let limit = spec.limit.unwrap_or(usize::MAX);
        let rows = context.session_config().batch_size().min(limit).max(1);
        let schema = Arc::clone(leaf.batch_schema());
        let builder = RowsBuilder::new(Arc::clone(&schema), &columns, spec.with_key, rows);
        Ok(Box::pin(LeafStream { schema, reader: Mutex::new(reader), builder, rows, left: limit }))
    }
}

/// Values that stand above the versions of their keys; `None` for deleted ones.
type Overlay = BTreeMap<Bytes, Option<Bytes>>;

/// Reads spans one after the other. A cursor is opened when its span's turn comes: there may be many spans of a row each.
pub(super) struct SpanReader {
    /// Once every span is ready: the replica may be cut, moved or removed while the fragment runs.
    engine: Option<Box<dyn Snapshot>>,
    ts: Timestamp,
    /// The transaction's own writes in all spans.
    own: Overlay,
    spans: VecDeque<ReadySpan>,
    open: Option<OpenSpan>,
    /// Tells whether somebody still waits for batches.
    receiver: mpsc::Sender<BatchResult>,
}

/// A span in which nothing at or below the snapshot can be committed any more.
struct ReadySpan {
    span: Span,
    overlay: Overlay,
}

struct OpenSpan {
    cursor: VersionCursor,
    /// Whether the cursor stands on a row.
    more: bool,
    overlay: Peekable<btree_map::IntoIter<Bytes, Option<Bytes>>>,
}

impl std::fmt::Debug for SpanReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpanReader").field("spans", &self.spans.len()).finish_non_exhaustive()
    }
}

impl SpanReader {
    pub(super) fn new(ts: Timestamp, own: &[kv::Write], receiver: mpsc::Sender<BatchResult>) -> Self {
        let own = own.iter().map(|write| (write.key.clone(), write.value.clone())).collect();
        Self { engine: None, ts, own, spans: VecDeque::new(), open: None, receiver }
    }

    /// Adds a span that is ready to be read, with what stands there of intents.
    pub(super) fn add(&mut self, span: &kv::Span, intents: Vec<(Bytes, Timestamp, Option<Bytes>)>) {
        let mut overlay: Overlay = intents.into_iter().map(|(key, _, value)| (key, value)).collect();
        let end = if span.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&span.end) };
        if span.end.is_empty() || span.start < span.end {
            let own = self.own.range::<Bytes, _>((Bound::Included(&span.start), end));
            overlay.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        }
        self.spans.push_back(ReadySpan { span: Span::new(span.start.to_vec(), span.end.to_vec()), overlay });
    }

    /// Sets what to read, once every span was added.
    pub(super) fn read_from(&mut self, engine: Box<dyn Snapshot>) {
        self.engine = Some(engine);
    }

    /// Adds the next row to the builder. Answers its size, `None` at the end.
    fn read_row(&mut self, builder: &mut RowsBuilder) -> SqlResult<Option<usize>> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(bytes) = open.read_row(builder)?
            {
                return Ok(Some(bytes));
            }
            let Some(next) = self.spans.pop_front() else { return Ok(None) };
            let engine =
                self.engine.as_deref().ok_or_else(|| SqlError::internal("a leaf is read before it is ready"))?;
            self.open = Some(OpenSpan::new(engine, self.ts, next).map_err(|error| failed(&error))?);
        }
    }
}

fn failed(error: &storage::Error) -> SqlError {
    let state = SqlState::from_code(error.sqlstate()).unwrap_or(SqlState::IoError);
    SqlError::new(state, error.to_string())
}

impl OpenSpan {
    fn new(engine: &dyn Snapshot, ts: Timestamp, ready: ReadySpan) -> storage::Result<Self> {
        let mut cursor = VersionCursor::over(engine.cursor(Cf::Data, &ready.span)?, ts, Direction::Forward)?;
        let more = cursor.advance()?;
        Ok(Self { cursor, more, overlay: ready.overlay.into_iter().peekable() })
    }

    fn read_row(&mut self, builder: &mut RowsBuilder) -> SqlResult<Option<usize>> {
        loop {
            let above = match (self.overlay.peek(), self.more) {
                (None, false) => return Ok(None),
                (None, true) => false,
                (Some(_), false) => true,
                (Some((key, _)), true) => key[..] <= *self.cursor.key(),
            };
            if !above {
                let (key, value) = (self.cursor.key(), self.cursor.value());
                let bytes = key.len() + value.len();
                builder.push(key, value)?;
                self.advance()?;
                return Ok(Some(bytes));
            }
            let Some((key, value)) = self.overlay.next() else { return Ok(None) };
            if self.more && key[..] == *self.cursor.key() {
                self.advance()?;
            }
            if let Some(value) = value {
                builder.push(&key, &value)?;
                return Ok(Some(key.len() + value.len()));
            }
        }
    }

    fn advance(&mut self) -> SqlResult<()> {
        self.more = self.cursor.advance().map_err(|error| failed(&error))?;
        Ok(())
    }
}

/// Batches of a leaf. Reading blocks: it runs on a thread for blocking work.
struct LeafStream {
    schema: SchemaRef,
    /// Never contended; DataFusion's streams need not be `Sync` but what holds them does.
    reader: Mutex<SpanReader>,
    builder: RowsBuilder,
    /// Rows of a full batch.
    rows: usize,
    /// Rows until the limit.
    left: usize,
}

impl LeafStream {
    fn fill(&mut self) -> SqlResult<Option<RecordBatch>> {
        let reader = self.reader.get_mut();
        let mut bytes = 0;
        // Asked here and not only when a batch is sent: a filter may pass nothing for long.
        if reader.receiver.is_closed() {
            self.left = 0;
        }
        while self.left > 0 && self.builder.rows() < self.rows && bytes < BATCH_BYTES {
            match reader.read_row(&mut self.builder)? {
                Some(size) => bytes += size,
                None => self.left = 0,
            }
            self.left = self.left.saturating_sub(1);
        }
        if self.builder.rows() == 0 { Ok(None) } else { self.builder.finish().map(Some) }
    }
}

impl Stream for LeafStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.fill().map_err(to_datafusion).transpose())
    }
}

impl RecordBatchStream for LeafStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

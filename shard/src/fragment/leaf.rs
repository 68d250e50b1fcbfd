//! A fragment's leaf: batches of the rows within its spans.
//!
//! It is read at once, or batch by batch: then each run of the plan above gets one batch, and all that comes of it is known
//! to come of the rows up to one key.

use std::{
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
use proto::{SqlError, SqlResult};
use sharddb_fragment as fragment;
use sharddb_proto as proto;
use tokio::sync::mpsc;

use super::{PartResult, spans::SpanReader};

/// Bytes of row values after which a batch is closed although it has few rows.
const BATCH_BYTES: usize = 4 << 20;

/// Gives the leaf its rows. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ShardSource(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Tells whether somebody still waits for rows.
    receiver: mpsc::Sender<PartResult>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Empty,
    /// Prepared and not begun.
    Ready {
        reader: Box<SpanReader>,
        by_batch: bool,
    },
    Open(Box<LeafRows>),
}

/// How far the leaf was read.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) rows_scanned: u64,
    /// Where reading goes on.
    pub(super) resume: Bytes,
    /// Nothing is left.
    pub(super) done: bool,
}

impl ShardSource {
    pub(super) fn new(receiver: mpsc::Sender<PartResult>) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), receiver }))
    }

    /// Sets what is read; with `by_batch`, each run of the plan gets one batch of it.
    pub(super) fn fill(&self, reader: SpanReader, by_batch: bool) {
        *self.0.state.lock() = State::Ready { reader: Box::new(reader), by_batch };
    }

    pub(super) fn progress(&self) -> Progress {
        match &*self.0.state.lock() {
            State::Open(rows) => {
                Progress { rows_scanned: rows.scanned, resume: rows.reader.resume(), done: rows.left == 0 }
            }
            State::Empty | State::Ready { .. } => Progress::default(),
        }
    }
}

impl LeafSource for ShardSource {
    fn open(&self, leaf: &ScanLeaf, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut state = self.0.state.lock();
        *state = match std::mem::take(&mut *state) {
            State::Ready { reader, by_batch } => {
                State::Open(Box::new(LeafRows::new(leaf, *reader, by_batch, &context)))
            }
            State::Open(rows) if rows.by_batch => State::Open(rows),
            _ => return Err(to_datafusion(SqlError::internal("a leaf is read once"))),
        };
        let schema = Arc::clone(leaf.batch_schema());
        Ok(Box::pin(LeafStream { schema, shared: Arc::clone(&self.0), ended: false }))
    }
}

/// The rows of a leaf.
#[derive(Debug)]
struct LeafRows {
    reader: SpanReader,
    builder: RowsBuilder,
    by_batch: bool,
    /// Rows of a full batch.
    rows: usize,
    /// Rows until the limit.
    left: usize,
    /// Rows read.
    scanned: u64,
}

impl LeafRows {
    fn new(leaf: &ScanLeaf, reader: SpanReader, by_batch: bool, context: &TaskContext) -> Self {
        let spec = leaf.spec();
        let columns: Vec<ScanColumn> = spec.columns.iter().map(|(_, column)| column.clone()).collect();
        let left = spec.limit.unwrap_or(usize::MAX);
        let rows = context.session_config().batch_size().min(left).max(1);
        let builder = RowsBuilder::new(Arc::clone(leaf.batch_schema()), &columns, spec.with_key, rows);
        Self { reader, builder, by_batch, rows, left, scanned: 0 }
    }

    fn fill(&mut self) -> SqlResult<Option<RecordBatch>> {
        let mut bytes = 0;
        while self.left > 0 && self.builder.rows() < self.rows && bytes < BATCH_BYTES {
            match self.reader.read_row(&mut self.builder)? {
                Some(size) => {
                    bytes += size;
                    self.scanned += 1;
                    self.left -= 1;
                }
                None => self.left = 0,
            }
        }
        if self.builder.rows() == 0 { Ok(None) } else { self.builder.finish().map(Some) }
    }
}

/// Batches of a leaf. Reading blocks: it runs on a thread for blocking work.
struct LeafStream {
    schema: SchemaRef,
    /// Never contended: one thread runs the plan.
    shared: Arc<Shared>,
    ended: bool,
}

impl LeafStream {
    fn next(&mut self) -> SqlResult<Option<RecordBatch>> {
        let State::Open(rows) = &mut *self.shared.state.lock() else { return Ok(None) };
        // Asked here and not only when rows are sent: a filter may pass nothing for long.
        if self.shared.receiver.is_closed() {
            rows.left = 0;
        }
        if self.ended {
            return Ok(None);
        }
        self.ended = rows.by_batch;
        rows.fill()
    }
}

impl Stream for LeafStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.next().map_err(to_datafusion).transpose())
    }
}

impl RecordBatchStream for LeafStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

//! A fragment's leaves: batches of the rows within the spans of each.
//!
//! A leaf is read at once, or, if it is the only one, batch by batch: then each run of the plan above gets one batch, and all that comes of it is known
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
use fragment::{LeafSource, RowsBuilder, ScanColumn, ScanLeaf, ScanSpec, to_datafusion};
use futures::Stream;
use parking_lot::Mutex;
use proto::{SqlError, SqlResult};
use sharddb_fragment as fragment;
use sharddb_proto as proto;
use tokio::sync::mpsc;

use super::{PartResult, spans::SpanReader};

/// Bytes of row values after which a batch is closed although it has few rows.
const BATCH_BYTES: usize = 4 << 20;

/// Gives the leaves their rows. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ShardSource(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    leaves: Mutex<Vec<(Arc<ScanSpec>, State)>>,
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

/// How far the leaves were read.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) rows_scanned: u64,
    /// Where reading goes on in the only one.
    pub(super) resume: Bytes,
    /// Nothing is left.
    pub(super) done: bool,
}

impl ShardSource {
    pub(super) fn new(receiver: mpsc::Sender<PartResult>) -> Self {
        Self(Arc::new(Shared { leaves: Mutex::default(), receiver }))
    }

    /// Sets what a leaf reads; with `by_batch`, each run of the plan gets one batch of it.
    pub(super) fn fill(&self, leaf: Arc<ScanSpec>, reader: SpanReader, by_batch: bool) {
        self.0.leaves.lock().push((leaf, State::Ready { reader: Box::new(reader), by_batch }));
    }

    pub(super) fn progress(&self) -> Progress {
        let mut progress = Progress { done: true, ..Progress::default() };
        for (_, state) in &*self.0.leaves.lock() {
            if let State::Open(rows) = state {
                progress.rows_scanned += rows.scanned;
                progress.resume = rows.reader.resume();
                progress.done &= rows.left == 0;
            }
        }
        progress
    }
}

impl LeafSource for ShardSource {
    fn open(&self, leaf: &ScanLeaf, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut leaves = self.0.leaves.lock();
        let place = leaves.iter().position(|(spec, _)| Arc::ptr_eq(spec, leaf.spec()));
        let place = place.ok_or_else(|| to_datafusion(SqlError::internal("a leaf has no rows")))?;
        let state = &mut leaves[place].1;
        *state = match std::mem::take(state) {
            State::Ready { reader, by_batch } => {
                State::Open(Box::new(LeafRows::new(leaf, *reader, by_batch, &context)))
            }
            State::Open(rows) if rows.by_batch => State::Open(rows),
            _ => return Err(to_datafusion(SqlError::internal("a leaf is read once"))),
        };
        let schema = Arc::clone(leaf.batch_schema());
        Ok(Box::pin(LeafStream { schema, shared: Arc::clone(&self.0), place, ended: false }))
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
    /// Of the leaf among the others.
    place: usize,
    ended: bool,
}

impl LeafStream {
    fn next(&mut self) -> SqlResult<Option<RecordBatch>> {
        let mut leaves = self.shared.leaves.lock();
        let (_, State::Open(rows)) = &mut leaves[self.place] else { return Ok(None) };
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

//! What a statement answers.

use std::{sync::Arc, time::Instant};

use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use parking_lot::Mutex;
use planner::plan::Field;
use proto::SqlResult;
use schema::{Datum, Oid};
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{CancelHandle, CommandTag, CopyIn, CopyOut};

/// The answer to one statement.
pub enum Outcome {
    /// Rows, to be drained or dropped.
    Rows {
        /// Their columns.
        fields: Arc<[Field]>,
        /// The rows.
        rows: RowStream,
    },
    /// Done, without rows.
    Command(CommandTag),
    /// The client sends data now.
    CopyIn(Box<CopyIn>),
    /// The client receives data now.
    CopyOut(Box<CopyOut>),
    /// The text held no statement.
    Empty,
}

/// Some rows.
pub enum RowBatch {
    /// As datums, row by row.
    Datums(Vec<Vec<Datum>>),
    /// As Arrow columns.
    Arrow(RecordBatch),
}

impl RowBatch {
    /// How many rows these are.
    pub fn rows(&self) -> usize {
        match self {
            Self::Datums(rows) => rows.len(),
            Self::Arrow(batch) => batch.num_rows(),
        }
    }

    /// The rows as datums.
    pub(crate) fn into_datums(self, fields: &[Field]) -> SqlResult<Vec<Vec<Datum>>> {
        match self {
            Self::Datums(rows) => Ok(rows),
            Self::Arrow(batch) => {
                let types: Vec<Oid> = fields.iter().map(|field| field.sql_type.oid).collect();
                fragment::batch_rows(&types, &batch)
            }
        }
    }
}

/// Rows on their way. Independent of the session, which may run other statements of the same transaction while a
/// portal is suspended. After an error the caller must tell the session (`Session::abort`).
pub struct RowStream {
    source: Source,
    tag: CommandTag,
    guard: Option<(CancelHandle, Option<Instant>)>,
}

enum Source {
    Ready(Option<RowBatch>),
    Arrow {
        /// Never locked: it makes the stream shareable, which DataFusion's is not.
        batches: Mutex<SendableRecordBatchStream>,
        /// Keeps the versions that the rows are read from.
        _pin: Option<kv::SnapshotPin>,
    },
}

impl RowStream {
    /// Rows that are all there.
    pub(crate) fn ready(rows: Vec<Vec<Datum>>, tag: CommandTag) -> Self {
        let ready = (!rows.is_empty()).then_some(RowBatch::Datums(rows));
        Self { source: Source::Ready(ready), tag, guard: None }
    }

    /// Rows of the general path.
    pub(crate) fn arrow(batches: SendableRecordBatchStream, pin: Option<kv::SnapshotPin>) -> Self {
        Self {
            source: Source::Arrow { batches: Mutex::new(batches), _pin: pin },
            tag: CommandTag::Select(0),
            guard: None,
        }
    }

    /// Lets a cancel request or a deadline end the stream.
    pub(crate) fn cancelled_by(mut self, cancel: &CancelHandle, deadline: Option<Instant>) -> Self {
        match self.source {
            Source::Ready(_) => cancel.end(),
            Source::Arrow { .. } => self.guard = Some((cancel.clone(), deadline)),
        }
        self
    }

    /// The next rows; `None` at the end.
    pub async fn next(&mut self) -> SqlResult<Option<RowBatch>> {
        let batches = match &mut self.source {
            Source::Ready(rows) => return Ok(rows.take()),
            Source::Arrow { batches, .. } => batches.get_mut(),
        };
        let next = async {
            match batches.next().await {
                None => Ok(None),
                Some(Ok(batch)) => Ok(Some(batch)),
                Some(Err(error)) => Err(fragment::from_datafusion(&error)),
            }
        };
        let batch = match &self.guard {
            Some((cancel, deadline)) => cancel.guard(*deadline, next).await,
            None => next.await,
        };
        match batch {
            Ok(Some(batch)) => {
                if let CommandTag::Select(rows) = &mut self.tag {
                    *rows += batch.num_rows() as u64;
                }
                Ok(Some(RowBatch::Arrow(batch)))
            }
            Ok(None) => {
                self.finish();
                Ok(None)
            }
            Err(error) => {
                self.finish();
                Err(error)
            }
        }
    }

    fn finish(&mut self) {
        if let Some((cancel, _)) = self.guard.take() {
            cancel.end();
        }
    }

    /// The command's tag, with the number of rows seen once `next` has answered `None`.
    pub fn tag(&self) -> CommandTag {
        self.tag
    }
}

impl Drop for RowStream {
    fn drop(&mut self) {
        self.finish();
    }
}

//! What a statement answers.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use planner::plan::Field;
use proto::SqlResult;
use schema::Datum;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{CommandTag, CopyIn, CopyOut};

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
}

/// Rows on their way. Independent of the session, which may run other statements of the same transaction while a
/// portal is suspended. After an error the caller must tell the session (`Session::abort`).
pub struct RowStream {
    ready: Option<RowBatch>,
    tag: CommandTag,
}

impl RowStream {
    /// Rows that are all there.
    pub(crate) fn ready(rows: Vec<Vec<Datum>>, tag: CommandTag) -> Self {
        let ready = (!rows.is_empty()).then_some(RowBatch::Datums(rows));
        Self { ready, tag }
    }

    /// The next rows; `None` at the end.
    pub async fn next(&mut self) -> SqlResult<Option<RowBatch>> {
        Ok(self.ready.take())
    }

    /// The command's tag, with the number of rows seen once `next` has answered `None`.
    pub fn tag(&self) -> CommandTag {
        self.tag
    }
}

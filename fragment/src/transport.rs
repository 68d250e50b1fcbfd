//! The seam between the executor and the nodes for fragments.

use std::time::Duration;

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::stream::BoxStream;
use proto::{NodeId, SqlError, kv};
use sharddb_proto as proto;

/// Why a fragment gave no (more) rows.
#[derive(Clone, Debug)]
pub enum FragmentError {
    /// The shard does not serve it, or is not reached any more: stale epoch, not leader, lost connection and the like. It may
    /// come behind rows.
    Refused(kv::failure::Kind),
    /// It failed as a statement does.
    Failed(SqlError),
}

impl From<SqlError> for FragmentError {
    fn from(error: SqlError) -> Self {
        Self::Failed(error)
    }
}

/// What a fragment answers.
#[derive(Clone, Debug, PartialEq)]
pub enum FragmentPart {
    /// Some rows.
    Rows(FragmentRows),
    /// The last part. Without it the answer was cut off.
    End(FragmentEnd),
}

/// Rows of a fragment.
#[derive(Clone, Debug, PartialEq)]
pub struct FragmentRows {
    /// The rows.
    pub batch: RecordBatch,
    /// Their size: that of the Arrow stream on the network, or in memory where they stay in the process.
    pub bytes: u64,
    /// The key from which a fragment over the rest of the spans gives exactly the rows behind these; `None` where only the
    /// whole fragment can be run again.
    pub resume: Option<Bytes>,
}

/// What was done for a fragment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentEnd {
    /// Rows of the table that were read.
    pub rows_scanned: u64,
    /// Time at the shard, without waiting for the reader.
    pub time: Duration,
    /// Bytes that came behind the last rows.
    pub bytes: u64,
}

/// Parts of a fragment's answer. Dropping the stream ends the fragment.
pub type FragmentStream = BoxStream<'static, Result<FragmentPart, FragmentError>>;

/// Carries a fragment to a node and brings its rows, with no more than a few batches ahead of the reader.
pub trait FragmentTransport: Send + Sync {
    /// Runs a fragment. Errors are told in the stream.
    fn fragment(&self, node: NodeId, request: kv::Fragment) -> FragmentStream;
}

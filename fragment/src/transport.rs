//! The seam between the executor and the nodes for fragments.

use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;
use proto::{NodeId, SqlError, kv};
use sharddb_proto as proto;

/// Why a fragment gave no (more) rows.
#[derive(Clone, Debug)]
pub enum FragmentError {
    /// The shard does not serve it: stale epoch, not leader and the like. Nothing was sent yet.
    Refused(kv::failure::Kind),
    /// It failed as a statement does.
    Failed(SqlError),
}

impl From<SqlError> for FragmentError {
    fn from(error: SqlError) -> Self {
        Self::Failed(error)
    }
}

/// Batches of a fragment. Dropping the stream ends the fragment.
pub type FragmentStream = BoxStream<'static, Result<RecordBatch, FragmentError>>;

/// Carries a fragment to a node and brings its batches, with no more than a few of them ahead of the reader.
pub trait FragmentTransport: Send + Sync {
    /// Runs a fragment. Errors are told in the stream.
    fn fragment(&self, node: NodeId, request: kv::Fragment) -> FragmentStream;
}

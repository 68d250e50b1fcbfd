//! The data streams of COPY.

use bytes::Bytes;
use proto::{SqlError, SqlResult};
use sharddb_proto as proto;

use super::{CommandTag, Session};

/// COPY … FROM STDIN in progress.
pub struct CopyIn {
    pub(crate) columns: usize,
    pub(crate) binary: bool,
}

impl CopyIn {
    /// Columns of the data.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether the data is in the binary format.
    pub fn binary(&self) -> bool {
        self.binary
    }

    /// Takes some data, cut anywhere.
    pub async fn write(&mut self, _session: &mut Session, _data: Bytes) -> SqlResult<()> {
        Err(SqlError::unsupported("COPY FROM"))
    }

    /// All data was sent.
    pub async fn finish(self: Box<Self>, _session: &mut Session) -> SqlResult<CommandTag> {
        Err(SqlError::unsupported("COPY FROM"))
    }

    /// The client gave up (CopyFail). The error to answer is 57014.
    pub async fn fail(self: Box<Self>, session: &mut Session, message: &str) -> SqlError {
        session.abort().await;
        SqlError::new(proto::SqlState::QueryCanceled, format!("COPY from stdin failed: {message}"))
    }
}

/// COPY … TO STDOUT in progress.
pub struct CopyOut {
    pub(crate) columns: usize,
    pub(crate) binary: bool,
}

impl CopyOut {
    /// Columns of the data.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether the data is in the binary format.
    pub fn binary(&self) -> bool {
        self.binary
    }

    /// The next data; each chunk holds whole rows. `None` at the end.
    pub async fn next(&mut self) -> SqlResult<Option<Bytes>> {
        Ok(None)
    }

    /// The command's tag once `next` has answered `None`.
    pub fn tag(&self) -> CommandTag {
        CommandTag::Copy(0)
    }
}

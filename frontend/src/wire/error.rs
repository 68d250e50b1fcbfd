//! What can be wrong with a client's bytes.

use proto::{SqlError, SqlState};
use sharddb_proto as proto;

/// Why no message can be cut from the input. The connection cannot go on: where the next message begins is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first byte is no message type.
    #[error("invalid frontend message type {0}")]
    UnknownType(u8),
    /// The length is below what a message has or above the bound of its type.
    #[error("invalid message length")]
    Length,
    /// The same of a startup packet.
    #[error("invalid length of startup packet")]
    StartupLength,
}

impl From<FrameError> for SqlError {
    fn from(error: FrameError) -> Self {
        Self::new(SqlState::ProtocolViolation, error.to_string())
    }
}

/// Why a message's body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes do not form the message. The connection ends.
    Malformed(&'static str),
    /// Its text is not UTF-8 (22021). The message fails as a statement does; the connection goes on.
    Encoding(SqlError),
}

impl From<DecodeError> for SqlError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Malformed(message) => Self::new(SqlState::ProtocolViolation, message),
            DecodeError::Encoding(error) => error,
        }
    }
}

//! Errors of the transactional client.

use bytes::Bytes;
use proto::{SqlError, SqlState, kv};
use sharddb_proto as proto;

/// Answer of the client.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a transaction or request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A concurrent transaction changed what this one locked or wrote.
    #[error("could not serialize access due to concurrent update")]
    Conflict {
        /// The row.
        key: Bytes,
    },
    /// A concurrent transaction changed what this serializable one read.
    #[error("could not serialize access due to read/write dependencies among transactions")]
    ReadWriteConflict {
        /// The row or span start.
        key: Bytes,
    },
    /// This transaction closed a cycle of waits.
    #[error("deadlock detected")]
    Deadlock {
        /// The waiting transactions, starting and ending with this one.
        cycle: Vec<u64>,
    },
    /// NOWAIT met a locked row.
    #[error("could not obtain lock on row")]
    LockNotAvailable {
        /// The row.
        key: Bytes,
    },
    /// `lock_timeout` passed.
    #[error("canceling statement due to lock timeout")]
    LockTimeout {
        /// The row.
        key: Bytes,
    },
    /// A table's layout changed since the request was planned.
    #[error("table {table} was changed by a concurrent transaction")]
    StaleSchema {
        /// Storage id of the table.
        table: u32,
    },
    /// What the snapshot sees may be gone: this process could not say for long that it is in use.
    #[error("snapshot too old")]
    SnapshotTooOld,
    /// Somebody else aborted this transaction because it looked dead.
    #[error("transaction was aborted because its lease expired")]
    Expired,
    /// The shard was lost on the way to the commit, and with it the transaction.
    #[error("transaction was aborted because its shard was lost before the commit: {reason}")]
    Lost {
        /// What happened.
        reason: String,
    },
    /// The shard refused; nothing happened.
    #[error("{message}")]
    Refused {
        /// Its SQLSTATE.
        state: SqlState,
        /// Its reason.
        message: String,
    },
    /// The node failed in the middle: the request may have its effect once it has started again.
    #[error("{message}")]
    Unknown {
        /// Its SQLSTATE.
        state: SqlState,
        /// What happened.
        message: String,
    },
    /// The commit was sent and no answer tells its outcome.
    #[error("the outcome of the commit is unknown: {reason}")]
    CommitUnknown {
        /// What happened.
        reason: String,
    },
    /// No shard answered for a key within the retry bound.
    #[error("no shard is available for the request: {reason}")]
    Unavailable {
        /// Last failure.
        reason: String,
    },
    /// The transaction holds more than the client buffers.
    #[error("transaction is too large: more than {limit} bytes of writes under an open savepoint")]
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
    /// A bug, or a peer that breaks the protocol.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// The SQLSTATE a client sees.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Conflict { .. }
            | Self::ReadWriteConflict { .. }
            | Self::StaleSchema { .. }
            | Self::SnapshotTooOld
            | Self::Expired
            | Self::Lost { .. } => SqlState::SerializationFailure,
            Self::Deadlock { .. } => SqlState::DeadlockDetected,
            Self::LockNotAvailable { .. } | Self::LockTimeout { .. } => SqlState::LockNotAvailable,
            Self::Refused { state, .. } | Self::Unknown { state, .. } => *state,
            Self::CommitUnknown { .. } => SqlState::StatementCompletionUnknown,
            Self::Unavailable { .. } => SqlState::ConnectionFailure,
            Self::TooLarge { .. } => SqlState::OutOfMemory,
            Self::Internal(_) => SqlState::InternalError,
        }
    }

    /// The error for a shard's failure that routing cannot mend.
    pub(crate) fn from_failure(failure: kv::failure::Kind) -> Self {
        use kv::failure::Kind;
        match failure {
            Kind::Conflict(conflict) if conflict.reason == "read" => Self::ReadWriteConflict { key: conflict.key },
            Kind::Conflict(conflict) => Self::Conflict { key: conflict.key },
            Kind::Deadlock(deadlock) => Self::Deadlock { cycle: deadlock.cycle },
            Kind::LockNotAvailable(conflict) => Self::LockNotAvailable { key: conflict.key },
            Kind::LockTimeout(conflict) => Self::LockTimeout { key: conflict.key },
            Kind::StaleSchema(guard) => Self::StaleSchema { table: guard.table },
            Kind::Aborted(_) => Self::Expired,
            Kind::Refused(refused) => Self::Refused {
                state: SqlState::from_code(&refused.sqlstate).unwrap_or(SqlState::InternalError),
                message: refused.message,
            },
            Kind::Unknown(unknown) => Self::Unknown {
                state: SqlState::from_code(&unknown.sqlstate).unwrap_or(SqlState::InternalError),
                message: unknown.message,
            },
            Kind::Internal(message) => Self::Internal(message),
            Kind::Unreachable(reason) => Self::Unavailable { reason },
            Kind::Ambiguous(message) => Self::Unknown { state: SqlState::StatementCompletionUnknown, message },
            Kind::StaleEpoch(_) | Kind::NotLeader(_) | Kind::UnknownShard(_) => {
                Self::Unavailable { reason: "the range moved".to_owned() }
            }
        }
    }
}

impl From<Error> for SqlError {
    fn from(error: Error) -> Self {
        let sql = SqlError::new(error.sqlstate(), error.to_string());
        match error {
            Error::Deadlock { cycle } => {
                sql.with_detail(deadlock_detail(&cycle)).with_hint("See server log for query details.")
            }
            Error::ReadWriteConflict { .. } | Error::SnapshotTooOld => {
                sql.with_hint("The transaction might succeed if retried.")
            }
            _ => sql,
        }
    }
}

fn deadlock_detail(cycle: &[u64]) -> String {
    let waits: Vec<String> = cycle
        .windows(2)
        .map(|pair| format!("Transaction {:016x} waits for transaction {:016x}.", pair[0], pair[1]))
        .collect();
    waits.join("\n")
}

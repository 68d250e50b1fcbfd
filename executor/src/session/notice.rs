//! Messages to the client that are no errors.

use proto::{SqlError, SqlState};
use sharddb_proto as proto;

/// How grave a message is, weakest first, as `client_min_messages` orders them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// LOG
    Log,
    /// NOTICE
    Notice,
    /// WARNING
    Warning,
    /// INFO: always sent.
    Info,
}

impl Severity {
    /// As NoticeResponse prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "LOG",
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
            Self::Info => "INFO",
        }
    }
}

/// A message for NoticeResponse.
#[derive(Clone, Debug)]
pub struct Notice {
    /// How grave it is.
    pub severity: Severity,
    /// SQLSTATE, text and fields.
    pub message: SqlError,
}

impl Notice {
    /// A NOTICE, with SQLSTATE 00000.
    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self { severity: Severity::Notice, message: SqlError::new(SqlState::SuccessfulCompletion, message) }
    }

    /// A WARNING.
    pub(crate) fn warning(state: SqlState, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, message: SqlError::new(state, message) }
    }
}

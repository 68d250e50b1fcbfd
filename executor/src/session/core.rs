//! The session as the frontend sees it.

use std::{sync::Arc, time::Duration};

use proto::{SqlError, SqlResult};
use schema::{Datum, FormatSettings, Oid};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{CancelHandle, Notice, Outcome, Parsed, Prepared};
use crate::Engine;

/// What a client says when it connects.
#[derive(Clone, Debug, Default)]
pub struct SessionStart {
    /// Role.
    pub user: String,
    /// Database.
    pub database: String,
    /// application_name; empty if not given.
    pub application_name: String,
    /// Further parameters of the startup message, in order.
    pub settings: Vec<(String, String)>,
    /// Process id told to the client.
    pub backend_pid: i32,
}

/// Where a session stands in its transaction block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// In no block.
    Idle,
    /// In a block.
    InTransaction,
    /// In a block that failed and waits for ROLLBACK.
    Failed,
}

/// One client's session, owned by its connection's task.
pub struct Session {
    engine: Engine,
    format: FormatSettings,
    cancel: CancelHandle,
    notices: Vec<Notice>,
    parameter_changes: Vec<(String, String)>,
}

impl Session {
    /// Starts a session. Fails when the role or database is unknown or a setting is bad; the client was authenticated
    /// before.
    pub async fn new(engine: Engine, _start: SessionStart) -> SqlResult<Self> {
        Ok(Self {
            engine,
            format: FormatSettings::default(),
            cancel: CancelHandle::default(),
            notices: Vec::new(),
            parameter_changes: Vec::new(),
        })
    }

    /// What this session shares with others.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where it stands in its transaction block.
    pub fn status(&self) -> TransactionStatus {
        TransactionStatus::Idle
    }

    /// Splits a query string into statements. An empty one has none.
    pub fn parse(&mut self, sql: &str) -> SqlResult<Vec<Parsed>> {
        Ok(vec![Parsed { text: sql.into() }])
    }

    /// Prepares a statement of a simple query.
    pub async fn prepare_parsed(&mut self, _parsed: &Parsed) -> SqlResult<Arc<Prepared>> {
        Err(SqlError::unsupported("this statement"))
    }

    /// Prepares one statement (Parse message); more than one is 42601. A declared type of 0 is inferred.
    pub async fn prepare(&mut self, _sql: &str, _declared: &[Oid]) -> SqlResult<Arc<Prepared>> {
        Err(SqlError::unsupported("this statement"))
    }

    /// Runs a statement. Outside of a transaction block and of an implicit block it commits before it answers, except
    /// that rows may still be on their way. On an error the block has failed or the transaction is gone.
    pub async fn execute(&mut self, _prepared: &Arc<Prepared>, _params: Vec<Datum>) -> SqlResult<Outcome> {
        Err(SqlError::unsupported("this statement"))
    }

    /// Begins an implicit block: what follows commits together at `end_implicit` unless a block of its own begins.
    /// Called before a query string of several statements and before the first Execute after a Sync.
    pub fn begin_implicit(&mut self) {}

    /// Ends the implicit block: commits, or rolls back when a statement failed. Nothing happens inside a block that
    /// BEGIN opened.
    pub async fn end_implicit(&mut self, _ok: bool) -> SqlResult<()> {
        Ok(())
    }

    /// A statement failed outside of `execute` (while its rows were on their way, or in the protocol): a block is
    /// failed now, an implicit one rolled back.
    pub async fn abort(&mut self) {}

    /// The connection is gone: rolls back and frees everything.
    pub async fn close(&mut self) {}

    /// Cancels the running statement from any thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// Notices since the last call that `client_min_messages` lets through.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Changed parameters that clients are told of (ParameterStatus).
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.parameter_changes)
    }

    /// Every parameter that a client is told of when it connects.
    pub fn reported_parameters(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// How values are printed and read.
    pub fn format(&self) -> &FormatSettings {
        &self.format
    }

    /// How long the connection may stay silent in its present state (idle_in_transaction_session_timeout,
    /// idle_session_timeout), and the error to end it with.
    pub fn idle_limit(&self) -> Option<(Duration, SqlError)> {
        None
    }
}

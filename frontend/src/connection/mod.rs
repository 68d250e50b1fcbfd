//! A client's connection after startup: reads messages, drives the session, writes answers.
//!
//! # Invariants
//! * Everything happens in the connection's own task; others reach it through its `Control`.
//! * While a statement runs the socket is watched: a client that is gone ends the statement and frees its locks.
//! * An error in the extended protocol makes the connection skip messages until Sync.
//! * Portals end with their transaction; a Sync outside a block ends the implicit transaction.
//!
//! # Life of a prepared point select
//! Bind, Execute and Sync arrive in one read. `extended::bind` decodes the parameters, `extended::execute` sees that a
//! Sync follows and runs the statement as a transaction of its own, `answer::rows` writes DataRow straight into the
//! output, and the wait for the next message sends everything with one write.

mod answer;
mod copy;
mod extended;
mod portal;
mod simple;
mod wait;

use std::{collections::HashMap, io, sync::Arc};

use executor::{Prepared, Session, TransactionStatus};
use proto::{SqlError, SqlState};
use sharddb_executor as executor;
use sharddb_proto as proto;

use crate::{
    control::{Control, Entry},
    metrics::metrics,
    socket::{OUTPUT_BYTES, Socket},
    wire::{self, DecodeError, Frame, FrameError, Message, Taken},
};
use portal::Portals;

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client is gone or said good bye.
    Gone,
    /// The client is told why.
    Fatal(SqlError),
}

/// Why a statement stops early.
#[derive(Debug)]
enum Stop {
    /// It failed; the connection goes on.
    Statement(SqlError),
    /// The connection ends.
    Connection(End),
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Self::Statement(error)
    }
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Self::Connection(end)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        tracing::debug!(%error, "the client is gone");
        Self::Gone
    }
}

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        Self::Fatal(error.into())
    }
}

/// A connection with a session.
pub(crate) struct Connection {
    socket: Socket,
    session: Session,
    control: Arc<Control>,
    /// Keeps the connection's place in the registry.
    _entry: Entry,
    /// The unnamed prepared statement; the session keeps the named ones.
    unnamed: Option<Arc<Prepared>>,
    portals: Portals,
    /// After an error in the extended protocol: skip until Sync.
    skipping: bool,
    /// Statements since the last Sync, or of one query string, commit together.
    implicit: bool,
    /// Bytes of a CopyData message that are to be passed over.
    passing_over: usize,
    /// Parameters as the client was told last.
    told: HashMap<String, String>,
    /// Where values are printed that have no faster way into the output.
    scratch: String,
}

impl Connection {
    pub(crate) fn new(socket: Socket, session: Session, entry: Entry) -> Self {
        let control = Arc::clone(&entry.control);
        let (portals, scratch) = Default::default();
        let told = session.reported_parameters().into_iter().collect();
        Self {
            socket,
            session,
            control,
            _entry: entry,
            unnamed: None,
            portals,
            skipping: false,
            implicit: false,
            passing_over: 0,
            told,
            scratch,
        }
    }

    /// What is left when the connection has ended.
    pub(crate) fn into_parts(self) -> (Session, Socket) {
        (self.session, self.socket)
    }

    /// Serves the client until the connection ends.
    pub(crate) async fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.step().await {
                return end;
            }
        }
    }

    /// Handles the next message, or waits for it.
    async fn step(&mut self) -> Result<(), End> {
        if self.passing_over > 0 {
            return self.pass_over().await;
        }
        match wire::take_frame(&mut self.socket.input)? {
            Taken::Needs(bytes) => self.wait_for_input(bytes).await,
            Taken::Whole(frame) => self.handle(frame).await,
        }
    }

    /// Drops what is left of a CopyData message whose COPY has failed.
    async fn pass_over(&mut self) -> Result<(), End> {
        if self.socket.input.is_empty() {
            return self.wait_for_input(1).await;
        }
        let count = self.passing_over.min(self.socket.input.len());
        bytes::Buf::advance(&mut self.socket.input, count);
        self.passing_over -= count;
        Ok(())
    }

    async fn handle(&mut self, frame: Frame) -> Result<(), End> {
        if self.skipping && !matches!(frame.tag, b'S' | b'X') {
            return Ok(());
        }
        let message = match Message::decode(frame.tag, &frame.body) {
            Ok(message) => message,
            Err(DecodeError::Encoding(error)) => return self.refuse(frame.tag, error).await,
            Err(error) => return Err(End::Fatal(error.into())),
        };
        let done = match message {
            Message::Query(sql) => return self.query(sql).await,
            Message::Sync => return self.sync().await,
            Message::Parse { name, sql, types } => self.parse(name, sql, types).await,
            Message::Bind(bind) => self.bind(&bind),
            Message::Describe(target, name) => self.describe(target, name),
            Message::Execute { portal, limit } => self.execute(portal, limit).await,
            Message::Close(target, name) => self.close(target, name),
            Message::Flush => {
                self.socket.mark_due();
                Ok(())
            }
            Message::FunctionCall => return self.refuse(b'F', SqlError::unsupported("function call message")).await,
            // What is left of a COPY that has failed.
            Message::CopyData | Message::CopyDone | Message::CopyFail(_) => Ok(()),
            Message::Terminate => {
                // What came before is answered even if the client does not care.
                self.flush().await?;
                return Err(End::Gone);
            }
            Message::Password => return Err(FrameError::UnknownType(b'p').into()),
        };
        match done {
            Ok(()) => self.bound_output().await,
            Err(Stop::Connection(end)) => Err(end),
            Err(Stop::Statement(error)) => {
                self.fail(&error).await;
                self.skipping = true;
                Ok(())
            }
        }
    }

    /// Answers a message that cannot be read as a failed statement.
    async fn refuse(&mut self, tag: u8, error: SqlError) -> Result<(), End> {
        self.fail(&error).await;
        if matches!(tag, b'Q' | b'F') {
            self.ready().await
        } else {
            self.skipping = true;
            Ok(())
        }
    }

    /// A statement has failed: tells the session and the client.
    async fn fail(&mut self, error: &SqlError) {
        metrics().errors.add(1);
        if error.state() == SqlState::InternalError {
            tracing::error!(message = error.message(), "internal error");
        }
        self.write_notices();
        self.session.abort().await;
        if self.session.status() == TransactionStatus::Idle {
            self.portals.clear();
        }
        wire::error_response(&mut self.socket.output, "ERROR", error);
    }

    fn write_notices(&mut self) {
        for notice in self.session.take_notices() {
            wire::notice_response(&mut self.socket.output, notice.severity.name(), &notice.message);
        }
    }

    /// ReadyForQuery, preceded by the parameters that have changed.
    async fn ready(&mut self) -> Result<(), End> {
        self.write_notices();
        for (name, value) in self.session.take_parameter_changes() {
            // A change that was undone again is none.
            if self.told.get(&name) != Some(&value) {
                wire::parameter_status(&mut self.socket.output, &name, &value);
                self.told.insert(name, value);
            }
        }
        let status = match self.session.status() {
            TransactionStatus::Idle => b'I',
            TransactionStatus::InTransaction => b'T',
            TransactionStatus::Failed => b'E',
        };
        wire::ready_for_query(&mut self.socket.output, status);
        self.socket.mark_due();
        self.bound_output().await
    }

    /// Sends the output when there is more of it than should be kept.
    #[inline]
    async fn bound_output(&mut self) -> Result<(), End> {
        if self.socket.output.len() >= OUTPUT_BYTES { self.flush().await } else { Ok(()) }
    }
}

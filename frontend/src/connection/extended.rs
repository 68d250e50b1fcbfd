//! The extended protocol: Parse, Bind, Describe, Execute, Close, Sync.

use std::{pin::pin, sync::Arc};

use executor::{CommandTag, Outcome, Prepared, Session, TransactionStatus};
use proto::{SqlError, SqlResult, SqlState};
use schema::{Datum, Oid, SqlType, datetime::Now, functions::CastContext};
use sharddb_executor as executor;
use sharddb_proto as proto;
use sharddb_schema as schema;
use smallvec::SmallVec;

use super::{
    Connection, End, Stop,
    answer::Progress,
    portal::{Portal, PortalState, Rows},
    wait::watch,
};
use crate::{
    metrics::metrics,
    rows::{Formats, is_binary},
    wire::{self, Bind, Target},
};

impl Connection {
    /// Parse.
    pub(super) async fn parse(&mut self, name: &str, sql: &str, types: &[u8]) -> Result<(), Stop> {
        if name.is_empty() {
            self.unnamed = None;
        } else {
            self.session.check_statement_name(name)?;
        }
        let oid = |bytes: &[u8]| Oid(bytes.iter().fold(0, |oid, byte| oid << 8 | u32::from(*byte)));
        let types: SmallVec<[Oid; 16]> = types.chunks_exact(4).map(oid).collect();
        let prepared = watch(&mut self.socket, &self.control, pin!(self.session.prepare(sql, &types))).await??;
        if name.is_empty() {
            self.unnamed = Some(prepared);
        } else {
            self.session.keep_statement(name, prepared);
        }
        wire::empty(&mut self.socket.output, b'1');
        Ok(())
    }

    /// Bind.
    #[inline]
    pub(super) fn bind(&mut self, bind: &Bind<'_>) -> Result<(), Stop> {
        let prepared = statement(&self.unnamed, &self.session, bind.statement)?;
        self.session.check_not_failed(prepared)?;
        let parameters = decode_parameters(bind, &prepared.parameters, &self.session)?;
        let columns = prepared.fields.as_ref().map_or(0, |fields| fields.len());
        let formats = Formats::new(bind.results, columns)?;
        let portal = Portal { prepared: prepared.clone(), formats, state: PortalState::Bound(parameters) };
        self.portals.make_room(bind.portal)?;
        self.portals.insert(bind.portal, portal);
        wire::empty(&mut self.socket.output, b'2');
        Ok(())
    }

    /// Describe.
    pub(super) fn describe(&mut self, target: Target, name: &str) -> Result<(), Stop> {
        let out = &mut self.socket.output;
        let (prepared, formats) = match target {
            Target::Statement => {
                let prepared = statement(&self.unnamed, &self.session, name)?;
                wire::parameter_description(out, &prepared.parameters);
                (prepared, None)
            }
            Target::Portal => {
                let portal = self.portals.get(name)?;
                (&portal.prepared, Some(&portal.formats))
            }
        };
        match &prepared.fields {
            None => wire::empty(out, b'n'),
            Some(fields) => wire::row_description(out, fields, |position| {
                u16::from(formats.is_some_and(|formats| formats.binary(position)))
            }),
        }
        Ok(())
    }

    /// Close; naming what does not exist is no error.
    pub(super) fn close(&mut self, target: Target, name: &str) -> Result<(), Stop> {
        match target {
            Target::Statement if name.is_empty() => self.unnamed = None,
            Target::Statement => {
                self.session.drop_statement(name);
            }
            Target::Portal => self.portals.remove(name),
        }
        wire::empty(&mut self.socket.output, b'3');
        Ok(())
    }

    /// Execute: a limit that is not positive is none.
    #[inline]
    pub(super) async fn execute(&mut self, name: &str, limit: i32) -> Result<(), Stop> {
        let mut portal = self.portals.take(name)?;
        let limit = u64::try_from(limit).ok().filter(|limit| *limit > 0);
        let state = std::mem::replace(&mut portal.state, PortalState::Done);
        portal.state = match state {
            PortalState::Bound(parameters) => self.start_portal(&portal, parameters, limit).await?,
            PortalState::Running(rows) => self.run_portal(rows, &portal.formats, limit).await?,
            PortalState::Done if portal.prepared.fields.is_some() => {
                self.complete(CommandTag::Select(0));
                PortalState::Done
            }
            PortalState::Done => {
                let message = format!("portal \"{name}\" cannot be run");
                return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message).into());
            }
        };
        // A statement that ended the transaction ended its portals.
        if !self.after_statement() {
            self.portals.insert(name, portal);
        }
        Ok(())
    }

    /// Runs a portal for the first time.
    async fn start_portal(
        &mut self,
        portal: &Portal,
        parameters: Vec<Datum>,
        limit: Option<u64>,
    ) -> Result<PortalState, Stop> {
        metrics().statements.add(1);
        self.begin_unless_alone(limit);
        match self.run_prepared(&portal.prepared, parameters).await? {
            Outcome::Rows { fields, rows: stream } => {
                let rows = Rows { fields, stream, partial: None };
                return self.run_portal(Box::new(rows), &portal.formats, limit).await;
            }
            Outcome::Command(tag) => self.complete(tag),
            Outcome::CopyIn(copy) => {
                let tag = self.copy_in(copy).await?;
                self.complete(tag);
            }
            Outcome::CopyOut(copy) => {
                let tag = self.copy_out(*copy).await?;
                self.complete(tag);
            }
            Outcome::Empty => wire::empty(&mut self.socket.output, b'I'),
        }
        Ok(PortalState::Done)
    }

    /// Statements up to a Sync commit together. One that the Sync follows at once is alone and needs no block.
    #[inline]
    fn begin_unless_alone(&mut self, limit: Option<u64>) {
        if self.implicit || self.session.status() != TransactionStatus::Idle {
            return;
        }
        let alone = limit.is_none() && wire::next_whole(&self.socket.input) == Some(b'S');
        if !alone {
            self.session.begin_implicit();
            self.implicit = true;
        }
    }

    async fn run_portal(
        &mut self,
        mut rows: Box<Rows>,
        formats: &Formats,
        limit: Option<u64>,
    ) -> Result<PortalState, Stop> {
        match self.rows(&mut rows, formats, limit).await? {
            Progress::Suspended => {
                wire::empty(&mut self.socket.output, b's');
                Ok(PortalState::Running(rows))
            }
            Progress::Complete(sent) => {
                // The rows of this run; what a command changed is counted as a whole.
                let tag = match rows.stream.tag() {
                    CommandTag::Select(_) => CommandTag::Select(sent),
                    tag => tag,
                };
                self.complete(tag);
                Ok(PortalState::Done)
            }
        }
    }

    /// Sync: ends the implicit transaction and whatever was skipped.
    pub(super) async fn sync(&mut self) -> Result<(), End> {
        let ok = !std::mem::take(&mut self.skipping);
        if let Err(stop) = self.end_implicit(ok).await? {
            match stop {
                Stop::Connection(end) => return Err(end),
                Stop::Statement(error) => self.fail(&error).await,
            }
        }
        self.after_statement();
        self.ready().await
    }

    /// Forgets what has ended with the transaction; answers whether one has.
    #[inline]
    pub(super) fn after_statement(&mut self) -> bool {
        if self.session.status() != TransactionStatus::Idle {
            // A block that BEGIN opened has taken the place of the implicit one.
            self.implicit = false;
            return false;
        }
        if self.implicit {
            return false;
        }
        self.portals.clear();
        true
    }
}

/// The prepared statement of this name.
#[inline]
fn statement<'a>(unnamed: &'a Option<Arc<Prepared>>, session: &'a Session, name: &str) -> SqlResult<&'a Arc<Prepared>> {
    if !name.is_empty() {
        return session.statement(name);
    }
    let missing = || SqlError::new(SqlState::InvalidSqlStatementName, "unnamed prepared statement does not exist");
    unnamed.as_ref().ok_or_else(missing)
}

/// Reads the parameters of a Bind message.
fn decode_parameters(bind: &Bind<'_>, types: &[Oid], session: &Session) -> SqlResult<Vec<Datum>> {
    let (values, formats) = (bind.values, bind.formats);
    let violation = |message| Err(SqlError::new(SqlState::ProtocolViolation, message));
    if formats.count() > 1 && formats.count() != values.count() {
        let (formats, values) = (formats.count(), values.count());
        return violation(format!("bind message has {formats} parameter formats but {values} parameters"));
    }
    if values.count() != types.len() {
        let (given, name, needed) = (values.count(), bind.statement, types.len());
        return violation(format!(
            "bind message supplies {given} parameters, but prepared statement \"{name}\" requires {needed}"
        ));
    }
    let decode = |((position, value), oid): ((usize, Option<&[u8]>), &Oid)| {
        let binary = is_binary(formats.code(position))?;
        match value {
            None => Ok(Datum::Null),
            Some(bytes) if binary => schema::wire::decode_binary(bytes, SqlType::new(*oid)),
            Some(bytes) => decode_text(bytes, *oid, session),
        }
    };
    values.iter().enumerate().zip(types).map(decode).collect()
}

fn decode_text(bytes: &[u8], oid: Oid, session: &Session) -> SqlResult<Datum> {
    let text = schema::wire::decode_utf8(bytes)?;
    let now = Now(session.transaction_time());
    schema::text::parse_datum(SqlType::new(oid), text, session.format(), now, CastContext::Assignment)
}

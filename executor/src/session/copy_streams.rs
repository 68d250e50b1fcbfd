//! The data streams of COPY.

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use planner::plan::{CopyFormat, CopyFrom, CopyTo, Field};
use proto::{SqlError, SqlResult, SqlState};
use schema::{
    Datum, SqlType,
    datetime::Now,
    functions::{CastContext, EvalContext},
    text::parse_datum,
    wire,
};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{CommandTag, Outcome, RowStream, Session, prepared::Plan};
use crate::{
    copy::{self, Reader, Writer},
    dml::{InsertPlan, Inserter},
};

/// Size of a piece of outgoing data.
const CHUNK_BYTES: usize = 64 << 10;
/// Longest value shown in an error's context.
const SHOWN_VALUE_CHARS: usize = 100;

/// COPY … FROM STDIN in progress.
pub struct CopyIn {
    columns: usize,
    binary: bool,
    plan: Arc<Plan>,
    types: Vec<(String, SqlType)>,
    table: String,
    eval: EvalContext,
    reader: Reader,
    inserter: Inserter,
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
    pub async fn write(&mut self, session: &mut Session, data: Bytes) -> SqlResult<()> {
        let cancel = session.cancel.clone();
        cancel.begin();
        let result = cancel.guard(None, self.take(session, &data, false)).await;
        cancel.end();
        if result.is_err() {
            session.fail().await;
        }
        result
    }

    /// All data was sent.
    pub async fn finish(mut self: Box<Self>, session: &mut Session) -> SqlResult<CommandTag> {
        let cancel = session.cancel.clone();
        cancel.begin();
        let result = cancel.guard(None, self.end(session)).await;
        cancel.end();
        if result.is_err() {
            session.fail().await;
        }
        result
    }

    async fn end(&mut self, session: &mut Session) -> SqlResult<CommandTag> {
        self.take(session, &[], true).await?;
        let next = Inserter::new(Arc::clone(self.inserter.plan()));
        let inserter = std::mem::replace(&mut self.inserter, next);
        let written = session.dml(&self.plan, &self.eval, &[]).finish_insert(inserter).await?;
        let count = written.count;
        session.written(&self.plan, written, CommandTag::Copy).await?;
        if std::mem::take(&mut session.copy_commits) {
            session.commit_transaction().await?;
        }
        Ok(CommandTag::Copy(count))
    }

    /// The client gave up (CopyFail). The error to answer is 57014.
    pub async fn fail(self: Box<Self>, session: &mut Session, message: &str) -> SqlError {
        session.abort().await;
        SqlError::new(SqlState::QueryCanceled, format!("COPY from stdin failed: {message}"))
    }

    async fn take(&mut self, session: &mut Session, data: &[u8], last: bool) -> SqlResult<()> {
        self.reader.feed(data)?;
        let mut dml = session.dml(&self.plan, &self.eval, &[]);
        loop {
            let fields =
                self.reader.next_row(last).map_err(|error| in_line(error, &self.table, self.reader.line() + 1));
            let Some(fields) = fields? else { return Ok(()) };
            let line = self.reader.line();
            let row = self.row(fields).map_err(|error| in_line(error, &self.table, line))?;
            let pushed = self.inserter.push(row, &mut dml).await;
            pushed.map_err(|error| in_line(error, &self.table, line))?;
        }
    }

    fn row(&self, fields: Vec<copy::Field>) -> SqlResult<Vec<Datum>> {
        if fields.len() > self.types.len() {
            return Err(SqlError::new(SqlState::BadCopyFileFormat, "extra data after last expected column"));
        }
        if let Some((name, _)) = self.types.get(fields.len()) {
            return Err(SqlError::new(SqlState::BadCopyFileFormat, format!("missing data for column \"{name}\"")));
        }
        let now = Now(self.eval.transaction_time);
        let mut row = Vec::with_capacity(fields.len());
        for (field, (name, sql_type)) in fields.into_iter().zip(&self.types) {
            row.push(match field {
                copy::Field::Text(None) | copy::Field::Binary(None) => Datum::Null,
                copy::Field::Text(Some(text)) => {
                    parse_datum(*sql_type, &text, &self.eval.format, now, CastContext::Assignment)
                        .map_err(|error| in_column(error, name, &text))?
                }
                copy::Field::Binary(Some(bytes)) => wire::decode_binary(&bytes, *sql_type)?,
            });
        }
        Ok(row)
    }
}

/// Adds the place to an error, as PostgreSQL's context does.
fn in_line(error: SqlError, table: &str, line: u64) -> SqlError {
    match error.fields().context.clone() {
        Some(context) if context.starts_with("COPY ") => error,
        Some(column) => {
            let line = format!("COPY {table}, line {line}{}", column);
            with_only_context(&error, line)
        }
        None => error.with_context(format!("COPY {table}, line {line}")),
    }
}

fn in_column(error: SqlError, column: &str, value: &str) -> SqlError {
    let shown: String = value.chars().take(SHOWN_VALUE_CHARS).collect();
    let more = if shown.len() < value.len() { "..." } else { "" };
    error.with_context(format!(", column {column}: \"{shown}{more}\""))
}

fn with_only_context(error: &SqlError, context: String) -> SqlError {
    let mut plain = SqlError::new(error.state(), error.message());
    if let Some(detail) = &error.fields().detail {
        plain = plain.with_detail(detail.clone());
    }
    if let Some(hint) = &error.fields().hint {
        plain = plain.with_hint(hint.clone());
    }
    plain.with_context(context)
}

/// COPY … TO STDOUT in progress.
pub struct CopyOut {
    fields: Arc<[Field]>,
    rows: RowStream,
    writer: Writer,
    waiting: VecDeque<Vec<Datum>>,
    count: u64,
    /// Ends of the rows in the last chunk.
    row_ends: Vec<usize>,
    started: bool,
    ended: bool,
}

impl CopyOut {
    /// Columns of the data.
    pub fn columns(&self) -> usize {
        self.fields.len()
    }

    /// Whether the data is in the binary format.
    pub fn binary(&self) -> bool {
        self.writer.options.format == CopyFormat::Binary
    }

    /// Where the rows of the last chunk end. Clients are sent a message for each.
    pub fn row_ends(&self) -> &[usize] {
        &self.row_ends
    }

    /// The next data; each chunk holds whole rows. `None` at the end.
    pub async fn next(&mut self) -> SqlResult<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let mut out = BytesMut::with_capacity(CHUNK_BYTES + 1024);
        self.row_ends.clear();
        if !std::mem::replace(&mut self.started, true) {
            if self.binary() {
                copy::binary_header(&mut out);
            } else if self.writer.options.header {
                self.writer.header(&self.fields, &mut out);
                self.row_ends.push(out.len());
            }
        }
        while out.len() < CHUNK_BYTES {
            if let Some(row) = self.waiting.pop_front() {
                self.writer.row(&self.fields, &row, &mut out)?;
                self.count += 1;
                self.row_ends.push(out.len());
                continue;
            }
            match self.rows.next().await? {
                Some(batch) => self.waiting.extend(batch.into_datums(&self.fields)?),
                None => {
                    self.ended = true;
                    if self.binary() {
                        copy::binary_trailer(&mut out);
                        self.row_ends.push(out.len());
                    }
                    break;
                }
            }
        }
        Ok((!out.is_empty()).then(|| out.freeze()))
    }

    /// The command's tag once `next` has answered `None`.
    pub fn tag(&self) -> CommandTag {
        CommandTag::Copy(self.count)
    }
}

impl Session {
    pub(super) fn copy_in(&mut self, plan: &Arc<Plan>, copy: &CopyFrom, eval: &EvalContext) -> SqlResult<Outcome> {
        let insert = Arc::new(InsertPlan::new(&copy.insert, &plan.snapshot.catalog, eval)?);
        let table = &copy.insert.table;
        let names = insert.columns().iter().map(|at| table.columns[*at].name.clone());
        let types = names.zip(copy.types.iter().copied()).collect();
        let columns = copy.types.len();
        Ok(Outcome::CopyIn(Box::new(CopyIn {
            columns,
            binary: copy.options.format == CopyFormat::Binary,
            plan: plan.clone(),
            types,
            table: table.name.clone(),
            eval: eval.clone(),
            reader: Reader::new(copy.options.clone(), columns),
            inserter: Inserter::new(insert),
        })))
    }

    pub(super) async fn copy_out(&mut self, copy: &CopyTo, params: &[Datum]) -> SqlResult<Outcome> {
        let rows = self.run_query(&copy.query, params).await?;
        Ok(Outcome::CopyOut(Box::new(CopyOut {
            fields: copy.query.fields.as_slice().into(),
            rows,
            writer: Writer::new(copy.options.clone(), self.format().clone()),
            waiting: VecDeque::new(),
            count: 0,
            row_ends: Vec::new(),
            started: false,
            ended: false,
        })))
    }
}

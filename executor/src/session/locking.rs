//! SELECT … FOR UPDATE and its weaker forms.
//!
//! The query runs without its LIMIT and gives the keys of the rows it reads; these are locked one after the other in
//! the query's order until enough rows are had. So LIMIT counts only rows that could be locked, as SKIP LOCKED needs.

use bytes::Bytes;
use planner::plan::{Expr, LockStrength, LockWait, Query, Relation, RowLock};
use proto::{
    SqlError, SqlResult, SqlState,
    kv::{LockMode, WaitPolicy},
};
use schema::{Datum, Oid, functions::EvalContext};
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{RowStream, Session, prepared::Plan};
use crate::{eval, general};

/// How often a READ COMMITTED statement looks again because rows changed while it waited for them.
const ROUNDS_MAX: usize = 50;
/// Rows locked with one request when no LIMIT says that fewer will do.
const LOCK_ROWS: usize = 256;

/// LIMIT and OFFSET of a query.
#[derive(Clone, Copy)]
struct Window {
    limit: usize,
    offset: usize,
}

/// What locking some rows came to.
enum Locked {
    /// These rows count.
    Rows(Vec<Vec<Datum>>),
    /// A row was changed by somebody else after the query had seen it.
    Changed,
}

impl Session {
    pub(super) async fn run_locking_query(
        &mut self,
        plan: &Plan,
        query: &Query,
        eval: &EvalContext,
        params: &[Datum],
    ) -> SqlResult<Vec<Vec<Datum>>> {
        let _ = plan;
        let context = eval::Context { session: eval, params };
        let mut stripped = query.clone();
        stripped.locks.clear();
        let window = take_window(&mut stripped.body, &context)?;
        for _ in 0..ROUNDS_MAX {
            if let Some(rows) = self.lock_rows(&stripped, &query.locks, window, params).await? {
                return Ok(rows);
            }
            self.transaction().kv.refresh_snapshot().await?;
        }
        Err(SqlError::new(SqlState::SerializationFailure, "could not lock rows because of concurrent updates"))
    }

    /// One round; `None` when it must be repeated.
    async fn lock_rows(
        &mut self,
        query: &Query,
        locks: &[RowLock],
        window: Window,
        params: &[Datum],
    ) -> SqlResult<Option<Vec<Vec<Datum>>>> {
        let mut references: Vec<usize> = locks.iter().flat_map(|lock| lock.references.iter().copied()).collect();
        references.sort_unstable();
        references.dedup();
        let context = self.general_context().await?;
        self.transaction();
        let txn = self.txn.as_mut().expect("the transaction was begun");
        let found = general::run_with_keys(query, params, &references, &mut txn.kv, &context).await?;
        let width = query.fields.len();
        let mut types: Vec<Oid> = query.fields.iter().map(|field| field.sql_type.oid).collect();
        types.extend(found.keys.iter().map(|_| Oid::BYTEA));
        let keys = found.keys;
        let mut stream = RowStream::arrow(found.batches, None);
        let wanted = window.limit.saturating_add(window.offset);
        let mut rows: Vec<Vec<Datum>> = Vec::new();
        while rows.len() < wanted {
            let Some(super::RowBatch::Arrow(batch)) = stream.next().await? else { break };
            let mut waiting = fragment::batch_rows(&types, &batch)?.into_iter().peekable();
            while waiting.peek().is_some() && rows.len() < wanted {
                let size = (wanted - rows.len()).min(LOCK_ROWS);
                let some: Vec<Vec<Datum>> = waiting.by_ref().take(size).collect();
                match self.lock_some(some, width, &keys, locks).await? {
                    Locked::Rows(locked) => rows.extend(locked),
                    Locked::Changed => return Ok(None),
                }
            }
        }
        rows.drain(..window.offset.min(rows.len()));
        Ok(Some(rows))
    }

    /// Locks the rows behind some result rows.
    async fn lock_some(
        &mut self,
        rows: Vec<Vec<Datum>>,
        width: usize,
        references: &[usize],
        locks: &[RowLock],
    ) -> SqlResult<Locked> {
        let timeout_ms = self.host.settings.lock().effective().lock_timeout_ms;
        let mut keep = vec![true; rows.len()];
        let mut changed = false;
        for lock in locks {
            let (mut keys, mut owners): (Vec<Bytes>, Vec<usize>) = Default::default();
            for (at, row) in rows.iter().enumerate().filter(|(at, _)| keep[*at]) {
                for (place, reference) in references.iter().enumerate() {
                    if let (true, Datum::Bytes(key)) = (lock.references.contains(reference), &row[width + place]) {
                        keys.push(Bytes::copy_from_slice(key));
                        owners.push(at);
                    }
                }
            }
            let request = kv::RowLock { mode: mode(lock.strength), wait: wait(lock.wait), timeout_ms };
            let txn = self.transaction();
            let isolation = txn.kv.isolation();
            for (found, owner) in txn.kv.lock(&keys, request).await?.into_iter().zip(owners) {
                if !found.locked {
                    keep[owner] = false;
                } else if found.newer_than_snapshot {
                    if isolation != kv::Isolation::ReadCommitted {
                        let message = "could not serialize access due to concurrent update";
                        return Err(SqlError::new(SqlState::SerializationFailure, message));
                    }
                    changed = true;
                }
            }
        }
        if changed {
            return Ok(Locked::Changed);
        }
        let kept = rows.into_iter().zip(keep).filter(|(_, keep)| *keep);
        Ok(Locked::Rows(
            kept.map(|(mut row, _)| {
                row.truncate(width);
                row
            })
            .collect(),
        ))
    }
}

fn mode(strength: LockStrength) -> LockMode {
    match strength {
        LockStrength::KeyShare => LockMode::KeyShare,
        LockStrength::Share => LockMode::Share,
        LockStrength::NoKeyUpdate => LockMode::NoKeyUpdate,
        LockStrength::Update => LockMode::Update,
    }
}

fn wait(wait: LockWait) -> WaitPolicy {
    match wait {
        LockWait::Block => WaitPolicy::Block,
        LockWait::Nowait => WaitPolicy::Nowait,
        LockWait::SkipLocked => WaitPolicy::Skip,
    }
}

/// Takes the LIMIT out of a query's body.
fn take_window(body: &mut Relation, context: &eval::Context<'_>) -> SqlResult<Window> {
    let all = Window { limit: usize::MAX, offset: 0 };
    match body {
        Relation::Limit { input, limit, offset, with_ties } => {
            if with_ties.is_some() {
                return Err(SqlError::unsupported("row locks with FETCH … WITH TIES"));
            }
            let window = Window {
                limit: count(limit.as_ref(), context, "LIMIT")?.unwrap_or(usize::MAX),
                offset: count(offset.as_ref(), context, "OFFSET")?.unwrap_or(0),
            };
            *body = std::mem::replace(&mut **input, Relation::Unit);
            Ok(window)
        }
        Relation::Project { input, .. } if matches!(**input, Relation::Limit { .. }) => take_window(input, context),
        _ => Ok(all),
    }
}

fn count(expr: Option<&Expr>, context: &eval::Context<'_>, clause: &str) -> SqlResult<Option<usize>> {
    let Some(expr) = expr else { return Ok(None) };
    match context.value(expr, &[])? {
        Datum::Int8(count) if count < 0 => {
            let state = match clause {
                "LIMIT" => SqlState::InvalidRowCountInLimitClause,
                _ => SqlState::InvalidRowCountInResultOffsetClause,
            };
            Err(SqlError::new(state, format!("{clause} must not be negative")))
        }
        Datum::Int8(count) => Ok(Some(usize::try_from(count).unwrap_or(usize::MAX))),
        _ => Ok(None),
    }
}

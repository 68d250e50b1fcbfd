//! Finding the rows of one table that a statement is about, and locking them.
//!
//! READ COMMITTED looks at a row's newest version once it is locked and leaves it alone when the condition no longer
//! holds; the stricter levels fail with 40001 when that version is newer than the snapshot.

use std::sync::Arc;

use bytes::Bytes;
use planner::plan::Expr;
use proto::{
    SqlResult,
    kv::{LockMode, WaitPolicy},
};
use schema::{Datum, TableDescriptor, row::RowDecoder};
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{BATCH_ROWS, Dml};
use crate::access::{self, Access};

/// The rows of one table that satisfy a condition.
#[derive(Clone, Debug)]
pub(crate) struct TargetPlan {
    pub(crate) table: Arc<TableDescriptor>,
    pub(crate) access: Access,
    /// The whole condition, over the table's row.
    condition: Option<Expr>,
    /// What of it the access does not answer.
    residual: Option<Expr>,
    decoder: RowDecoder,
}

/// How rows are locked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LockRequest {
    pub(crate) mode: LockMode,
    pub(crate) wait: WaitPolicy,
}

impl LockRequest {
    pub(crate) fn waiting(mode: LockMode) -> Self {
        Self { mode, wait: WaitPolicy::Block }
    }
}

/// A row with its key.
pub(crate) type TargetRow = (Bytes, Vec<Datum>);

/// A walk over candidates, batch by batch.
pub(crate) struct Candidates {
    spans: std::vec::IntoIter<(Bytes, Bytes)>,
    scanner: Option<kv::Scanner>,
}

impl TargetPlan {
    pub(crate) fn new(table: Arc<TableDescriptor>, condition: Option<&Expr>) -> SqlResult<Self> {
        let (access, residual) = access::choose(&table, condition);
        let decoder = RowDecoder::all(&table)?;
        Ok(Self { access, condition: condition.cloned(), residual, decoder, table })
    }

    /// Whether at most one row is concerned.
    pub(crate) fn is_point(&self) -> bool {
        matches!(self.access, Access::Point { .. })
    }
}

impl Dml<'_> {
    /// The one row of a point access, locked; `None` if there is none or the condition does not hold.
    pub(crate) async fn point(&mut self, plan: &TargetPlan, lock: LockRequest) -> SqlResult<Option<TargetRow>> {
        let Some(entry) = plan.access.point(&plan.table, &self.context())? else { return Ok(None) };
        let newest_counts = self.txn.isolation() == kv::Isolation::ReadCommitted;
        if newest_counts && plan.access.reads_rows() {
            return Ok(self.lock_newest(plan, vec![entry], lock, plan.residual.as_ref()).await?.pop());
        }
        let Some(value) = self.txn.get(std::slice::from_ref(&entry)).await?.swap_remove(0) else { return Ok(None) };
        let row_key = if plan.access.reads_rows() { entry } else { value.clone() };
        let value = match plan.access.reads_rows() {
            true => value,
            false => match self.txn.get(std::slice::from_ref(&row_key)).await?.swap_remove(0) {
                Some(value) => value,
                None => return Ok(None),
            },
        };
        let row = plan.decoder.decode(&value)?;
        if !self.holds(plan.residual.as_ref(), &row)? {
            return Ok(None);
        }
        Ok(self.lock_newest(plan, vec![row_key], lock, plan.condition.as_ref()).await?.pop())
    }

    /// Starts a walk over the rows that the snapshot shows.
    pub(crate) fn candidates(&self, plan: &TargetPlan) -> SqlResult<Candidates> {
        let spans = plan.access.spans(&plan.table, &self.context())?;
        Ok(Candidates { spans: spans.into_iter(), scanner: None })
    }

    /// The next rows that satisfy the condition at the snapshot; `None` at the end. A batch may be empty.
    pub(crate) async fn next_candidates(
        &mut self,
        plan: &TargetPlan,
        walk: &mut Candidates,
    ) -> SqlResult<Option<Vec<TargetRow>>> {
        self.cancel.check()?;
        let scanner = match &mut walk.scanner {
            Some(scanner) => scanner,
            none => {
                let Some((start, end)) = walk.spans.next() else { return Ok(None) };
                let options = kv::ScanOptions { reverse: false, batch_rows: BATCH_ROWS as u32 };
                none.insert(self.txn.scan(start, end, options).await?)
            }
        };
        let Some(batch) = self.txn.next_batch(scanner).await? else {
            walk.scanner = None;
            return Ok(Some(Vec::new()));
        };
        let stored = match plan.access.reads_rows() {
            true => batch,
            false => {
                let keys: Vec<Bytes> = batch.into_iter().map(|(_, row_key)| row_key).collect();
                let values = self.txn.get(&keys).await?;
                keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?))).collect()
            }
        };
        let mut rows = Vec::with_capacity(stored.len());
        for (key, value) in stored {
            let row = plan.decoder.decode(&value)?;
            if self.holds(plan.residual.as_ref(), &row)? {
                rows.push((key, row));
            }
        }
        Ok(Some(rows))
    }

    /// Locks candidates and answers those that still count, in their newest version.
    pub(crate) async fn lock_candidates(
        &mut self,
        plan: &TargetPlan,
        rows: Vec<TargetRow>,
        lock: LockRequest,
    ) -> SqlResult<Vec<TargetRow>> {
        let keys = rows.into_iter().map(|(key, _)| key).collect();
        self.lock_newest(plan, keys, lock, plan.condition.as_ref()).await
    }

    /// Locks rows by key and answers the newest versions that satisfy a condition.
    async fn lock_newest(
        &mut self,
        plan: &TargetPlan,
        keys: Vec<Bytes>,
        lock: LockRequest,
        condition: Option<&Expr>,
    ) -> SqlResult<Vec<TargetRow>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let request = kv::RowLock { mode: lock.mode, wait: lock.wait, timeout_ms: self.lock_timeout_ms };
        let locked = self.txn.lock(&keys, request).await?;
        let mut rows = Vec::with_capacity(keys.len());
        for (key, found) in keys.into_iter().zip(locked) {
            if !found.locked {
                continue;
            }
            self.check_serializable(found.newer_than_snapshot, found.value.is_none())?;
            let row = match &found.value {
                Some(value) => Some(plan.decoder.decode(value)?),
                None => None,
            };
            match row {
                Some(row) if self.holds(condition, &row)? => rows.push((key, row)),
                _ => self.txn.unlock(&key).await?,
            }
        }
        Ok(rows)
    }

    fn holds(&self, condition: Option<&Expr>, row: &[Datum]) -> SqlResult<bool> {
        match condition {
            Some(condition) => self.context().condition(condition, row),
            None => Ok(true),
        }
    }
}

//! UPDATE.

use std::sync::Arc;

use bytes::Bytes;
use planner::plan::{Expr, Returning, Update};
use proto::{SqlResult, kv::LockMode};
use schema::{Catalog, Datum, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    BATCH_ROWS, Dml, TablePlan, Written,
    target::{LockRequest, TargetPlan, TargetRow},
};
use crate::rows::RowChange;

/// An UPDATE of one table ready to run.
#[derive(Clone, Debug)]
pub(crate) struct UpdatePlan {
    pub(crate) table: Arc<TablePlan>,
    pub(crate) target: TargetPlan,
    assignments: Vec<(usize, Expr)>,
    returning: Option<Returning>,
    lock: LockMode,
    /// Rows may move to where the walk has yet to come, so all are found before the first is written.
    moves: bool,
}

impl UpdatePlan {
    pub(crate) fn new(update: &Update, catalog: &Catalog, eval: &EvalContext) -> SqlResult<Self> {
        let descriptor = &update.target.table;
        let table = Arc::new(TablePlan::new(descriptor, catalog, eval)?);
        let assigned = |position: Option<usize>| {
            position.is_some_and(|position| {
                let direct = update.assignments.iter().any(|(column, _)| *column == position);
                direct || table.generated.iter().any(|(generated, _)| *generated == position)
            })
        };
        let touches = |index: &schema::IndexDescriptor| {
            index.columns.iter().any(|column| assigned(descriptor.position(column.column)))
        };
        // As in PostgreSQL, only changes of what a foreign key could refer to keep out its checks.
        let keys = descriptor.indexes.iter().any(|index| index.unique && index.predicate.is_none() && touches(index));
        let target = TargetPlan::new(descriptor.clone(), update.condition.as_ref())?;
        let moves = touches(descriptor.primary())
            || (!target.access.reads_rows() && descriptor.index(target.access.index()).is_some_and(touches));
        Ok(Self {
            table,
            target,
            assignments: update.assignments.clone(),
            returning: update.returning.clone(),
            lock: if keys { LockMode::Update } else { LockMode::NoKeyUpdate },
            moves,
        })
    }
}

impl Dml<'_> {
    /// UPDATE of one table.
    pub(crate) async fn update(&mut self, plan: &UpdatePlan) -> SqlResult<Written> {
        let mut written = Written::default();
        let lock = LockRequest::waiting(plan.lock);
        if plan.target.is_point() {
            let row = self.point(&plan.target, lock).await?;
            self.update_batch(plan, row.into_iter().collect(), &mut written).await?;
            self.run_deferred().await?;
            return Ok(written);
        }
        let mut walk = self.candidates(&plan.target)?;
        let mut waiting: Vec<TargetRow> = Vec::new();
        while let Some(rows) = self.next_candidates(&plan.target, &mut walk).await? {
            waiting.extend(rows);
            if plan.moves {
                continue;
            }
            let rows = std::mem::take(&mut waiting);
            let rows = self.lock_candidates(&plan.target, rows, lock).await?;
            self.update_batch(plan, rows, &mut written).await?;
            self.txn.relieve().await?;
        }
        while !waiting.is_empty() {
            let rest = waiting.split_off(waiting.len().min(BATCH_ROWS));
            let rows = self.lock_candidates(&plan.target, std::mem::replace(&mut waiting, rest), lock).await?;
            self.update_batch(plan, rows, &mut written).await?;
            self.txn.relieve().await?;
        }
        self.run_deferred().await?;
        Ok(written)
    }

    async fn update_batch(&mut self, plan: &UpdatePlan, rows: Vec<TargetRow>, written: &mut Written) -> SqlResult<()> {
        let mut changes = Vec::with_capacity(rows.len());
        for (key, old) in rows {
            let new = self.assigned(&plan.table, &plan.assignments, &old, &old)?;
            changes.push((key, old, new));
        }
        let news: Vec<Vec<Datum>> = match plan.returning {
            Some(_) => changes.iter().map(|(_, _, new)| new.clone()).collect(),
            None => Vec::new(),
        };
        written.count += changes.len() as u64;
        self.update_rows(&plan.table, changes).await?;
        for new in news {
            self.returned(plan.returning.as_ref(), &new, written)?;
        }
        Ok(())
    }

    /// A row after assignments, which are computed over `input`.
    pub(super) fn assigned(
        &self,
        plan: &TablePlan,
        assignments: &[(usize, Expr)],
        old: &[Datum],
        input: &[Datum],
    ) -> SqlResult<Vec<Datum>> {
        let context = self.context();
        let mut row = old.to_vec();
        for (column, expr) in assignments {
            row[*column] = match expr {
                Expr::Default => self.default_of(plan, *column)?,
                expr => context.value(expr, input)?,
            };
        }
        plan.generate(&mut row, &context)?;
        Ok(row)
    }

    /// Replaces locked rows (key, old, new) and follows foreign keys in both directions.
    pub(super) async fn update_rows(
        &mut self,
        plan: &TablePlan,
        rows: Vec<(Bytes, Vec<Datum>, Vec<Datum>)>,
    ) -> SqlResult<()> {
        let context = self.context();
        let mut changes = Vec::with_capacity(rows.len());
        for (key, old, new) in rows {
            plan.writer.check(&new, &context)?;
            changes.push(RowChange { key, old, new });
        }
        plan.writer.update(&changes, &mut self.write_env()).await?;
        if !plan.outgoing.is_empty() {
            let news: Vec<&[Datum]> = changes.iter().map(|change| change.new.as_slice()).collect();
            let olds: Vec<&[Datum]> = changes.iter().map(|change| change.old.as_slice()).collect();
            self.check_parents(plan, &news, Some(&olds)).await?;
        }
        if !plan.incoming.is_empty() {
            for change in &changes {
                self.follow_update(plan, &change.old, &change.new).await?;
            }
        }
        Ok(())
    }
}

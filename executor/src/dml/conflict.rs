//! INSERT … ON CONFLICT.

use ahash::AHashSet;
use bytes::Bytes;
use planner::plan::{ConflictAction, ConflictTarget, Expr, Returning};
use proto::{SqlError, SqlResult, SqlState, kv::LockMode};
use schema::{Datum, IndexId};
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Dml, TablePlan, Written};
use crate::rows::{NewRow, duplicate_key};

/// How often a row that keeps vanishing is inserted anew. Each round waits for the transaction in the way.
const ROUNDS_MAX: usize = 100;

/// Keys of rows that this statement has inserted or updated: it may not touch them twice.
#[derive(Debug, Default)]
pub(super) struct Proposed {
    keys: AHashSet<Bytes>,
}

impl Dml<'_> {
    /// Inserts a row, or does what ON CONFLICT says about the row that is there.
    pub(super) async fn insert_or_resolve(
        &mut self,
        plan: &TablePlan,
        row: Vec<Datum>,
        (target, action): (&ConflictTarget, &ConflictAction),
        returning: Option<&Returning>,
        (seen, written): (&mut Proposed, &mut Written),
    ) -> SqlResult<()> {
        let arbiters = match target {
            ConflictTarget::Any => None,
            ConflictTarget::Indexes(indexes) => Some(indexes.as_slice()),
        };
        let new = plan.writer.prepare(row, &self.write_env()).await?;
        for _ in 0..ROUNDS_MAX {
            let Some(conflict) = plan.writer.find_conflict(&new, arbiters, &mut self.write_env()).await? else {
                self.insert_free(plan, &new, arbiters).await?;
                seen.keys.insert(new.key.clone());
                written.count += 1;
                return self.returned(returning, &new.row, written);
            };
            let ConflictAction::Update { assignments, condition } = action else { return Ok(()) };
            if seen.keys.contains(&conflict.row_key) {
                return Err(twice());
            }
            let Some(old) = self.locked_row(plan, &conflict.row_key).await? else { continue };
            let Some(row) = self.resolve(plan, &old, &new.row, assignments, condition.as_ref()).await? else {
                return Ok(());
            };
            seen.keys.insert(conflict.row_key.clone());
            self.update_rows(plan, vec![(conflict.row_key, old, row.clone())]).await?;
            written.count += 1;
            return self.returned(returning, &row, written);
        }
        Err(SqlError::new(SqlState::SerializationFailure, "could not insert a row because of concurrent changes"))
    }

    /// The newest version of the row in the way.
    async fn locked_row(&mut self, plan: &TablePlan, key: &Bytes) -> SqlResult<Option<Vec<Datum>>> {
        let locked = self.write_env().lock(std::slice::from_ref(key), LockMode::Update).await?.swap_remove(0);
        if self.txn.isolation() != kv::Isolation::ReadCommitted && locked.newer_than_snapshot {
            self.check_serializable(true, false)?;
        }
        locked.value.map(|value| plan.decoder.decode(&value)).transpose()
    }

    /// The row that DO UPDATE makes; `None` when its condition does not hold.
    async fn resolve(
        &mut self,
        plan: &TablePlan,
        old: &[Datum],
        proposed: &[Datum],
        assignments: &[(usize, Expr)],
        condition: Option<&Expr>,
    ) -> SqlResult<Option<Vec<Datum>>> {
        let both: Vec<Datum> = old.iter().chain(proposed).cloned().collect();
        let context = self.context();
        if let Some(condition) = condition
            && !context.condition(condition, &both)?
        {
            return Ok(None);
        }
        let mut row = old.to_vec();
        for (column, expr) in assignments {
            row[*column] = match expr {
                Expr::Default => self.default_of(plan, *column)?,
                expr => context.value(expr, &both)?,
            };
        }
        plan.generate(&mut row, &context)?;
        Ok(Some(row))
    }

    /// Inserts a row that is free of conflicts in the arbiters; other unique indexes still count.
    async fn insert_free(&mut self, plan: &TablePlan, new: &NewRow, arbiters: Option<&[IndexId]>) -> SqlResult<()> {
        if arbiters.is_some()
            && let Some(conflict) = plan.writer.find_conflict(new, None, &mut self.write_env()).await?
        {
            let format = &self.eval.format;
            return Err(duplicate_key(plan.table(), &plan.writer.schema, conflict.index, &new.row, format));
        }
        plan.writer.put_new(new, self.txn)?;
        self.check_parents(plan, &[&new.row], None).await
    }
}

fn twice() -> SqlError {
    let message = "ON CONFLICT DO UPDATE command cannot affect row a second time";
    SqlError::new(SqlState::CardinalityViolation, message).with_hint(
        "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
    )
}

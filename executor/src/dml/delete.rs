//! DELETE.

use std::sync::Arc;

use planner::plan::{Delete, Returning};
use proto::{SqlResult, kv::LockMode};
use schema::{Catalog, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    Dml, TablePlan, Written,
    target::{LockRequest, TargetPlan, TargetRow},
};

/// A DELETE from one table ready to run.
#[derive(Clone, Debug)]
pub(crate) struct DeletePlan {
    pub(crate) table: Arc<TablePlan>,
    pub(crate) target: TargetPlan,
    returning: Option<Returning>,
}

impl DeletePlan {
    pub(crate) fn new(delete: &Delete, catalog: &Catalog, eval: &EvalContext) -> SqlResult<Self> {
        let descriptor = &delete.target.table;
        Ok(Self {
            table: Arc::new(TablePlan::new(descriptor, catalog, eval)?),
            target: TargetPlan::new(descriptor.clone(), delete.condition.as_ref())?,
            returning: delete.returning.clone(),
        })
    }
}

impl Dml<'_> {
    /// DELETE from one table.
    pub(crate) async fn delete(&mut self, plan: &DeletePlan) -> SqlResult<Written> {
        let mut written = Written::default();
        let lock = LockRequest::waiting(LockMode::Update);
        if plan.target.is_point() {
            let row = self.point(&plan.target, lock).await?;
            self.delete_batch(plan, row.into_iter().collect(), &mut written).await?;
            self.run_deferred().await?;
            return Ok(written);
        }
        let mut walk = self.candidates(&plan.target)?;
        while let Some(rows) = self.next_candidates(&plan.target, &mut walk).await? {
            let rows = self.lock_candidates(&plan.target, rows, lock).await?;
            self.delete_batch(plan, rows, &mut written).await?;
            self.txn.relieve().await?;
        }
        self.run_deferred().await?;
        Ok(written)
    }

    async fn delete_batch(&mut self, plan: &DeletePlan, rows: Vec<TargetRow>, written: &mut Written) -> SqlResult<()> {
        written.count += rows.len() as u64;
        if plan.returning.is_some() {
            for (_, row) in &rows {
                self.returned(plan.returning.as_ref(), row, written)?;
            }
        }
        self.delete_rows(&plan.table, rows).await
    }

    /// Removes locked rows and follows foreign keys that refer to them.
    pub(super) async fn delete_rows(&mut self, plan: &TablePlan, rows: Vec<TargetRow>) -> SqlResult<()> {
        for (key, row) in &rows {
            plan.writer.delete(key, row, &mut self.write_env())?;
        }
        if !plan.incoming.is_empty() {
            for (_, row) in &rows {
                self.follow_delete(plan, row).await?;
            }
        }
        Ok(())
    }
}

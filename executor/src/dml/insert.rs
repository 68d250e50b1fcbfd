//! INSERT, and the rows of COPY FROM.

use std::sync::Arc;

use planner::plan::{ConflictAction, ConflictTarget, Expr, Insert, InsertSource, Returning};
use proto::SqlResult;
use schema::{Catalog, Datum, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{BATCH_ROWS, Dml, TablePlan, Written};

/// An INSERT ready to run.
#[derive(Clone, Debug)]
pub(crate) struct InsertPlan {
    pub(crate) table: Arc<TablePlan>,
    /// Positions in the table that the source gives.
    columns: Vec<usize>,
    /// Positions filled with defaults.
    defaulted: Vec<usize>,
    values: Option<Vec<Vec<Expr>>>,
    on_conflict: Option<(ConflictTarget, ConflictAction)>,
    returning: Option<Returning>,
}

impl InsertPlan {
    pub(crate) fn new(insert: &Insert, catalog: &Catalog, eval: &EvalContext) -> SqlResult<Self> {
        let table = Arc::new(TablePlan::new(&insert.table, catalog, eval)?);
        let given = |at: &usize| insert.columns.contains(at);
        let is_generated = |at: &usize| table.generated.iter().any(|(generated, _)| generated == at);
        let defaulted = (0..insert.table.columns.len()).filter(|at| !given(at) && !is_generated(at)).collect();
        let values = match &insert.source {
            InsertSource::Values(rows) => Some(rows.clone()),
            InsertSource::Defaults => Some(vec![Vec::new()]),
            InsertSource::Query(_) => None,
        };
        Ok(Self {
            columns: insert.columns.clone(),
            defaulted,
            values,
            on_conflict: insert.on_conflict.clone(),
            returning: insert.returning.clone(),
            table,
        })
    }

    /// Positions of the columns that the source gives.
    pub(crate) fn columns(&self) -> &[usize] {
        &self.columns
    }
}

/// Takes rows and inserts them batch by batch.
pub(crate) struct Inserter {
    plan: Arc<InsertPlan>,
    rows: Vec<Vec<Datum>>,
    seen: super::conflict::Proposed,
    pub(crate) written: Written,
}

impl Inserter {
    pub(crate) fn new(plan: Arc<InsertPlan>) -> Self {
        Self { plan, rows: Vec::new(), seen: Default::default(), written: Written::default() }
    }

    pub(crate) fn plan(&self) -> &Arc<InsertPlan> {
        &self.plan
    }

    /// Adds a row of the source: values of `plan.columns`, already converted.
    pub(crate) async fn push(&mut self, values: Vec<Datum>, dml: &mut Dml<'_>) -> SqlResult<()> {
        let row = dml.new_row(&self.plan, values)?;
        self.rows.push(row);
        if self.rows.len() >= BATCH_ROWS {
            self.flush(dml).await?;
        }
        Ok(())
    }

    /// Writes what is there.
    pub(crate) async fn flush(&mut self, dml: &mut Dml<'_>) -> SqlResult<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        dml.cancel.check()?;
        let rows = std::mem::take(&mut self.rows);
        match &self.plan.on_conflict {
            None => dml.insert_batch(&self.plan, rows, &mut self.written).await?,
            Some((target, action)) => {
                let plan = self.plan.clone();
                for row in rows {
                    let returning = plan.returning.as_ref();
                    dml.insert_or_resolve(
                        &plan.table,
                        row,
                        (target, action),
                        returning,
                        (&mut self.seen, &mut self.written),
                    )
                    .await?;
                }
            }
        }
        dml.txn.relieve().await?;
        Ok(())
    }
}

impl Dml<'_> {
    /// INSERT … VALUES.
    pub(crate) async fn insert_values(&mut self, plan: &Arc<InsertPlan>) -> SqlResult<Written> {
        let mut inserter = Inserter::new(plan.clone());
        for exprs in plan.values.iter().flatten() {
            let mut values = Vec::with_capacity(exprs.len());
            for (expr, column) in exprs.iter().zip(&plan.columns) {
                values.push(match expr {
                    Expr::Default => self.default_of(&plan.table, *column)?,
                    expr => self.context().value(expr, &[])?,
                });
            }
            inserter.push(values, self).await?;
        }
        self.finish_insert(inserter).await
    }

    /// The end of an INSERT: what is left, and checks put off to now.
    pub(crate) async fn finish_insert(&mut self, mut inserter: Inserter) -> SqlResult<Written> {
        inserter.flush(self).await?;
        self.run_deferred().await?;
        Ok(inserter.written)
    }

    pub(super) fn default_of(&self, plan: &TablePlan, column: usize) -> SqlResult<Datum> {
        self.context().value(&plan.defaults[column], &[])
    }

    /// The table's row from a row of the source.
    fn new_row(&self, plan: &InsertPlan, values: Vec<Datum>) -> SqlResult<Vec<Datum>> {
        let mut row = vec![Datum::Null; plan.table.table().columns.len()];
        for (column, value) in plan.columns.iter().zip(values) {
            row[*column] = value;
        }
        for column in &plan.defaulted {
            row[*column] = self.default_of(&plan.table, *column)?;
        }
        plan.table.generate(&mut row, &self.context())?;
        Ok(row)
    }

    async fn insert_batch(&mut self, plan: &InsertPlan, rows: Vec<Vec<Datum>>, written: &mut Written) -> SqlResult<()> {
        let writer = &plan.table.writer;
        let mut prepared = Vec::with_capacity(rows.len());
        for row in rows {
            prepared.push(writer.prepare(row, &self.write_env()).await?);
        }
        writer.insert(&prepared, &mut self.write_env()).await?;
        let rows: Vec<&[Datum]> = prepared.iter().map(|new| new.row.as_slice()).collect();
        self.check_parents(&plan.table, &rows, None).await?;
        for row in rows {
            written.count += 1;
            self.returned(plan.returning.as_ref(), row, written)?;
        }
        Ok(())
    }
}

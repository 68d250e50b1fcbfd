//! Statements with data-modifying statements in their WITH.

use std::sync::Arc;

use planner::plan::{Cte, Expr, Relation, Statement, WithChanges};
use proto::{SqlError, SqlResult};
use schema::{Datum, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Outcome, Session, planning::work_of, prepared::Plan};

/// Rows of a change that has run, by its position in the WITH.
type Found = Vec<(usize, Vec<Vec<Datum>>)>;

impl Session {
    /// Runs the changes one after the other, then the statement over their RETURNING rows.
    pub(super) async fn run_with_changes(
        &mut self,
        plan: &Plan,
        with: &WithChanges,
        eval: &EvalContext,
        params: &[Datum],
    ) -> SqlResult<Outcome> {
        let mut found = Found::new();
        for (at, change) in &with.changes {
            let outcome = self.run_part(plan, change, &found, eval, params).await?;
            let mut returned = Vec::new();
            if let Outcome::Rows { fields, mut rows } = outcome {
                while let Some(batch) = rows.next().await? {
                    returned.extend(batch.into_datums(&fields)?);
                }
            }
            found.push((*at, returned));
        }
        self.run_part(plan, &with.main, &found, eval, params).await
    }

    async fn run_part(
        &mut self,
        whole: &Plan,
        statement: &Statement,
        found: &Found,
        eval: &EvalContext,
        params: &[Datum],
    ) -> SqlResult<Outcome> {
        let mut statement = statement.clone();
        fill(ctes_of(&mut statement)?, found);
        let plan = Plan {
            snapshot: Arc::clone(&whole.snapshot),
            fingerprint: whole.fingerprint,
            parameters: whole.parameters.clone(),
            fields: planner::output_fields(&statement).map(Into::into),
            work: work_of(&statement, &whole.snapshot.catalog, eval)?,
            statement,
        };
        Box::pin(self.run_work_of(Arc::new(plan), params.to_vec())).await
    }
}

fn ctes_of(statement: &mut Statement) -> SqlResult<&mut Vec<Cte>> {
    match statement {
        Statement::Query(query) => Ok(&mut query.ctes),
        Statement::Insert(insert) => Ok(&mut insert.ctes),
        Statement::Update(update) => Ok(&mut update.ctes),
        Statement::Delete(delete) => Ok(&mut delete.ctes),
        _ => Err(SqlError::internal("a statement that cannot stand with a WITH")),
    }
}

/// Puts rows where the changes stood in the WITH.
fn fill(ctes: &mut [Cte], found: &Found) {
    for (at, rows) in found {
        let Some(cte) = ctes.get_mut(*at) else { continue };
        let row = |row: &Vec<Datum>| {
            let values = row.iter().zip(&cte.fields);
            values.map(|(value, field)| Expr::Constant { value: value.clone(), sql_type: field.sql_type }).collect()
        };
        let rows = rows.iter().map(row).collect();
        cte.query.body = Relation::Values { rows, fields: cte.fields.clone() };
    }
}

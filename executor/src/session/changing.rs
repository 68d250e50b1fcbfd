//! Statements with data-modifying WITH queries, and subqueries in RETURNING and ON CONFLICT.
//!
//! All parts of such a statement see the data as it was before any of them changed it: reads go to a [`Frozen`] view of
//! the transaction's own writes. The WITH statements run first, in order; what they return stands in the plan as VALUES.
//! A row that one part has changed is left alone by the parts after it.

use std::sync::Arc;

use planner::plan::{
    ConflictAction, Cte, Expr, Field, InsertSource, Query, Relation, Returning, Statement, TableScan, fields_of,
};
use proto::{SqlError, SqlResult};
use schema::{Datum, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{CommandTag, Outcome, RowStream, Session, prepared::Plan};
use crate::{
    dml::{InsertPlan, Written},
    general::Frozen,
};

/// Rows of a change that has run, by its position in the WITH.
type Found = Vec<(usize, Vec<Vec<Datum>>)>;

/// Whether a statement must be run by [`Session::run_changing`].
pub(super) fn is_changing(statement: &Statement) -> bool {
    match statement {
        Statement::WithChanges(_) => true,
        Statement::Insert(insert) => {
            asks(insert.returning.as_ref()) || conflict_exprs(statement).any(planner::has_subquery)
        }
        Statement::Update(update) => asks(update.returning.as_ref()),
        Statement::Delete(delete) => asks(delete.returning.as_ref()),
        _ => false,
    }
}

fn asks(returning: Option<&Returning>) -> bool {
    returning.is_some_and(|returning| returning.exprs.iter().any(planner::has_subquery))
}

fn conflict_exprs(statement: &Statement) -> impl Iterator<Item = &Expr> {
    let action = match statement {
        Statement::Insert(insert) => insert.on_conflict.as_ref().map(|(_, action)| action),
        _ => None,
    };
    let (assignments, condition) = match action {
        Some(ConflictAction::Update { assignments, condition }) => (assignments.as_slice(), condition.as_ref()),
        _ => (&[][..], None),
    };
    assignments.iter().map(|(_, expr)| expr).chain(condition)
}

impl Session {
    /// Runs the WITH statements and then the statement itself.
    pub(super) async fn run_changing(
        &mut self,
        plan: &Plan,
        eval: &EvalContext,
        params: &[Datum],
    ) -> SqlResult<Outcome> {
        let txn = self.transaction();
        self.frozen = Some(Arc::new(Frozen::take(&txn.kv)));
        // Writes stay in the buffer, where the view of before can be told from them.
        let savepoint = self.transaction().kv.savepoint();
        let result = self.run_parts(plan, eval, params).await;
        self.frozen = None;
        if result.is_ok() {
            self.transaction().kv.release(savepoint);
        }
        result
    }

    async fn run_parts(&mut self, plan: &Plan, eval: &EvalContext, params: &[Datum]) -> SqlResult<Outcome> {
        let mut found = Found::new();
        let mut main = match &plan.statement {
            Statement::WithChanges(with) => {
                for (at, change) in &with.changes {
                    let mut change = change.clone();
                    fill(ctes_of(&mut change)?, &found);
                    let written = self.change(plan, change, eval, params).await?;
                    found.push((*at, written.returned));
                }
                with.main.clone()
            }
            main => main.clone(),
        };
        fill(ctes_of(&mut main)?, &found);
        let tag = match &main {
            Statement::Query(query) if !query.locks.is_empty() => {
                return Err(SqlError::unsupported("row locks in a query with data-modifying WITH"));
            }
            Statement::Query(query) => {
                let fields = plan.fields.clone().unwrap_or_default();
                return Ok(Outcome::Rows { fields, rows: self.run_query(query, params).await? });
            }
            Statement::Insert(_) => CommandTag::Insert,
            Statement::Update(_) => CommandTag::Update,
            _ => CommandTag::Delete,
        };
        let written = self.change(plan, main, eval, params).await?;
        let tag = tag(written.count);
        Ok(match &plan.fields {
            Some(fields) => Outcome::Rows { fields: fields.clone(), rows: RowStream::ready(written.returned, tag) },
            None => Outcome::Command(tag),
        })
    }

    /// Runs one INSERT, UPDATE or DELETE whose WITH queries only read.
    async fn change(
        &mut self,
        plan: &Plan,
        mut statement: Statement,
        eval: &EvalContext,
        params: &[Datum],
    ) -> SqlResult<Written> {
        self.temporary.touch(&statement);
        self.settle_conflict(&mut statement, params).await?;
        let ctes = ctes_of(&mut statement)?.clone();
        let asked = take_returning(&mut statement);
        let mut written = match &statement {
            Statement::Insert(insert) => match &insert.source {
                InsertSource::Defaults => {
                    let insert = Arc::new(InsertPlan::new(insert, &plan.snapshot.catalog, eval)?);
                    self.dml(plan, eval, params).insert_values(&insert).await?
                }
                _ => self.insert_from_query(plan, insert, eval, params).await?,
            },
            Statement::Update(update) => self.update_joined(plan, update, eval, params).await?,
            Statement::Delete(delete) => self.delete_joined(plan, delete, eval, params).await?,
            _ => return Err(SqlError::internal("a statement that changes nothing")),
        };
        self.check_target(plan, &statement).await?;
        if let Some((returning, fields)) = asked {
            let rows = values(std::mem::take(&mut written.returned), &fields);
            let fields = returning.fields.clone();
            let body = Relation::Project { input: Box::new(rows), exprs: returning.exprs, fields: fields.clone() };
            let query = Query { ctes, body, fields, locks: Vec::new(), shown: None };
            written.returned = self.all_rows(&query, params).await?;
        }
        Ok(written)
    }

    /// Subqueries of ON CONFLICT that do not look at the row are answered ahead.
    async fn settle_conflict(&mut self, statement: &mut Statement, params: &[Datum]) -> SqlResult<()> {
        let ctes = ctes_of(statement)?.clone();
        let Statement::Insert(insert) = statement else { return Ok(()) };
        let Some((_, ConflictAction::Update { assignments, condition })) = &mut insert.on_conflict else {
            return Ok(());
        };
        for expr in assignments.iter_mut().map(|(_, expr)| expr).chain(condition) {
            let mut subqueries = Vec::new();
            planner::each_subquery(expr, &mut |subquery| subqueries.push(subquery.clone()));
            if subqueries.iter().any(|subquery| !planner::columns_of(subquery).is_empty()) {
                return Err(SqlError::unsupported("a subquery over the row in ON CONFLICT DO UPDATE"));
            }
            let mut answers = Vec::with_capacity(subqueries.len());
            for subquery in subqueries {
                let fields = vec![Field { name: String::new(), sql_type: subquery.sql_type(), origin: (0, 0) }];
                let body = Relation::Project {
                    input: Box::new(Relation::Unit),
                    exprs: vec![subquery],
                    fields: fields.clone(),
                };
                let query = Query { ctes: ctes.clone(), body, fields, locks: Vec::new(), shown: None };
                let answer = self.all_rows(&query, params).await?.pop().and_then(|mut row| row.pop());
                answers.push(answer.unwrap_or(Datum::Null));
            }
            let mut answers = answers.into_iter();
            planner::each_subquery(expr, &mut |subquery| {
                let value = answers.next().unwrap_or(Datum::Null);
                *subquery = Expr::Constant { value, sql_type: subquery.sql_type() };
            });
        }
        Ok(())
    }

    async fn all_rows(&mut self, query: &Query, params: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
        let mut stream = self.run_query(query, params).await?;
        let mut rows = Vec::new();
        while let Some(batch) = stream.next().await? {
            rows.extend(batch.into_datums(&query.fields)?);
        }
        Ok(rows)
    }
}

/// The WITH queries of a statement.
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
        if let Some(cte) = ctes.get_mut(*at) {
            cte.query.body = values(rows.clone(), &cte.fields);
        }
    }
}

/// Takes out a RETURNING with subqueries and puts one of the plain row in its place, whose columns are answered too.
fn take_returning(statement: &mut Statement) -> Option<(Returning, Vec<Field>)> {
    let joined = |target: &TableScan, more: Option<&Relation>| {
        let more = more.map(fields_of).unwrap_or_default();
        target.fields.iter().cloned().chain(more).collect::<Vec<Field>>()
    };
    let (returning, fields) = match statement {
        Statement::Insert(insert) => {
            let columns = insert.table.columns.iter();
            let field = |column: &schema::ColumnDescriptor| Field {
                name: column.name.clone(),
                sql_type: column.sql_type,
                origin: (0, 0),
            };
            (&mut insert.returning, columns.map(field).collect())
        }
        Statement::Update(update) => (&mut update.returning, joined(&update.target, update.from.as_ref())),
        Statement::Delete(delete) => (&mut delete.returning, joined(&delete.target, delete.using.as_ref())),
        _ => return None,
    };
    if !asks(returning.as_ref()) {
        return None;
    }
    let columns = fields.iter().enumerate().map(|(index, field)| Expr::Column { index, sql_type: field.sql_type });
    let plain = Returning { exprs: columns.collect(), fields: fields.clone() };
    returning.replace(plain).map(|asked| (asked, fields))
}

/// Rows that are known as a relation.
fn values(rows: Vec<Vec<Datum>>, fields: &[Field]) -> Relation {
    let constant = |(value, field): (Datum, &Field)| Expr::Constant { value, sql_type: field.sql_type };
    let rows = rows.into_iter().map(|row| row.into_iter().zip(fields).map(constant).collect());
    Relation::Values { rows: rows.collect(), fields: fields.to_vec() }
}

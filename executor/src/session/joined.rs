//! DML whose rows come from a query: INSERT … SELECT, UPDATE … FROM, DELETE … USING, and conditions with subqueries.

use std::sync::Arc;

use ahash::AHashSet;
use bytes::Bytes;
use planner::plan::{
    CreateTable, Delete, Expr, Field, Insert, InsertSource, JoinKind, Query, Relation, TableScan, Update,
};
use proto::{SqlError, SqlResult, SqlState};
use schema::{Datum, functions::EvalContext};
use sharddb_fragment as fragment;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{RowStream, Session, prepared::Plan};
use crate::{
    dml::{BATCH_ROWS, InsertPlan, Inserter, JoinedChange, JoinedRow, TablePlan, Written},
    general,
};

/// How often a READ COMMITTED statement looks again because rows changed while it waited for them.
const ROUNDS_MAX: usize = 50;

impl Session {
    /// INSERT … SELECT, or VALUES with subqueries.
    pub(super) async fn insert_from_query(
        &mut self,
        plan: &Plan,
        insert: &Insert,
        eval: &EvalContext,
        params: &[Datum],
    ) -> SqlResult<Written> {
        let insert_plan = Arc::new(InsertPlan::new(insert, &plan.snapshot.catalog, eval)?);
        let query = match &insert.source {
            InsertSource::Query(query) if insert.ctes.is_empty() => query.as_ref().clone(),
            InsertSource::Query(query) => {
                let fields = query.fields.clone();
                let body = Relation::Derived { query: query.clone(), lateral: false };
                Query { ctes: insert.ctes.clone(), body, fields, locks: Vec::new(), shown: None }
            }
            InsertSource::Values(rows) => values_query(insert, rows),
            InsertSource::Defaults => return Err(SqlError::internal("DEFAULT VALUES with a query")),
        };
        let mut rows = self.run_query(&query, params).await?;
        let mut inserter = Inserter::new(insert_plan);
        while let Some(batch) = rows.next().await? {
            let mut dml = self.dml(plan, eval, params);
            for row in batch.into_datums(&query.fields)? {
                inserter.push(row, &mut dml).await?;
            }
        }
        self.dml(plan, eval, params).finish_insert(inserter).await
    }

    /// Fills a table that CREATE TABLE AS has just made.
    pub(super) async fn fill_created_table(
        &mut self,
        table: &CreateTable,
        query: &Query,
        eval: &EvalContext,
        params: &[Datum],
    ) -> SqlResult<u64> {
        let snapshot = self.snapshot().await?;
        let Some(schema::Descriptor::Table(created)) = snapshot.catalog.relation(&table.name.schema, &table.name.name)
        else {
            return Err(SqlError::internal("the created table is missing"));
        };
        let insert = Insert {
            ctes: Vec::new(),
            columns: (0..created.columns.len()).collect(),
            table: created.clone(),
            source: InsertSource::Query(Box::new(query.clone())),
            defaults: Vec::new(),
            generated: Vec::new(),
            checks: Vec::new(),
            overriding_system: false,
            overriding_user: false,
            on_conflict: None,
            returning: None,
        };
        let plan = Plan {
            fingerprint: 0,
            statement: planner::plan::Statement::Nothing { tag: "" },
            parameters: Vec::new(),
            fields: None,
            work: super::prepared::Work::Statement,
            snapshot,
        };
        self.insert_from_query(&plan, &insert, eval, params).await.map(|written| written.count)
    }

    /// UPDATE with FROM or subqueries.
    pub(super) async fn update_joined(
        &mut self,
        plan: &Plan,
        update: &Update,
        eval: &EvalContext,
        params: &[Datum],
    ) -> SqlResult<Written> {
        let table = TablePlan::new(&update.target.table, &plan.snapshot.catalog, eval)?;
        let values = update.assignments.iter().map(|(column, value)| match value {
            Expr::Default => table.defaults[*column].clone(),
            value => value.clone(),
        });
        let sources = Sources { ctes: &update.ctes, target: &update.target, from: update.from.as_ref() };
        let query = joined_query(&sources, update.condition.as_ref(), values.collect());
        let columns: Vec<usize> = update.assignments.iter().map(|(column, _)| *column).collect();
        let change = JoinedChange::Update { columns, returning: update.returning.as_ref() };
        self.change_joined(plan, &table, (&query, update.target.reference), &change, eval, params).await
    }

    /// DELETE with USING or subqueries.
    pub(super) async fn delete_joined(
        &mut self,
        plan: &Plan,
        delete: &Delete,
        eval: &EvalContext,
        params: &[Datum],
    ) -> SqlResult<Written> {
        let table = TablePlan::new(&delete.target.table, &plan.snapshot.catalog, eval)?;
        let sources = Sources { ctes: &delete.ctes, target: &delete.target, from: delete.using.as_ref() };
        let query = joined_query(&sources, delete.condition.as_ref(), Vec::new());
        let change = JoinedChange::Delete { returning: delete.returning.as_ref() };
        self.change_joined(plan, &table, (&query, delete.target.reference), &change, eval, params).await
    }

    /// Finds rows by a query, locks them, and changes them. When READ COMMITTED meets rows that others changed
    /// meanwhile, it looks again with all found rows locked, until nothing has changed.
    async fn change_joined(
        &mut self,
        plan: &Plan,
        table: &TablePlan,
        (query, reference): (&Query, usize),
        change: &JoinedChange<'_>,
        eval: &EvalContext,
        params: &[Datum],
    ) -> SqlResult<Written> {
        for _ in 0..ROUNDS_MAX {
            let rows = self.joined_rows(query, reference, params).await?;
            let mut dml = self.dml(plan, eval, params);
            let mut changed = false;
            for rows in rows.chunks(BATCH_ROWS) {
                changed |= dml.lock_joined(table, rows, change).await?;
            }
            if !changed {
                let rows = self.not_changed_yet(rows);
                let mut dml = self.dml(plan, eval, params);
                return dml.change_joined(table, rows, change).await;
            }
            self.transaction().kv.refresh_snapshot().await?;
        }
        let message = "could not change rows because of concurrent updates";
        Err(SqlError::new(SqlState::SerializationFailure, message))
    }

    /// Rows that an earlier part of the statement has changed are left alone.
    fn not_changed_yet(&mut self, mut rows: Vec<JoinedRow>) -> Vec<JoinedRow> {
        let Some(frozen) = self.frozen.clone() else { return rows };
        let txn = self.transaction();
        rows.retain(|row| !frozen.is_changed(&txn.kv, &row.key));
        rows
    }

    /// Rows of a joined query with the target's key; the first for each key counts.
    async fn joined_rows(&mut self, query: &Query, reference: usize, params: &[Datum]) -> SqlResult<Vec<JoinedRow>> {
        let context = self.general_context().await?;
        self.transaction();
        let txn = self.txn.as_mut().expect("the transaction was begun");
        let found = general::run_with_keys(query, params, &[reference], &mut txn.kv, &context).await?;
        let mut types: Vec<schema::Oid> = query.fields.iter().map(|field| field.sql_type.oid).collect();
        types.push(schema::Oid::BYTEA);
        let mut seen: AHashSet<Bytes> = AHashSet::new();
        let mut rows = Vec::new();
        let mut stream = RowStream::arrow(found.batches, None);
        while let Some(batch) = stream.next().await? {
            let super::RowBatch::Arrow(batch) = batch else { continue };
            for mut values in fragment::batch_rows(&types, &batch)? {
                let Some(Datum::Bytes(key)) = values.pop() else { continue };
                let key = Bytes::copy_from_slice(&key);
                if seen.insert(key.clone()) {
                    rows.push(JoinedRow { key, values });
                }
            }
        }
        Ok(rows)
    }
}

/// What a joined statement reads.
struct Sources<'s> {
    ctes: &'s [planner::plan::Cte],
    target: &'s TableScan,
    from: Option<&'s Relation>,
}

/// The target's columns, those of FROM, and further values, of the rows that a condition chooses.
fn joined_query(sources: &Sources<'_>, condition: Option<&Expr>, values: Vec<Expr>) -> Query {
    let scan = Relation::Scan(sources.target.clone());
    let mut fields: Vec<Field> = sources.target.fields.clone();
    let mut body = scan;
    if let Some(from) = sources.from {
        fields.extend(planner::plan::fields_of(from));
        let (left, right) = (Box::new(body), Box::new(from.clone()));
        body = Relation::Join { left, right, kind: JoinKind::Inner, on: None };
    }
    if let Some(condition) = condition {
        body = Relation::Filter { input: Box::new(body), condition: condition.clone() };
    }
    let columns = fields.iter().enumerate().map(|(index, field)| Expr::Column { index, sql_type: field.sql_type });
    let mut exprs: Vec<Expr> = columns.collect();
    for value in values {
        fields.push(Field { name: "value".to_owned(), sql_type: value.sql_type(), origin: (0, 0) });
        exprs.push(value);
    }
    let body = Relation::Project { input: Box::new(body), exprs, fields: fields.clone() };
    Query { ctes: sources.ctes.to_vec(), body, fields, locks: Vec::new(), shown: None }
}

/// VALUES with subqueries as a query of its own.
fn values_query(insert: &Insert, rows: &[Vec<Expr>]) -> Query {
    let fields: Vec<Field> = insert
        .columns
        .iter()
        .map(|column| {
            let column = &insert.table.columns[*column];
            Field { name: column.name.clone(), sql_type: column.sql_type, origin: (0, 0) }
        })
        .collect();
    let row = |row: &Vec<Expr>| {
        let values = row.iter().zip(&insert.columns).map(|(expr, column)| match expr {
            Expr::Default => insert.defaults[*column].clone(),
            expr => expr.clone(),
        });
        values.collect()
    };
    let rows = rows.iter().map(row).collect();
    let body = Relation::Values { rows, fields: fields.clone() };
    Query { ctes: insert.ctes.clone(), body, fields, locks: Vec::new(), shown: None }
}

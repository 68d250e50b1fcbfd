//! INSERT, UPDATE and DELETE.
//!
//! A statement finds its rows ([`target`]), locks them, looks at their newest versions, and writes through the table's
//! writer. Foreign keys are checked as rows are written or, as PostgreSQL does, when the statement ends.

mod conflict;
mod deferral;
mod delete;
mod insert;
mod joined;
mod references;
mod target;
mod update;

use std::{collections::HashMap, sync::Arc};

use planner::plan::{Expr, Returning};
use proto::{SqlError, SqlResult, SqlState};
use schema::{Catalog, ConstraintKind, Datum, Oid, TableDescriptor, functions::EvalContext, row::RowDecoder};
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

pub(crate) use deferral::{Deferral, DeferralMark};
pub(crate) use delete::DeletePlan;
pub(crate) use insert::{InsertPlan, Inserter};
pub(crate) use joined::{JoinedChange, JoinedRow};
pub(crate) use update::UpdatePlan;

use crate::{
    bind, eval,
    rows::{ForeignKey, TableWriter, WriteEnv, index_plans},
    session::CancelHandle,
};

/// Rows that are locked and written together: few enough for one request, enough to make requests rare.
pub(crate) const BATCH_ROWS: usize = 512;

/// A statement under way.
pub(crate) struct Dml<'a> {
    pub(crate) txn: &'a mut kv::Txn,
    pub(crate) client: &'a kv::Client,
    pub(crate) catalog: &'a Catalog,
    pub(crate) eval: &'a EvalContext,
    pub(crate) params: &'a [Datum],
    pub(crate) lock_timeout_ms: u32,
    pub(crate) cancel: &'a CancelHandle,
    /// Checks put off to the end of the statement.
    deferred: Vec<references::Deferred>,
    /// Checks put off to the end of the transaction.
    deferral: &'a mut Deferral,
    /// Tables that cascades reached.
    tables: HashMap<Oid, Arc<TablePlan>>,
}

/// What a statement answers.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Rows inserted, updated or deleted.
    pub(crate) count: u64,
    /// Rows of RETURNING.
    pub(crate) returned: Vec<Vec<Datum>>,
}

/// Everything that writing a table needs, made once for a plan.
#[derive(Clone, Debug)]
pub(crate) struct TablePlan {
    pub(crate) writer: TableWriter,
    pub(crate) decoder: RowDecoder,
    /// Foreign keys of this table.
    pub(crate) outgoing: Vec<ForeignKey>,
    /// Foreign keys that refer to it.
    pub(crate) incoming: Vec<ForeignKey>,
    /// Generated columns: position and value over the row.
    pub(crate) generated: Vec<(usize, Expr)>,
    /// Default of each column.
    pub(crate) defaults: Vec<Expr>,
}

impl TablePlan {
    pub(crate) fn new(table: &Arc<TableDescriptor>, catalog: &Catalog, eval: &EvalContext) -> SqlResult<Self> {
        let indexes = index_plans(table, |text| bind::row_expression(catalog, eval, table, text))?;
        let mut checks = Vec::new();
        for constraint in &table.constraints {
            if let ConstraintKind::Check { expression, .. } = &constraint.kind {
                checks.push((constraint.clone(), bind::row_expression(catalog, eval, table, expression)?));
            }
        }
        let (mut generated, mut defaults) = (Vec::new(), Vec::with_capacity(table.columns.len()));
        for (at, column) in table.columns.iter().enumerate() {
            defaults.push(match &column.default {
                Some(text) => bind::default_expression(catalog, eval, text, column.sql_type)?,
                None => Expr::null(column.sql_type),
            });
            if let Some(text) = &column.generated {
                generated.push((at, bind::generated_expression(catalog, eval, table, text, column.sql_type)?));
            }
        }
        let schema: Arc<str> = Arc::from(catalog.schema_name(table.schema).unwrap_or_default());
        Ok(Self {
            writer: TableWriter::new(table.clone(), schema, indexes, checks),
            decoder: RowDecoder::all(table)?,
            outgoing: ForeignKey::outgoing(table, catalog)?,
            incoming: ForeignKey::incoming(table, catalog)?,
            generated,
            defaults,
        })
    }

    pub(crate) fn table(&self) -> &Arc<TableDescriptor> {
        &self.writer.table
    }

    /// Computes generated columns of a new row.
    pub(crate) fn generate(&self, row: &mut [Datum], context: &eval::Context<'_>) -> SqlResult<()> {
        for (at, expr) in &self.generated {
            row[*at] = context.value(expr, row)?;
        }
        Ok(())
    }
}

impl<'a> Dml<'a> {
    #[allow(clippy::too_many_arguments, reason = "the parts of a session that a statement borrows")]
    pub(crate) fn new(
        txn: &'a mut kv::Txn,
        client: &'a kv::Client,
        catalog: &'a Catalog,
        eval: &'a EvalContext,
        params: &'a [Datum],
        lock_timeout_ms: u32,
        cancel: &'a CancelHandle,
        deferral: &'a mut Deferral,
    ) -> Self {
        let (deferred, tables) = Default::default();
        Self { txn, client, catalog, eval, params, lock_timeout_ms, cancel, deferred, deferral, tables }
    }

    pub(crate) fn context(&self) -> eval::Context<'a> {
        eval::Context { session: self.eval, params: self.params }
    }

    pub(crate) fn write_env(&mut self) -> WriteEnv<'_> {
        let context = eval::Context { session: self.eval, params: self.params };
        WriteEnv { txn: self.txn, client: self.client, context, lock_timeout_ms: self.lock_timeout_ms }
    }

    /// The plan of a table that a cascade reaches.
    fn table_plan(&mut self, table: &Arc<TableDescriptor>) -> SqlResult<Arc<TablePlan>> {
        if let Some(plan) = self.tables.get(&table.oid) {
            return Ok(plan.clone());
        }
        let plan = Arc::new(TablePlan::new(table, self.catalog, self.eval)?);
        self.tables.insert(table.oid, plan.clone());
        Ok(plan)
    }

    /// Values of RETURNING over a row.
    fn returned(&self, returning: Option<&Returning>, row: &[Datum], written: &mut Written) -> SqlResult<()> {
        if let Some(returning) = returning {
            let context = self.context();
            let values = returning.exprs.iter().map(|expr| context.value(expr, row));
            written.returned.push(values.collect::<SqlResult<_>>()?);
        }
        Ok(())
    }

    /// 40001 for a row that somebody else changed after this transaction's snapshot.
    fn check_serializable(&self, newer: bool, gone: bool) -> SqlResult<()> {
        if !newer || self.txn.isolation() == kv::Isolation::ReadCommitted {
            return Ok(());
        }
        let what = if gone { "delete" } else { "update" };
        let message = format!("could not serialize access due to concurrent {what}");
        Err(SqlError::new(SqlState::SerializationFailure, message))
    }
}

//! Leaves: tables, VALUES, WITH queries, system catalog tables.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::physical_plan::{ExecutionPlan, empty::EmptyExec};
use fragment::{ScanColumn, ScanLeaf, ScanSpec};
use planner::plan::Expr;
use proto::SqlResult;
use schema::{Datum, Oid, SqlType, datetime::Now, functions::CastContext, text::parse_datum};
use sharddb_fragment as fragment;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Lower, Lowered, Scope, schema_of};
use crate::general::{
    explain::Note,
    ir::{Rel, Scan},
    operators::{OperatorExec, Recursive, Shared, SharedScan, ValuesRows, VirtualRows, batch_of},
    scan::{IndexScan, ShardScan, ShardScanExec, bounds},
};

impl Lower<'_> {
    pub(super) fn unit(&self) -> SqlResult<Lowered> {
        let schema = Arc::new(Schema::empty());
        let rows = Shared::ready(vec![batch_of(&schema, &[], &[Vec::new()])?]);
        let plan: Arc<dyn ExecutionPlan> = Arc::new(OperatorExec::new(SharedScan(Arc::new(rows)), Vec::new(), schema));
        Ok(Lowered { plan, note: self.note(|| Note::titled("Result")) })
    }

    pub(super) fn empty(&self, rel: &Rel) -> SqlResult<Lowered> {
        let plan = Arc::new(EmptyExec::new(schema_of(&rel.columns)));
        let note = self.note(|| Note::titled("Result").detail("One-Time Filter: false"));
        Ok(Lowered { plan, note })
    }

    /// A scan of the rows that may satisfy some conditions. The conditions are applied by the caller.
    pub(super) fn scan(&self, rel: &Rel, scan: &Scan, conditions: &[Expr]) -> SqlResult<Lowered> {
        let table = &scan.table;
        let access = bounds::choose(scan, conditions)?;
        if access.spans.is_empty() {
            return self.empty(rel);
        }
        let view = &self.statement.view;
        access.spans.iter().for_each(|span| view.note_read(span.clone()));
        let column = |(at, column): (&usize, &crate::general::ir::Column)| {
            let descriptor = &table.columns[*at];
            let missing = match &descriptor.missing {
                Some(text) => parse_missing(descriptor.sql_type, text, self.statement)?,
                None => Datum::Null,
            };
            Ok((column.name.to_string(), ScanColumn { id: descriptor.id, oid: descriptor.sql_type.oid, missing }))
        };
        let columns: Vec<(String, ScanColumn)> =
            scan.positions.iter().zip(&rel.columns).map(column).collect::<SqlResult<_>>()?;
        if !access.is_primary(scan) {
            return Ok(self.index_scan(rel, scan, access, columns));
        }
        let spec =
            ScanSpec { table: table.name.clone(), columns, with_key: scan.with_key, spans: Vec::new(), limit: None };
        let partitions = bounds::partition(&self.statement.general.client, &access.spans);
        let shards = partitions.len();
        let shard_scan = ShardScan { storage_id: table.storage_id, partitions, joined: Vec::new() };
        let leaf = Arc::new(ScanLeaf::new(Arc::new(spec)));
        let plan: Arc<dyn ExecutionPlan> =
            Arc::new(ShardScanExec::new(Arc::clone(self.statement), Arc::new(shard_scan), leaf));
        let note = self.note(|| {
            let mut leaf = Note::titled(format!("Scan on {}", scan_name(scan)));
            leaf.details.extend(access.describe(scan));
            let gather = Note::titled("Gather").detail(format!("Shards: {shards}")).metered(&plan);
            gather.with_child(leaf.labelled("Fragment"))
        });
        Ok(Lowered { plan, note })
    }

    /// Rows through a secondary index.
    fn index_scan(
        &self,
        rel: &Rel,
        scan: &Scan,
        access: bounds::Access<'_>,
        columns: Vec<(String, ScanColumn)>,
    ) -> Lowered {
        let note = self.note(|| {
            let title = format!("Index Scan using {} on {}", access.index.name, scan_name(scan));
            let mut note = Note::titled(title);
            note.details.extend(access.describe(scan));
            note
        });
        // The rows that the entries name are read too; which they are is not known yet.
        let (start, end) = schema::key::index_span(&scan.table, scan.table.primary().id);
        self.statement.view.note_read(crate::general::context::span(start, end));
        let operator = IndexScan {
            statement: Arc::clone(self.statement),
            storage_id: scan.table.storage_id,
            spans: access.spans,
            columns: columns.into_iter().map(|(_, column)| column).collect(),
            with_key: scan.with_key,
        };
        let plan: Arc<dyn ExecutionPlan> = Arc::new(OperatorExec::new(operator, Vec::new(), schema_of(&rel.columns)));
        let note = self.note(|| note.metered(&plan));
        Lowered { plan, note }
    }

    pub(super) fn values(&self, rel: &Rel, rows: &[Vec<Expr>]) -> SqlResult<Lowered> {
        let schema = schema_of(&rel.columns);
        let constant = |expr: &Expr| match expr {
            Expr::Constant { value, .. } => Some(value.clone()),
            _ => None,
        };
        let constants: Option<Vec<Vec<Datum>>> = rows.iter().map(|row| row.iter().map(constant).collect()).collect();
        let plan = match constants {
            Some(rows) => {
                let types: Vec<Oid> = rel.columns.iter().map(|column| column.sql_type.oid).collect();
                let size = self.statement.task.session_config().batch_size();
                let batches = rows.chunks(size).map(|rows| batch_of(&schema, &types, rows));
                let shared = Shared::ready(batches.collect::<SqlResult<_>>()?);
                OperatorExec::new(SharedScan(Arc::new(shared)), Vec::new(), schema)
            }
            None => {
                let none = Schema::empty();
                let exprs = self.exprs(&none);
                let rows = rows.iter().map(|row| exprs.lower_all(row)).collect::<SqlResult<Vec<_>>>()?;
                OperatorExec::new(ValuesRows { rows: Arc::new(rows) }, Vec::new(), schema)
            }
        };
        let plan: Arc<dyn ExecutionPlan> = Arc::new(plan);
        Ok(Lowered { note: self.note(|| Note::titled("Values Scan").metered(&plan)), plan })
    }

    pub(super) fn shared(&self, rel: &Rel, id: usize, scope: &Scope) -> SqlResult<Lowered> {
        let shared = scope.get(id)?;
        let plan: Arc<dyn ExecutionPlan> =
            Arc::new(OperatorExec::new(SharedScan(Arc::clone(shared)), Vec::new(), schema_of(&rel.columns)));
        Ok(Lowered { note: self.note(|| Note::titled("CTE Scan").metered(&plan)), plan })
    }

    pub(super) fn with(&self, shared: &[(usize, Rel)], body: &Rel, scope: &Scope) -> SqlResult<Lowered> {
        let mut scope = scope.clone();
        let mut notes = Vec::new();
        for (id, rel) in shared {
            let Lowered { plan, note } = self.single_rel(rel, &scope)?;
            let rows = Shared::planned(plan, Arc::clone(&self.statement.task));
            scope = scope.with(*id, Arc::new(rows));
            notes.push(note.labelled("CTE"));
        }
        let mut lowered = self.rel(body, &scope)?;
        lowered.note.children.extend(notes);
        Ok(lowered)
    }

    pub(super) fn recursive(
        &self,
        rel: &Rel,
        id: usize,
        first: &Rel,
        step: &Rel,
        distinct: bool,
        scope: &Scope,
    ) -> SqlResult<Lowered> {
        let schema = schema_of(&rel.columns);
        let input = self.single_rel(first, scope)?;
        let distinct = distinct.then(|| self.all_keys(rel, &schema)).transpose()?;
        let step_note = if self.explain {
            let last = Shared::ready(Vec::new());
            let step = crate::general::optimize::optimize(self.statement, step.clone())?;
            self.rel(&step, &scope.with(id, Arc::new(last)))?.note
        } else {
            Note::default()
        };
        let operator = Recursive {
            statement: Arc::clone(self.statement),
            scope: scope.clone(),
            id,
            step: Arc::new(step.clone()),
            distinct,
        };
        let plan: Arc<dyn ExecutionPlan> = Arc::new(OperatorExec::new(operator, vec![input.plan], schema));
        let note =
            self.note(|| Note::titled("Recursive Union").metered(&plan).with_child(input.note).with_child(step_note));
        Ok(Lowered { plan, note })
    }

    pub(super) fn virtual_table(&self, rel: &Rel, schema: &str, name: &str) -> SqlResult<Lowered> {
        let types: Vec<Oid> = rel.columns.iter().map(|column| column.sql_type.oid).collect();
        let operator = VirtualRows {
            statement: Arc::clone(self.statement),
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns: (0..types.len()).collect(),
            types,
        };
        let plan: Arc<dyn ExecutionPlan> = Arc::new(OperatorExec::new(operator, Vec::new(), schema_of(&rel.columns)));
        let note = self.note(|| Note::titled(format!("Catalog Scan on {schema}.{name}")).metered(&plan));
        Ok(Lowered { plan, note })
    }
}

/// `table` or `table alias`.
fn scan_name(scan: &Scan) -> String {
    if *scan.alias == *scan.table.name || scan.alias.is_empty() {
        scan.table.name.clone()
    } else {
        format!("{} {}", scan.table.name, scan.alias)
    }
}

fn parse_missing(sql_type: SqlType, text: &str, statement: &crate::general::context::Statement) -> SqlResult<Datum> {
    let eval = &statement.eval;
    let now = Now(eval.transaction_time);
    parse_datum(sql_type, text, &eval.format, now, CastContext::Implicit)
}

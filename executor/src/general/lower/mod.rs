//! From the optimized tree to DataFusion's physical operators.
//!
//! What a shard can compute goes into the fragment of its scan while the tree is lowered: filters, projections, limits,
//! top-k and partial aggregates. Order matters to few consumers: rows are in order only below a `Sort`, and then in one
//! partition.

mod aggregate;
mod expr;
mod join;
mod lookup;
mod order;
mod row;
mod source;
mod window;

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::{
    execution::SendableRecordBatchStream,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, coalesce_partitions::CoalescePartitionsExec, execute_stream,
    },
};
use fragment::{is_encodable, plain_schema};
use proto::SqlResult;
use sharddb_fragment as fragment;
use sharddb_proto as proto;

pub(super) use self::{
    expr::Exprs,
    join::{Equality, divide},
};
use super::{
    context::{Statement, failed},
    explain::Note,
    ir::{Column, Node, Rel},
    operators::Shared,
    optimize,
    scan::ShardScanExec,
};

/// Rows of WITH queries by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope(Arc<HashMap<usize, Arc<Shared>>>);

impl Scope {
    /// With one more.
    pub(super) fn with(&self, id: usize, shared: Arc<Shared>) -> Self {
        let mut entries = (*self.0).clone();
        entries.insert(id, shared);
        Self(Arc::new(entries))
    }

    fn get(&self, id: usize) -> SqlResult<&Arc<Shared>> {
        self.0.get(&id).ok_or_else(|| proto::SqlError::internal("rows of a WITH query are missing"))
    }
}

/// A lowered relation.
pub(super) struct Lowered {
    pub(super) plan: Arc<dyn ExecutionPlan>,
    pub(super) note: Note,
}

/// Lowers the relations of one statement.
pub(super) struct Lower<'a> {
    statement: &'a Arc<Statement>,
    /// Whether notes for EXPLAIN are wanted.
    explain: bool,
}

/// Optimizes, lowers and starts a relation.
pub(super) fn start(statement: &Arc<Statement>, scope: &Scope, rel: Rel) -> SqlResult<SendableRecordBatchStream> {
    let rel = optimize::optimize(statement, rel)?;
    start_optimized(statement, scope, &rel)
}

/// Lowers and starts an optimized relation.
pub(super) fn start_optimized(
    statement: &Arc<Statement>,
    scope: &Scope,
    rel: &Rel,
) -> SqlResult<SendableRecordBatchStream> {
    let plan = plan(statement, scope, rel)?;
    execute_stream(plan, Arc::clone(&statement.task)).map_err(failed)
}

/// Lowers an optimized relation to a plan of one partition.
pub(super) fn plan(statement: &Arc<Statement>, scope: &Scope, rel: &Rel) -> SqlResult<Arc<dyn ExecutionPlan>> {
    let lower = Lower { statement, explain: false };
    Ok(single(lower.rel(rel, scope)?.plan))
}

/// The same, with notes for EXPLAIN.
pub(super) fn plan_with_notes(statement: &Arc<Statement>, rel: &Rel) -> SqlResult<Lowered> {
    let lower = Lower { statement, explain: true };
    let Lowered { plan, note } = lower.rel(rel, &Scope::default())?;
    Ok(Lowered { plan: single(plan), note })
}

impl Lower<'_> {
    fn rel(&self, rel: &Rel, scope: &Scope) -> SqlResult<Lowered> {
        let lowered = self.node(rel, scope)?;
        debug_assert!(same_types(&lowered.plan.schema(), &schema_of(&rel.columns)), "{rel:?} {:?}", lowered.plan);
        Ok(lowered)
    }

    fn node(&self, rel: &Rel, scope: &Scope) -> SqlResult<Lowered> {
        match &rel.node {
            Node::Unit => self.unit(),
            Node::Empty => self.empty(rel),
            Node::Scan(scan) => self.scan(rel, scan, &[]),
            Node::Values(rows) => self.values(rel, rows),
            Node::Shared(id) => self.shared(rel, *id, scope),
            Node::With { shared, body } => self.with(shared, body, scope),
            Node::Recursive { id, first, step, distinct } => self.recursive(rel, *id, first, step, *distinct, scope),
            Node::Virtual { schema, name } => self.virtual_table(rel, schema, name),
            Node::Join { kind, left, right, on } => match self.lookup_join(rel, *kind, left, right, on, scope)? {
                Some(lowered) => Ok(lowered),
                None => self.join(*kind, left, right, on, scope),
            },
            Node::Lateral { left, right, outer, on } => self.lateral(rel, left, right, *outer, on, scope),
            Node::Apply { input, calls } => self.apply(rel, input, calls, scope),
            Node::Filter { input, conditions } => self.filter(input, conditions, scope),
            Node::Project { input, exprs } => self.project(rel, input, exprs, scope),
            Node::ProjectSet { input, functions, ordinality } => {
                self.project_set(rel, input, functions, *ordinality, scope)
            }
            Node::Aggregate(aggregate) => self.aggregate(rel, aggregate, scope),
            Node::Window { input, calls } => self.window(rel, input, calls, scope),
            Node::Distinct { input, on } => self.distinct(input, on, scope),
            Node::Sort { input, keys } => self.sort(input, keys, None, scope),
            Node::Limit { input, limit, offset, ties } => {
                self.limit(input, limit.as_ref(), offset.as_ref(), ties.as_deref(), scope)
            }
            Node::SetOperation { operator, all, left, right } => {
                self.set_operation(rel, *operator, *all, left, right, scope)
            }
        }
    }

    /// A relation in one partition.
    fn single_rel(&self, rel: &Rel, scope: &Scope) -> SqlResult<Lowered> {
        let Lowered { plan, note } = self.rel(rel, scope)?;
        Ok(Lowered { plan: single(plan), note })
    }

    /// Expressions over a plan's rows.
    fn exprs<'s>(&'s self, schema: &'s Schema) -> Exprs<'s> {
        Exprs::new(&self.statement.eval, schema)
    }

    /// A note, if notes are wanted.
    fn note(&self, make: impl FnOnce() -> Note) -> Note {
        if self.explain { make() } else { Note::default() }
    }

    /// Puts an operator into the fragment of a scan, if the plan is one and the shard can run the operator.
    fn push(
        &self,
        input: &Lowered,
        operator: impl Fn(Arc<dyn ExecutionPlan>) -> SqlResult<Arc<dyn ExecutionPlan>>,
    ) -> SqlResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(scan) = input.plan.downcast_ref::<ShardScanExec>() else { return Ok(None) };
        let pushed = scan.with_operator(operator)?;
        Ok(is_encodable(pushed.fragment()).then(|| Arc::new(pushed) as Arc<_>))
    }
}

/// The plan with all rows in one partition.
pub(super) fn single(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if plan.output_partitioning().partition_count() == 1 {
        return plan;
    }
    Arc::new(CoalescePartitionsExec::new(plan))
}

fn partitions(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.output_partitioning().partition_count()
}

/// Bare fields of columns.
pub(super) fn schema_of(columns: &[Column]) -> SchemaRef {
    plain_schema(columns.iter().map(|column| (column.name.to_string(), column.sql_type.oid)))
}

fn same_types(a: &Schema, b: &Schema) -> bool {
    a.fields().len() == b.fields().len()
        && a.fields().iter().zip(b.fields()).all(|(a, b)| a.data_type() == b.data_type())
}

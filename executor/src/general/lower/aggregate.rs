//! Aggregates and DISTINCT.
//!
//! Rows are grouped by the keys of the group expressions. Where a key is not the value itself (numeric, char(n) …), the
//! group shows the value of its first row.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::{
    physical_expr::{PhysicalExprRef, aggregate::AggregateExprBuilder, expressions::Column as ColumnExpr},
    physical_plan::{
        ExecutionPlan,
        aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy},
        projection::ProjectionExec,
        udaf::AggregateFunctionExpr,
    },
};
use fragment::{AggregateSpec, CallOrder, FIRST, PgAggregate};
use planner::plan::{AggregateCall, Expr};
use proto::{SqlError, SqlResult};
use schema::{Datum, Oid, SqlType};
use sharddb_fragment as fragment;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Lower, Lowered, Scope, partitions, single};
use crate::general::{
    context::failed,
    explain::{Note, deparse, deparse_aggregate},
    expr::{is_immutable, sql_type},
    ir::{Aggregate, Node, Rel, constant},
    lower::expr::{equal_as_they_are, literal},
    operators::{Dedup, OperatorExec},
};

/// Group keys and calls of a physical aggregate.
struct Physical {
    group_by: Arc<PhysicalGroupBy>,
    calls: Vec<Arc<AggregateFunctionExpr>>,
    filters: Vec<Option<PhysicalExprRef>>,
    input: SchemaRef,
    /// Where each output column is among the physical aggregate's.
    output: Vec<usize>,
}

impl Physical {
    fn node(&self, mode: AggregateMode, input: Arc<dyn ExecutionPlan>) -> SqlResult<Arc<dyn ExecutionPlan>> {
        let first = matches!(mode, AggregateMode::Partial | AggregateMode::Single);
        let group_by = if first { Arc::clone(&self.group_by) } else { Arc::new(self.group_by.as_final()) };
        let filters = if first { self.filters.clone() } else { vec![None; self.filters.len()] };
        let node = AggregateExec::try_new(mode, group_by, self.calls.clone(), filters, input, Arc::clone(&self.input));
        Ok(Arc::new(node.map_err(failed)?))
    }

    /// The output columns in order, named.
    fn finish(&self, plan: Arc<dyn ExecutionPlan>, rel: &Rel) -> SqlResult<Arc<dyn ExecutionPlan>> {
        let schema = plan.schema();
        let columns = self.output.iter().zip(&rel.columns).map(|(at, column)| {
            let value: PhysicalExprRef = Arc::new(ColumnExpr::new(schema.field(*at).name(), *at));
            (value, column.name.to_string())
        });
        let columns: Vec<_> = columns.collect();
        Ok(Arc::new(ProjectionExec::try_new(columns, plan).map_err(failed)?))
    }
}

impl Lower<'_> {
    pub(super) fn aggregate(&self, rel: &Rel, aggregate: &Aggregate, scope: &Scope) -> SqlResult<Lowered> {
        if aggregate.sets.len() != 1 || aggregate.sets[0].len() != aggregate.groups.len() {
            return Err(SqlError::internal("grouping sets were not divided"));
        }
        if aggregate.groups.is_empty() && aggregate.calls.is_empty() {
            // One row whatever the input is, and nothing to show of it.
            return self.rel(&Rel::unit(), scope);
        }
        let input = self.rel(&aggregate.input, scope)?;
        let physical = self.physical(&input.plan.schema(), &aggregate.groups, &aggregate.calls)?;
        let immutable = aggregate.groups.iter().all(is_immutable) && aggregate.calls.iter().all(is_pushable);
        let text = self.note(|| describe(aggregate));
        self.aggregate_plan(rel, input, &physical, immutable, text)
    }

    /// One stage over one partition; otherwise partial stages, at the shards if they can, and a final one.
    fn aggregate_plan(
        &self,
        rel: &Rel,
        input: Lowered,
        physical: &Physical,
        may_push: bool,
        text: Note,
    ) -> SqlResult<Lowered> {
        let partial = |plan| physical.node(AggregateMode::Partial, plan);
        let pushed = if may_push { self.push(&input, partial)? } else { None };
        if let Some(plan) = pushed {
            let gathered = single(Arc::clone(&plan));
            let finished = physical.node(AggregateMode::Final, gathered)?;
            let note = self.note(|| {
                let partial = Note { title: format!("Partial {}", text.title), ..text.clone() };
                let scan = input.note.wrap_fragment(partial).metered(&plan);
                Note { title: format!("Finalize {}", text.title), ..text }.metered(&finished).with_child(scan)
            });
            return Ok(Lowered { plan: physical.finish(finished, rel)?, note });
        }
        let plan = if partitions(&input.plan) > 1 {
            physical.node(AggregateMode::Final, single(partial(input.plan)?))?
        } else {
            physical.node(AggregateMode::Single, input.plan)?
        };
        let note = self.note(|| text.metered(&plan).with_child(input.note));
        Ok(Lowered { plan: physical.finish(plan, rel)?, note })
    }

    fn physical(&self, input: &SchemaRef, groups: &[Expr], calls: &[AggregateCall]) -> SqlResult<Physical> {
        let exprs = self.exprs(input);
        let mut keys = Vec::with_capacity(groups.len());
        let mut physical_calls = Vec::new();
        let mut output = Vec::with_capacity(groups.len() + calls.len());
        for (at, group) in groups.iter().enumerate() {
            keys.push((exprs.equality_key(group)?, format!("group{at}")));
            if equal_as_they_are(sql_type(group)) {
                output.push(at);
            } else {
                output.push(groups.len() + physical_calls.len());
                let spec = first_of(sql_type(group));
                physical_calls.push(call_expr(spec, vec![exprs.lower(group)?], input, format!("first{at}"))?);
            }
        }
        let mut filters = vec![None; physical_calls.len()];
        for (at, call) in calls.iter().enumerate() {
            output.push(groups.len() + physical_calls.len());
            let keys = call.order_by.iter().map(|key| &key.expr);
            let args: Vec<&Expr> = call.args.iter().chain(keys).collect();
            let spec = AggregateSpec {
                function: call.function,
                args: args.iter().map(|arg| sql_type(arg)).collect(),
                result: call.sql_type,
                distinct: call.distinct,
                order: call
                    .order_by
                    .iter()
                    .map(|key| CallOrder { descending: key.descending, nulls_first: key.nulls_first })
                    .collect(),
            };
            physical_calls.push(call_expr(spec, exprs.lower_all(args)?, input, format!("call{at}"))?);
            filters.push(call.filter.as_ref().map(|filter| exprs.lower(filter)).transpose()?);
        }
        let group_by = Arc::new(PhysicalGroupBy::new_single(keys));
        Ok(Physical { group_by, calls: physical_calls, filters, input: Arc::clone(input), output })
    }

    /// DISTINCT without keys groups by all columns, unless its rows come in order: then the first of each stays in place.
    pub(super) fn distinct(&self, input: &Rel, on: &[Expr], scope: &Scope) -> SqlResult<Lowered> {
        if on.is_empty() && input.arity() == 0 {
            // All rows are the same.
            let one = constant(Datum::Int8(1), SqlType::new(Oid::INT8));
            let node = Node::Limit { input: Box::new(input.clone()), limit: Some(one), offset: None, ties: None };
            return self.rel(&Rel::new(node, Vec::new()), scope);
        }
        if on.is_empty() && !is_ordered(input) {
            let lowered = self.rel(input, scope)?;
            let groups = input.all_columns();
            let physical = self.physical(&lowered.plan.schema(), &groups, &[])?;
            let text = self.note(|| {
                let mut note = Note::titled("HashAggregate");
                note.details.push(format!("Group Key: {}", list(&groups, input)));
                note
            });
            return self.aggregate_plan(input, lowered, &physical, true, text);
        }
        let lowered = self.single_rel(input, scope)?;
        let schema = lowered.plan.schema();
        let exprs = self.exprs(&schema);
        let on = if on.is_empty() { input.all_columns() } else { on.to_vec() };
        let keys = on.iter().map(|expr| exprs.key(expr)).collect::<SqlResult<Vec<_>>>()?;
        let plan: Arc<dyn ExecutionPlan> =
            Arc::new(OperatorExec::new(Dedup { keys }, vec![lowered.plan], Arc::clone(&schema)));
        let note = self.note(|| {
            let detail = format!("Key: {}", list(&on, input));
            Note::titled("Unique").detail(detail).metered(&plan).with_child(lowered.note)
        });
        Ok(Lowered { plan, note })
    }

    /// Keys of every column.
    pub(super) fn all_keys(&self, rel: &Rel, schema: &SchemaRef) -> SqlResult<Vec<PhysicalExprRef>> {
        let exprs = self.exprs(schema);
        rel.all_columns().iter().map(|column| exprs.key(column)).collect()
    }
}

/// Whether a call may run at a shard.
fn is_pushable(call: &AggregateCall) -> bool {
    let keys = call.order_by.iter().map(|key| &key.expr);
    call.args.iter().chain(&call.filter).chain(keys).all(is_immutable)
}

/// The aggregate that shows a group's first value.
fn first_of(sql_type: SqlType) -> AggregateSpec {
    AggregateSpec { function: &FIRST, args: vec![sql_type], result: sql_type, distinct: false, order: Vec::new() }
}

fn call_expr(
    spec: AggregateSpec,
    mut args: Vec<PhysicalExprRef>,
    input: &SchemaRef,
    name: String,
) -> SqlResult<Arc<AggregateFunctionExpr>> {
    if args.is_empty() {
        // count(*) counts the rows of something.
        args.push(literal(Oid::BOOL, &Datum::Bool(true))?);
    }
    let builder = AggregateExprBuilder::new(PgAggregate::new(spec).into_udf(), args);
    Ok(Arc::new(builder.schema(Arc::clone(input)).alias(name).build().map_err(failed)?))
}

/// Whether rows come in an order that something asked for.
pub(super) fn is_ordered(rel: &Rel) -> bool {
    match &rel.node {
        Node::Sort { .. } => true,
        Node::Filter { input, .. }
        | Node::Project { input, .. }
        | Node::Limit { input, .. }
        | Node::Window { input, .. }
        | Node::ProjectSet { input, .. }
        | Node::Apply { input, .. } => is_ordered(input),
        _ => false,
    }
}

fn list(exprs: &[Expr], input: &Rel) -> String {
    exprs.iter().map(|expr| deparse(expr, &input.columns)).collect::<Vec<_>>().join(", ")
}

fn describe(aggregate: &Aggregate) -> Note {
    let mut note = Note::titled(if aggregate.groups.is_empty() { "Aggregate" } else { "HashAggregate" });
    if !aggregate.groups.is_empty() {
        note.details.push(format!("Group Key: {}", list(&aggregate.groups, &aggregate.input)));
    }
    if !aggregate.calls.is_empty() {
        let calls = aggregate.calls.iter().map(|call| deparse_aggregate(call, &aggregate.input.columns));
        note.details.push(format!("Aggregates: {}", calls.collect::<Vec<_>>().join(", ")));
    }
    note
}

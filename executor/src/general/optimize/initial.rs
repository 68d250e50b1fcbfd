//! Subqueries that look at no outer row are run before the query is planned, so that their values can be bounds and be
//! tested by the shards. A subquery that fails, fails when and if its value is asked for.

use std::sync::Arc;

use futures::{StreamExt, future::BoxFuture};
use planner::plan::Expr;
use proto::{SqlError, SqlResult};
use schema::{Datum, Oid};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::general::{
    context::{Statement, failed},
    expr::{is_correlated, is_volatile, rewrite_rel},
    ir::{Call, CallKind, Column, Node, Rel, constant},
    lower::{self, Scope},
    operators::single_value,
};

/// A subquery that runs first, for EXPLAIN.
pub(in crate::general) struct InitialPlan {
    pub(in crate::general) rel: Rel,
}

/// Runs the subqueries and puts their values in their place.
pub(in crate::general) fn run_initial_plans<'a>(
    statement: &'a Arc<Statement>,
    rel: &'a mut Rel,
) -> BoxFuture<'a, SqlResult<()>> {
    Box::pin(async move {
        for input in rel.inputs_mut() {
            run_initial_plans(statement, input).await?;
        }
        let Node::Apply { calls, .. } = &mut rel.node else { return Ok(()) };
        let mut values = Vec::with_capacity(calls.len());
        for call in calls.iter_mut() {
            values.push(if is_initial(call) { value_of(statement, call).await? } else { None });
        }
        replace(rel, values);
        Ok(())
    })
}

/// Takes the subqueries out and leaves names in their place, for a plan that is only shown.
pub(in crate::general) fn name_initial_plans(rel: &mut Rel, plans: &mut Vec<InitialPlan>) {
    for input in rel.inputs_mut() {
        name_initial_plans(input, plans);
    }
    let Node::Apply { calls, .. } = &mut rel.node else { return };
    let mut values = Vec::with_capacity(calls.len());
    for call in calls {
        let name = is_initial(call).then(|| {
            name_initial_plans(&mut call.rel, plans);
            let columns = call.rel.columns.clone();
            let rel = std::mem::replace(&mut call.rel, Rel::empty(columns));
            plans.push(InitialPlan { rel });
            // Nothing evaluates it: a value from outside that is shown by its number.
            Expr::Outer { depth: 1, index: plans.len(), sql_type: call.sql_type }
        });
        values.push(name);
    }
    replace(rel, values);
}

fn is_initial(call: &mut Call) -> bool {
    let kind = matches!(call.kind, CallKind::Scalar | CallKind::Exists | CallKind::Array);
    if !kind || call.guard.is_some() || is_correlated(&mut call.rel) {
        return false;
    }
    let mut volatile = false;
    rewrite_rel(&mut call.rel, 0, &mut |expr, _| volatile |= is_volatile(expr));
    !volatile && !reads_shared(&call.rel, &mut Vec::new())
}

/// Whether a relation reads a WITH query that is defined around it.
fn reads_shared(rel: &Rel, defined: &mut Vec<usize>) -> bool {
    let before = defined.len();
    match &rel.node {
        Node::Shared(id) => return !defined.contains(id),
        Node::With { shared, .. } => defined.extend(shared.iter().map(|(id, _)| *id)),
        Node::Recursive { id, .. } => defined.push(*id),
        _ => {}
    }
    let mut reads = rel.inputs().into_iter().any(|input| reads_shared(input, defined));
    if let Node::Apply { calls, .. } = &rel.node {
        reads |= calls.iter().any(|call| reads_shared(&call.rel, defined));
    }
    defined.truncate(before);
    reads
}

async fn value_of(statement: &Arc<Statement>, call: &mut Call) -> SqlResult<Option<Expr>> {
    match run(statement, call).await {
        Ok(value) => Ok(Some(constant(value, call.sql_type))),
        // It stays a subquery, which fails again if a row asks for it.
        Err(error) if is_lazy(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Errors of evaluation can wait; errors of the system cannot.
fn is_lazy(error: &SqlError) -> bool {
    matches!(&error.state().code()[..2], "21" | "22" | "0A")
}

async fn run(statement: &Arc<Statement>, call: &mut Call) -> SqlResult<Datum> {
    let mut rel = call.rel.clone();
    run_initial_plans(statement, &mut rel).await?;
    let types: Vec<Oid> = rel.columns.iter().map(|column| column.sql_type.oid).collect();
    let mut rows = lower::start(statement, &Scope::default(), rel)?;
    match call.kind {
        CallKind::Exists => {
            while let Some(batch) = rows.next().await {
                if batch.map_err(failed)?.num_rows() > 0 {
                    return Ok(Datum::Bool(true));
                }
            }
            Ok(Datum::Bool(false))
        }
        CallKind::Array => crate::general::operators::array_value(call.sql_type, rows, &types).await,
        _ => single_value(&mut rows, &types).await,
    }
}

/// Puts values in the place of calls' columns.
fn replace(rel: &mut Rel, values: Vec<Option<Expr>>) {
    if values.iter().all(Option::is_none) {
        return;
    }
    let whole = std::mem::replace(rel, Rel::unit());
    let Rel { node, columns } = whole;
    let Node::Apply { input, calls } = node else { return };
    let width = input.arity();
    let mut kept = Vec::new();
    let mut exprs = input.all_columns();
    for (value, (call, column)) in values.into_iter().zip(calls.into_iter().zip(&columns[width..])) {
        match value {
            Some(value) => exprs.push(value),
            None => {
                exprs.push(Expr::Column { index: width + kept.len(), sql_type: column.sql_type });
                kept.push(call);
            }
        }
    }
    for expr in kept.iter_mut().flat_map(Call::exprs_mut) {
        crate::general::expr::substitute(expr, &exprs);
    }
    let columns: Vec<Column> = columns;
    *rel = input.apply(kept).project(exprs, columns);
}

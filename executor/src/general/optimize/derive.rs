//! What is known of relations: columns without NULL, unique keys, aggregates over no rows.

use planner::plan::{AggregateCall, Expr};
use schema::{Datum, SqlType};
use sharddb_planner as planner;
use sharddb_schema as schema;

use crate::general::ir::{Join, Node, Rel, Scan};

/// Whether an expression over a relation is never NULL. False when in doubt.
pub(super) fn is_not_null(expr: &Expr, rel: &Rel) -> bool {
    match expr {
        Expr::Constant { value, .. } => !value.is_null(),
        Expr::Column { index, .. } => column_not_null(rel, *index),
        Expr::Cast { input, .. } => is_not_null(input, rel),
        Expr::Coalesce { args, .. } => args.iter().any(|arg| is_not_null(arg, rel)),
        _ => false,
    }
}

fn column_not_null(rel: &Rel, index: usize) -> bool {
    match &rel.node {
        Node::Scan(scan) => scan.positions.get(index).is_none_or(|at| {
            let column = &scan.table.columns[*at];
            column.not_null || scan.table.primary().columns.iter().any(|key| key.column == column.id)
        }),
        Node::Filter { input, .. }
        | Node::Sort { input, .. }
        | Node::Limit { input, .. }
        | Node::Distinct { input, .. } => column_not_null(input, index),
        Node::Project { input, exprs } => is_not_null(&exprs[index], input),
        Node::Join { kind: Join::Inner, left, right, .. } => match index.checked_sub(left.arity()) {
            None => column_not_null(left, index),
            Some(index) => column_not_null(right, index),
        },
        Node::Join { kind: Join::Left | Join::Semi | Join::Anti, left, .. } => {
            index < left.arity() && column_not_null(left, index)
        }
        Node::Aggregate(aggregate) => match aggregate.groups.get(index) {
            Some(group) => aggregate.sets.len() == 1 && is_not_null(group, &aggregate.input),
            None => {
                let call = aggregate.calls.get(index - aggregate.groups.len());
                call.is_some_and(|call| call.function.name == "count")
            }
        },
        _ => false,
    }
}

/// Whether at most one row of a relation has given values for these keys.
pub(super) fn is_unique_by(rel: &Rel, keys: &[&Expr]) -> bool {
    match &rel.node {
        Node::Filter { input, .. } | Node::Sort { input, .. } => is_unique_by(input, keys),
        Node::Project { input, exprs } => {
            let below: Option<Vec<&Expr>> = keys
                .iter()
                .map(|key| match key {
                    Expr::Column { index, .. } => exprs.get(*index),
                    _ => None,
                })
                .collect();
            below.is_some_and(|keys| is_unique_by(input, &keys))
        }
        Node::Scan(scan) => scan_unique_by(scan, keys),
        Node::Aggregate(aggregate) if aggregate.sets.len() == 1 => {
            let given =
                |group: usize| keys.iter().any(|key| matches!(key, Expr::Column { index, .. } if *index == group));
            (0..aggregate.groups.len()).all(given)
        }
        _ => false,
    }
}

fn scan_unique_by(scan: &Scan, keys: &[&Expr]) -> bool {
    let columns: Vec<_> = keys
        .iter()
        .filter_map(|key| match key {
            Expr::Column { index, .. } => scan.positions.get(*index).map(|at| scan.table.columns[*at].id),
            _ => None,
        })
        .collect();
    // A partial index says nothing of the other rows.
    let mut unique = scan.table.indexes.iter().filter(|index| {
        index.unique
            && !index.columns.is_empty()
            && index.predicate.is_none()
            && index.state == schema::IndexState::Ready
    });
    unique.any(|index| index.columns.iter().all(|column| columns.contains(&column.column)))
}

/// Values of aggregates over no rows; `None` if one cannot be computed.
pub(super) fn empty_aggregates(calls: &[AggregateCall]) -> Option<Vec<(Datum, SqlType)>> {
    let empty = |call: &AggregateCall| {
        let types: Vec<SqlType> = call.args.iter().map(Expr::sql_type).collect();
        let value = (call.function.accumulator)(&types).finish().ok()?;
        Some((value, call.sql_type))
    };
    calls.iter().map(empty).collect()
}

//! Estimated numbers of rows and values, for choosing between plans. ANALYZE gives what is known of tables.

use planner::plan::{Expr, SetOperator};
use schema::{Datum, IndexDescriptor, TableDescriptor};
use sharddb_planner as planner;
use sharddb_schema as schema;

use super::selectivity::{column_of_table, selectivity};
use crate::general::{
    ir::{Join, Node, Rel},
    lower::divide,
};

/// Rows of a table that was never analyzed.
const UNKNOWN_ROWS: f64 = 1000.0;

/// Estimated rows of a relation.
pub(in crate::general) fn rows(rel: &Rel) -> f64 {
    match &rel.node {
        Node::Unit => 1.0,
        Node::Empty => 0.0,
        Node::Scan(scan) => table_rows(&scan.table),
        Node::Values(rows) => rows.len() as f64,
        Node::Shared(_) | Node::Virtual { .. } => UNKNOWN_ROWS,
        Node::With { body, .. } => rows(body),
        Node::Recursive { first, .. } => rows(first) * 10.0,
        Node::Join { kind, left, right, on } => join_rows(*kind, left, right, on),
        Node::Lateral { left, right, .. } => rows(left) * rows(right).min(10.0),
        Node::Filter { input, conditions } => {
            rows(input) * conditions.iter().map(|condition| selectivity(condition, input)).product::<f64>()
        }
        Node::ProjectSet { input, .. } => rows(input) * 10.0,
        Node::Aggregate(aggregate) => {
            let groups = aggregate.groups.iter().map(|group| distinct(group, &aggregate.input));
            groups.product::<f64>().min(rows(&aggregate.input)).max(1.0)
        }
        Node::Distinct { input, on } => {
            let all = input.all_columns();
            let keys = if on.is_empty() { &all } else { on };
            keys.iter().map(|key| distinct(key, input)).product::<f64>().min(rows(input))
        }
        Node::Limit { input, limit, .. } => match limit {
            Some(Expr::Constant { value: Datum::Int8(limit), .. }) => rows(input).min(*limit as f64),
            _ => rows(input),
        },
        Node::SetOperation { operator: SetOperator::Union, left, right, .. } => rows(left) + rows(right),
        Node::SetOperation { left, .. } => rows(left),
        Node::Apply { input, .. }
        | Node::Project { input, .. }
        | Node::Window { input, .. }
        | Node::Sort { input, .. } => rows(input),
    }
}

/// Estimated rows of a join.
pub(in crate::general) fn join_rows(kind: Join, left: &Rel, right: &Rel, on: &[Expr]) -> f64 {
    let (left_rows, right_rows) = (rows(left), rows(right));
    let (equalities, rest) = divide(on, left.arity());
    let others = 0.33_f64.powi(rest.len() as i32);
    match kind {
        Join::Semi | Join::Anti => {
            let found = |equality: &crate::general::lower::Equality| {
                (distinct(&equality.right, right) / distinct(&equality.left, left)).min(1.0)
            };
            let fraction = equalities.iter().map(found).product::<f64>() * others;
            left_rows * if kind == Join::Semi { fraction } else { (1.0 - fraction).max(0.1) }
        }
        _ => {
            let most = |equality: &crate::general::lower::Equality| {
                distinct(&equality.left, left).max(distinct(&equality.right, right))
            };
            // The keys of one side have no more combinations than it has rows.
            let keys = equalities.iter().map(most).product::<f64>().min(left_rows.max(right_rows)).max(1.0);
            let inner = left_rows * right_rows / keys * others;
            match kind {
                Join::Left => inner.max(left_rows),
                Join::Right => inner.max(right_rows),
                Join::Full => inner.max(left_rows + right_rows),
                _ => inner,
            }
        }
    }
}

/// Estimated number of different values of an expression.
pub(super) fn distinct(expr: &Expr, rel: &Rel) -> f64 {
    match expr {
        Expr::Column { index, .. } => distinct_values(rel, *index),
        Expr::Constant { .. } => 1.0,
        Expr::Cast { input, .. } => distinct(input, rel),
        _ => (rows(rel) / 10.0).max(1.0),
    }
}

/// Estimated number of different values of a column.
pub(super) fn distinct_values(rel: &Rel, index: usize) -> f64 {
    let rows = rows(rel).max(1.0);
    let known = match column_of_table(rel, index) {
        Some((table, at)) => Some(table_distinct(table, at)),
        None => match &rel.node {
            Node::Aggregate(aggregate) => aggregate.groups.get(index).map(|group| distinct(group, &aggregate.input)),
            Node::Project { input, exprs } => Some(distinct(&exprs[index], input)),
            Node::Filter { input, .. } | Node::Sort { input, .. } if index < input.arity() => {
                Some(distinct_values(input, index))
            }
            _ => None,
        },
    };
    known.unwrap_or(rows / 10.0).clamp(1.0, rows)
}

/// Rows of a table.
pub(in crate::general) fn table_rows(table: &TableDescriptor) -> f64 {
    table.statistics.as_ref().map_or(UNKNOWN_ROWS, |known| (known.rows as f64).max(1.0))
}

/// Different values of a table's column.
pub(in crate::general) fn table_distinct(table: &TableDescriptor, at: usize) -> f64 {
    let rows = table_rows(table);
    let id = table.columns[at].id;
    let statistics = table.statistics.as_ref().and_then(|known| known.columns.iter().find(|c| c.column == id));
    if let Some(column) = statistics {
        return (column.distinct as f64).max(1.0);
    }
    let unique = |index: &IndexDescriptor| index.unique && matches!(&index.columns[..], [only] if only.column == id);
    if table.indexes.iter().any(unique) { rows } else { (rows / 10.0).max(1.0) }
}

//! Rough numbers of rows, for choosing between plans.

use planner::plan::{Expr, SetOperator};
use schema::{Datum, IndexDescriptor, TableDescriptor};
use sharddb_planner as planner;
use sharddb_schema as schema;

use crate::general::ir::{Join, Node, Rel};

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
        Node::Join { kind, left, right, on } => {
            let (left, right) = (rows(left), rows(right));
            match kind {
                Join::Semi | Join::Anti => left * 0.5,
                _ if on.is_empty() => left * right,
                _ => left.max(right),
            }
        }
        Node::Lateral { left, right, .. } => rows(left) * rows(right).min(10.0),
        Node::Filter { input, conditions } => {
            rows(input) * conditions.iter().map(|condition| selectivity(condition)).product::<f64>()
        }
        Node::ProjectSet { input, .. } => rows(input) * 10.0,
        Node::Aggregate(aggregate) if aggregate.groups.is_empty() => 1.0,
        Node::Aggregate(aggregate) => rows(&aggregate.input) * 0.1,
        Node::Distinct { input, .. } => rows(input) * 0.5,
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

/// The fraction of rows for which a condition holds, by its form alone.
pub(in crate::general) fn selectivity(condition: &Expr) -> f64 {
    match condition {
        Expr::Call { function, .. } => match function.operator {
            Some("=") => 0.01,
            Some("<" | "<=" | ">" | ">=") => 0.33,
            Some("<>") => 0.99,
            _ => 0.25,
        },
        Expr::InList { list, negated: false, .. } => (0.01 * list.len() as f64).min(0.5),
        Expr::And(args) => args.iter().map(selectivity).product(),
        Expr::Or(args) => args.iter().map(selectivity).sum::<f64>().min(1.0),
        Expr::Not(input) => 1.0 - selectivity(input),
        Expr::IsNull { negated: false, .. } => 0.05,
        Expr::Constant { value: Datum::Bool(false) | Datum::Null, .. } => 0.0,
        _ => 0.5,
    }
}

/// Estimated number of different values of a column.
pub(super) fn distinct_values(rel: &Rel, index: usize) -> f64 {
    let known = match &rel.node {
        Node::Scan(scan) => scan.positions.get(index).map(|at| table_distinct(&scan.table, *at)),
        Node::Filter { input, .. }
        | Node::Sort { input, .. }
        | Node::Limit { input, .. }
        | Node::Apply { input, .. } => (index < input.arity()).then(|| distinct_values(input, index)),
        Node::Project { input, exprs } => match &exprs[index] {
            Expr::Column { index, .. } => Some(distinct_values(input, *index)),
            Expr::Constant { .. } => Some(1.0),
            _ => None,
        },
        Node::Join { left, right, .. } => match index.checked_sub(left.arity()) {
            None => Some(distinct_values(left, index)),
            Some(index) => Some(distinct_values(right, index)),
        },
        Node::Aggregate(aggregate) => match aggregate.groups.get(index) {
            Some(Expr::Column { index, .. }) => Some(distinct_values(&aggregate.input, *index)),
            _ => None,
        },
        _ => None,
    };
    let rows = rows(rel).max(1.0);
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

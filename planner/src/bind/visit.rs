//! Walking over every expression of a bound query.
//!
//! `depth` counts the rows between an expression and the one a walk began with: an `Outer` of exactly that depth refers
//! to the row that the walk's first expression is computed over.

use proto::SqlResult;
use sharddb_proto as proto;

use crate::plan::{Expr, FrameBound, Query, Relation, SortKey, SubqueryKind, WindowCall};

/// What is called for each expression, with its depth.
type Visit<'v> = &'v mut dyn FnMut(&mut Expr, usize);

/// Visits an expression and all below it, children first.
pub(super) fn walk_mut(expr: &mut Expr, depth: usize, visit: Visit<'_>) {
    children_mut(expr, depth, &mut |child, depth| walk_mut(child, depth, visit));
    visit(expr, depth);
}

/// Visits an expression and, unless `replace` answers true for it, all below it, parents first.
pub(super) fn rewrite_mut(
    expr: &mut Expr,
    depth: usize,
    replace: &mut dyn FnMut(&mut Expr, usize) -> SqlResult<bool>,
) -> SqlResult<()> {
    if replace(expr, depth)? {
        return Ok(());
    }
    let mut result = Ok(());
    children_mut(expr, depth, &mut |child, depth| {
        if result.is_ok() {
            result = rewrite_mut(child, depth, replace);
        }
    });
    result
}

/// Whether a test holds for an expression or anything below it.
pub(super) fn any(expr: &Expr, test: &dyn Fn(&Expr, usize) -> bool) -> bool {
    let mut found = false;
    walk_mut(&mut expr.clone(), 0, &mut |node, depth| found |= test(node, depth));
    found
}

/// Positions of the row that an expression reads, ascending; also those read by subqueries inside it.
pub fn columns_of(expr: &Expr) -> Vec<usize> {
    let mut columns = Vec::new();
    walk_mut(&mut expr.clone(), 0, &mut |node, depth| match node {
        Expr::Column { index, .. } if depth == 0 => columns.push(*index),
        Expr::Outer { depth: level, index, .. } if depth > 0 && *level == depth => columns.push(*index),
        _ => {}
    });
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// Changes the positions of the row that an expression reads.
pub fn remap_columns(expr: &mut Expr, position: &dyn Fn(usize) -> usize) {
    walk_mut(expr, 0, &mut |node, depth| match node {
        Expr::Column { index, .. } if depth == 0 => *index = position(*index),
        Expr::Outer { depth: level, index, .. } if depth > 0 && *level == depth => *index = position(*index),
        _ => {}
    });
}

/// Calls `change` for the outermost subqueries of an expression, in order.
pub fn each_subquery(expr: &mut Expr, change: &mut dyn FnMut(&mut Expr)) {
    if matches!(expr, Expr::Subquery { .. }) {
        return change(expr);
    }
    children_mut(expr, 0, &mut |child, _| each_subquery(child, change));
}

/// Whether an expression has a subquery in it.
pub fn has_subquery(expr: &Expr) -> bool {
    any(expr, &|node, _| matches!(node, Expr::Subquery { .. }))
}

fn all(exprs: &mut [Expr], depth: usize, visit: Visit<'_>) {
    for expr in exprs {
        visit(expr, depth);
    }
}

/// Visits the expressions directly below one, also those inside a subquery.
pub(super) fn children_mut(expr: &mut Expr, depth: usize, visit: Visit<'_>) {
    match expr {
        Expr::Column { .. } | Expr::Outer { .. } | Expr::Parameter { .. } | Expr::Constant { .. } | Expr::Default => {}
        Expr::Call { args, .. } | Expr::And(args) | Expr::Or(args) | Expr::Coalesce { args, .. } | Expr::Row(args) => {
            all(args, depth, visit);
        }
        Expr::Array { elements, .. } => all(elements, depth, visit),
        Expr::Cast { input, .. } | Expr::Not(input) | Expr::IsNull { input, .. } | Expr::IsBool { input, .. } => {
            visit(input, depth);
        }
        Expr::IsDistinct { left, right, .. } => {
            visit(left, depth);
            visit(right, depth);
        }
        Expr::Case { branches, otherwise, .. } => {
            for (condition, result) in branches {
                visit(condition, depth);
                visit(result, depth);
            }
            visit(otherwise, depth);
        }
        Expr::InList { input, list, .. } => {
            visit(input, depth);
            all(list, depth, visit);
        }
        Expr::Quantified { input, array, .. } => {
            visit(input, depth);
            visit(array, depth);
        }
        Expr::Subscript { array, indexes, .. } => {
            visit(array, depth);
            for (lower, upper) in indexes {
                lower.iter_mut().chain(upper.iter_mut().flatten()).for_each(|bound| visit(bound, depth));
            }
        }
        Expr::Subquery { kind, query, .. } => {
            if let SubqueryKind::Any { inputs, .. } | SubqueryKind::All { inputs, .. } = kind {
                all(inputs, depth, visit);
            }
            query_exprs_mut(query, depth + 1, visit);
        }
    }
}

/// Visits the outermost expressions of a query that sees rows at `depth`.
pub(super) fn query_exprs_mut(query: &mut Query, depth: usize, visit: Visit<'_>) {
    for cte in &mut query.ctes {
        query_exprs_mut(&mut cte.query, depth, visit);
        if let Some(recursive) = &mut cte.recursive {
            query_exprs_mut(recursive, depth, visit);
        }
    }
    relation_exprs_mut(&mut query.body, depth, visit);
}

fn keys_mut(keys: &mut [SortKey], depth: usize, visit: Visit<'_>) {
    for key in keys {
        visit(&mut key.expr, depth);
    }
}

/// Visits the outermost expressions of a relation.
pub(super) fn relation_exprs_mut(relation: &mut Relation, depth: usize, visit: Visit<'_>) {
    match relation {
        Relation::Unit | Relation::Scan(_) | Relation::CteScan { .. } | Relation::Virtual { .. } => {}
        Relation::Values { rows, .. } => rows.iter_mut().for_each(|row| all(row, depth, visit)),
        // Like a lateral subquery, a function sees the row to its left one level up.
        Relation::Function { args, .. } => all(args, depth + 1, visit),
        Relation::Derived { query, lateral } => query_exprs_mut(query, depth + usize::from(*lateral), visit),
        Relation::Join { left, right, on, .. } => {
            relation_exprs_mut(left, depth, visit);
            relation_exprs_mut(right, depth, visit);
            on.iter_mut().for_each(|on| visit(on, depth));
        }
        Relation::Filter { input, condition } => {
            relation_exprs_mut(input, depth, visit);
            visit(condition, depth);
        }
        Relation::Project { input, exprs, .. } => {
            relation_exprs_mut(input, depth, visit);
            all(exprs, depth, visit);
        }
        Relation::ProjectSet { input, functions } => {
            relation_exprs_mut(input, depth, visit);
            functions.iter_mut().for_each(|(_, args, _)| all(args, depth, visit));
        }
        Relation::Aggregate { input, group_by, aggregates, .. } => {
            relation_exprs_mut(input, depth, visit);
            all(group_by, depth, visit);
            for call in aggregates {
                all(&mut call.args, depth, visit);
                call.filter.iter_mut().for_each(|filter| visit(filter, depth));
                keys_mut(&mut call.order_by, depth, visit);
            }
        }
        Relation::Window { input, calls } => {
            relation_exprs_mut(input, depth, visit);
            for call in calls {
                window_exprs_mut(call, depth, visit);
            }
        }
        Relation::Distinct { input, on } => {
            relation_exprs_mut(input, depth, visit);
            all(on, depth, visit);
        }
        Relation::Sort { input, keys } => {
            relation_exprs_mut(input, depth, visit);
            keys_mut(keys, depth, visit);
        }
        Relation::Limit { input, limit, offset, with_ties } => {
            relation_exprs_mut(input, depth, visit);
            limit.iter_mut().chain(offset).for_each(|count| visit(count, depth));
            keys_mut(with_ties.as_deref_mut().unwrap_or_default(), depth, visit);
        }
        Relation::SetOperation { left, right, .. } => {
            relation_exprs_mut(left, depth, visit);
            relation_exprs_mut(right, depth, visit);
        }
    }
}

/// Visits the outermost expressions of a window call.
pub(super) fn window_exprs_mut(call: &mut WindowCall, depth: usize, visit: Visit<'_>) {
    all(&mut call.args, depth, visit);
    call.filter.iter_mut().for_each(|filter| visit(filter, depth));
    all(&mut call.partition_by, depth, visit);
    keys_mut(&mut call.order_by, depth, visit);
    for bound in [&mut call.frame.start, &mut call.frame.end] {
        if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = bound {
            visit(offset, depth);
        }
    }
}

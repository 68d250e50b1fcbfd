//! Walking and rewriting bound expressions and the relations that hold them.
//!
//! Subqueries never appear here: conversion has made them columns of `Apply`.

use std::collections::BTreeSet;

use planner::plan::Expr;
use schema::{Datum, Oid, SqlType, functions::Volatility};
use sharddb_planner as planner;
use sharddb_schema as schema;

use super::ir::{Node, Rel};

/// The type of an expression's value.
pub(super) fn sql_type(expr: &Expr) -> SqlType {
    expr.sql_type()
}

/// Operands of an expression, in order of evaluation.
pub(super) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Column { .. }
        | Expr::Outer { .. }
        | Expr::Parameter { .. }
        | Expr::Constant { .. }
        | Expr::Subquery { .. }
        | Expr::Default => Vec::new(),
        Expr::Call { args, .. } | Expr::And(args) | Expr::Or(args) | Expr::Coalesce { args, .. } | Expr::Row(args) => {
            args.iter().collect()
        }
        Expr::Cast { input, .. } | Expr::Not(input) | Expr::IsNull { input, .. } | Expr::IsBool { input, .. } => {
            vec![input]
        }
        Expr::IsDistinct { left, right, .. } => vec![left, right],
        Expr::Case { branches, otherwise, .. } => {
            branches.iter().flat_map(|(when, then)| [when, then]).chain([&**otherwise]).collect()
        }
        Expr::InList { input, list, .. } => [&**input].into_iter().chain(list).collect(),
        Expr::Quantified { input, array, .. } => vec![input, array],
        Expr::Array { elements, .. } => elements.iter().collect(),
        Expr::Subscript { array, indexes, .. } => {
            let bounds = indexes.iter().flat_map(|(lower, upper)| lower.iter().chain(upper.iter().flatten()));
            [&**array].into_iter().chain(bounds).collect()
        }
    }
}

/// The same, to change.
pub(super) fn children_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Column { .. }
        | Expr::Outer { .. }
        | Expr::Parameter { .. }
        | Expr::Constant { .. }
        | Expr::Subquery { .. }
        | Expr::Default => Vec::new(),
        Expr::Call { args, .. } | Expr::And(args) | Expr::Or(args) | Expr::Coalesce { args, .. } | Expr::Row(args) => {
            args.iter_mut().collect()
        }
        Expr::Cast { input, .. } | Expr::Not(input) | Expr::IsNull { input, .. } | Expr::IsBool { input, .. } => {
            vec![input]
        }
        Expr::IsDistinct { left, right, .. } => vec![left, right],
        Expr::Case { branches, otherwise, .. } => {
            branches.iter_mut().flat_map(|(when, then)| [when, then]).chain([&mut **otherwise]).collect()
        }
        Expr::InList { input, list, .. } => [&mut **input].into_iter().chain(list).collect(),
        Expr::Quantified { input, array, .. } => vec![input, array],
        Expr::Array { elements, .. } => elements.iter_mut().collect(),
        Expr::Subscript { array, indexes, .. } => {
            let bounds =
                indexes.iter_mut().flat_map(|(lower, upper)| lower.iter_mut().chain(upper.iter_mut().flatten()));
            [&mut **array].into_iter().chain(bounds).collect()
        }
    }
}

/// Changes every node of an expression, operands first.
pub(super) fn rewrite(expr: &mut Expr, change: &mut dyn FnMut(&mut Expr)) {
    for child in children_mut(expr) {
        rewrite(child, change);
    }
    change(expr);
}

/// Whether any node of an expression passes a test.
pub(super) fn any(expr: &Expr, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    test(expr) || children(expr).into_iter().any(|child| any(child, test))
}

/// Columns an expression reads.
pub(super) fn columns_of(expr: &Expr) -> BTreeSet<usize> {
    let mut columns = BTreeSet::new();
    collect_columns(expr, &mut columns);
    columns
}

/// Adds the columns an expression reads.
pub(super) fn collect_columns(expr: &Expr, columns: &mut BTreeSet<usize>) {
    any(expr, &mut |node| {
        if let Expr::Column { index, .. } = node {
            columns.insert(*index);
        }
        false
    });
}

/// Moves column references.
pub(super) fn remap(expr: &mut Expr, place: &dyn Fn(usize) -> usize) {
    rewrite(expr, &mut |node| {
        if let Expr::Column { index, .. } = node {
            *index = place(*index);
        }
    });
}

/// Puts expressions in the place of columns.
pub(super) fn substitute(expr: &mut Expr, exprs: &[Expr]) {
    if let Expr::Column { index, .. } = expr {
        *expr = exprs[*index].clone();
        return;
    }
    for child in children_mut(expr) {
        substitute(child, exprs);
    }
}

/// Whether two evaluations over the same row may differ.
pub(super) fn is_volatile(expr: &Expr) -> bool {
    any(expr, &mut |node| volatility(node) == Volatility::Volatile)
}

/// Whether the value depends on nothing but the expression: a shard may compute it.
pub(super) fn is_immutable(expr: &Expr) -> bool {
    !any(expr, &mut |node| volatility(node) != Volatility::Immutable)
}

fn volatility(node: &Expr) -> Volatility {
    match node {
        Expr::Call { function, .. }
        | Expr::IsDistinct { equal: function, .. }
        | Expr::InList { equal: function, .. }
        | Expr::Quantified { operator: function, .. } => function.volatility,
        // Names of objects are the session's to know.
        Expr::Cast { input, sql_type: to, .. } if has_names(sql_type(input)) || has_names(*to) => Volatility::Stable,
        _ => Volatility::Immutable,
    }
}

fn has_names(sql_type: SqlType) -> bool {
    sql_type.oid.element_type().unwrap_or(sql_type.oid).is_object_name()
}

/// Whether an expression reads an enclosing row.
pub(super) fn has_outer(expr: &Expr) -> bool {
    any(expr, &mut |node| matches!(node, Expr::Outer { .. }))
}

/// The conditions of a conjunction, nested ones too.
pub(super) fn conjuncts(expr: Expr, out: &mut Vec<Expr>) {
    match expr {
        Expr::And(args) => args.into_iter().for_each(|arg| conjuncts(arg, out)),
        Expr::Constant { value: Datum::Bool(true), .. } => {}
        other => out.push(other),
    }
}

/// One condition for several.
pub(super) fn conjunction(mut conditions: Vec<Expr>) -> Expr {
    match conditions.len() {
        0 => Expr::Constant { value: Datum::Bool(true), sql_type: SqlType::new(Oid::BOOL) },
        1 => conditions.swap_remove(0),
        _ => Expr::And(conditions),
    }
}

/// Changes every expression of a relation and its inputs. `change` is told how many levels of outer rows lie between the
/// relation and the expression.
pub(super) fn rewrite_rel(rel: &mut Rel, level: usize, change: &mut dyn FnMut(&mut Expr, usize)) {
    for expr in rel.exprs_mut() {
        change(expr, level);
    }
    match &mut rel.node {
        Node::Lateral { left, right, .. } => {
            rewrite_rel(left, level, change);
            rewrite_rel(right, level + 1, change);
        }
        Node::Apply { input, calls } => {
            rewrite_rel(input, level, change);
            for call in calls {
                rewrite_rel(&mut call.rel, level + 1, change);
            }
        }
        _ => {
            for input in rel.inputs_mut() {
                rewrite_rel(input, level, change);
            }
        }
    }
}

/// Changes every outer column of a relation that refers to a row outside of it. `change` is told the depth as seen from
/// the relation: 1 for the row directly around it.
pub(super) fn rewrite_outer(rel: &mut Rel, change: &mut dyn FnMut(&mut Expr, usize)) {
    rewrite_rel(rel, 0, &mut |expr, level| {
        rewrite(expr, &mut |node| {
            if let Expr::Outer { depth, .. } = node
                && *depth > level
            {
                let depth = *depth - level;
                change(node, depth);
            }
        });
    });
}

/// Puts the values of the row directly around a relation in the place of its outer columns.
pub(super) fn bind_outer(rel: &mut Rel, row: &[Datum]) {
    rewrite_outer(rel, &mut |node, depth| match node {
        Expr::Outer { index, sql_type, .. } if depth == 1 => {
            *node = Expr::Constant { value: row[*index].clone(), sql_type: *sql_type };
        }
        Expr::Outer { depth, .. } => *depth -= 1,
        _ => {}
    });
}

/// Columns of the row directly around a relation that it reads. Takes the relation to change only to share the walk; it
/// changes nothing.
pub(super) fn outer_columns(rel: &mut Rel) -> BTreeSet<usize> {
    let mut columns = BTreeSet::new();
    rewrite_outer(rel, &mut |node, depth| {
        if let Expr::Outer { index, .. } = node
            && depth == 1
        {
            columns.insert(*index);
        }
    });
    columns
}

/// Whether a relation reads any row around it.
pub(super) fn is_correlated(rel: &mut Rel) -> bool {
    let mut correlated = false;
    rewrite_outer(rel, &mut |_, _| correlated = true);
    correlated
}

//! Conditions go down to where they can be applied first; trees of inner joins are put in order on the way.
//!
//! Volatile conditions stay where they are. A condition never passes a LIMIT, and passes an aggregate or window only if it
//! reads nothing but the group or partition.

use std::{collections::BTreeSet, sync::Arc};

use planner::plan::{Expr, SetOperator, WindowCall};
use schema::{Datum, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_schema as schema;

use super::{fold::fold_expr, graph, reduce};
use crate::general::{
    expr::{columns_of, conjuncts, is_volatile, remap, substitute},
    ir::{Aggregate, Call, Column, Join, Node, Rel},
};

/// The relation under conditions over its columns.
pub(super) fn push(eval: &Arc<EvalContext>, rel: Rel, conditions: Vec<Expr>) -> Rel {
    let conditions = match settle(eval, conditions) {
        Some(conditions) => conditions,
        None => return Rel::empty(rel.columns),
    };
    if graph::is_join_tree(&rel) {
        return graph::join_tree(eval, rel, conditions);
    }
    let Rel { node, columns } = rel;
    match node {
        Node::Filter { input, conditions: own } => filter(eval, *input, own, conditions),
        Node::Project { input, exprs } => project(eval, *input, exprs, columns, conditions),
        Node::Join { kind, left, right, on } => outer_join(eval, kind, *left, *right, on, conditions),
        Node::Lateral { left, right, outer, on } => {
            let width = left.arity();
            let (down, stay) = divide(conditions, |columns| columns.iter().all(|at| *at < width));
            let left = Box::new(push(eval, *left, down));
            Rel::new(Node::Lateral { left, right, outer, on }, columns).filter(stay)
        }
        Node::Apply { input, calls } => apply(eval, *input, calls, columns, conditions),
        Node::Aggregate(aggregate) => push_aggregate(eval, *aggregate, columns, conditions),
        Node::Window { input, calls } => window(eval, *input, calls, columns, conditions),
        Node::ProjectSet { input, functions, ordinality } => {
            let width = input.arity();
            let (down, stay) = divide(conditions, |columns| columns.iter().all(|at| *at < width));
            let input = Box::new(push(eval, *input, down));
            Rel::new(Node::ProjectSet { input, functions, ordinality }, columns).filter(stay)
        }
        Node::Distinct { input, on } if on.is_empty() => {
            let input = Box::new(push(eval, *input, conditions));
            Rel::new(Node::Distinct { input, on }, columns)
        }
        Node::Sort { input, keys } => {
            let input = Box::new(push(eval, *input, conditions));
            Rel::new(Node::Sort { input, keys }, columns)
        }
        Node::With { shared, body } => {
            let shared = shared.into_iter().map(|(id, rel)| (id, push(eval, rel, Vec::new()))).collect();
            let body = Box::new(push(eval, *body, conditions));
            Rel::new(Node::With { shared, body }, columns)
        }
        Node::SetOperation { operator, all, left, right } => {
            // Rows of the right side of EXCEPT that fail a condition have no left row to take away either.
            debug_assert!(operator != SetOperator::Union || all, "UNION was normalized");
            let left = Box::new(push(eval, *left, conditions.clone()));
            let right = Box::new(push(eval, *right, conditions));
            Rel::new(Node::SetOperation { operator, all, left, right }, columns)
        }
        Node::Recursive { id, first, step, distinct } => {
            let first = Box::new(push(eval, *first, Vec::new()));
            Rel::new(Node::Recursive { id, first, step, distinct }, columns).filter(conditions)
        }
        Node::Limit { input, limit, offset, ties } => {
            let input = Box::new(push(eval, *input, Vec::new()));
            Rel::new(Node::Limit { input, limit, offset, ties }, columns).filter(conditions)
        }
        Node::Distinct { input, on } => {
            let input = Box::new(push(eval, *input, Vec::new()));
            Rel::new(Node::Distinct { input, on }, columns).filter(conditions)
        }
        node @ (Node::Unit | Node::Scan(_) | Node::Values(_) | Node::Shared(_) | Node::Virtual { .. }) => {
            Rel::new(node, columns).filter(conditions)
        }
        Node::Empty => Rel::empty(columns),
    }
}

/// Folded and divided conditions; `None` if one is never true.
fn settle(eval: &Arc<EvalContext>, conditions: Vec<Expr>) -> Option<Vec<Expr>> {
    let mut settled = Vec::with_capacity(conditions.len());
    for mut condition in conditions {
        fold_expr(eval, &mut condition);
        let mut parts = Vec::new();
        conjuncts(condition, &mut parts);
        for part in parts {
            match part {
                Expr::Constant { value: Datum::Bool(false) | Datum::Null, .. } => return None,
                part => reduce::factor(part, &mut settled),
            }
        }
    }
    Some(settled)
}

/// Conditions whose columns pass a test, and the others. Volatile ones stay.
pub(super) fn divide(conditions: Vec<Expr>, test: impl Fn(&BTreeSet<usize>) -> bool) -> (Vec<Expr>, Vec<Expr>) {
    conditions.into_iter().partition(|condition| !is_volatile(condition) && test(&columns_of(condition)))
}

fn filter(eval: &Arc<EvalContext>, input: Rel, own: Vec<Expr>, above: Vec<Expr>) -> Rel {
    let (volatile, mut down): (Vec<Expr>, Vec<Expr>) = own.into_iter().partition(is_volatile);
    if volatile.is_empty() {
        down.extend(above);
        return push(eval, input, down);
    }
    // What comes from above must not change for which rows the volatile condition runs.
    push(eval, input, down).filter(volatile).filter(above)
}

fn project(eval: &Arc<EvalContext>, input: Rel, exprs: Vec<Expr>, columns: Vec<Column>, conditions: Vec<Expr>) -> Rel {
    let fixed: BTreeSet<usize> = (0..exprs.len()).filter(|at| is_volatile(&exprs[*at])).collect();
    let (mut down, stay) = divide(conditions, |columns| columns.is_disjoint(&fixed));
    down.iter_mut().for_each(|condition| substitute(condition, &exprs));
    push(eval, input, down).project(exprs, columns).filter(stay)
}

/// Joins that are not inner.
fn outer_join(eval: &Arc<EvalContext>, kind: Join, left: Rel, right: Rel, on: Vec<Expr>, conditions: Vec<Expr>) -> Rel {
    let width = left.arity();
    let kind = reduce::outer_join(kind, width, &conditions);
    if kind == Join::Inner {
        if on.iter().any(is_volatile) {
            let (left, right) = (push(eval, left, Vec::new()), push(eval, right, Vec::new()));
            return Rel::join(Join::Inner, left, right, on).filter(conditions);
        }
        return push(eval, Rel::join(Join::Inner, left, right, on), conditions);
    }
    let in_left = |columns: &BTreeSet<usize>| columns.iter().all(|at| *at < width);
    let in_right = |columns: &BTreeSet<usize>| !columns.is_empty() && columns.iter().all(|at| *at >= width);
    let (left_down, stay) = match kind {
        Join::Full => (Vec::new(), conditions),
        _ => divide(conditions, in_left),
    };
    let on = match settle(eval, on) {
        Some(on) => on,
        None => vec![super::fold::never()],
    };
    let (mut right_down, mut on) = match kind {
        Join::Full => (Vec::new(), on),
        _ => divide(on, in_right),
    };
    right_down.iter_mut().for_each(|condition| remap(condition, &|at| at - width));
    let mut left_down = left_down;
    if kind == Join::Semi {
        let (more, rest) = divide(on, in_left);
        left_down.extend(more);
        on = rest;
    }
    let (left, right) = (push(eval, left, left_down), push(eval, right, right_down));
    Rel::join(kind, left, right, on).filter(stay)
}

fn apply(eval: &Arc<EvalContext>, input: Rel, calls: Vec<Call>, columns: Vec<Column>, conditions: Vec<Expr>) -> Rel {
    let width = input.arity();
    let (down, stay) = divide(conditions, |columns| columns.iter().all(|at| *at < width));
    let input = Box::new(push(eval, input, down));
    Rel::new(Node::Apply { input, calls }, columns).filter(stay)
}

fn push_aggregate(eval: &Arc<EvalContext>, aggregate: Aggregate, columns: Vec<Column>, conditions: Vec<Expr>) -> Rel {
    let Aggregate { input, groups, sets, calls, groupings } = aggregate;
    // Without groups there is a row even for no input rows.
    let fixed: BTreeSet<usize> = (0..groups.len()).filter(|at| is_volatile(&groups[*at])).collect();
    let plain = !groups.is_empty() && sets.len() == 1;
    let (mut down, stay) = divide(conditions, |columns| {
        plain && columns.iter().all(|at| *at < groups.len()) && columns.is_disjoint(&fixed)
    });
    down.iter_mut().for_each(|condition| substitute(condition, &groups));
    let input = push(eval, input, down);
    let node = Aggregate { input, groups, sets, calls, groupings };
    Rel::new(Node::Aggregate(Box::new(node)), columns).filter(stay)
}

fn window(
    eval: &Arc<EvalContext>,
    input: Rel,
    calls: Vec<WindowCall>,
    columns: Vec<Column>,
    conditions: Vec<Expr>,
) -> Rel {
    let by = |call: &WindowCall| -> BTreeSet<usize> {
        let column = |expr: &Expr| match expr {
            Expr::Column { index, .. } => Some(*index),
            _ => None,
        };
        call.partition_by.iter().filter_map(column).collect()
    };
    let mut partitions = calls.iter().map(by);
    let first = partitions.next().unwrap_or_default();
    let common = partitions.fold(first, |common, next| common.intersection(&next).copied().collect());
    let (down, stay) = divide(conditions, |columns| !columns.is_empty() && columns.is_subset(&common));
    let input = Box::new(push(eval, input, down));
    Rel::new(Node::Window { input, calls }, columns).filter(stay)
}

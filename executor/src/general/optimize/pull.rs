//! Takes the conditions that look at the outer row out of a subquery, so that they can be conditions of a join.

use std::collections::BTreeSet;

use planner::plan::Expr;
use sharddb_planner as planner;

use crate::general::{
    expr::{any, collect_columns, has_outer, is_correlated, is_volatile, remap, rewrite},
    ir::{Join, Node, Rel},
};

/// A subquery without outer columns, and what was taken out.
pub(super) struct Pulled {
    /// Its columns are those of the subquery, then columns that only the conditions read.
    pub(super) rel: Rel,
    /// Conditions over the outer row's columns, then the relation's.
    pub(super) conditions: Vec<Expr>,
}

/// Takes the conditions out, if the relation's outer columns are in no other place.
pub(super) fn pull(rel: Rel, outer: usize) -> Option<Pulled> {
    let mut rel = rel;
    if !is_correlated(&mut rel) {
        return Some(Pulled { rel, conditions: Vec::new() });
    }
    let Rel { node, columns } = rel;
    match node {
        Node::Filter { input, conditions } => {
            let Pulled { rel, conditions: mut pulled } = pull(*input, outer)?;
            let (correlated, plain): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(has_outer);
            for condition in correlated {
                pulled.push(lift(condition, outer)?);
            }
            Some(Pulled { rel: rel.filter(plain), conditions: pulled })
        }
        Node::Project { input, exprs } => {
            if exprs.iter().any(|expr| has_outer(expr) || is_volatile(expr)) {
                return None;
            }
            let Pulled { rel, mut conditions } = pull(*input, outer)?;
            Some(project(rel, exprs, columns, &mut conditions, outer))
        }
        Node::Join { kind, left, right, on } => pull_join(kind, *left, *right, on, outer),
        Node::Sort { input, keys } if !keys.iter().any(|key| has_outer(&key.expr)) => {
            let Pulled { rel, conditions } = pull(*input, outer)?;
            let columns = rel.columns.clone();
            Some(Pulled { rel: Rel::new(Node::Sort { input: Box::new(rel), keys }, columns), conditions })
        }
        _ => None,
    }
}

/// The projection with the columns that conditions read behind its own.
fn project(
    rel: Rel,
    mut exprs: Vec<Expr>,
    mut columns: Vec<crate::general::ir::Column>,
    conditions: &mut Vec<Expr>,
    outer: usize,
) -> Pulled {
    let mut read = BTreeSet::new();
    conditions.iter().for_each(|condition| collect_columns(condition, &mut read));
    let first = exprs.len();
    let read: Vec<usize> = read.into_iter().filter(|at| *at >= outer).map(|at| at - outer).collect();
    for at in &read {
        exprs.push(rel.column(*at));
        columns.push(rel.columns[*at].clone());
    }
    let place = |at: usize| {
        if at < outer { at } else { outer + first + read.binary_search(&(at - outer)).unwrap_or_default() }
    };
    conditions.iter_mut().for_each(|condition| remap(condition, &place));
    Pulled { rel: rel.project(exprs, columns), conditions: std::mem::take(conditions) }
}

fn pull_join(kind: Join, left: Rel, right: Rel, on: Vec<Expr>, outer: usize) -> Option<Pulled> {
    if !matches!(kind, Join::Inner | Join::Left | Join::Semi | Join::Anti) {
        return None;
    }
    let inner = kind == Join::Inner;
    let (left_width, right_width) = (left.arity(), right.arity());
    let left = pull(left, outer)?;
    let right = pull(right, outer)?;
    if !inner && (!right.conditions.is_empty() || on.iter().any(has_outer)) {
        return None;
    }
    let (new_left, new_right) = (left.rel.arity(), right.rel.arity());
    let (correlated, plain): (Vec<Expr>, Vec<Expr>) = on.into_iter().partition(has_outer);
    // The sides have grown by columns that conditions read; own columns of the join stay in front.
    let own = |at: usize| if at < left_width { at } else { at - left_width + new_left };
    let mut on = plain;
    on.iter_mut().for_each(|condition| remap(condition, &own));
    let mut conditions = left.conditions;
    for mut condition in right.conditions {
        remap(&mut condition, &|at| if at < outer { at } else { at + new_left });
        conditions.push(condition);
    }
    for mut condition in correlated {
        remap(&mut condition, &own);
        conditions.push(lift(condition, outer)?);
    }
    let joined = Rel::join(kind, left.rel, right.rel, on);
    if !inner {
        return Some(Pulled { rel: joined, conditions });
    }
    let order: Vec<usize> = (0..left_width)
        .chain(new_left..new_left + right_width)
        .chain(left_width..new_left)
        .chain(new_left + right_width..new_left + new_right)
        .collect();
    let place = |at: usize| {
        if at < outer { at } else { outer + order.iter().position(|old| *old == at - outer).unwrap_or_default() }
    };
    conditions.iter_mut().for_each(|condition| remap(condition, &place));
    Some(Pulled { rel: joined.select(&order), conditions })
}

/// A condition of a subquery as one over the outer row and the subquery's columns. Deeper outer columns come one level
/// nearer.
fn lift(mut condition: Expr, outer: usize) -> Option<Expr> {
    if is_volatile(&condition) || any(&condition, &mut |node| matches!(node, Expr::Outer { depth: 0, .. })) {
        return None;
    }
    rewrite(&mut condition, &mut |node| match node {
        Expr::Column { index, .. } => *index += outer,
        Expr::Outer { depth: 1, index, sql_type } => *node = Expr::Column { index: *index, sql_type: *sql_type },
        Expr::Outer { depth, .. } => *depth -= 1,
        _ => {}
    });
    Some(condition)
}

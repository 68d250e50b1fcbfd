//! Columns that nobody reads go, from the top down to the scans.

use std::collections::BTreeSet;

use planner::plan::{Expr, SetOperator};
use sharddb_planner as planner;

use crate::general::{
    expr::{collect_columns, is_volatile, outer_columns, remap, rewrite_outer},
    ir::{Aggregate, Call, Join, Node, Rel},
};

type Columns = BTreeSet<usize>;

/// A relation with fewer columns: which of the old ones it kept, ascending.
struct Pruned {
    rel: Rel,
    kept: Vec<usize>,
}

impl Pruned {
    fn place(&self, column: usize) -> usize {
        self.kept.binary_search(&column).unwrap_or_default()
    }

    fn adapt(&self, exprs: &mut [Expr]) {
        exprs.iter_mut().for_each(|expr| remap(expr, &|at| self.place(at)));
    }
}

/// Prunes everything below a relation, whose own columns all stay.
pub(super) fn prune_all(rel: Rel) -> Rel {
    let needed: Columns = (0..rel.arity()).collect();
    exactly(rel, &needed)
}

/// The relation with exactly these columns.
fn exactly(rel: Rel, needed: &Columns) -> Rel {
    let pruned = prune(rel, needed.clone());
    let order: Vec<usize> = needed.iter().map(|at| pruned.place(*at)).collect();
    pruned.rel.select(&order)
}

fn all(rel: &Rel) -> Vec<usize> {
    (0..rel.arity()).collect()
}

fn unpruned(rel: Rel) -> Pruned {
    Pruned { kept: all(&rel), rel }
}

/// The relation with at least the needed columns.
fn prune(rel: Rel, needed: Columns) -> Pruned {
    let Rel { node, columns } = rel;
    let pick = |kept: &[usize]| kept.iter().map(|at| columns[*at].clone()).collect::<Vec<_>>();
    match node {
        Node::Scan(mut scan) => {
            let key = scan.with_key.then(|| columns.len() - 1);
            let kept: Vec<usize> = needed.into_iter().chain(key).collect::<Columns>().into_iter().collect();
            scan.positions = kept.iter().filter(|at| Some(**at) != key).map(|at| scan.positions[*at]).collect();
            Pruned { rel: Rel::new(Node::Scan(scan), pick(&kept)), kept }
        }
        Node::Values(rows) => {
            let kept: Vec<usize> = needed.into_iter().collect();
            let rows = rows.into_iter().map(|row| kept.iter().map(|at| row[*at].clone()).collect()).collect();
            Pruned { rel: Rel::new(Node::Values(rows), pick(&kept)), kept }
        }
        Node::Empty => {
            let kept: Vec<usize> = needed.into_iter().collect();
            Pruned { rel: Rel::empty(pick(&kept)), kept }
        }
        Node::Filter { input, mut conditions } => {
            let mut read = needed;
            conditions.iter().for_each(|condition| collect_columns(condition, &mut read));
            let input = prune(*input, read);
            input.adapt(&mut conditions);
            Pruned { rel: input.rel.filter(conditions), kept: input.kept }
        }
        Node::Project { input, exprs } => project(*input, exprs, columns, needed),
        Node::Join { kind, left, right, on } => join(kind, *left, *right, on, needed),
        Node::Lateral { left, right, outer, on } => lateral(*left, *right, outer, on, needed),
        Node::Apply { input, calls } => apply(*input, calls, columns, needed),
        Node::Aggregate(aggregate) => aggregate_node(*aggregate, columns, needed),
        Node::Sort { input, mut keys } => {
            let mut read = needed;
            keys.iter().for_each(|key| collect_columns(&key.expr, &mut read));
            let input = prune(*input, read);
            keys.iter_mut().for_each(|key| remap(&mut key.expr, &|at| input.place(at)));
            let columns = input.rel.columns.clone();
            Pruned { rel: Rel::new(Node::Sort { input: Box::new(input.rel), keys }, columns), kept: input.kept }
        }
        Node::Limit { input, limit, offset, mut ties } => {
            let mut read = needed;
            ties.iter().flatten().for_each(|key| collect_columns(&key.expr, &mut read));
            let input = prune(*input, read);
            ties.iter_mut().flatten().for_each(|key| remap(&mut key.expr, &|at| input.place(at)));
            let columns = input.rel.columns.clone();
            let node = Node::Limit { input: Box::new(input.rel), limit, offset, ties };
            Pruned { rel: Rel::new(node, columns), kept: input.kept }
        }
        Node::SetOperation { operator: SetOperator::Union, all: true, left, right } => {
            let (left, right) = (Box::new(exactly(*left, &needed)), Box::new(exactly(*right, &needed)));
            let kept: Vec<usize> = needed.into_iter().collect();
            let node = Node::SetOperation { operator: SetOperator::Union, all: true, left, right };
            Pruned { rel: Rel::new(node, pick(&kept)), kept }
        }
        Node::With { shared, body } => {
            let shared = shared.into_iter().map(|(id, rel)| (id, prune_all(rel))).collect();
            let body = prune(*body, needed);
            let columns = body.rel.columns.clone();
            let node = Node::With { shared, body: Box::new(body.rel) };
            Pruned { rel: Rel::new(node, columns), kept: body.kept }
        }
        node => unpruned(below(Rel::new(node, columns))),
    }
}

/// A relation that needs all columns of its inputs.
fn below(mut rel: Rel) -> Rel {
    match &mut rel.node {
        Node::Recursive { first, .. } => {
            let inner = std::mem::replace(&mut **first, Rel::unit());
            **first = prune_all(inner);
        }
        _ => {
            for input in rel.inputs_mut() {
                let inner = std::mem::replace(input, Rel::unit());
                *input = prune_all(inner);
            }
        }
    }
    rel
}

fn project(input: Rel, exprs: Vec<Expr>, columns: Vec<crate::general::ir::Column>, needed: Columns) -> Pruned {
    // Volatile columns are computed although nobody reads them.
    let kept: Vec<usize> = (0..exprs.len()).filter(|at| needed.contains(at) || is_volatile(&exprs[*at])).collect();
    let mut kept_exprs: Vec<Expr> = kept.iter().map(|at| exprs[*at].clone()).collect();
    let columns = kept.iter().map(|at| columns[*at].clone()).collect();
    let mut read = Columns::new();
    kept_exprs.iter().for_each(|expr| collect_columns(expr, &mut read));
    let input = prune(input, read);
    input.adapt(&mut kept_exprs);
    Pruned { rel: input.rel.project(kept_exprs, columns), kept }
}

fn join(kind: Join, left: Rel, right: Rel, mut on: Vec<Expr>, needed: Columns) -> Pruned {
    let width = left.arity();
    let mut read = needed;
    on.iter().for_each(|condition| collect_columns(condition, &mut read));
    let left_read = read.iter().copied().filter(|at| *at < width).collect();
    let right_read = read.iter().filter(|at| **at >= width).map(|at| at - width).collect();
    let (left, right) = (prune(left, left_read), prune(right, right_read));
    let new_width = left.rel.arity();
    let place = |at: usize| if at < width { left.place(at) } else { new_width + right.place(at - width) };
    on.iter_mut().for_each(|condition| remap(condition, &place));
    let mut kept = left.kept.clone();
    if !matches!(kind, Join::Semi | Join::Anti) {
        kept.extend(right.kept.iter().map(|at| at + width));
    }
    Pruned { rel: Rel::join(kind, left.rel, right.rel, on), kept }
}

fn lateral(left: Rel, mut right: Rel, outer: bool, mut on: Vec<Expr>, needed: Columns) -> Pruned {
    let width = left.arity();
    let mut read: Columns = needed.into_iter().filter(|at| *at < width).collect();
    on.iter().for_each(|condition| collect_columns(condition, &mut read));
    read.retain(|at| *at < width);
    read.extend(outer_columns(&mut right));
    let left = prune(left, read);
    move_outer(&mut right, &left);
    let new_width = left.rel.arity();
    let place = |at: usize| if at < width { left.place(at) } else { new_width + at - width };
    on.iter_mut().for_each(|condition| remap(condition, &place));
    let kept = left.kept.iter().copied().chain((0..right.arity()).map(|at| at + width)).collect();
    let mut columns = left.rel.columns.clone();
    columns.extend(right.columns.iter().cloned());
    let node = Node::Lateral { left: Box::new(left.rel), right: Box::new(right), outer, on };
    Pruned { rel: Rel::new(node, columns), kept }
}

/// Outer columns of a relation follow those of the row around it.
fn move_outer(rel: &mut Rel, row: &Pruned) {
    rewrite_outer(rel, &mut |node, depth| {
        if let Expr::Outer { index, .. } = node
            && depth == 1
        {
            *index = row.place(*index);
        }
    });
}

fn apply(input: Rel, calls: Vec<Call>, columns: Vec<crate::general::ir::Column>, needed: Columns) -> Pruned {
    let width = input.arity();
    // From the last to the first: a call may read columns of earlier ones.
    let mut read = needed;
    let mut kept_calls = Vec::new();
    for (number, mut call) in calls.into_iter().enumerate().rev() {
        if !read.contains(&(width + number)) {
            continue;
        }
        for expr in call.exprs_mut() {
            collect_columns(expr, &mut read);
        }
        read.extend(outer_columns(&mut call.rel));
        kept_calls.push((number, call));
    }
    kept_calls.reverse();
    let input = prune(input, read.into_iter().filter(|at| *at < width).collect());
    let new_width = input.rel.arity();
    let numbers: Vec<usize> = kept_calls.iter().map(|(number, _)| *number).collect();
    let place = |at: usize| match at.checked_sub(width) {
        None => input.place(at),
        Some(number) => new_width + numbers.binary_search(&number).unwrap_or_default(),
    };
    let mut new_calls = Vec::with_capacity(kept_calls.len());
    for (_, mut call) in kept_calls {
        call.exprs_mut().into_iter().for_each(|expr| remap(expr, &place));
        move_outer(&mut call.rel, &input);
        new_calls.push(call);
    }
    let kept: Vec<usize> = input.kept.iter().copied().chain(numbers.iter().map(|number| width + number)).collect();
    let columns: Vec<_> = kept.iter().map(|at| columns[*at].clone()).collect();
    let rel = input.rel.apply(new_calls);
    Pruned { rel: Rel { columns, ..rel }, kept }
}

fn aggregate_node(aggregate: Aggregate, columns: Vec<crate::general::ir::Column>, needed: Columns) -> Pruned {
    let Aggregate { input, mut groups, sets, calls, groupings } = aggregate;
    let first = groups.len();
    if !groupings.is_empty() {
        let node = Aggregate { input, groups, sets, calls, groupings };
        return unpruned(below(Rel::new(Node::Aggregate(Box::new(node)), columns)));
    }
    let kept: Vec<usize> = (0..first + calls.len()).filter(|at| *at < first || needed.contains(at)).collect();
    let mut calls: Vec<_> = kept.iter().filter(|at| **at >= first).map(|at| calls[at - first].clone()).collect();
    let mut read = Columns::new();
    groups.iter().for_each(|group| collect_columns(group, &mut read));
    for call in &mut calls {
        crate::general::ir::aggregate_exprs_mut(call).into_iter().for_each(|expr| collect_columns(expr, &mut read));
    }
    let input = prune(input, read);
    input.adapt(&mut groups);
    for call in &mut calls {
        crate::general::ir::aggregate_exprs_mut(call).into_iter().for_each(|expr| remap(expr, &|at| input.place(at)));
    }
    let columns = kept.iter().map(|at| columns[*at].clone()).collect();
    let node = Aggregate { input: input.rel, groups, sets, calls, groupings };
    Pruned { rel: Rel::new(Node::Aggregate(Box::new(node)), columns), kept }
}

//! Forms that lowering does not know become forms that it knows.
//!
//! UNION is DISTINCT over UNION ALL. Several grouping sets are UNION ALL of aggregates over the same input, each with
//! NULLs for the group columns that it leaves out.

use std::sync::atomic::{AtomicUsize, Ordering};

use planner::plan::{Expr, SetOperator};
use schema::{Datum, Oid, SqlType};
use sharddb_planner as planner;
use sharddb_schema as schema;

use crate::general::{
    expr::{is_volatile, remap},
    ir::{Aggregate, Column, Join, Node, Rel, constant},
};

/// Numbers of relations shared by rewriting; conversion counts from 1.
static NEXT_SHARED: AtomicUsize = AtomicUsize::new(1 << 40);

/// Rewrites a relation and its inputs. Subqueries are left alone: they are optimized when they are run.
pub(super) fn normalize(mut rel: Rel) -> Rel {
    for input in rel.inputs_mut() {
        let inner = std::mem::replace(input, Rel::unit());
        *input = normalize(inner);
    }
    let Rel { node, columns } = rel;
    match node {
        Node::SetOperation { operator: SetOperator::Union, all: false, left, right } => {
            // Inner duplicates do not matter.
            let all = Node::SetOperation {
                operator: SetOperator::Union,
                all: true,
                left: Box::new(without_distinct(*left)),
                right: Box::new(without_distinct(*right)),
            };
            let input = Box::new(Rel::new(all, columns.clone()));
            Rel::new(Node::Distinct { input, on: Vec::new() }, columns)
        }
        // One kind of one-sided outer join is enough.
        Node::Join { kind: Join::Right, left, right, mut on } => {
            let (left_width, right_width) = (left.arity(), right.arity());
            let place = |at: usize| if at < left_width { at + right_width } else { at - left_width };
            on.iter_mut().for_each(|condition| remap(condition, &place));
            let order: Vec<usize> = (0..left_width + right_width).map(place).collect();
            Rel::join(Join::Left, *right, *left, on).select(&order)
        }
        Node::Aggregate(aggregate) if !is_plain(&aggregate) => divide_sets(*aggregate, columns),
        node => Rel::new(node, columns),
    }
}

fn without_distinct(rel: Rel) -> Rel {
    match rel.node {
        Node::Distinct { input, on }
            if on.is_empty()
                && matches!(input.node, Node::SetOperation { operator: SetOperator::Union, all: true, .. }) =>
        {
            *input
        }
        node => Rel::new(node, rel.columns),
    }
}

fn is_plain(aggregate: &Aggregate) -> bool {
    aggregate.groupings.is_empty() && aggregate.sets.len() == 1 && aggregate.sets[0].len() == aggregate.groups.len()
}

fn divide_sets(mut aggregate: Aggregate, columns: Vec<Column>) -> Rel {
    let sets = std::mem::take(&mut aggregate.sets);
    let input = std::mem::replace(&mut aggregate.input, Rel::unit());
    if sets.is_empty() {
        return Rel::empty(columns);
    }
    let cheap = sets.len() == 1 || is_scan(&input);
    let id = NEXT_SHARED.fetch_add(1, Ordering::Relaxed);
    let read = if cheap { input.clone() } else { Rel::new(Node::Shared(id), input.columns.clone()) };
    let mut parts = sets.iter().map(|set| one_set(&aggregate, set, read.clone(), &columns));
    let first = parts.next().unwrap_or_else(Rel::unit);
    let union = parts.fold(first, |left, right| {
        let node = Node::SetOperation {
            operator: SetOperator::Union,
            all: true,
            left: Box::new(left),
            right: Box::new(right),
        };
        Rel::new(node, columns.clone())
    });
    if cheap {
        return union;
    }
    Rel::new(Node::With { shared: vec![(id, input)], body: Box::new(union) }, columns)
}

/// Whether reading a relation again costs no more than keeping its rows.
fn is_scan(rel: &Rel) -> bool {
    match &rel.node {
        Node::Scan(_) | Node::Shared(_) => true,
        Node::Filter { input, conditions } => is_scan(input) && !conditions.iter().any(is_volatile),
        Node::Project { input, exprs } => is_scan(input) && !exprs.iter().any(is_volatile),
        _ => false,
    }
}

/// The aggregate of one grouping set with all output columns.
fn one_set(aggregate: &Aggregate, set: &[usize], input: Rel, columns: &[Column]) -> Rel {
    let mut positions: Vec<usize> = set.to_vec();
    positions.sort_unstable();
    positions.dedup();
    let groups: Vec<Expr> = positions.iter().map(|at| aggregate.groups[*at].clone()).collect();
    let calls_at = aggregate.groups.len();
    let kept = positions.iter().copied().chain(calls_at..calls_at + aggregate.calls.len());
    let inner_columns: Vec<Column> = kept.map(|at| columns[at].clone()).collect();
    let node = Aggregate {
        input,
        sets: vec![(0..groups.len()).collect()],
        groups,
        calls: aggregate.calls.clone(),
        groupings: Vec::new(),
    };
    let inner = Rel::new(Node::Aggregate(Box::new(node)), inner_columns);
    let group = |at: usize| match positions.binary_search(&at) {
        Ok(place) => inner.column(place),
        Err(_) => constant(Datum::Null, columns[at].sql_type),
    };
    let grouping = |call: &Vec<usize>| {
        let bits = call.iter().fold(0, |bits, at| bits << 1 | i32::from(positions.binary_search(at).is_err()));
        constant(Datum::Int4(bits), SqlType::new(Oid::INT4))
    };
    let exprs = (0..calls_at)
        .map(group)
        .chain((0..aggregate.calls.len()).map(|call| inner.column(positions.len() + call)))
        .chain(aggregate.groupings.iter().map(grouping))
        .collect();
    inner.project(exprs, columns.to_vec())
}

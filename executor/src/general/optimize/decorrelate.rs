//! Subqueries as joins.
//!
//! * EXISTS and `x op ANY (…)` as conditions of a filter become semi joins, NOT EXISTS and NOT IN anti joins.
//! * A scalar subquery that aggregates the rows equal to outer values becomes a left join with the aggregate grouped by
//!   those values; where no group matches, its value is the one over no rows.
//! * A scalar subquery that finds its row by a unique key becomes a left join.
//!
//! Anything else stays a subquery that runs for each outer row.

use std::sync::Arc;

use planner::plan::Expr;
use proto::SqlResult;
use schema::{Datum, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    derive::{empty_aggregates, is_not_null, is_unique_by},
    fold::fold_expr,
    normalize::normalize,
    pull::{Pulled, pull},
    reduce::is_null_with,
};
use crate::general::{
    expr::{any, is_volatile, rewrite, rewrite_rel, substitute},
    ir::{Aggregate, Call, CallKind, Column, Join, Node, Rel, constant},
    lower::divide,
};

/// Rewrites a relation and its inputs.
pub(super) fn decorrelate(eval: &Arc<EvalContext>, mut rel: Rel) -> SqlResult<Rel> {
    match &mut rel.node {
        Node::Lateral { left, .. } => {
            let inner = std::mem::replace(&mut **left, Rel::unit());
            **left = decorrelate(eval, inner)?;
        }
        Node::Recursive { first, .. } => {
            let inner = std::mem::replace(&mut **first, Rel::unit());
            **first = decorrelate(eval, inner)?;
        }
        _ => {
            for input in rel.inputs_mut() {
                let inner = std::mem::replace(input, Rel::unit());
                *input = decorrelate(eval, inner)?;
            }
        }
    }
    let Rel { node, columns } = rel;
    match node {
        Node::Filter { input, conditions } => filter(eval, *input, conditions),
        Node::Apply { input, calls } => {
            joined_calls(eval, *input, calls, columns, &|call, width| scalar(eval, call, width))
        }
        Node::Lateral { left, right, outer, on } => match lateral(eval, &left, &right, outer, &on)? {
            Some(joined) => Ok(joined),
            None => Ok(Rel::new(Node::Lateral { left, right, outer, on }, columns)),
        },
        node => Ok(Rel::new(node, columns)),
    }
}

/// EXISTS that is no condition of a filter: a left join with the values for which there is a row. Done after
/// [`decorrelate`], which has made joins of all that can be semi joins.
pub(super) fn marks(eval: &Arc<EvalContext>, mut rel: Rel) -> SqlResult<Rel> {
    match &mut rel.node {
        Node::Lateral { left: input, .. } | Node::Recursive { first: input, .. } => {
            let inner = std::mem::replace(&mut **input, Rel::unit());
            **input = marks(eval, inner)?;
        }
        _ => {
            for input in rel.inputs_mut() {
                let inner = std::mem::replace(input, Rel::unit());
                *input = marks(eval, inner)?;
            }
        }
    }
    let Rel { node, columns } = rel;
    match node {
        Node::Apply { input, calls } => joined_calls(eval, *input, calls, columns, &mark),
        node => Ok(Rel::new(node, columns)),
    }
}

/// A lateral subquery whose outer columns are in its conditions only is a join on these.
fn lateral(eval: &Arc<EvalContext>, left: &Rel, right: &Rel, outer: bool, on: &[Expr]) -> SqlResult<Option<Rel>> {
    let (width, arity) = (left.arity(), right.arity());
    if has_volatile(right) {
        return Ok(None);
    }
    let Some(Pulled { rel, mut conditions }) = pull(right.clone(), width) else { return Ok(None) };
    conditions.extend(on.iter().cloned());
    let kind = if outer { Join::Left } else { Join::Inner };
    let right = decorrelate(eval, normalize(rel))?;
    let kept: Vec<usize> = (0..width + arity).collect();
    Ok(Some(Rel::join(kind, left.clone(), right, conditions).select(&kept)))
}

/// A filter over subqueries: those that are conditions become joins.
fn filter(eval: &Arc<EvalContext>, input: Rel, conditions: Vec<Expr>) -> SqlResult<Rel> {
    let columns = input.columns.clone();
    let (inner, calls) = match input.node {
        Node::Apply { input: inner, calls } => (inner, calls),
        // Values of subqueries that ran ahead are put in by a projection.
        Node::Project { input: below, exprs }
            if matches!(below.node, Node::Apply { .. }) && !exprs.iter().any(is_volatile) =>
        {
            let mut conditions = conditions;
            conditions.iter_mut().for_each(|condition| substitute(condition, &exprs));
            return Ok(filter(eval, *below, conditions)?.project(exprs, columns));
        }
        node => return Ok(Rel::new(node, columns).filter(conditions)),
    };
    let width = inner.arity();
    let mut joins = Vec::new();
    let mut kept_calls: Vec<Option<Call>> = calls.into_iter().map(Some).collect();
    let mut rest = Vec::new();
    for (at, condition) in conditions.iter().enumerate() {
        let others = conditions.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, condition)| condition);
        match as_join(condition, width, &kept_calls, others, &inner) {
            Some((number, join)) => {
                kept_calls[number] = None;
                joins.push(join);
            }
            None => rest.push(condition.clone()),
        }
    }
    let mut base = *inner;
    for (kind, right, on) in joins {
        base = Rel::join(kind, base, decorrelate(eval, normalize(right))?, on);
    }
    // Columns of the calls that became joins are read by nobody: NULLs keep the others in their places.
    let mut exprs = base.all_columns();
    let mut places = Vec::with_capacity(kept_calls.len());
    let mut left_calls = Vec::new();
    for call in kept_calls {
        match call {
            Some(call) => {
                places.push(Some(width + left_calls.len()));
                left_calls.push(call);
            }
            None => places.push(None),
        }
    }
    for (call, place) in left_calls.iter_mut().flat_map(Call::exprs_mut).map(|expr| (expr, &places)) {
        crate::general::expr::remap(call, &|at| if at < width { at } else { place[at - width].unwrap_or(at) });
    }
    let applied = base.apply(left_calls);
    for (at, place) in places.iter().enumerate() {
        let sql_type = columns[width + at].sql_type;
        exprs.push(place.map_or_else(|| constant(Datum::Null, sql_type), |place| applied.column(place)));
    }
    Ok(applied.project(exprs, columns).filter(rest))
}

type JoinParts = (Join, Rel, Vec<Expr>);

/// The join that a condition on a subquery column is, and the number of the call.
fn as_join<'e>(
    condition: &Expr,
    width: usize,
    calls: &[Option<Call>],
    mut others: impl Iterator<Item = &'e Expr>,
    input: &Rel,
) -> Option<(usize, JoinParts)> {
    let (index, negated) = match condition {
        Expr::Column { index, .. } => (*index, false),
        Expr::Not(inner) => match &**inner {
            Expr::Column { index, .. } => (*index, true),
            _ => return None,
        },
        _ => return None,
    };
    let number = index.checked_sub(width)?;
    let call = calls.get(number)?.as_ref()?;
    let reads = |expr: &Expr| any(expr, &mut |node| matches!(node, Expr::Column { index: at, .. } if *at == index));
    let read_elsewhere = others.any(reads)
        || calls.iter().flatten().any(|other| other.clone().exprs_mut().iter().any(|expr| reads(expr)));
    if read_elsewhere || call.guard.is_some() || has_volatile(&call.rel) {
        return None;
    }
    let join = match &call.kind {
        CallKind::Exists => exists(call.rel.clone(), negated, width)?,
        CallKind::Compare { inputs, operators, all } => {
            let over_calls =
                |expr: &Expr| any(expr, &mut |n| matches!(n, Expr::Column { index, .. } if *index >= width));
            if inputs.iter().any(|input| over_calls(input) || is_volatile(input)) {
                return None;
            }
            let comparisons = |rel: &Rel| -> Vec<Expr> {
                let pairs = operators.iter().zip(inputs).enumerate();
                let compare = |(at, (function, input)): (usize, (&&'static _, &Expr))| {
                    let column = Expr::Column { index: width + at, sql_type: rel.columns[at].sql_type };
                    let sql_type = schema::SqlType::new(schema::Oid::BOOL);
                    Expr::Call { function, args: vec![input.clone(), column], sql_type }
                };
                pairs.map(compare).collect()
            };
            match (all, negated) {
                (false, false) => {
                    let Pulled { rel, mut conditions } = pull(call.rel.clone(), width)?;
                    conditions.extend(comparisons(&rel));
                    (Join::Semi, rel, conditions)
                }
                (false, true) => anti(call, comparisons(&call.rel), inputs, input, width)?,
                // `x <> ALL` is NOT IN.
                (true, false) if operators.iter().all(|operator| operator.operator == Some("<>")) => {
                    let equal = operators.iter().zip(&call.rel.columns).map(|(operator, _)| equality_of(operator));
                    let equal: Option<Vec<&'static schema::functions::Function>> = equal.collect();
                    let equal = equal?;
                    let comparisons =
                        comparisons(&call.rel).into_iter().zip(equal).map(|(call, function)| match call {
                            Expr::Call { args, sql_type, .. } => Expr::Call { function, args, sql_type },
                            other => other,
                        });
                    anti(call, comparisons.collect(), inputs, input, width)?
                }
                _ => return None,
            }
        }
        CallKind::Scalar | CallKind::Array => return None,
    };
    Some((number, join))
}

fn has_volatile(rel: &Rel) -> bool {
    let mut found = false;
    rewrite_rel(&mut rel.clone(), 0, &mut |expr, _| found |= is_volatile(expr));
    found
}

/// The `=` that a `<>` negates.
fn equality_of(operator: &'static schema::functions::Function) -> Option<&'static schema::functions::Function> {
    let [left, right] = operator.args else { return None };
    let (left, right) = (schema::SqlType::new(*left), schema::SqlType::new(*right));
    schema::functions::resolve_operator("=", Some(left), right).ok().map(|resolved| resolved.function)
}

/// EXISTS does not look at columns, order or duplicates.
fn exists(rel: Rel, negated: bool, width: usize) -> Option<JoinParts> {
    let Pulled { rel, conditions } = pull(without_looks(rel), width)?;
    if conditions.is_empty() {
        return None;
    }
    Some((if negated { Join::Anti } else { Join::Semi }, rel, conditions))
}

/// A relation of which only matters whether it has rows.
fn without_looks(mut rel: Rel) -> Rel {
    loop {
        rel = match rel.node {
            Node::Project { input, exprs } if !exprs.iter().any(is_volatile) => *input,
            Node::Sort { input, .. } => *input,
            Node::Distinct { input, .. } => *input,
            Node::Limit {
                input,
                limit: Some(Expr::Constant { value: Datum::Int8(1..), .. }),
                offset: None,
                ties: None,
            } => *input,
            node => return Rel::new(node, rel.columns),
        };
    }
}

/// NOT IN: a row stays if no comparison is true or unknown. Without correlation and with possible NULLs the subquery's
/// rows are better kept in a hash table of their own.
fn anti(call: &Call, comparisons: Vec<Expr>, inputs: &[Expr], input: &Rel, width: usize) -> Option<JoinParts> {
    let known = inputs.iter().all(|expr| is_not_null(expr, input))
        && (0..call.rel.arity()).all(|at| is_not_null(&call.rel.column(at), &call.rel));
    let Pulled { rel, mut conditions } = pull(call.rel.clone(), width)?;
    if conditions.is_empty() && !known {
        return None;
    }
    conditions.extend(comparisons.into_iter().map(|comparison| match known {
        true => comparison,
        false => Expr::IsBool { input: Box::new(comparison), expected: Some(false), negated: true },
    }));
    Some((Join::Anti, rel, conditions))
}

/// Subqueries of an `Apply`, those that `join` knows how to make a join of as joins.
fn joined_calls(
    eval: &Arc<EvalContext>,
    input: Rel,
    calls: Vec<Call>,
    columns: Vec<Column>,
    join: &dyn Fn(&Call, usize) -> Option<Scalar>,
) -> SqlResult<Rel> {
    let width = input.arity();
    let mut base = input;
    // The value of each call's column over the base, for those that became joins.
    let mut values: Vec<Option<Expr>> = Vec::with_capacity(calls.len());
    let mut kept = Vec::new();
    for call in calls {
        let joined = if has_volatile(&call.rel) { None } else { join(&call, width) };
        match joined {
            Some(Scalar { rel, on, value }) => {
                let first = base.arity();
                let place = |at: usize| if at < width { at } else { at - width + first };
                let move_columns = |mut expr: Expr| {
                    crate::general::expr::remap(&mut expr, &place);
                    expr
                };
                let rel = decorrelate(eval, normalize(rel))?;
                base = Rel::join(Join::Left, base, rel, on.into_iter().map(move_columns).collect());
                values.push(Some(move_columns(value)));
            }
            None => {
                values.push(None);
                kept.push(call);
            }
        }
    }
    if values.iter().all(Option::is_none) {
        return Ok(base.apply(kept));
    }
    finish_scalars(base, width, values, kept, columns)
}

/// The subqueries that stay come behind the joined columns; a projection puts every column in its place.
fn finish_scalars(
    base: Rel,
    width: usize,
    values: Vec<Option<Expr>>,
    mut kept: Vec<Call>,
    columns: Vec<Column>,
) -> SqlResult<Rel> {
    let base_width = base.arity();
    let mut exprs: Vec<Expr> = (0..width).map(|at| base.column(at)).collect();
    let mut number = 0;
    for (value, column) in values.into_iter().zip(&columns[width..]) {
        exprs.push(value.unwrap_or_else(|| {
            number += 1;
            Expr::Column { index: base_width + number - 1, sql_type: column.sql_type }
        }));
    }
    // Inputs and guards may read columns of earlier calls, which are expressions now.
    for expr in kept.iter_mut().flat_map(Call::exprs_mut) {
        substitute(expr, &exprs);
    }
    Ok(base.apply(kept).project(exprs, columns))
}

/// A scalar subquery as a left join.
struct Scalar {
    rel: Rel,
    /// Over the outer row, then the relation.
    on: Vec<Expr>,
    value: Expr,
}

fn scalar(eval: &Arc<EvalContext>, call: &Call, width: usize) -> Option<Scalar> {
    if !matches!(call.kind, CallKind::Scalar) || call.guard.is_some() {
        return None;
    }
    let rel = &call.rel;
    // The value over the columns of what is below the projections.
    let mut value = rel.column(0);
    let mut below = rel.clone();
    while let Node::Project { input, exprs } = below.node {
        substitute(&mut value, &exprs);
        below = *input;
    }
    if let Node::Aggregate(aggregate) = below.node {
        return aggregated(eval, *aggregate, value, width);
    }
    unique_row(below, value, width)
}

/// `(SELECT f(agg) FROM … WHERE key = outer)`.
fn aggregated(eval: &Arc<EvalContext>, aggregate: Aggregate, value: Expr, width: usize) -> Option<Scalar> {
    if !aggregate.groups.is_empty() || aggregate.sets.len() != 1 || !aggregate.groupings.is_empty() {
        return None;
    }
    let empty = empty_aggregates(&aggregate.calls)?;
    let mut calls = aggregate.calls;
    if calls
        .iter_mut()
        .flat_map(crate::general::ir::aggregate_exprs_mut)
        .any(|expr| crate::general::expr::has_outer(expr))
    {
        return None;
    }
    let Groups { rel, on, keys, found } = groups(aggregate.input, calls, width)?;
    let boolean = schema::SqlType::new(schema::Oid::BOOL);
    let mut none = over_outer(value.clone(), &|at| constant(empty[at].0.clone(), empty[at].1));
    fold_expr(eval, &mut none);
    let some = over_outer(value, &|at| Expr::Column { index: width + keys + at, sql_type: empty[at].1 });
    let sql_type = some.sql_type();
    let missing = Expr::IsNull { input: Box::new(Expr::Column { index: found, sql_type: boolean }), negated: false };
    let value = match (&none, &some) {
        // The aggregates of a missing group are NULL too: a strict expression over them needs no case.
        (Expr::Constant { value: Datum::Null, .. }, some) if is_null_with(some, &|at| at >= width) => some.clone(),
        _ => Expr::Case { branches: vec![(missing, none)], otherwise: Box::new(some), sql_type },
    };
    Some(Scalar { rel, on, value })
}

/// `EXISTS (SELECT … WHERE key = outer)` as a value.
fn mark(call: &Call, width: usize) -> Option<Scalar> {
    if !matches!(call.kind, CallKind::Exists) {
        return None;
    }
    let Groups { rel, on, found, .. } = groups(without_looks(call.rel.clone()), Vec::new(), width)?;
    let found = Expr::Column { index: found, sql_type: schema::SqlType::new(schema::Oid::BOOL) };
    Some(Scalar { rel, on, value: Expr::IsNull { input: Box::new(found), negated: true } })
}

/// A relation grouped by the values that it compares with the outer row.
struct Groups {
    /// The keys, the aggregates, and a column that is true.
    rel: Rel,
    /// Over the outer row, then the relation.
    on: Vec<Expr>,
    /// Number of keys.
    keys: usize,
    /// Position of the column that is true, counted from the outer row's first.
    found: usize,
}

fn groups(rel: Rel, calls: Vec<planner::plan::AggregateCall>, width: usize) -> Option<Groups> {
    let Pulled { rel, conditions } = pull(rel, width)?;
    if conditions.is_empty() {
        return None;
    }
    let (equalities, rest) = divide(&conditions, width);
    if !rest.is_empty() || equalities.iter().any(|equality| equality.nulls) {
        return None;
    }
    let groups: Vec<Expr> = equalities.iter().map(|equality| equality.right.clone()).collect();
    let keys = groups.len();
    let mut columns: Vec<Column> = groups.iter().map(|group| Column::new("key", group.sql_type())).collect();
    columns.extend(calls.iter().map(|call| Column::new(call.function.name, call.sql_type)));
    let node = Aggregate { input: rel, sets: vec![(0..keys).collect()], groups, calls, groupings: Vec::new() };
    let grouped = Rel::new(Node::Aggregate(Box::new(node)), columns);
    // A column that is never NULL tells whether there was a group.
    let boolean = schema::SqlType::new(schema::Oid::BOOL);
    let mut exprs = grouped.all_columns();
    exprs.push(constant(Datum::Bool(true), boolean));
    let mut columns = grouped.columns.clone();
    columns.push(Column::new("found", boolean));
    let found = width + exprs.len() - 1;
    let rel = grouped.project(exprs, columns);
    let on = conditions_of_groups(&conditions, width)?;
    Some(Groups { rel, on, keys, found })
}

/// Each equality with the outer row, the inner side replaced by the group column of the same number.
fn conditions_of_groups(conditions: &[Expr], width: usize) -> Option<Vec<Expr>> {
    let replaced = |(at, condition): (usize, &Expr)| {
        let Expr::Call { function, args, sql_type } = condition else { return None };
        let inner = args
            .iter()
            .position(|arg| any(arg, &mut |node| matches!(node, Expr::Column { index, .. } if *index >= width)))?;
        let mut args = args.clone();
        args[inner] = Expr::Column { index: width + at, sql_type: args[inner].sql_type() };
        Some(Expr::Call { function, args, sql_type: *sql_type })
    };
    conditions.iter().enumerate().map(replaced).collect()
}

/// A subquery's expression over the outer row: outer columns become columns, own columns what `own` says.
fn over_outer(mut expr: Expr, own: &dyn Fn(usize) -> Expr) -> Expr {
    rewrite(&mut expr, &mut |node| match node {
        Expr::Column { index, .. } => *node = own(*index),
        Expr::Outer { depth: 1, index, sql_type } => *node = Expr::Column { index: *index, sql_type: *sql_type },
        Expr::Outer { depth, .. } => *depth -= 1,
        _ => {}
    });
    expr
}

/// `(SELECT f(columns) FROM t WHERE unique key = outer)`.
fn unique_row(rel: Rel, value: Expr, width: usize) -> Option<Scalar> {
    // An expression could be something else than NULL for a missing row.
    let Expr::Column { index, sql_type } = value else { return None };
    let Pulled { rel, conditions } = pull(rel, width)?;
    let (equalities, rest) = divide(&conditions, width);
    if conditions.is_empty() || !rest.is_empty() || equalities.iter().any(|equality| equality.nulls) {
        return None;
    }
    let keys: Vec<&Expr> = equalities.iter().map(|equality| &equality.right).collect();
    if !is_unique_by(&rel, &keys) {
        return None;
    }
    Some(Scalar { rel, on: conditions, value: Expr::Column { index: width + index, sql_type } })
}

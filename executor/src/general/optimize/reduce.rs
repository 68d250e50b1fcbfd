//! Simpler conditions and joins of the same meaning.

use std::collections::BTreeSet;

use planner::plan::Expr;
use schema::Datum;
use sharddb_planner as planner;
use sharddb_schema as schema;

use crate::general::{
    expr::{columns_of, conjunction, conjuncts, is_volatile},
    ir::Join,
};

/// Takes what all alternatives of an OR have in common out of it: `(a AND b) OR (a AND c)` is `a AND (b OR c)`.
pub(super) fn factor(condition: Expr, out: &mut Vec<Expr>) {
    let Expr::Or(alternatives) = condition else { return out.push(condition) };
    let mut parts: Vec<Vec<Expr>> = Vec::with_capacity(alternatives.len());
    for alternative in &alternatives {
        let mut conditions = Vec::new();
        conjuncts(alternative.clone(), &mut conditions);
        parts.push(conditions);
    }
    let first: Vec<Expr> = parts[0].clone();
    let mut common = Vec::new();
    for condition in first {
        let text = format!("{condition:?}");
        let has = |part: &Vec<Expr>| part.iter().any(|other| format!("{other:?}") == text);
        if !is_volatile(&condition) && parts.iter().all(has) {
            parts.iter_mut().for_each(|part| part.retain(|other| format!("{other:?}") != text));
            common.push(condition);
        }
    }
    if common.is_empty() {
        return out.push(Expr::Or(alternatives));
    }
    out.extend(common);
    // An alternative without more conditions makes the rest true.
    if parts.iter().all(|part| !part.is_empty()) {
        out.push(Expr::Or(parts.into_iter().map(conjunction).collect()));
    }
}

/// What an OR over several relations says about one of them: each alternative's conditions on it alone, joined by OR.
/// `None` if some alternative says nothing.
pub(super) fn implied(condition: &Expr, columns: &BTreeSet<usize>) -> Option<Expr> {
    let Expr::Or(alternatives) = condition else { return None };
    let part = |alternative: &Expr| {
        let mut conditions = Vec::new();
        conjuncts(alternative.clone(), &mut conditions);
        conditions.retain(|condition| {
            let read = columns_of(condition);
            !read.is_empty() && read.is_subset(columns) && !is_volatile(condition)
        });
        (!conditions.is_empty()).then(|| conjunction(conditions))
    };
    let parts: Option<Vec<Expr>> = alternatives.iter().map(part).collect();
    parts.map(Expr::Or)
}

/// The join kind that is left when rows with NULLs for the missing side do not pass the conditions above.
pub(super) fn outer_join(kind: Join, width: usize, conditions: &[Expr]) -> Join {
    let rejects = |side: &dyn Fn(usize) -> bool| conditions.iter().any(|condition| rejects_nulls(condition, side));
    let left_rejected = || rejects(&|at| at < width);
    let right_rejected = || rejects(&|at| at >= width);
    match kind {
        Join::Left if right_rejected() => Join::Inner,
        // Rows that the left side lacks go when its columns must not be NULL.
        Join::Full => match (left_rejected(), right_rejected()) {
            (true, true) => Join::Inner,
            (true, false) => Join::Left,
            _ => Join::Full,
        },
        kind => kind,
    }
}

/// Whether a condition is false or NULL when all columns of a side are NULL.
fn rejects_nulls(condition: &Expr, side: &dyn Fn(usize) -> bool) -> bool {
    match condition {
        Expr::IsNull { input, negated: true } => is_null_with(input, side),
        Expr::IsBool { input, expected: Some(_), negated: false } => is_null_with(input, side),
        Expr::And(args) => args.iter().any(|arg| rejects_nulls(arg, side)),
        Expr::Or(args) => args.iter().all(|arg| rejects_nulls(arg, side)),
        other => is_null_with(other, side),
    }
}

/// Whether an expression is NULL when all columns of a side are. False when in doubt.
pub(super) fn is_null_with(expr: &Expr, side: &dyn Fn(usize) -> bool) -> bool {
    match expr {
        Expr::Column { index, .. } => side(*index),
        Expr::Constant { value: Datum::Null, .. } => true,
        Expr::Call { function, args, .. } => function.strict && args.iter().any(|arg| is_null_with(arg, side)),
        Expr::Cast { input, .. } | Expr::Not(input) => is_null_with(input, side),
        Expr::InList { input, equal, .. } => equal.strict && is_null_with(input, side),
        Expr::Or(args) | Expr::And(args) => args.iter().all(|arg| is_null_with(arg, side)),
        _ => false,
    }
}

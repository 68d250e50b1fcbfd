//! Constant parts are computed ahead; what fails is left to fail when and if it is evaluated.

use std::sync::Arc;

use arrow::datatypes::Schema;
use planner::plan::Expr;
use schema::{
    Datum, Oid, SqlType,
    functions::{EvalContext, Volatility},
};
use sharddb_planner as planner;
use sharddb_schema as schema;

use crate::general::{
    expr::{children, conjuncts, rewrite},
    ir::{Node, Rel, constant},
    lower::Exprs,
};

const BOOL: SqlType = SqlType::new(Oid::BOOL);

/// Folds the expressions of a relation and its inputs.
pub(super) fn fold(eval: &Arc<EvalContext>, rel: &mut Rel) {
    for expr in rel.exprs_mut() {
        fold_expr(eval, expr);
    }
    if let Node::Filter { conditions, .. } | Node::Join { on: conditions, .. } = &mut rel.node {
        let mut divided = Vec::with_capacity(conditions.len());
        std::mem::take(conditions).into_iter().for_each(|condition| conjuncts(condition, &mut divided));
        *conditions = divided;
    }
    match &mut rel.node {
        // What runs for each row is folded then.
        Node::Lateral { left, .. } => fold(eval, left),
        Node::Recursive { first, .. } => fold(eval, first),
        _ => rel.inputs_mut().into_iter().for_each(|input| fold(eval, input)),
    }
}

/// Folds one expression.
pub(super) fn fold_expr(eval: &Arc<EvalContext>, expr: &mut Expr) {
    rewrite(expr, &mut |node| {
        if let Some(simpler) = simplify(node) {
            *node = simpler;
        }
        if is_foldable(node) {
            let none = Schema::empty();
            if let Ok(value) = Exprs::new(eval, &none).evaluate(node) {
                *node = constant(value, node.sql_type());
            }
        }
    });
}

fn is_foldable(node: &Expr) -> bool {
    let operation = match node {
        Expr::Call { function, .. }
        | Expr::IsDistinct { equal: function, .. }
        | Expr::InList { equal: function, .. }
        | Expr::Quantified { operator: function, .. } => function.volatility != Volatility::Volatile,
        Expr::Cast { .. }
        | Expr::And(_)
        | Expr::Or(_)
        | Expr::Not(_)
        | Expr::IsNull { .. }
        | Expr::IsBool { .. }
        | Expr::Array { .. }
        | Expr::Subscript { .. }
        | Expr::Row(_) => true,
        _ => false,
    };
    operation && children(node).iter().all(|child| matches!(child, Expr::Constant { .. }))
}

/// What an expression is when some of its operands are constants.
fn simplify(node: &mut Expr) -> Option<Expr> {
    match node {
        Expr::And(args) => connective(args, false),
        Expr::Or(args) => connective(args, true),
        Expr::Case { branches, otherwise, .. } => simplify_case(branches, otherwise),
        Expr::Coalesce { args, sql_type } => {
            args.retain(|arg| !is_null(arg));
            match args.first() {
                None => Some(constant(Datum::Null, *sql_type)),
                Some(first @ Expr::Constant { .. }) => Some(first.clone()),
                Some(first) if args.len() == 1 => Some(first.clone()),
                Some(_) => None,
            }
        }
        // NULL in, NULL out, whatever the other arguments are: unless they must be evaluated for their effects.
        Expr::Call { function, args, sql_type } if function.strict && args.iter().any(is_null) => {
            let plain = !args.iter().any(crate::general::expr::is_volatile);
            plain.then(|| constant(Datum::Null, *sql_type))
        }
        _ => None,
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Constant { value: Datum::Null, .. })
}

/// `decisive` is the value that decides the connective.
fn connective(args: &mut Vec<Expr>, decisive: bool) -> Option<Expr> {
    let is =
        |arg: &Expr, wanted: bool| matches!(arg, Expr::Constant { value: Datum::Bool(value), .. } if *value == wanted);
    if args.iter().any(|arg| is(arg, decisive)) {
        return Some(constant(Datum::Bool(decisive), BOOL));
    }
    args.retain(|arg| !is(arg, !decisive));
    match args.len() {
        0 => Some(constant(Datum::Bool(!decisive), BOOL)),
        1 => args.pop(),
        _ => None,
    }
}

fn simplify_case(branches: &mut Vec<(Expr, Expr)>, otherwise: &mut Expr) -> Option<Expr> {
    let never = |when: &Expr| matches!(when, Expr::Constant { value: Datum::Bool(false) | Datum::Null, .. });
    branches.retain(|(when, _)| !never(when));
    let always = |when: &Expr| matches!(when, Expr::Constant { value: Datum::Bool(true), .. });
    if let Some(at) = branches.iter().position(|(when, _)| always(when)) {
        *otherwise = branches[at].1.clone();
        branches.truncate(at);
    }
    branches.is_empty().then(|| otherwise.clone())
}

/// A condition that never holds.
pub(super) fn never() -> Expr {
    constant(Datum::Bool(false), BOOL)
}

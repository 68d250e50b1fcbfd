//! Which operands need no brackets in the pretty form.

use schema::{Oid, SqlType, builtin};
use sharddb_schema as schema;

use crate::plan::Expr;

/// How a conversion is carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conversion {
    Function,
    /// Relabelled or by way of text.
    Other,
}

fn conversion(from: SqlType, to: SqlType) -> Conversion {
    let by_function = from.oid == to.oid
        || builtin::casts()
            .any(|cast| cast.source == from.oid && cast.target == to.oid && cast.function != Oid::INVALID);
    if by_function { Conversion::Function } else { Conversion::Other }
}

/// The symbol of an operator with two operands.
fn binary_symbol(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::Call { function, args, .. } if args.len() == 2 => function.operator,
        _ => None,
    }
}

pub(super) fn is_operator(expr: &Expr) -> bool {
    matches!(expr, Expr::Call { function, .. } if function.operator.is_some())
}

/// What holds operations apart by its own brackets or commas.
fn separates(parent: &Expr) -> bool {
    match parent {
        Expr::Call { function, .. } => function.operator.is_none(),
        Expr::Subscript { .. } | Expr::Array { .. } | Expr::Row(_) | Expr::Coalesce { .. } | Expr::Case { .. } => true,
        _ => false,
    }
}

/// Whether an operand can stand inside its parent without brackets.
pub(super) fn is_simple(expr: &Expr, parent: &Expr) -> bool {
    match expr {
        Expr::Cast { input, sql_type, .. } => {
            conversion(input.sql_type(), *sql_type) == Conversion::Function || is_simple(input, expr)
        }
        Expr::Call { .. } if is_operator(expr) => {
            if is_operator(parent) {
                binds_tighter(expr, parent)
            } else {
                separates(parent) || is_logic(parent)
            }
        }
        Expr::IsNull { .. } | Expr::IsBool { .. } | Expr::IsDistinct { .. } | Expr::Subquery { .. } => {
            separates(parent) || is_logic(parent)
        }
        Expr::And(_) | Expr::Not(_) => separates(parent) || matches!(parent, Expr::And(_) | Expr::Or(_)),
        Expr::Or(_) => separates(parent) || matches!(parent, Expr::Or(_)),
        Expr::InList { .. } | Expr::Quantified { .. } => false,
        _ => true,
    }
}

fn is_logic(parent: &Expr) -> bool {
    matches!(parent, Expr::And(_) | Expr::Or(_) | Expr::Not(_))
}

/// Only the basic arithmetic operators have a well-known order.
fn binds_tighter(expr: &Expr, parent: &Expr) -> bool {
    let level = |symbol: &str| match symbol {
        "+" | "-" => Some(1),
        "*" | "/" | "%" => Some(2),
        _ => None,
    };
    let own = binary_symbol(expr).and_then(level);
    let outer = binary_symbol(parent).and_then(level);
    let (Some(own), Some(outer)) = (own, outer) else { return false };
    let is_left =
        matches!(parent, Expr::Call { args, .. } if args.first().is_some_and(|left| std::ptr::eq(left, expr)));
    own > outer || (own == outer && is_left)
}

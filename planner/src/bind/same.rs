//! Whether two bound expressions are the same: an item of a select list and a GROUP BY expression, for example.

use schema::{compare, functions::Function};
use sharddb_schema as schema;

use crate::plan::{AggregateCall, Expr, SortKey};

/// Whether the expressions have the same form. Subqueries are never the same.
pub(crate) fn same(a: &Expr, b: &Expr) -> bool {
    if a.sql_type() != b.sql_type() {
        return false;
    }
    match (a, b) {
        (Expr::Column { index: a, .. }, Expr::Column { index: b, .. })
        | (Expr::Parameter { index: a, .. }, Expr::Parameter { index: b, .. }) => a == b,
        (Expr::Outer { depth: a, index: i, .. }, Expr::Outer { depth: b, index: j, .. }) => a == b && i == j,
        (Expr::Constant { value: a, .. }, Expr::Constant { value: b, .. }) => {
            a.is_null() == b.is_null() && (a.is_null() || compare::equal(a, b))
        }
        (Expr::Call { function: a, args: x, .. }, Expr::Call { function: b, args: y, .. }) => {
            function(a, b) && all(x, y)
        }
        (Expr::Cast { input: a, .. }, Expr::Cast { input: b, .. }) | (Expr::Not(a), Expr::Not(b)) => same(a, b),
        (Expr::And(a), Expr::And(b))
        | (Expr::Or(a), Expr::Or(b))
        | (Expr::Row(a), Expr::Row(b))
        | (Expr::Coalesce { args: a, .. }, Expr::Coalesce { args: b, .. })
        | (Expr::Array { elements: a, .. }, Expr::Array { elements: b, .. }) => all(a, b),
        (Expr::IsNull { input: a, negated: m }, Expr::IsNull { input: b, negated: n }) => m == n && same(a, b),
        (Expr::IsBool { input: a, expected: e, negated: m }, Expr::IsBool { input: b, expected: f, negated: n }) => {
            m == n && e == f && same(a, b)
        }
        (
            Expr::IsDistinct { left: a, right: b, negated: m, .. },
            Expr::IsDistinct { left: c, right: d, negated: n, .. },
        ) => m == n && same(a, c) && same(b, d),
        (Expr::Case { branches: a, otherwise: x, .. }, Expr::Case { branches: b, otherwise: y, .. }) => {
            a.len() == b.len() && a.iter().zip(b).all(|((a, x), (b, y))| same(a, b) && same(x, y)) && same(x, y)
        }
        (Expr::InList { input: a, list: x, negated: m, .. }, Expr::InList { input: b, list: y, negated: n, .. }) => {
            m == n && same(a, b) && all(x, y)
        }
        (
            Expr::Quantified { input: a, array: x, operator: f, all: m },
            Expr::Quantified { input: b, array: y, operator: g, all: n },
        ) => m == n && function(f, g) && same(a, b) && same(x, y),
        (Expr::Subscript { array: a, indexes: x, .. }, Expr::Subscript { array: b, indexes: y, .. }) => {
            same(a, b) && x.len() == y.len() && x.iter().zip(y).all(|(x, y)| bounds(x, y))
        }
        _ => false,
    }
}

type Bounds = (Option<Expr>, Option<Option<Expr>>);

fn bounds(a: &Bounds, b: &Bounds) -> bool {
    let option = |a: &Option<Expr>, b: &Option<Expr>| match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same(a, b),
        _ => false,
    };
    option(&a.0, &b.0)
        && match (&a.1, &b.1) {
            (None, None) => true,
            (Some(a), Some(b)) => option(a, b),
            _ => false,
        }
}

fn function(a: &'static Function, b: &'static Function) -> bool {
    std::ptr::eq(a, b)
}

/// Whether the lists are the same, item by item.
pub(super) fn all(a: &[Expr], b: &[Expr]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

/// Whether the sort keys are the same.
pub(super) fn keys(a: &[SortKey], b: &[SortKey]) -> bool {
    let one = |a: &SortKey, b: &SortKey| {
        a.descending == b.descending && a.nulls_first == b.nulls_first && same(&a.expr, &b.expr)
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| one(a, b))
}

/// Whether two aggregate calls compute the same.
pub(super) fn aggregate(a: &AggregateCall, b: &AggregateCall) -> bool {
    std::ptr::eq(a.function, b.function)
        && a.distinct == b.distinct
        && all(&a.args, &b.args)
        && all(a.filter.as_slice(), b.filter.as_slice())
        && keys(&a.order_by, &b.order_by)
}

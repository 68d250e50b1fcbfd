//! The fraction of rows for which a condition holds.

use planner::plan::Expr;
use schema::{
    ColumnStatistics, Datum, FormatSettings, Oid, SqlType, TableDescriptor, datetime::Now, functions::CastContext,
    text::parse_datum,
};
use sharddb_planner as planner;
use sharddb_schema as schema;

use super::estimate::distinct;
use crate::general::ir::{Join, Node, Rel};

/// Where nothing is known: a comparison for order, a pattern, any other condition.
const RANGE: f64 = 0.33;
const PATTERN: f64 = 0.1;
const OTHER: f64 = 0.5;

/// The fraction of a relation's rows for which a condition holds.
pub(in crate::general) fn selectivity(condition: &Expr, rel: &Rel) -> f64 {
    match condition {
        Expr::Call { function, args, .. } => match (function.operator, args.as_slice()) {
            (Some(symbol), [left, right]) => comparison(symbol, left, right, rel),
            _ => OTHER,
        },
        Expr::InList { input, list, negated, .. } => {
            let found = (list.len() as f64 / distinct(input, rel)).min(1.0);
            if *negated { 1.0 - found } else { found }
        }
        Expr::And(args) => args.iter().map(|arg| selectivity(arg, rel)).product(),
        Expr::Or(args) => 1.0 - args.iter().map(|arg| 1.0 - selectivity(arg, rel)).product::<f64>(),
        Expr::Not(input) => 1.0 - selectivity(input, rel),
        Expr::IsNull { input, negated } => {
            let nulls = statistics_of(input, rel).map_or(0.05, |known| known.null_fraction);
            if *negated { 1.0 - nulls } else { nulls }
        }
        Expr::Constant { value: Datum::Bool(false) | Datum::Null, .. } => 0.0,
        Expr::Constant { value: Datum::Bool(true), .. } => 1.0,
        _ => OTHER,
    }
}

fn comparison(symbol: &str, left: &Expr, right: &Expr, rel: &Rel) -> f64 {
    match symbol {
        "=" => 1.0 / distinct(left, rel).max(distinct(right, rel)),
        "<>" => 1.0 - 1.0 / distinct(left, rel).max(distinct(right, rel)),
        "<" | "<=" => range(left, right, rel).unwrap_or(RANGE),
        ">" | ">=" => range(left, right, rel).map_or(RANGE, |below| 1.0 - below),
        "~~" | "~~*" | "~" | "~*" => PATTERN,
        "!~~" | "!~~*" | "!~" | "!~*" => 1.0 - PATTERN,
        _ => OTHER,
    }
}

/// The fraction of rows where the left side is below the right one, one of them being a constant.
fn range(left: &Expr, right: &Expr, rel: &Rel) -> Option<f64> {
    match (left, right) {
        (column, Expr::Constant { value, .. }) => below(column, value, rel),
        (Expr::Constant { value, .. }, column) => below(column, value, rel).map(|below| 1.0 - below),
        _ => None,
    }
}

fn below(column: &Expr, value: &Datum, rel: &Rel) -> Option<f64> {
    let known = statistics_of(column, rel)?;
    let oid = stripped(column).sql_type().oid;
    let (min, max) = (read(oid, known.min.as_deref()?)?, read(oid, known.max.as_deref()?)?);
    let value = number(value)?;
    if max <= min {
        return None;
    }
    // Never nothing and never all: the bounds may be old.
    Some(((value - min) / (max - min)).clamp(0.001, 0.999))
}

fn read(oid: Oid, text: &str) -> Option<f64> {
    let settings = FormatSettings::default();
    number(&parse_datum(SqlType::new(oid), text, &settings, Now(0), CastContext::Implicit).ok()?)
}

/// A value's place on a line; dates and timestamps share one.
fn number(value: &Datum) -> Option<f64> {
    Some(match value {
        Datum::Int2(v) => f64::from(*v),
        Datum::Int4(v) => f64::from(*v),
        Datum::Int8(v) => *v as f64,
        Datum::Float4(v) => f64::from(*v),
        Datum::Float8(v) => *v,
        Datum::Numeric(v) => v.to_f64(),
        Datum::Date(v) => f64::from(*v) * 86_400e6,
        Datum::Timestamp(v) | Datum::TimestampTz(v) | Datum::Time(v) => *v as f64,
        _ => return None,
    })
}

fn stripped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast { input, .. } => stripped(input),
        other => other,
    }
}

fn statistics_of<'r>(expr: &Expr, rel: &'r Rel) -> Option<&'r ColumnStatistics> {
    let Expr::Column { index, .. } = stripped(expr) else { return None };
    let (table, at) = column_of_table(rel, *index)?;
    let id = table.columns[at].id;
    table.statistics.as_ref()?.columns.iter().find(|known| known.column == id)
}

/// The table column that a relation's column is.
pub(super) fn column_of_table(rel: &Rel, index: usize) -> Option<(&TableDescriptor, usize)> {
    match &rel.node {
        Node::Scan(scan) => scan.positions.get(index).map(|at| (&*scan.table, *at)),
        Node::Filter { input, .. } | Node::Sort { input, .. } | Node::Limit { input, .. } => {
            column_of_table(input, index)
        }
        Node::Apply { input, .. } | Node::Window { input, .. } | Node::ProjectSet { input, .. } => {
            if index < input.arity() { column_of_table(input, index) } else { None }
        }
        Node::Project { input, exprs } => match &exprs[index] {
            Expr::Column { index, .. } => column_of_table(input, *index),
            _ => None,
        },
        Node::Join { kind, left, right, .. } => match index.checked_sub(left.arity()) {
            None => column_of_table(left, index),
            Some(index) if !matches!(kind, Join::Semi | Join::Anti) => column_of_table(right, index),
            Some(_) => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_kind_lie_on_one_line() {
        assert_eq!(read(Oid::DATE, "1970-01-02"), number(&Datum::Timestamp(86_400_000_000)));
        assert_eq!(read(Oid::INT4, "7"), Some(7.0));
        assert_eq!(read(Oid::NUMERIC, "1.5"), Some(1.5));
        assert_eq!(number(&Datum::text("x")), None);
    }
}

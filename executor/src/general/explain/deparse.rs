//! Expressions as text, for plans that people read.

use planner::plan::{AggregateCall, Expr, SortKey};
use schema::{Datum, FormatSettings, SqlType, functions::Function, text::write_text};
use sharddb_planner as planner;
use sharddb_schema as schema;

use crate::general::ir::Column;

/// An expression over these columns.
pub(in crate::general) fn deparse(expr: &Expr, columns: &[Column]) -> String {
    let text = |expr: &Expr| deparse(expr, columns);
    match expr {
        Expr::Column { index, .. } => columns.get(*index).map_or_else(|| format!("${index}"), |c| c.name.to_string()),
        Expr::Outer { index, .. } => format!("$outer{index}"),
        Expr::Parameter { index, .. } => format!("${}", index + 1),
        Expr::Constant { value, sql_type } => constant(value, *sql_type),
        Expr::Call { function, args, .. } => call(function, args, columns),
        Expr::Cast { input, sql_type, .. } => format!("({})::{}", text(input), type_name(*sql_type)),
        Expr::And(args) => format!("({})", joined(args, columns, " AND ")),
        Expr::Or(args) => format!("({})", joined(args, columns, " OR ")),
        Expr::Not(input) => format!("(NOT {})", text(input)),
        Expr::IsNull { input, negated } => format!("({} IS {}NULL)", text(input), not(*negated)),
        Expr::IsBool { input, expected, negated } => {
            let expected = match expected {
                Some(true) => "TRUE",
                Some(false) => "FALSE",
                None => "UNKNOWN",
            };
            format!("({} IS {}{expected})", text(input), not(*negated))
        }
        Expr::IsDistinct { left, right, negated, .. } => {
            format!("({} IS {}DISTINCT FROM {})", text(left), not(*negated), text(right))
        }
        Expr::Case { branches, otherwise, .. } => {
            let branches = branches.iter().map(|(when, then)| format!("WHEN {} THEN {} ", text(when), text(then)));
            format!("CASE {}ELSE {} END", branches.collect::<String>(), text(otherwise))
        }
        Expr::Coalesce { args, .. } => format!("COALESCE({})", joined(args, columns, ", ")),
        Expr::InList { input, list, negated, .. } => {
            format!("({} {}IN ({}))", text(input), if *negated { "NOT " } else { "" }, joined(list, columns, ", "))
        }
        Expr::Quantified { input, array, operator, all } => {
            let symbol = operator.operator.unwrap_or(operator.name);
            format!("({} {symbol} {} ({}))", text(input), if *all { "ALL" } else { "ANY" }, text(array))
        }
        Expr::Array { elements, .. } => format!("ARRAY[{}]", joined(elements, columns, ", ")),
        Expr::Subscript { array, indexes, .. } => subscript(array, indexes, columns),
        Expr::Row(items) => format!("ROW({})", joined(items, columns, ", ")),
        Expr::Subquery { .. } => "(SubPlan)".to_owned(),
        Expr::Default => "DEFAULT".to_owned(),
    }
}

/// Several conditions.
pub(in crate::general) fn deparse_all(exprs: &[Expr], columns: &[Column]) -> String {
    match exprs {
        [one] => deparse(one, columns),
        _ if exprs.is_empty() => String::new(),
        _ => format!("({})", joined(exprs, columns, " AND ")),
    }
}

/// Sort keys.
pub(in crate::general) fn deparse_keys(keys: &[SortKey], columns: &[Column]) -> String {
    let key = |key: &SortKey| {
        let mut text = deparse(&key.expr, columns);
        if key.descending {
            text.push_str(" DESC");
        }
        // PostgreSQL shows the placement of NULLs where it is not the default.
        if key.nulls_first != key.descending {
            text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
        }
        text
    };
    keys.iter().map(key).collect::<Vec<_>>().join(", ")
}

/// An aggregate call.
pub(in crate::general) fn deparse_aggregate(call: &AggregateCall, columns: &[Column]) -> String {
    let args = if call.args.is_empty() { "*".to_owned() } else { joined(&call.args, columns, ", ") };
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let order = match call.order_by.is_empty() {
        true => String::new(),
        false => format!(" ORDER BY {}", deparse_keys(&call.order_by, columns)),
    };
    let filter = call.filter.as_ref().map(|filter| format!(" FILTER (WHERE {})", deparse(filter, columns)));
    format!("{}({distinct}{args}{order}){}", call.function.name, filter.unwrap_or_default())
}

fn joined(exprs: &[Expr], columns: &[Column], separator: &str) -> String {
    exprs.iter().map(|expr| deparse(expr, columns)).collect::<Vec<_>>().join(separator)
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

fn call(function: &Function, args: &[Expr], columns: &[Column]) -> String {
    match (function.operator, args) {
        (Some(symbol), [left, right]) => {
            format!("({} {} {})", deparse(left, columns), symbol, deparse(right, columns))
        }
        (Some(symbol), [input]) => format!("({} {})", symbol, deparse(input, columns)),
        _ => format!("{}({})", function.name, joined(args, columns, ", ")),
    }
}

fn subscript(array: &Expr, indexes: &[(Option<Expr>, Option<Option<Expr>>)], columns: &[Column]) -> String {
    let bound = |expr: &Option<Expr>| expr.as_ref().map(|expr| deparse(expr, columns)).unwrap_or_default();
    let index = |(lower, upper): &(Option<Expr>, Option<Option<Expr>>)| match upper {
        None => format!("[{}]", bound(lower)),
        Some(upper) => format!("[{}:{}]", bound(lower), bound(upper)),
    };
    format!("({}){}", deparse(array, columns), indexes.iter().map(index).collect::<String>())
}

fn constant(value: &Datum, sql_type: SqlType) -> String {
    match value {
        Datum::Null => format!("NULL::{}", type_name(sql_type)),
        Datum::Bool(value) => value.to_string(),
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) | Datum::Oid(_) => plain(value, sql_type),
        _ => format!("'{}'::{}", plain(value, sql_type).replace('\'', "''"), type_name(sql_type)),
    }
}

fn plain(value: &Datum, sql_type: SqlType) -> String {
    let mut text = String::new();
    write_text(value, sql_type, &FormatSettings::default(), &mut text);
    text
}

fn type_name(sql_type: SqlType) -> &'static str {
    sql_type.oid.type_info().map_or("unknown", |info| info.sql_name)
}

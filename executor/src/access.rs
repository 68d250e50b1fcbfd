//! How the rows that a condition asks for are reached: by key, by a span of an index, or by reading everything.

use std::ops::Bound;

use bytes::Bytes;
use planner::plan::Expr;
use proto::SqlResult;
use schema::{Datum, IndexDescriptor, IndexId, Oid, SqlType, TableDescriptor, key};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::eval;

/// A way to the rows of one table.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// At most one row: a value for every column of the primary key or of a unique index.
    Point { index: IndexId, values: Vec<Expr> },
    /// A span of an index: equal leading columns, then bounds of the next one.
    Span { index: IndexId, equal: Vec<Expr>, lower: Option<(Expr, bool)>, upper: Option<(Expr, bool)> },
    /// Every row.
    Full,
}

/// A condition of the form `column op value`, the value without columns.
struct Comparison<'e> {
    column: usize,
    operator: &'static str,
    value: &'e Expr,
}

/// Chooses the way to a table's rows, and answers what is left of the condition to check for each of them.
pub(crate) fn choose(table: &TableDescriptor, condition: Option<&Expr>) -> (Access, Option<Expr>) {
    let conjuncts: Vec<&Expr> = match condition {
        None => return (Access::Full, None),
        Some(Expr::And(conjuncts)) => conjuncts.iter().collect(),
        Some(other) => vec![other],
    };
    let comparisons: Vec<Option<Comparison<'_>>> = conjuncts.iter().map(|expr| comparison(table, expr)).collect();
    let mut best: Option<(usize, Access, Vec<usize>)> = None;
    for index in usable_indexes(table) {
        let Some((score, access, used)) = index_access(table, index, &comparisons) else { continue };
        if best.as_ref().is_none_or(|(known, ..)| score > *known) {
            best = Some((score, access, used));
        }
    }
    let Some((_, access, used)) = best else { return (Access::Full, condition.cloned()) };
    let rest = conjuncts.iter().enumerate().filter(|(at, _)| !used.contains(at)).map(|(_, expr)| (*expr).clone());
    let mut rest: Vec<Expr> = rest.collect();
    let rest = match rest.len() {
        0 => None,
        1 => rest.pop(),
        _ => Some(Expr::And(rest)),
    };
    (access, rest)
}

fn usable_indexes(table: &TableDescriptor) -> impl Iterator<Item = &IndexDescriptor> {
    let usable = |index: &&IndexDescriptor| {
        !index.columns.is_empty() && index.predicate.is_none() && index.state == schema::IndexState::Ready
    };
    table.indexes.iter().filter(usable)
}

/// What an index can do with the comparisons: a score, the access, and which comparisons it answers in full.
fn index_access(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    comparisons: &[Option<Comparison<'_>>],
) -> Option<(usize, Access, Vec<usize>)> {
    let find = |position: usize, wanted: &[&str]| {
        comparisons.iter().enumerate().find_map(|(at, comparison)| {
            let comparison = comparison.as_ref()?;
            (comparison.column == position && wanted.contains(&comparison.operator)).then_some((at, comparison))
        })
    };
    let (mut equal, mut used) = (Vec::new(), Vec::new());
    let mut positions = index.columns.iter().map(|column| table.position(column.column));
    let mut next = None;
    for position in positions.by_ref() {
        let position = position?;
        match find(position, &["="]) {
            Some((at, comparison)) => {
                equal.push(comparison.value.clone());
                used.push(at);
            }
            None => {
                next = Some(position);
                break;
            }
        }
    }
    let primary = usize::from(index.id == key::PRIMARY_INDEX);
    if next.is_none() && index.unique {
        return Some((1000 + primary, Access::Point { index: index.id, values: equal }, used));
    }
    if let (1, schema::Sharding::Hash { columns, .. }) = (primary, &table.sharding) {
        // Keys begin with the hash of these columns.
        let known = &index.columns[..equal.len()];
        if !columns.iter().all(|hashed| known.iter().any(|column| column.column == *hashed)) {
            return None;
        }
    }
    let bound = |operators: [&'static str; 2]| {
        let (at, comparison) = find(next?, &operators)?;
        Some((at, (comparison.value.clone(), comparison.operator.len() == 2)))
    };
    let lower = bound([">", ">="]);
    let upper = bound(["<", "<="]);
    if equal.is_empty() && lower.is_none() && upper.is_none() {
        return None;
    }
    used.extend(lower.iter().chain(&upper).map(|(at, _)| *at));
    let score = 10 * equal.len() + 4 * usize::from(lower.is_some()) + 4 * usize::from(upper.is_some()) + primary;
    let (lower, upper) = (lower.map(|(_, bound)| bound), upper.map(|(_, bound)| bound));
    Some((score, Access::Span { index: index.id, equal, lower, upper }, used))
}

fn comparison<'e>(table: &TableDescriptor, expr: &'e Expr) -> Option<Comparison<'e>> {
    let Expr::Call { function, args, .. } = expr else { return None };
    let (operator, [left, right]) = (function.operator?, args.as_slice()) else { return None };
    if !matches!(operator, "=" | "<" | "<=" | ">" | ">=") {
        return None;
    }
    let found = |column: &Expr, value: &'e Expr, operator| {
        let column = column_of(column)?;
        let fits = planner::is_constant(value) && keeps_order(table.columns.get(column)?.sql_type, value.sql_type());
        fits.then_some(Comparison { column, operator, value })
    };
    found(left, right, operator).or_else(|| found(right, left, mirrored(operator)))
}

fn mirrored(operator: &'static str) -> &'static str {
    match operator {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

/// The column behind an expression that only relabels it.
fn column_of(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column { index, .. } => Some(*index),
        Expr::Cast { input, sql_type, .. } if sql_type.oid == Oid::TEXT && sql_type.modifier < 0 => match &**input {
            Expr::Column { index, sql_type } if matches!(sql_type.oid, Oid::VARCHAR | Oid::NAME) => Some(*index),
            _ => None,
        },
        _ => None,
    }
}

/// Whether values of a type can stand in a key of a column as they are.
fn keeps_order(column: SqlType, value: SqlType) -> bool {
    let integer = |oid: Oid| matches!(oid, Oid::INT2 | Oid::INT4 | Oid::INT8);
    let text = |oid: Oid| matches!(oid, Oid::TEXT | Oid::VARCHAR | Oid::NAME);
    column.oid == value.oid || (integer(column.oid) && integer(value.oid)) || (text(column.oid) && text(value.oid))
}

impl Access {
    /// The spans of keys to read. Empty when nothing can match, as with a NULL.
    pub(crate) fn spans(&self, table: &TableDescriptor, context: &eval::Context<'_>) -> SqlResult<Vec<(Bytes, Bytes)>> {
        let owned = |(start, end): (Vec<u8>, Vec<u8>)| (Bytes::from(start), Bytes::from(end));
        let (index, equal, lower, upper) = match self {
            Self::Full => return Ok(vec![owned(key::index_span(table, key::PRIMARY_INDEX))]),
            Self::Point { index, values } => (*index, values, &None, &None),
            Self::Span { index, equal, lower, upper } => (*index, equal, lower, upper),
        };
        let Some(equal) = values_of(equal, context)? else { return Ok(Vec::new()) };
        let Some(lower) = bound_of(lower, context)? else { return Ok(Vec::new()) };
        let Some(upper) = bound_of(upper, context)? else { return Ok(Vec::new()) };
        let Some(index) = table.index(index) else { return Ok(Vec::new()) };
        let bounds = key::prefix_bounds(table, index, &equal, lower.as_ref(), upper.as_ref())?;
        Ok(bounds.spans.into_iter().map(owned).collect())
    }

    /// The one key of a point access; `None` when nothing can match.
    pub(crate) fn point(&self, table: &TableDescriptor, context: &eval::Context<'_>) -> SqlResult<Option<Bytes>> {
        Ok(self.spans(table, context)?.into_iter().next().map(|(start, _)| start))
    }

    /// The index it goes through.
    pub(crate) fn index(&self) -> IndexId {
        match self {
            Self::Point { index, .. } | Self::Span { index, .. } => *index,
            Self::Full => key::PRIMARY_INDEX,
        }
    }

    /// Whether keys read are those of rows, not of index entries.
    pub(crate) fn reads_rows(&self) -> bool {
        self.index() == key::PRIMARY_INDEX
    }
}

/// Values of expressions; `None` when one is NULL.
fn values_of(exprs: &[Expr], context: &eval::Context<'_>) -> SqlResult<Option<Vec<Datum>>> {
    let mut values = Vec::with_capacity(exprs.len());
    for expr in exprs {
        let value = context.value(expr, &[])?;
        if value.is_null() {
            return Ok(None);
        }
        values.push(value);
    }
    Ok(Some(values))
}

/// A bound's value; `None` when it is NULL.
fn bound_of(bound: &Option<(Expr, bool)>, context: &eval::Context<'_>) -> SqlResult<Option<Bound<Datum>>> {
    let Some((expr, inclusive)) = bound else { return Ok(Some(Bound::Unbounded)) };
    let value = context.value(expr, &[])?;
    if value.is_null() {
        return Ok(None);
    }
    Ok(Some(if *inclusive { Bound::Included(value) } else { Bound::Excluded(value) }))
}

//! From conditions on a table's columns to the spans of keys that can satisfy them.
//!
//! The spans only narrow what is read: every condition is still applied to the rows.

use std::{collections::BTreeMap, ops::Bound};

use planner::plan::Expr;
use proto::{SqlResult, kv as wire};
use schema::{
    Datum, IndexColumn, IndexDescriptor, IndexState, Oid, SqlType, compare,
    key::{KeySpan, index_span, prefix_bounds},
};
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::general::{context, expr::sql_type, ir::Scan, optimize::estimate};

/// Combinations of listed values that are looked up one by one; beyond it, the whole range between them is read.
const POINTS_MAX: usize = 1024;

/// Rows that one row fetched by its key stands for: reading in order is that much cheaper.
const FETCH_COST: f64 = 20.0;

/// What is read of a table.
pub(in crate::general) struct Access<'a> {
    /// The index whose keys the spans are; index 1 holds the rows.
    pub(in crate::general) index: &'a IndexDescriptor,
    /// Ascending and disjoint; empty if no row can match.
    pub(in crate::general) spans: Vec<wire::Span>,
    /// Number of index columns that narrow the spans.
    narrowed: usize,
    /// Estimated cost, in rows read in order.
    pub(in crate::general) cost: f64,
}

impl Access<'_> {
    /// Whether the spans are those of the rows themselves.
    pub(in crate::general) fn is_primary(&self, scan: &Scan) -> bool {
        self.index.id == scan.table.primary().id
    }

    /// Lines for EXPLAIN.
    pub(in crate::general) fn describe(&self, scan: &Scan) -> Option<String> {
        if self.narrowed == 0 {
            return None;
        }
        let names = self.index.columns.iter().take(self.narrowed).filter_map(|column| scan.table.column(column.column));
        let names: Vec<&str> = names.map(|column| column.name.as_str()).collect();
        Some(format!("Key Bounds: {} on ({}), spans: {}", self.index.name, names.join(", "), self.spans.len()))
    }
}

/// What the conditions say about one column.
#[derive(Default)]
struct Known {
    /// Values of which it must have one; a NULL stands for IS NULL.
    equal: Option<Vec<Datum>>,
    lower: Option<(Datum, bool)>,
    upper: Option<(Datum, bool)>,
}

/// The cheapest way to the rows of a scan that may satisfy conditions over its columns.
pub(in crate::general) fn choose<'a>(scan: &'a Scan, conditions: &[Expr]) -> SqlResult<Access<'a>> {
    let table = &scan.table;
    let primary = table.primary();
    let mut known: BTreeMap<usize, Known> = BTreeMap::new();
    for condition in conditions {
        learn(scan, condition, &mut known);
    }
    let rows = estimate::table_rows(table);
    let mut best = (rows, primary, 0, vec![index_span(table, primary.id)]);
    for index in table.indexes.iter().filter(|index| index.state == IndexState::Ready && index.predicate.is_none()) {
        let Some((narrowed, spans)) = index_bounds(scan, index, &known)? else { continue };
        let found = rows * fraction(scan, index, &known, narrowed);
        let cost = if index.id == primary.id { found } else { (found + 1.0) * FETCH_COST };
        if cost < best.0 || spans.is_empty() {
            best = (cost, index, narrowed, spans);
        }
    }
    let (cost, index, narrowed, spans) = best;
    let spans = merged(spans).into_iter().map(|(start, end)| context::span(start, end)).collect();
    Ok(Access { index, spans, narrowed, cost })
}

/// The estimated fraction of a table's rows within the bounds of an index.
fn fraction(scan: &Scan, index: &IndexDescriptor, known: &BTreeMap<usize, Known>, narrowed: usize) -> f64 {
    let column = |column: &IndexColumn| {
        let Some(at) = scan.table.position(column.column) else { return 1.0 };
        match known.get(&at) {
            Some(Known { equal: Some(values), .. }) => values.len() as f64 / estimate::table_distinct(&scan.table, at),
            Some(Known { lower: Some(_), upper: Some(_), .. }) => 0.1,
            Some(_) => 0.33,
            None => 1.0,
        }
    };
    index.columns.iter().take(narrowed).map(column).product()
}

/// Groups spans by the shard that holds them; each group is one partition.
pub(in crate::general) fn partition(client: &kv::Client, spans: &[wire::Span]) -> Vec<Vec<wire::Span>> {
    let ranges = client.ranges();
    let mut partitions: Vec<(u64, Vec<wire::Span>)> = Vec::new();
    for span in spans {
        for (route, part) in ranges.routes(span) {
            match partitions.last_mut() {
                Some((shard, spans)) if *shard == route.shard.0 => spans.push(part),
                _ => partitions.push((route.shard.0, vec![part])),
            }
        }
    }
    partitions.into_iter().map(|(_, spans)| spans).collect()
}

/// Spans of an index under what is known, and how many of its columns count; `None` if nothing helps.
fn index_bounds(
    scan: &Scan,
    index: &IndexDescriptor,
    known: &BTreeMap<usize, Known>,
) -> SqlResult<Option<(usize, Vec<KeySpan>)>> {
    let table = &scan.table;
    let mut prefixes: Vec<Vec<Datum>> = vec![Vec::new()];
    let mut range: (Bound<&Datum>, Bound<&Datum>) = (Bound::Unbounded, Bound::Unbounded);
    let mut narrowed = 0;
    for column in &index.columns {
        let facts = table.position(column.column).and_then(|at| known.get(&at));
        let Some(facts) = facts else { break };
        match &facts.equal {
            Some(values) if values.len().saturating_mul(prefixes.len()) <= POINTS_MAX => {
                let extend = |prefix: &Vec<Datum>, value: &Datum| [prefix.clone(), vec![value.clone()]].concat();
                prefixes = prefixes.iter().flat_map(|p| values.iter().map(move |value| extend(p, value))).collect();
                narrowed += 1;
            }
            Some(_) => break,
            None => {
                range = (as_bound(facts.lower.as_ref()), as_bound(facts.upper.as_ref()));
                narrowed += 1;
                break;
            }
        }
    }
    if narrowed == 0 {
        return Ok(None);
    }
    let mut spans = Vec::with_capacity(prefixes.len());
    for prefix in &prefixes {
        let bounds = prefix_bounds(table, index, prefix, range.0, range.1)?;
        if !bounds.exact {
            // The hash columns are not all known: the rows may be in any bucket.
            return Ok(None);
        }
        spans.extend(bounds.spans);
    }
    Ok(Some((narrowed, spans)))
}

fn as_bound(edge: Option<&(Datum, bool)>) -> Bound<&Datum> {
    match edge {
        None => Bound::Unbounded,
        Some((value, true)) => Bound::Included(value),
        Some((value, false)) => Bound::Excluded(value),
    }
}

/// Ascending, without overlaps.
fn merged(mut spans: Vec<KeySpan>) -> Vec<KeySpan> {
    spans.sort();
    let mut merged: Vec<KeySpan> = Vec::with_capacity(spans.len());
    for (start, end) in spans {
        match merged.last_mut() {
            Some((_, last)) if last.is_empty() || *last >= start => {
                if !last.is_empty() && (end.is_empty() || end > *last) {
                    *last = end;
                }
            }
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// Adds what a condition says about a column of the table.
fn learn(scan: &Scan, condition: &Expr, known: &mut BTreeMap<usize, Known>) {
    match condition {
        Expr::Call { function, args, .. } => {
            let ([left, right], Some(symbol)) = (args.as_slice(), function.operator) else { return };
            if let Some((at, value)) = column_and_value(scan, left, right) {
                compare_with(known.entry(at).or_default(), symbol, value);
            } else if let Some((at, value)) = column_and_value(scan, right, left) {
                compare_with(known.entry(at).or_default(), mirrored(symbol), value);
            }
        }
        Expr::IsNull { input, negated: false } => {
            if let Some(at) = table_column(scan, input) {
                known.entry(at).or_default().restrict(vec![Datum::Null]);
            }
        }
        Expr::InList { input, list, negated: false, .. } => {
            let Some(at) = table_column(scan, input) else { return };
            let values: Option<Vec<Datum>> = list.iter().map(|item| value_for(scan, at, item)).collect();
            if let Some(values) = values {
                known.entry(at).or_default().restrict(values.into_iter().filter(|v| !v.is_null()).collect());
            }
        }
        Expr::Quantified { input, array, operator, all: false } if operator.operator == Some("=") => {
            let Some(at) = table_column(scan, input) else { return };
            if let Expr::Constant { value: Datum::Array(array), .. } = &**array
                && comparable(scan.table.columns[at].sql_type, SqlType::new(array.element))
            {
                let values = array.values.iter().filter(|value| !value.is_null()).cloned().collect();
                known.entry(at).or_default().restrict(values);
            }
        }
        _ => {}
    }
}

impl Known {
    /// One of these values; with earlier such knowledge, one of those that are in both.
    fn restrict(&mut self, mut values: Vec<Datum>) {
        values.sort_by(order);
        values.dedup_by(|a, b| order(a, b).is_eq());
        if let Some(before) = &self.equal {
            values.retain(|value| before.iter().any(|other| order(value, other).is_eq()));
        }
        self.equal = Some(values);
    }
}

/// Order of values that may be integers of different widths.
fn order(a: &Datum, b: &Datum) -> std::cmp::Ordering {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => compare::compare(a, b),
    }
}

fn integer(value: &Datum) -> Option<i64> {
    match value {
        Datum::Int2(v) => Some((*v).into()),
        Datum::Int4(v) => Some((*v).into()),
        Datum::Int8(v) => Some(*v),
        _ => None,
    }
}

fn compare_with(known: &mut Known, symbol: &str, value: Datum) {
    if value.is_null() {
        // A comparison with NULL is never true.
        if matches!(symbol, "=" | "<" | "<=" | ">" | ">=") {
            known.restrict(Vec::new());
        }
        return;
    }
    match symbol {
        "=" => known.restrict(vec![value]),
        ">" | ">=" => {
            let edge = (value, symbol == ">=");
            let tighter = known.lower.as_ref().is_none_or(|before| match order(&edge.0, &before.0) {
                std::cmp::Ordering::Equal => !edge.1,
                other => other.is_gt(),
            });
            if tighter {
                known.lower = Some(edge);
            }
        }
        "<" | "<=" => {
            let edge = (value, symbol == "<=");
            let tighter = known.upper.as_ref().is_none_or(|before| match order(&edge.0, &before.0) {
                std::cmp::Ordering::Equal => !edge.1,
                other => other.is_lt(),
            });
            if tighter {
                known.upper = Some(edge);
            }
        }
        _ => {}
    }
}

fn mirrored(symbol: &str) -> &str {
    match symbol {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

fn column_and_value(scan: &Scan, column: &Expr, value: &Expr) -> Option<(usize, Datum)> {
    let at = table_column(scan, column)?;
    Some((at, value_for(scan, at, value)?))
}

/// The table column that an expression is.
fn table_column(scan: &Scan, expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column { index, .. } => scan.positions.get(*index).copied(),
        // The same value under another name: varchar read as text.
        Expr::Cast { input, sql_type: to, .. } => {
            let from = sql_type(input);
            let text = |oid| matches!(oid, Oid::TEXT | Oid::VARCHAR);
            let relabelled = to.modifier == -1 && (text(from.oid) && text(to.oid) || widens(from.oid, to.oid));
            if relabelled { table_column(scan, input) } else { None }
        }
        _ => None,
    }
}

fn widens(from: Oid, to: Oid) -> bool {
    matches!((from, to), (Oid::INT2, Oid::INT4 | Oid::INT8) | (Oid::INT4, Oid::INT8))
}

/// A constant that compares with a column as it is.
fn value_for(scan: &Scan, at: usize, expr: &Expr) -> Option<Datum> {
    match expr {
        Expr::Constant { value, sql_type } if comparable(scan.table.columns[at].sql_type, *sql_type) => {
            Some(value.clone())
        }
        _ => None,
    }
}

fn comparable(column: SqlType, constant: SqlType) -> bool {
    let integer = |oid| matches!(oid, Oid::INT2 | Oid::INT4 | Oid::INT8);
    let text = |oid| matches!(oid, Oid::TEXT | Oid::VARCHAR);
    column.oid == constant.oid
        || (integer(column.oid) && integer(constant.oid))
        || (text(column.oid) && text(constant.oid))
}

//! From conditions on a prefix of an index's columns to spans of keys.

use std::ops::Bound;

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;

use super::{
    KeySpan, hash, index_prefix, index_span,
    ordered::{self, Fit, VALUE},
    prefix_end,
};
use crate::{Datum, IndexColumn, IndexDescriptor, Sharding, SqlType, TableDescriptor};

/// Spans that hold every row the conditions ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBounds {
    /// Ascending, disjoint; empty when no row can match.
    pub spans: Vec<KeySpan>,
    /// Whether every key in the spans satisfies the conditions. False when the hash columns are not fixed: the
    /// span is then the whole index, in bucket order.
    pub exact: bool,
}

impl KeyBounds {
    const NOTHING: Self = Self { spans: Vec::new(), exact: true };
}

/// Spans of the rows whose first index columns equal `equal` (a NULL stands for IS NULL) and whose next column
/// lies within the bounds (rows with NULL there are outside as soon as one side is bounded).
pub fn prefix_bounds(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    equal: &[Datum],
    lower: Bound<&Datum>,
    upper: Bound<&Datum>,
) -> SqlResult<KeyBounds> {
    let columns = typed_columns(table, index)?;
    if equal.len() > columns.len() {
        return Err(SqlError::internal("more conditions than index columns"));
    }
    if equal.iter().zip(&columns).any(|(value, (_, sql_type))| ordered::fit(*sql_type, value) != Fit::Within) {
        return Ok(KeyBounds::NOTHING);
    }
    let mut prefix = index_prefix(table.storage_id, index.id);
    if let Sharding::Hash { .. } = table.sharding
        && index.id == table.primary().id
    {
        match fixed_bucket(table, index, equal)? {
            Some(bucket) => prefix.extend_from_slice(&bucket.to_be_bytes()),
            None => return Ok(KeyBounds { spans: vec![index_span(table, index.id)], exact: false }),
        }
    }
    for (value, (column, sql_type)) in equal.iter().zip(&columns) {
        ordered::write_column(column, *sql_type, value, &mut prefix)?;
    }
    let span = match columns.get(equal.len()) {
        Some((column, sql_type)) => range_span(&prefix, column, *sql_type, lower, upper)?,
        None => Some((prefix.clone(), prefix_end(&prefix))),
    };
    Ok(KeyBounds {
        spans: span.into_iter().filter(|(start, end)| end.is_empty() || start < end).collect(),
        exact: true,
    })
}

fn typed_columns<'a>(
    table: &TableDescriptor,
    index: &'a IndexDescriptor,
) -> SqlResult<Vec<(&'a IndexColumn, SqlType)>> {
    let typed = |column: &'a IndexColumn| {
        let descriptor = table.column(column.column).ok_or_else(|| SqlError::internal("key column is missing"))?;
        Ok((column, descriptor.sql_type))
    };
    index.columns.iter().map(typed).collect()
}

/// The bucket, if every hash column is among the columns with a known value.
fn fixed_bucket(table: &TableDescriptor, index: &IndexDescriptor, equal: &[Datum]) -> SqlResult<Option<u16>> {
    let Sharding::Hash { columns, .. } = &table.sharding else { return Ok(None) };
    if columns.is_empty() {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(32);
    for id in columns {
        let at = index.columns.iter().position(|column| column.column == *id);
        let (Some(value), Some(column)) = (at.and_then(|at| equal.get(at)), table.column(*id)) else { return Ok(None) };
        ordered::write_hashed(column.sql_type, value, &mut bytes)?;
    }
    Ok(Some(hash::bucket(&bytes)))
}

/// One end of a range in key order, with what an integer outside the column's type means there.
enum Edge {
    /// Not bounded by a value.
    Open,
    /// The bound's key, and whether keys that start with it are inside.
    At(Vec<u8>, bool),
    /// No value satisfies it.
    Never,
}

fn range_span(
    prefix: &[u8],
    column: &IndexColumn,
    sql_type: SqlType,
    lower: Bound<&Datum>,
    upper: Bound<&Datum>,
) -> SqlResult<Option<KeySpan>> {
    if matches!((lower, upper), (Bound::Unbounded, Bound::Unbounded)) {
        return Ok(Some((prefix.to_vec(), prefix_end(prefix))));
    }
    let mut low = edge(prefix, column, sql_type, lower, Fit::Above)?;
    let mut high = edge(prefix, column, sql_type, upper, Fit::Below)?;
    if column.descending {
        std::mem::swap(&mut low, &mut high);
    }
    let mut values = prefix.to_vec();
    values.push(VALUE);
    let start = match low {
        Edge::Open => values.clone(),
        Edge::At(key, inside) => {
            if inside {
                key
            } else {
                prefix_end(&key)
            }
        }
        Edge::Never => return Ok(None),
    };
    let end = match high {
        Edge::Open => prefix_end(&values),
        Edge::At(key, inside) => {
            if inside {
                prefix_end(&key)
            } else {
                key
            }
        }
        Edge::Never => return Ok(None),
    };
    Ok(Some((start, end)))
}

/// `never` is the side on which a bound outside the type's range excludes every value.
fn edge(prefix: &[u8], column: &IndexColumn, sql_type: SqlType, bound: Bound<&Datum>, never: Fit) -> SqlResult<Edge> {
    let (value, inside) = match bound {
        Bound::Unbounded => return Ok(Edge::Open),
        Bound::Included(value) => (value, true),
        Bound::Excluded(value) => (value, false),
    };
    if value.is_null() {
        return Ok(Edge::Never);
    }
    match ordered::fit(sql_type, value) {
        Fit::Within => {}
        outside if outside == never => return Ok(Edge::Never),
        _ => return Ok(Edge::Open),
    }
    let mut key = prefix.to_vec();
    ordered::write_column(column, sql_type, value, &mut key)?;
    Ok(Edge::At(key, inside))
}

//! Array constructors and subscripts.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use schema::{ArrayValue, Datum, Oid, SqlType};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::SubscriptKind;

/// `ARRAY[…]`: of elements, or of sub-arrays with equal dimensions.
pub(super) fn construct(args: &[Datum], result: SqlType) -> SqlResult<Datum> {
    let element = result.oid.element_type().unwrap_or(Oid::UNKNOWN);
    if !args.iter().any(|arg| matches!(arg, Datum::Array(_))) {
        let dims = if args.is_empty() { Vec::new() } else { vec![(args.len() as i32, 1)] };
        return Ok(Datum::Array(Arc::new(ArrayValue { element, dims, values: args.to_vec() })));
    }
    let uneven = || {
        SqlError::new(
            SqlState::ArraySubscriptError,
            "multidimensional arrays must have array expressions with matching dimensions",
        )
    };
    let mut inner: Option<&Vec<(i32, i32)>> = None;
    let mut values = Vec::new();
    for arg in args {
        let Datum::Array(array) = arg else { return Err(uneven()) };
        if inner.is_some_and(|dims| *dims != array.dims) {
            return Err(uneven());
        }
        inner = Some(&array.dims);
        values.extend(array.values.iter().cloned());
    }
    let mut dims = vec![(args.len() as i32, 1)];
    dims.extend(inner.into_iter().flatten());
    if values.is_empty() {
        dims.clear();
    }
    Ok(Datum::Array(Arc::new(ArrayValue { element, dims, values })))
}

/// `a[i]…` gives an element or NULL, `a[i:j]…` an array.
pub(super) fn subscript(args: &[Datum], indexes: &[SubscriptKind], slice: bool) -> SqlResult<Datum> {
    let Some((Datum::Array(array), bounds)) = args.split_first() else {
        return Err(SqlError::new(SqlState::DatatypeMismatch, "cannot subscript a value that is no array"));
    };
    let mut bounds = bounds.iter();
    let mut bound = |present: bool| -> SqlResult<Option<i32>> {
        if !present {
            return Ok(None);
        }
        match bounds.next() {
            Some(Datum::Int4(v)) => Ok(Some(*v)),
            _ => Err(SqlError::internal("array subscript is no integer")),
        }
    };
    let pairs = indexes.iter().map(|kind| Ok((bound(kind.lower)?, bound(kind.upper)?)));
    let pairs = pairs.collect::<SqlResult<Vec<_>>>()?;
    if slice { Ok(take_slice(array, &pairs)) } else { Ok(element_at(array, &pairs)) }
}

fn element_at(array: &ArrayValue, indexes: &[(Option<i32>, Option<i32>)]) -> Datum {
    if indexes.len() != array.dims.len() {
        return Datum::Null;
    }
    let mut offset = 0usize;
    for ((length, lower), (index, _)) in array.dims.iter().zip(indexes) {
        let at = i64::from(index.unwrap_or(*lower)) - i64::from(*lower);
        if at < 0 || at >= i64::from(*length) {
            return Datum::Null;
        }
        offset = offset * *length as usize + at as usize;
    }
    array.values.get(offset).cloned().unwrap_or(Datum::Null)
}

fn take_slice(array: &ArrayValue, indexes: &[(Option<i32>, Option<i32>)]) -> Datum {
    let empty = Datum::Array(Arc::new(ArrayValue { element: array.element, dims: Vec::new(), values: Vec::new() }));
    if indexes.len() > array.dims.len() {
        return empty;
    }
    // Per dimension: first place kept and number kept.
    let mut kept = Vec::with_capacity(array.dims.len());
    for (at, (length, lower)) in array.dims.iter().enumerate() {
        let last = i64::from(*lower) + i64::from(*length) - 1;
        let (from, to) = indexes.get(at).copied().unwrap_or((None, None));
        let from = from.map_or(i64::from(*lower), i64::from).max(i64::from(*lower));
        let to = to.map_or(last, i64::from).min(last);
        if from > to {
            return empty;
        }
        kept.push(((from - i64::from(*lower)) as usize, (to - from + 1) as usize));
    }
    let mut values = Vec::new();
    collect_slice(array, &kept, 0, 0, &mut values);
    let dims = kept.iter().map(|(_, count)| (*count as i32, 1)).collect();
    Datum::Array(Arc::new(ArrayValue { element: array.element, dims, values }))
}

fn collect_slice(array: &ArrayValue, kept: &[(usize, usize)], dim: usize, offset: usize, out: &mut Vec<Datum>) {
    let Some((first, count)) = kept.get(dim) else {
        out.extend(array.values.get(offset).cloned());
        return;
    };
    let length = array.dims[dim].0 as usize;
    for at in *first..*first + *count {
        collect_slice(array, kept, dim + 1, offset * length + at, out);
    }
}

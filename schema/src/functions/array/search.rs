//! What arrays contain.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{check_equality, list, same};
use crate::{
    ArrayValue, Datum, Oid,
    compare::compare,
    functions::{
        Function,
        table::{function, operator},
        value::{mismatch, two},
    },
};

const A: Oid = Oid::ANYARRAY;
const CA: Oid = Oid::ANYCOMPATIBLEARRAY;
const C: Oid = Oid::ANYCOMPATIBLE;
const I: Oid = Oid::INT4;
const INTS: Oid = Oid(1007);

/// Elements that are not NULL, in order, for searching in them by halving.
fn sorted(array: &ArrayValue) -> Vec<&Datum> {
    let mut values: Vec<&Datum> = array.values.iter().filter(|value| !value.is_null()).collect();
    values.sort_by(|a, b| compare(a, b));
    values
}

fn has(sorted: &[&Datum], value: &Datum) -> bool {
    sorted.binary_search_by(|candidate| compare(candidate, value)).is_ok()
}

/// Whether every element of `part` is in `whole`; NULL is never.
fn contains(whole: &ArrayValue, part: &ArrayValue) -> SqlResult<bool> {
    check_equality(whole)?;
    let values = sorted(whole);
    Ok(part.values.iter().all(|value| !value.is_null() && has(&values, value)))
}

fn overlaps(a: &ArrayValue, b: &ArrayValue) -> SqlResult<bool> {
    check_equality(a)?;
    let values = sorted(a);
    Ok(b.values.iter().any(|value| !value.is_null() && has(&values, value)))
}

/// The array of a search, which must have one dimension; `None` for NULL.
fn searched(array: &Datum) -> SqlResult<Option<&ArrayValue>> {
    let Datum::Array(array) = array else { return Ok(None) };
    check_equality(array)?;
    if array.dims.len() > 1 {
        let message = "searching for elements in multidimensional arrays is not supported";
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    Ok(Some(array))
}

fn position(args: &[Datum]) -> SqlResult<Datum> {
    let (array, value, start) = match args {
        [array, value] => (array, value, None),
        [_, _, Datum::Null] => {
            return Err(SqlError::new(SqlState::NullValueNotAllowed, "initial position must not be null"));
        }
        [array, value, Datum::Int4(start)] => (array, value, Some(*start)),
        _ => return Err(mismatch(args)),
    };
    let Some(array) = searched(array)? else { return Ok(Datum::Null) };
    let lower = array.dims.first().map_or(1, |(_, lower)| *lower);
    let skipped = start.map_or(0, |start| i64::from(start) - i64::from(lower)).max(0) as usize;
    let found = array.values.iter().skip(skipped).position(|element| same(element, value));
    Ok(found.map_or(Datum::Null, |at| Datum::Int4(lower + (skipped + at) as i32)))
}

fn positions(args: &[Datum]) -> SqlResult<Datum> {
    let [array, value] = args else { return Err(mismatch(args)) };
    let Some(array) = searched(array)? else { return Ok(Datum::Null) };
    let lower = array.dims.first().map_or(1, |(_, lower)| *lower);
    let places = array.values.iter().enumerate().filter(|(_, element)| same(element, value));
    let places = places.map(|(at, _)| Datum::Int4(lower + at as i32)).collect();
    Ok(Datum::Array(Arc::new(list(Oid::INT4, places))))
}

/// Containment and positions.
pub(in crate::functions) static SEARCH: &[Function] = &[
    operator("arraycontains", "@>", &[A, A], Oid::BOOL, |_, args| two(args, contains)),
    operator("arraycontained", "<@", &[A, A], Oid::BOOL, |_, args| {
        two(args, |part: &ArrayValue, whole: &ArrayValue| contains(whole, part))
    }),
    operator("arrayoverlap", "&&", &[A, A], Oid::BOOL, |_, args| two(args, overlaps)),
    function("array_position", &[CA, C], I, |_, args| position(args)).lenient(),
    function("array_position", &[CA, C, I], I, |_, args| position(args)).lenient(),
    function("array_positions", &[CA, C], INTS, |_, args| positions(args)).lenient(),
    function("array_larger", &[A, A], A, |_, args| {
        two(args, |a: &Datum, b: &Datum| if compare(a, b).is_ge() { a.clone() } else { b.clone() })
    }),
    function("array_smaller", &[A, A], A, |_, args| {
        two(args, |a: &Datum, b: &Datum| if compare(a, b).is_le() { a.clone() } else { b.clone() })
    }),
];

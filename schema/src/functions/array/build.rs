//! Arrays made from elements and arrays.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{check_equality, list, same, subscript_error};
use crate::{
    ArrayValue, Datum, Oid,
    functions::{
        Function,
        table::{function, operator},
        text::type_of,
        value::{mismatch, two},
    },
};

const CA: Oid = Oid::ANYCOMPATIBLEARRAY;
const C: Oid = Oid::ANYCOMPATIBLE;
const INTS: Oid = Oid(1007);
/// Elements array_fill makes at most: an array as large as PostgreSQL allows would take gigabytes here.
const ELEMENTS_MAX: usize = 1 << 24;

fn one_dimension() -> SqlError {
    SqlError::new(SqlState::DataException, "argument must be empty or one-dimensional array")
}

/// Adds an element at an end; NULL counts as the empty array.
fn add(array: &Datum, value: &Datum, front: bool) -> SqlResult<Datum> {
    let (element, dims, values): (Oid, &[(i32, i32)], &[Datum]) = match array {
        Datum::Null => (type_of(value), &[], &[]),
        Datum::Array(array) => (array.element, &array.dims, &array.values),
        _ => return Err(mismatch(std::slice::from_ref(array))),
    };
    let lower = match dims {
        [] => 1,
        [(_, lower)] => *lower,
        _ => return Err(one_dimension()),
    };
    let mut all = Vec::with_capacity(values.len() + 1);
    if front {
        all.push(value.clone());
    }
    all.extend_from_slice(values);
    if !front {
        all.push(value.clone());
    }
    let length = all.len() as i32;
    if lower.checked_add(length).is_none() {
        return Err(crate::functions::number::out_of_range("integer"));
    }
    Ok(Datum::Array(Arc::new(ArrayValue { element, dims: vec![(length, lower)], values: all })))
}

fn append(args: &[Datum]) -> SqlResult<Datum> {
    let [array, value] = args else { return Err(mismatch(args)) };
    add(array, value, false)
}

fn prepend(args: &[Datum]) -> SqlResult<Datum> {
    let [value, array] = args else { return Err(mismatch(args)) };
    add(array, value, true)
}

fn incompatible(detail: &str) -> SqlError {
    subscript_error("cannot concatenate incompatible arrays").with_detail(detail)
}

/// Arrays of equal or neighbouring numbers of dimensions, whose inner dimensions agree.
fn concatenate(args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = match args {
        [Datum::Null, other] | [other, Datum::Null] => return Ok(other.clone()),
        [Datum::Array(a), Datum::Array(b)] => (a, b),
        _ => return Err(mismatch(args)),
    };
    if a.dims.is_empty() {
        return Ok(args[1].clone());
    }
    if b.dims.is_empty() {
        return Ok(args[0].clone());
    }
    let lengths = |dims: &[(i32, i32)]| dims.iter().map(|(length, _)| *length).collect::<Vec<_>>();
    let mut dims;
    if a.dims.len() == b.dims.len() {
        if lengths(&a.dims[1..]) != lengths(&b.dims[1..]) {
            return Err(incompatible("Arrays with differing element dimensions are not compatible for concatenation."));
        }
        dims = a.dims.clone();
        dims[0].0 += b.dims[0].0;
    } else if a.dims.len() + 1 == b.dims.len() {
        if lengths(&b.dims[1..]) != lengths(&a.dims) {
            return Err(incompatible("Arrays with differing dimensions are not compatible for concatenation."));
        }
        dims = b.dims.clone();
        dims[0].0 += 1;
    } else if a.dims.len() == b.dims.len() + 1 {
        if lengths(&a.dims[1..]) != lengths(&b.dims) {
            return Err(incompatible("Arrays with differing dimensions are not compatible for concatenation."));
        }
        dims = a.dims.clone();
        dims[0].0 += 1;
    } else {
        let detail =
            format!("Arrays of {} and {} dimensions are not compatible for concatenation.", a.dims.len(), b.dims.len());
        return Err(incompatible(&detail));
    }
    let values = a.values.iter().chain(&b.values).cloned().collect();
    Ok(Datum::Array(Arc::new(ArrayValue { element: a.element, dims, values })))
}

fn remove(args: &[Datum]) -> SqlResult<Datum> {
    let [array, value] = args else { return Err(mismatch(args)) };
    let Datum::Array(array) = array else { return Ok(Datum::Null) };
    check_equality(array)?;
    if array.dims.len() > 1 {
        let message = "removing elements from multidimensional arrays is not supported";
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    let values: Vec<Datum> = array.values.iter().filter(|element| !same(element, value)).cloned().collect();
    let lower = array.dims.first().map_or(1, |(_, lower)| *lower);
    let mut result = list(array.element, values);
    if let Some(first) = result.dims.first_mut() {
        first.1 = lower;
    }
    Ok(Datum::Array(Arc::new(result)))
}

fn replace(args: &[Datum]) -> SqlResult<Datum> {
    let [array, from, to] = args else { return Err(mismatch(args)) };
    let Datum::Array(array) = array else { return Ok(Datum::Null) };
    check_equality(array)?;
    let change = |element: &Datum| if same(element, from) { to.clone() } else { element.clone() };
    let values = array.values.iter().map(change).collect();
    Ok(Datum::Array(Arc::new(ArrayValue { element: array.element, dims: array.dims.clone(), values })))
}

fn not_null(what: &str) -> SqlError {
    SqlError::new(SqlState::NullValueNotAllowed, format!("{what} cannot be null"))
}

/// Integers of a one-dimensional array.
fn integers(array: &Datum) -> SqlResult<Vec<i32>> {
    let array = match array {
        Datum::Null => return Err(not_null("dimension array or low bound array")),
        Datum::Array(array) => array,
        other => return Err(mismatch(std::slice::from_ref(other))),
    };
    if array.dims.len() > 1 {
        return Err(
            subscript_error("wrong number of array subscripts").with_detail("Dimension array must be one dimensional.")
        );
    }
    let integer = |value: &Datum| match value {
        Datum::Int4(value) => Ok(*value),
        _ => Err(not_null("dimension values")),
    };
    array.values.iter().map(integer).collect()
}

fn fill(args: &[Datum]) -> SqlResult<Datum> {
    let (value, lengths, lowers) = match args {
        [value, lengths] => (value, integers(lengths)?, None),
        [value, lengths, lowers] => (value, integers(lengths)?, Some(integers(lowers)?)),
        _ => return Err(mismatch(args)),
    };
    if lowers.as_ref().is_some_and(|lowers| lowers.len() != lengths.len()) {
        return Err(subscript_error("wrong number of array subscripts")
            .with_detail("Low bound array has different size than dimensions array."));
    }
    if lengths.len() > 6 {
        let message = format!("number of array dimensions ({}) exceeds the maximum allowed (6)", lengths.len());
        return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
    }
    let too_large = || {
        let message = format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})");
        SqlError::new(SqlState::ProgramLimitExceeded, message)
    };
    let multiply = |total: usize, length: &i32| {
        let length = usize::try_from(*length).map_err(|_| too_large())?;
        total.checked_mul(length).filter(|total| *total <= ELEMENTS_MAX).ok_or_else(too_large)
    };
    let count = lengths.iter().try_fold(usize::from(!lengths.is_empty()), multiply)?;
    let lower = |at: usize| lowers.as_ref().map_or(1, |lowers| lowers[at]);
    let dims = lengths.iter().enumerate().map(|(at, length)| (*length, lower(at))).collect();
    let dims = if count == 0 { Vec::new() } else { dims };
    Ok(Datum::Array(Arc::new(ArrayValue { element: type_of(value), dims, values: vec![value.clone(); count] })))
}

fn trim(array: &Arc<ArrayValue>, count: i32) -> SqlResult<Datum> {
    let length = array.dims.first().map_or(0, |(length, _)| *length);
    if !(0..=length).contains(&count) {
        return Err(subscript_error(format!("number of elements to trim must be between 0 and {length}")));
    }
    let mut trimmed = ArrayValue::clone(array);
    if let Some(first) = trimmed.dims.first_mut() {
        first.0 -= count;
        let inner: usize = array.dims[1..].iter().map(|(length, _)| *length as usize).product();
        trimmed.values.truncate((length - count) as usize * inner);
    }
    if trimmed.values.is_empty() {
        trimmed.dims.clear();
    }
    Ok(Datum::Array(Arc::new(trimmed)))
}

/// Functions that make arrays.
pub(in crate::functions) static BUILD: &[Function] = &[
    operator("array_append", "||", &[CA, C], CA, |_, args| append(args)).lenient(),
    operator("array_prepend", "||", &[C, CA], CA, |_, args| prepend(args)).lenient(),
    operator("array_cat", "||", &[CA, CA], CA, |_, args| concatenate(args)).lenient(),
    function("array_remove", &[CA, C], CA, |_, args| remove(args)).lenient(),
    function("array_replace", &[CA, C, C], CA, |_, args| replace(args)).lenient(),
    function("array_fill", &[Oid::ANYELEMENT, INTS], Oid::ANYARRAY, |_, args| fill(args)).lenient(),
    function("array_fill", &[Oid::ANYELEMENT, INTS, INTS], Oid::ANYARRAY, |_, args| fill(args)).lenient(),
    function("trim_array", &[Oid::ANYARRAY, Oid::INT4], Oid::ANYARRAY, |_, args| two(args, trim)),
];

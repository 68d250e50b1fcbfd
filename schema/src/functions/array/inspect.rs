//! Dimensions of arrays.

use crate::{
    ArrayValue, Oid,
    functions::{
        Function,
        table::function,
        value::{one, two},
    },
};

const A: Oid = Oid::ANYARRAY;
const I: Oid = Oid::INT4;

/// Length and lower bound of a dimension counted from 1.
fn dimension(array: &ArrayValue, number: i32) -> Option<(i32, i32)> {
    array.dims.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
}

fn dims(array: &ArrayValue) -> Option<String> {
    let shown = array.dims.iter().map(|(length, lower)| format!("[{lower}:{}]", lower + length - 1));
    (!array.dims.is_empty()).then(|| shown.collect())
}

/// Lengths and bounds.
pub(in crate::functions) static INSPECT: &[Function] = &[
    function("array_length", &[A, I], I, |_, args| {
        two(args, |array: &ArrayValue, number: i32| dimension(array, number).map(|(length, _)| length))
    }),
    function("array_lower", &[A, I], I, |_, args| {
        two(args, |array: &ArrayValue, number: i32| dimension(array, number).map(|(_, lower)| lower))
    }),
    function("array_upper", &[A, I], I, |_, args| {
        two(args, |array: &ArrayValue, number: i32| dimension(array, number).map(|(length, lower)| lower + length - 1))
    }),
    function("array_ndims", &[A], I, |_, args| {
        one(args, |array: &ArrayValue| (!array.dims.is_empty()).then_some(array.dims.len() as i32))
    }),
    function("array_dims", &[A], Oid::TEXT, |_, args| one(args, dims)),
    function("cardinality", &[A], I, |_, args| one(args, |array: &ArrayValue| array.values.len() as i32)),
];

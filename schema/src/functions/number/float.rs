//! Floating point arithmetic: results that overflow to infinity or underflow to zero are 22003.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::division_by_zero;
use crate::{
    Oid,
    functions::{
        Function,
        table::operator,
        value::{one, two},
    },
};

#[cold]
pub(super) fn overflow() -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, "value out of range: overflow")
}

#[cold]
pub(super) fn underflow() -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, "value out of range: underflow")
}

/// real and double precision.
trait Float: num_traits::Float {}
impl Float for f32 {}
impl Float for f64 {}

#[inline]
fn unless_overflow<T: Float>(result: T, a: T, b: T) -> SqlResult<T> {
    if result.is_infinite() && !a.is_infinite() && !b.is_infinite() { Err(overflow()) } else { Ok(result) }
}

#[inline]
fn add<T: Float>(a: T, b: T) -> SqlResult<T> {
    unless_overflow(a + b, a, b)
}

#[inline]
fn subtract<T: Float>(a: T, b: T) -> SqlResult<T> {
    unless_overflow(a - b, a, b)
}

#[inline]
fn multiply<T: Float>(a: T, b: T) -> SqlResult<T> {
    let result = unless_overflow(a * b, a, b)?;
    if result.is_zero() && !a.is_zero() && !b.is_zero() { Err(underflow()) } else { Ok(result) }
}

#[inline]
fn divide<T: Float>(a: T, b: T) -> SqlResult<T> {
    if b.is_zero() && !a.is_nan() {
        return Err(division_by_zero());
    }
    let result = a / b;
    if result.is_infinite() && !a.is_infinite() {
        return Err(overflow());
    }
    if result.is_zero() && !a.is_zero() && !b.is_infinite() {
        return Err(underflow());
    }
    Ok(result)
}

macro_rules! floats {
    ($($digits:literal ($a:ident $left:ty, $b:ident $right:ty) -> $r:ident $out:ty;)*) => { &[$(
        operator(concat!("float", $digits, "pl"), "+", &[Oid::$a, Oid::$b], Oid::$r, |_, args| {
            two(args, |a: $left, b: $right| add::<$out>(a.into(), b.into()))
        }),
        operator(concat!("float", $digits, "mi"), "-", &[Oid::$a, Oid::$b], Oid::$r, |_, args| {
            two(args, |a: $left, b: $right| subtract::<$out>(a.into(), b.into()))
        }),
        operator(concat!("float", $digits, "mul"), "*", &[Oid::$a, Oid::$b], Oid::$r, |_, args| {
            two(args, |a: $left, b: $right| multiply::<$out>(a.into(), b.into()))
        }),
        operator(concat!("float", $digits, "div"), "/", &[Oid::$a, Oid::$b], Oid::$r, |_, args| {
            two(args, |a: $left, b: $right| divide::<$out>(a.into(), b.into()))
        }),
    )*] };
}

/// The four operations over every pair of floating point types.
pub(in crate::functions) static ARITHMETIC: &[Function] = floats! {
    "4" (FLOAT4 f32, FLOAT4 f32) -> FLOAT4 f32;
    "48" (FLOAT4 f32, FLOAT8 f64) -> FLOAT8 f64;
    "84" (FLOAT8 f64, FLOAT4 f32) -> FLOAT8 f64;
    "8" (FLOAT8 f64, FLOAT8 f64) -> FLOAT8 f64;
};

/// Signs.
pub(in crate::functions) static FLOAT: &[Function] = &[
    operator("float4um", "-", &[Oid::FLOAT4], Oid::FLOAT4, |_, args| one(args, |a: f32| -a)),
    operator("float8um", "-", &[Oid::FLOAT8], Oid::FLOAT8, |_, args| one(args, |a: f64| -a)),
    operator("float4up", "+", &[Oid::FLOAT4], Oid::FLOAT4, |_, args| one(args, |a: f32| a)),
    operator("float8up", "+", &[Oid::FLOAT8], Oid::FLOAT8, |_, args| one(args, |a: f64| a)),
    operator("float4abs", "@", &[Oid::FLOAT4], Oid::FLOAT4, |_, args| one(args, f32::abs)),
    operator("float8abs", "@", &[Oid::FLOAT8], Oid::FLOAT8, |_, args| one(args, f64::abs)),
];

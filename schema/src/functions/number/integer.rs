//! Integer arithmetic and bit operations. Results that do not fit are 22003, division by zero 22012.

use num_traits::{PrimInt, Signed, WrappingNeg};
use proto::SqlResult;
use sharddb_proto as proto;

use super::{division_by_zero, out_of_range};
use crate::{
    Oid,
    functions::{
        Function,
        table::{function, operator},
        value::{one, two},
    },
};

/// smallint, integer and bigint.
trait Integer: PrimInt + Signed + WrappingNeg {
    /// As "out of range" messages name it.
    const NAME: &'static str;
}

impl Integer for i16 {
    const NAME: &'static str = "smallint";
}
impl Integer for i32 {
    const NAME: &'static str = "integer";
}
impl Integer for i64 {
    const NAME: &'static str = "bigint";
}

#[inline]
fn fit<T: Integer>(result: Option<T>) -> SqlResult<T> {
    result.ok_or_else(|| out_of_range(T::NAME))
}

#[inline]
fn add<T: Integer>(a: T, b: T) -> SqlResult<T> {
    fit(a.checked_add(&b))
}

#[inline]
fn subtract<T: Integer>(a: T, b: T) -> SqlResult<T> {
    fit(a.checked_sub(&b))
}

#[inline]
fn multiply<T: Integer>(a: T, b: T) -> SqlResult<T> {
    fit(a.checked_mul(&b))
}

#[inline]
fn divide<T: Integer>(a: T, b: T) -> SqlResult<T> {
    if b.is_zero() {
        return Err(division_by_zero());
    }
    fit(a.checked_div(&b))
}

#[inline]
fn remainder<T: Integer>(a: T, b: T) -> SqlResult<T> {
    if b.is_zero() {
        return Err(division_by_zero());
    }
    // The least value by -1 would overflow; the remainder by -1 is always 0.
    Ok(if b == -T::one() { T::zero() } else { a % b })
}

fn negate<T: Integer>(a: T) -> SqlResult<T> {
    fit(T::zero().checked_sub(&a))
}

fn absolute<T: Integer>(a: T) -> SqlResult<T> {
    if a < T::zero() { negate(a) } else { Ok(a) }
}

/// Shift counts beyond the width wrap around, as the processor's do.
fn shift_left(value: i64, count: i32, width: u32) -> i64 {
    value.wrapping_shl(count as u32 & (width - 1))
}

fn shift_right(value: i64, count: i32, width: u32) -> i64 {
    value >> (count as u32 & (width - 1))
}

macro_rules! mixed {
    ($($digits:literal ($a:ident $left:ty, $b:ident $right:ty) -> $r:ident $out:ty;)*) => { &[$(
        operator(concat!("int", $digits, "pl"), "+", &[Oid::$a, Oid::$b], Oid::$r, |_, args| {
            two(args, |a: $left, b: $right| add::<$out>(a.into(), b.into()))
        }),
        operator(concat!("int", $digits, "mi"), "-", &[Oid::$a, Oid::$b], Oid::$r, |_, args| {
            two(args, |a: $left, b: $right| subtract::<$out>(a.into(), b.into()))
        }),
        operator(concat!("int", $digits, "mul"), "*", &[Oid::$a, Oid::$b], Oid::$r, |_, args| {
            two(args, |a: $left, b: $right| multiply::<$out>(a.into(), b.into()))
        }),
        operator(concat!("int", $digits, "div"), "/", &[Oid::$a, Oid::$b], Oid::$r, |_, args| {
            two(args, |a: $left, b: $right| divide::<$out>(a.into(), b.into()))
        }),
    )*] };
}

/// The four operations over every pair of integer types.
pub(in crate::functions) static ARITHMETIC: &[Function] = mixed! {
    "2" (INT2 i16, INT2 i16) -> INT2 i16;
    "24" (INT2 i16, INT4 i32) -> INT4 i32;
    "28" (INT2 i16, INT8 i64) -> INT8 i64;
    "42" (INT4 i32, INT2 i16) -> INT4 i32;
    "4" (INT4 i32, INT4 i32) -> INT4 i32;
    "48" (INT4 i32, INT8 i64) -> INT8 i64;
    "82" (INT8 i64, INT2 i16) -> INT8 i64;
    "84" (INT8 i64, INT4 i32) -> INT8 i64;
    "8" (INT8 i64, INT8 i64) -> INT8 i64;
};

macro_rules! single {
    ($($digits:literal $oid:ident $type:ty, $width:literal;)*) => { &[$(
        operator(concat!("int", $digits, "mod"), "%", &[Oid::$oid; 2], Oid::$oid, |_, args| {
            two(args, |a: $type, b: $type| remainder(a, b))
        }),
        function("mod", &[Oid::$oid; 2], Oid::$oid, |_, args| two(args, |a: $type, b: $type| remainder(a, b))),
        function("abs", &[Oid::$oid], Oid::$oid, |_, args| one(args, absolute::<$type>)),
        operator(concat!("int", $digits, "um"), "-", &[Oid::$oid], Oid::$oid, |_, args| one(args, negate::<$type>)),
        operator(concat!("int", $digits, "up"), "+", &[Oid::$oid], Oid::$oid, |_, args| one(args, |a: $type| a)),
        operator(concat!("int", $digits, "abs"), "@", &[Oid::$oid], Oid::$oid, |_, args| one(args, absolute::<$type>)),
        operator(concat!("int", $digits, "and"), "&", &[Oid::$oid; 2], Oid::$oid, |_, args| {
            two(args, |a: $type, b: $type| a & b)
        }),
        operator(concat!("int", $digits, "or"), "|", &[Oid::$oid; 2], Oid::$oid, |_, args| {
            two(args, |a: $type, b: $type| a | b)
        }),
        operator(concat!("int", $digits, "xor"), "#", &[Oid::$oid; 2], Oid::$oid, |_, args| {
            two(args, |a: $type, b: $type| a ^ b)
        }),
        operator(concat!("int", $digits, "not"), "~", &[Oid::$oid], Oid::$oid, |_, args| one(args, |a: $type| !a)),
        operator(concat!("int", $digits, "shl"), "<<", &[Oid::$oid, Oid::INT4], Oid::$oid, |_, args| {
            two(args, |a: $type, count: i32| shift_left(a.into(), count, $width) as $type)
        }),
        operator(concat!("int", $digits, "shr"), ">>", &[Oid::$oid, Oid::INT4], Oid::$oid, |_, args| {
            two(args, |a: $type, count: i32| shift_right(a.into(), count, $width) as $type)
        }),
    )*] };
}

/// Operations over one integer type. smallint shifts as the integer it is promoted to.
pub(in crate::functions) static INTEGER: &[Function] = single! {
    "2" INT2 i16, 32;
    "4" INT4 i32, 32;
    "8" INT8 i64, 64;
};

macro_rules! divisors {
    ($($oid:ident $type:ty;)*) => { &[$(
        function("gcd", &[Oid::$oid; 2], Oid::$oid, |_, args| two(args, |a: $type, b: $type| greatest_divisor(a, b))),
        function("lcm", &[Oid::$oid; 2], Oid::$oid, |_, args| two(args, |a: $type, b: $type| least_multiple(a, b))),
    )*] };
}

/// gcd and lcm.
pub(in crate::functions) static DIVISORS: &[Function] = divisors! {
    INT4 i32;
    INT8 i64;
};

fn greatest_divisor<T: Integer>(mut a: T, mut b: T) -> SqlResult<T> {
    while !b.is_zero() {
        (a, b) = (b, remainder(a, b)?);
    }
    absolute(a)
}

fn least_multiple<T: Integer>(a: T, b: T) -> SqlResult<T> {
    if a.is_zero() || b.is_zero() {
        return Ok(T::zero());
    }
    absolute(multiply(a / greatest_divisor(a, b)?, b)?)
}

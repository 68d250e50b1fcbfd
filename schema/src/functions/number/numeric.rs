//! Functions and operators on numeric.

use num_bigint::BigInt;
use num_traits::{Signed, Zero};
use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::division_by_zero;
use crate::{
    Numeric, Oid,
    functions::{
        Function,
        table::{function, operator},
        value::{four, one, two},
    },
};

const N: Oid = Oid::NUMERIC;
const PAIR: &[Oid] = &[N; 2];
const SINGLE: &[Oid] = &[N];

/// The four operations, remainder, powers and signs.
pub(in crate::functions) static OPERATORS: &[Function] = &[
    operator("numeric_add", "+", PAIR, N, |_, args| two(args, |a: &Numeric, b: &Numeric| a.add(b))),
    operator("numeric_sub", "-", PAIR, N, |_, args| two(args, |a: &Numeric, b: &Numeric| a.sub(b))),
    operator("numeric_mul", "*", PAIR, N, |_, args| two(args, |a: &Numeric, b: &Numeric| a.mul(b))),
    operator("numeric_div", "/", PAIR, N, |_, args| two(args, |a: &Numeric, b: &Numeric| a.div(b))),
    operator("numeric_mod", "%", PAIR, N, |_, args| two(args, |a: &Numeric, b: &Numeric| a.rem(b))),
    operator("numeric_power", "^", PAIR, N, |_, args| two(args, |a: &Numeric, b: &Numeric| a.power(b))),
    operator("numeric_uminus", "-", SINGLE, N, |_, args| one(args, |a: &Numeric| a.neg())),
    operator("numeric_uplus", "+", SINGLE, N, |_, args| one(args, |a: &Numeric| a.clone())),
    operator("numeric_abs", "@", SINGLE, N, |_, args| one(args, |a: &Numeric| a.abs())),
];

/// Named functions.
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    function("mod", PAIR, N, |_, args| two(args, |a: &Numeric, b: &Numeric| a.rem(b))),
    function("div", PAIR, N, |_, args| two(args, quotient)),
    function("abs", SINGLE, N, |_, args| one(args, |a: &Numeric| a.abs())),
    function("ceil", SINGLE, N, |_, args| one(args, |a: &Numeric| a.ceil())),
    function("ceiling", SINGLE, N, |_, args| one(args, |a: &Numeric| a.ceil())),
    function("floor", SINGLE, N, |_, args| one(args, |a: &Numeric| a.floor())),
    function("round", SINGLE, N, |_, args| one(args, |a: &Numeric| a.round(0))),
    function("round", &[N, Oid::INT4], N, |_, args| two(args, |a: &Numeric, scale: i32| a.round(clamp_scale(scale)))),
    function("trunc", SINGLE, N, |_, args| one(args, |a: &Numeric| a.trunc(0))),
    function("trunc", &[N, Oid::INT4], N, |_, args| two(args, |a: &Numeric, scale: i32| a.trunc(clamp_scale(scale)))),
    function("sign", SINGLE, N, |_, args| one(args, sign)),
    function("sqrt", SINGLE, N, |_, args| one(args, Numeric::sqrt)),
    function("exp", SINGLE, N, |_, args| one(args, Numeric::exp)),
    function("ln", SINGLE, N, |_, args| one(args, Numeric::ln)),
    function("log", SINGLE, N, |_, args| one(args, |a: &Numeric| a.log(&Numeric::from(10)))),
    function("log10", SINGLE, N, |_, args| one(args, |a: &Numeric| a.log(&Numeric::from(10)))),
    function("log", PAIR, N, |_, args| two(args, |base: &Numeric, a: &Numeric| a.log(base))),
    function("power", PAIR, N, |_, args| two(args, |a: &Numeric, b: &Numeric| a.power(b))),
    function("pow", PAIR, N, |_, args| two(args, |a: &Numeric, b: &Numeric| a.power(b))),
    function("gcd", PAIR, N, |_, args| two(args, greatest_divisor)),
    function("lcm", PAIR, N, |_, args| two(args, least_multiple)),
    function("factorial", &[Oid::INT8], N, |_, args| one(args, factorial)),
    function("scale", SINGLE, Oid::INT4, |_, args| one(args, |a: &Numeric| is_finite(a).then(|| i32::from(a.scale())))),
    function("min_scale", SINGLE, Oid::INT4, |_, args| {
        one(args, |a: &Numeric| is_finite(a).then(|| i32::from(a.without_trailing_zeros().scale())))
    }),
    function("trim_scale", SINGLE, N, |_, args| one(args, |a: &Numeric| a.without_trailing_zeros())),
    function("width_bucket", &[N, N, N, Oid::INT4], Oid::INT4, |_, args| four(args, width_bucket)),
    function("numeric_inc", SINGLE, N, |_, args| one(args, |a: &Numeric| a.add(&Numeric::from(1)))),
];

fn is_finite(value: &Numeric) -> bool {
    !matches!(value, Numeric::NaN | Numeric::Infinity | Numeric::NegInfinity)
}

/// PostgreSQL's NUMERIC_MAX_RESULT_SCALE bounds what round and trunc take.
fn clamp_scale(scale: i32) -> i32 {
    scale.clamp(-2000, 2000)
}

fn sign(value: &Numeric) -> Numeric {
    if value.is_nan() { Numeric::NaN } else { Numeric::from(i64::from(value.signum())) }
}

/// The quotient cut to an integer.
fn quotient(a: &Numeric, b: &Numeric) -> SqlResult<Numeric> {
    if !is_finite(a) || !is_finite(b) {
        return a.div(b);
    }
    if b.signum() == 0 {
        return Err(division_by_zero());
    }
    a.sub(&a.rem(b)?)?.div_to_scale(b, 0)
}

/// Digits of both at the greater scale, and that scale.
fn aligned(a: &Numeric, b: &Numeric) -> Option<(BigInt, BigInt, u16)> {
    let scale = a.scale().max(b.scale());
    let at = |value: &Numeric| value.round(scale.into()).to_big().map(|(digits, _)| digits);
    Some((at(a)?, at(b)?, scale))
}

fn euclid(mut a: BigInt, mut b: BigInt) -> BigInt {
    while !b.is_zero() {
        (a, b) = (b.clone(), a % b);
    }
    a.abs()
}

fn greatest_divisor(a: &Numeric, b: &Numeric) -> Numeric {
    aligned(a, b).map_or(Numeric::NaN, |(x, y, scale)| Numeric::from_big(euclid(x, y), scale))
}

fn least_multiple(a: &Numeric, b: &Numeric) -> Numeric {
    aligned(a, b).map_or(Numeric::NaN, |(x, y, scale)| {
        let divisor = euclid(x.clone(), y.clone());
        let multiple = if divisor.is_zero() { BigInt::zero() } else { (x / divisor * y).abs() };
        Numeric::from_big(multiple, scale)
    })
}

/// The greatest argument of factorial whose result fits PostgreSQL's numeric.
const FACTORIAL_MAX: i64 = 32_177;

fn factorial(n: i64) -> SqlResult<Numeric> {
    let out_of_range = |message: &str| SqlError::new(SqlState::NumericValueOutOfRange, message);
    if n < 0 {
        return Err(out_of_range("factorial of a negative number is undefined"));
    }
    if n > FACTORIAL_MAX {
        return Err(out_of_range("value overflows numeric format"));
    }
    Ok(Numeric::from_big((2..=n).fold(BigInt::from(1), |product, factor| product * factor), 0))
}

pub(super) fn invalid_bucket(message: &str) -> SqlError {
    SqlError::new(SqlState::InvalidArgumentForWidthBucketFunction, message)
}

fn width_bucket(operand: &Numeric, low: &Numeric, high: &Numeric, count: i32) -> SqlResult<i32> {
    if count <= 0 {
        return Err(invalid_bucket("count must be greater than zero"));
    }
    if operand.is_nan() || low.is_nan() || high.is_nan() {
        return Err(invalid_bucket("operand, lower bound, and upper bound cannot be NaN"));
    }
    if !is_finite(low) || !is_finite(high) {
        return Err(invalid_bucket("lower and upper bounds must be finite"));
    }
    let order = low.compare(high);
    if order.is_eq() {
        return Err(invalid_bucket("lower bound cannot equal upper bound"));
    }
    let (outside_low, outside_high) = if order.is_lt() {
        (operand.compare(low).is_lt(), operand.compare(high).is_ge())
    } else {
        (operand.compare(low).is_gt(), operand.compare(high).is_le())
    };
    if outside_low {
        return Ok(0);
    }
    if outside_high {
        return count.checked_add(1).ok_or_else(|| super::out_of_range("integer"));
    }
    let position = operand.sub(low)?.mul(&Numeric::from(i64::from(count)))?;
    let bucket = quotient(&position, &high.sub(low)?)?;
    Ok(bucket.to_i64().and_then(|bucket| i32::try_from(bucket + 1).ok()).unwrap_or(count))
}

//! Functions on double precision: rounding, roots, powers, logarithms, trigonometry.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{
    float::{overflow, underflow},
    numeric::invalid_bucket,
    out_of_range,
};
use crate::{
    Oid,
    functions::{
        Function,
        table::{function, operator},
        value::{four, one, two},
    },
};

const F: Oid = Oid::FLOAT8;
const SINGLE: &[Oid] = &[F];
const PAIR: &[Oid] = &[F; 2];

/// A function of one double that cannot fail.
macro_rules! plain {
    ($name:literal, $compute:expr) => {
        function($name, SINGLE, F, |_, args| one(args, $compute as fn(f64) -> f64))
    };
}

/// A function of one double that may fail.
macro_rules! checked {
    ($name:literal, $compute:expr) => {
        function($name, SINGLE, F, |_, args| one(args, $compute as fn(f64) -> SqlResult<f64>))
    };
}

/// Rounding, roots, powers and logarithms.
pub(in crate::functions) static MATH: &[Function] = &[
    function("abs", &[Oid::FLOAT4], Oid::FLOAT4, |_, args| one(args, f32::abs)),
    plain!("abs", f64::abs),
    plain!("ceil", f64::ceil),
    plain!("ceiling", f64::ceil),
    plain!("floor", f64::floor),
    plain!("round", f64::round_ties_even),
    plain!("trunc", f64::trunc),
    plain!("sign", sign),
    plain!("cbrt", f64::cbrt),
    plain!("degrees", f64::to_degrees),
    plain!("radians", f64::to_radians),
    checked!("sqrt", square_root),
    checked!("exp", exponential),
    checked!("ln", logarithm),
    checked!("log", decimal_logarithm),
    checked!("log10", decimal_logarithm),
    function("power", PAIR, F, |_, args| two(args, power)),
    function("pow", PAIR, F, |_, args| two(args, power)),
    operator("dpow", "^", PAIR, F, |_, args| two(args, power)),
    operator("dsqrt", "|/", SINGLE, F, |_, args| one(args, square_root)),
    operator("dcbrt", "||/", SINGLE, F, |_, args| one(args, f64::cbrt)),
    function("pi", &[], F, |_, _| Ok(crate::Datum::Float8(std::f64::consts::PI))),
    function("random", &[], F, |_, _| Ok(crate::Datum::Float8(rand::random()))).volatile(),
    function("setseed", SINGLE, Oid::VOID, |_, args| one(args, set_seed)).volatile(),
    function("width_bucket", &[F, F, F, Oid::INT4], Oid::INT4, |_, args| four(args, width_bucket)),
];

/// Trigonometry, in radians and degrees, and hyperbolic functions.
pub(in crate::functions) static TRIGONOMETRY: &[Function] = &[
    checked!("sin", |x| finite(x, f64::sin)),
    checked!("cos", |x| finite(x, f64::cos)),
    checked!("tan", |x| finite(x, f64::tan)),
    checked!("cot", |x| finite(x, |x| 1.0 / x.tan())),
    checked!("asin", |x| within_one(x, f64::asin)),
    checked!("acos", |x| within_one(x, f64::acos)),
    plain!("atan", f64::atan),
    function("atan2", PAIR, F, |_, args| two(args, f64::atan2)),
    checked!("sind", |x| finite(x, sine_degrees)),
    checked!("cosd", |x| finite(x, |x| sine_degrees(x + 90.0))),
    checked!("tand", |x| finite(x, |x| positive_zero(sine_degrees(x) / sine_degrees(x + 90.0)))),
    checked!("cotd", |x| finite(x, |x| positive_zero(sine_degrees(x + 90.0) / sine_degrees(x)))),
    checked!("asind", |x| within_one(x, |x| exact_degrees(x.asin()))),
    checked!("acosd", |x| within_one(x, |x| exact_degrees(x.acos()))),
    plain!("atand", |x| exact_degrees(x.atan())),
    function("atan2d", PAIR, F, |_, args| two(args, |y: f64, x: f64| exact_degrees(y.atan2(x)))),
    plain!("sinh", f64::sinh),
    plain!("cosh", f64::cosh),
    plain!("tanh", f64::tanh),
    plain!("asinh", f64::asinh),
    checked!("acosh", |x| if x < 1.0 { Err(input_out_of_range()) } else { Ok(x.acosh()) }),
    checked!("atanh", |x| if x.abs() > 1.0 { Err(input_out_of_range()) } else { Ok(x.atanh()) }),
];

fn sign(x: f64) -> f64 {
    if x.is_nan() { x } else { f64::from(i8::from(x > 0.0) - i8::from(x < 0.0)) }
}

fn power_error(message: &str) -> SqlError {
    SqlError::new(SqlState::InvalidArgumentForPowerFunction, message)
}

fn square_root(x: f64) -> SqlResult<f64> {
    if x < 0.0 { Err(power_error("cannot take square root of a negative number")) } else { Ok(x.sqrt()) }
}

fn exponential(x: f64) -> SqlResult<f64> {
    let result = x.exp();
    if result.is_infinite() && x.is_finite() {
        return Err(overflow());
    }
    if result == 0.0 && x.is_finite() { Err(underflow()) } else { Ok(result) }
}

fn positive(x: f64) -> SqlResult<f64> {
    let invalid = |message: &str| Err(SqlError::new(SqlState::InvalidArgumentForLogarithm, message));
    if x == 0.0 {
        return invalid("cannot take logarithm of zero");
    }
    if x < 0.0 { invalid("cannot take logarithm of a negative number") } else { Ok(x) }
}

fn logarithm(x: f64) -> SqlResult<f64> {
    positive(x).map(f64::ln)
}

fn decimal_logarithm(x: f64) -> SqlResult<f64> {
    positive(x).map(f64::log10)
}

fn power(base: f64, exponent: f64) -> SqlResult<f64> {
    if base == 0.0 && exponent < 0.0 {
        return Err(power_error("zero raised to a negative power is undefined"));
    }
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.fract() != 0.0 {
        return Err(power_error("a negative number raised to a non-integer power yields a complex result"));
    }
    let result = base.powf(exponent);
    if base.is_finite() && exponent.is_finite() {
        if result.is_infinite() {
            return Err(overflow());
        }
        if result == 0.0 && base != 0.0 {
            return Err(underflow());
        }
    }
    Ok(result)
}

fn finite(x: f64, compute: fn(f64) -> f64) -> SqlResult<f64> {
    if x.is_infinite() { Err(input_out_of_range()) } else { Ok(compute(x)) }
}

fn within_one(x: f64, compute: fn(f64) -> f64) -> SqlResult<f64> {
    if x.abs() > 1.0 { Err(input_out_of_range()) } else { Ok(compute(x)) }
}

fn positive_zero(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x }
}

/// Degrees of an angle, exact where the angle is a multiple of 15 degrees.
fn exact_degrees(radians: f64) -> f64 {
    let degrees = radians.to_degrees();
    let nearest = (degrees / 15.0).round() * 15.0;
    if (degrees - nearest).abs() < 1e-12 { positive_zero(nearest) } else { degrees }
}

/// Sine of an angle in degrees, exact for multiples of 30 degrees.
fn sine_degrees(degrees: f64) -> f64 {
    let turned = degrees % 360.0;
    let turned = if turned < 0.0 { turned + 360.0 } else { turned };
    let (sign, half) = if turned >= 180.0 { (-1.0, turned - 180.0) } else { (1.0, turned) };
    let quarter = if half > 90.0 { 180.0 - half } else { half };
    let sine = match quarter {
        0.0 => 0.0,
        30.0 => 0.5,
        90.0 => 1.0,
        other => other.to_radians().sin(),
    };
    positive_zero(sign * sine)
}

/// The sequence of random() is not promised to anybody: the seed is only checked.
fn set_seed(seed: f64) -> SqlResult<&'static str> {
    if (-1.0..=1.0).contains(&seed) {
        return Ok("");
    }
    let message = format!("setseed parameter {seed} is out of allowed range [-1,1]");
    Err(SqlError::new(SqlState::InvalidParameterValue, message))
}

fn width_bucket(operand: f64, low: f64, high: f64, count: i32) -> SqlResult<i32> {
    if count <= 0 {
        return Err(invalid_bucket("count must be greater than zero"));
    }
    if operand.is_nan() || low.is_nan() || high.is_nan() {
        return Err(invalid_bucket("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(invalid_bucket("lower and upper bounds must be finite"));
    }
    if low == high {
        return Err(invalid_bucket("lower bound cannot equal upper bound"));
    }
    let below = if low < high { operand < low } else { operand > low };
    let above = if low < high { operand >= high } else { operand <= high };
    if below {
        return Ok(0);
    }
    if above {
        return count.checked_add(1).ok_or_else(|| out_of_range("integer"));
    }
    // Halved, so that the difference of extreme bounds does not overflow.
    let share = (operand / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
    Ok(((f64::from(count) * share) as i32).min(count - 1) + 1)
}

#[cold]
fn input_out_of_range() -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, "input is out of range")
}

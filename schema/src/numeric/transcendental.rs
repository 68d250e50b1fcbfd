//! Roots, logarithms, exponentials and powers, with the digits that PostgreSQL shows.
//!
//! Everything is computed on integers scaled by a power of ten with guard digits, then rounded to the scale that
//! PostgreSQL chooses: at least 16 significant digits, and no fewer decimals than the arguments have.

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive, Zero};
use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{
    Numeric,
    arithmetic::{big, divide_rounded, division_by_zero},
    pow10,
};

/// PostgreSQL's NUMERIC_MIN_SIG_DIGITS.
const DIGITS_MIN: i32 = 16;
/// PostgreSQL's NUMERIC_MAX_DISPLAY_SCALE.
const SCALE_SHOWN_MAX: i32 = 1000;
/// PostgreSQL's NUMERIC_MAX_RESULT_SCALE.
const RESULT_SCALE_MAX: f64 = 2000.0;
/// Digits computed beyond those that are shown.
const GUARD: u32 = 12;
const LOG10_E: f64 = std::f64::consts::LOG10_E;

fn overflow() -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, "value overflows numeric format")
}

fn invalid_power(message: &str) -> SqlError {
    SqlError::new(SqlState::InvalidArgumentForPowerFunction, message)
}

fn invalid_logarithm(message: &str) -> SqlError {
    SqlError::new(SqlState::InvalidArgumentForLogarithm, message)
}

/// A scale for results of about this many digits before the point.
fn result_scale(weight: i32, at_least: &[&Numeric]) -> u32 {
    let least = at_least.iter().map(|value| i32::from(value.scale())).max().unwrap_or(0);
    (DIGITS_MIN - weight).max(least).clamp(0, SCALE_SHOWN_MAX) as u32
}

/// The value times `10^scale`, rounded.
fn fixed(value: &Numeric, scale: u32) -> BigInt {
    let present = u32::from(value.scale());
    if present <= scale {
        big(value) * pow10(scale - present)
    } else {
        divide_rounded(big(value), &pow10(present - scale))
    }
}

/// A number from an integer at `scale`, rounded to `shown`.
fn from_fixed(value: BigInt, scale: u32, shown: u32) -> Numeric {
    Numeric::from_big(divide_rounded(value, &pow10(scale - shown)), shown as u16)
}

/// Natural logarithm of a positive number at a scale: argument reduction by square roots, then the series of atanh.
fn fixed_ln(value: &BigInt, scale: u32) -> BigInt {
    let extra = scale + GUARD;
    let one = pow10(extra);
    let mut x = value * pow10(GUARD);
    let mut doublings = 0_u32;
    // Between 0.9 and 1.1 the series converges by two digits a term.
    let near = &one / 10;
    while (&x - &one).abs() > near {
        x = (&x * &one).sqrt();
        doublings += 1;
    }
    let z: BigInt = ((&x - &one) * &one) / (&x + &one);
    let square: BigInt = (&z * &z) / &one;
    let mut term = z.clone();
    let mut sum = z;
    let mut n = 1_u32;
    while !term.is_zero() {
        n += 2;
        term = (&term * &square) / &one;
        sum += &term / n;
    }
    divide_rounded(sum << (doublings + 1), &pow10(GUARD))
}

/// e to the power of a number at a scale.
fn fixed_exp(value: &BigInt, scale: u32) -> BigInt {
    // Halved until small; squaring doubles the error each time, which the guard digits take.
    let halvings = 2 + (value.bits().saturating_sub(pow10(scale).bits())) as u32;
    let extra = scale + GUARD + halvings;
    let one = pow10(extra);
    let x: BigInt = (value * pow10(GUARD + halvings)) >> (halvings + 4);
    let mut sum = one.clone();
    let mut term = one.clone();
    let mut n = 0_u32;
    while !term.is_zero() {
        n += 1;
        term = (&term * &x) / (&one * n);
        sum += &term;
    }
    for _ in 0..halvings + 4 {
        sum = (&sum * &sum) / &one;
    }
    divide_rounded(sum, &pow10(GUARD + halvings))
}

impl Numeric {
    /// Weight and value of the first one or two base-10000 groups: `digits * 10^weight` is about the value.
    fn leading(&self) -> (f64, i32) {
        let digits = big(self).abs().to_string();
        let taken = digits.len().min(17);
        let value: f64 = digits[..taken].parse().unwrap_or(0.0);
        (value, (digits.len() - taken) as i32 - i32::from(self.scale()))
    }

    /// PostgreSQL's estimate of the decimal weight of the logarithm.
    fn ln_weight(&self) -> i32 {
        if self.signum() <= 0 {
            return 0;
        }
        let (digits, weight) = self.leading();
        let value = digits.log10() + f64::from(weight);
        if (0.9_f64.log10()..=1.1_f64.log10()).contains(&value) {
            let one = Self::Small { digits: 1, scale: 0 };
            return match self.sub(&one) {
                Ok(rest) if rest.signum() != 0 => {
                    let (digits, weight) = rest.leading();
                    digits.log10().floor() as i32 + weight
                }
                _ => 0,
            };
        }
        (value / LOG10_E).abs().log10() as i32
    }

    /// The square root: 2201F for a negative number.
    pub fn sqrt(&self) -> SqlResult<Self> {
        let negative = || invalid_power("cannot take square root of a negative number");
        match self {
            Self::NaN | Self::Infinity => return Ok(self.clone()),
            Self::NegInfinity => return Err(negative()),
            _ if self.signum() < 0 => return Err(negative()),
            _ => {}
        }
        let (group_weight, _) = self.first_group();
        let weight = (group_weight + 1) * 4 / 2 - 1;
        Ok(self.sqrt_to_scale(result_scale(weight, &[self])))
    }

    /// The square root of a finite number that is not negative, rounded to a scale.
    pub(crate) fn sqrt_to_scale(&self, scale: u32) -> Self {
        let extra = scale + GUARD;
        from_fixed(fixed(self, extra * 2).sqrt(), extra, scale)
    }

    /// e to this power: 22003 if the result is too large.
    pub fn exp(&self) -> SqlResult<Self> {
        match self {
            Self::NaN | Self::Infinity => return Ok(self.clone()),
            Self::NegInfinity => return Ok(Self::ZERO),
            _ => {}
        }
        let value = self.to_f64();
        let weight = (value * LOG10_E).clamp(-RESULT_SCALE_MAX, RESULT_SCALE_MAX) as i32;
        self.exp_to_scale(result_scale(weight, &[self]), weight)
    }

    fn exp_to_scale(&self, scale: u32, weight: i32) -> SqlResult<Self> {
        let value = self.to_f64();
        if value.abs() >= RESULT_SCALE_MAX * 3.0 {
            if value > 0.0 {
                return Err(overflow());
            }
            return Ok(Self::from_big(BigInt::zero(), scale as u16));
        }
        let extra = scale + GUARD + weight.max(0) as u32;
        Ok(from_fixed(fixed_exp(&fixed(self, extra), extra), extra, scale))
    }

    fn check_logarithm(&self) -> SqlResult<()> {
        match self.signum() {
            0 => Err(invalid_logarithm("cannot take logarithm of zero")),
            -1 => Err(invalid_logarithm("cannot take logarithm of a negative number")),
            _ => Ok(()),
        }
    }

    /// The natural logarithm: 2201E for zero and negative numbers.
    pub fn ln(&self) -> SqlResult<Self> {
        if self.is_nan() {
            return Ok(Self::NaN);
        }
        self.check_logarithm()?;
        if matches!(self, Self::Infinity) {
            return Ok(Self::Infinity);
        }
        let scale = result_scale(self.ln_weight(), &[self]);
        Ok(self.ln_to_scale(scale))
    }

    fn ln_to_scale(&self, scale: u32) -> Self {
        // Small numbers have their significant digits far behind the point.
        let extra = scale + GUARD + u32::from(self.scale());
        from_fixed(fixed_ln(&fixed(self, extra), extra), extra, scale)
    }

    /// The logarithm to a base.
    pub fn log(&self, base: &Self) -> SqlResult<Self> {
        if self.is_nan() || base.is_nan() {
            return Ok(Self::NaN);
        }
        base.check_logarithm()?;
        self.check_logarithm()?;
        match (self, base) {
            (Self::Infinity, Self::Infinity) => return Ok(Self::NaN),
            (Self::Infinity, _) => return Ok(Self::Infinity),
            (_, Self::Infinity) => return Ok(Self::ZERO),
            _ => {}
        }
        let scale = result_scale(self.ln_weight() - base.ln_weight(), &[self, base]);
        let extra = scale + 2 * GUARD;
        let divisor = base.ln_to_scale(extra);
        if divisor.signum() == 0 {
            return Err(division_by_zero());
        }
        self.ln_to_scale(extra).div_to_scale(&divisor, scale as u16)
    }

    /// This number raised to a power.
    pub fn power(&self, exponent: &Self) -> SqlResult<Self> {
        if let Some(special) = self.special_power(exponent)? {
            return Ok(special);
        }
        let whole = exponent.trunc(0).compare(exponent).is_eq();
        if whole && let Some(exponent_value) = exponent.to_i64().and_then(|value| i32::try_from(value).ok()) {
            return self.integer_power(exponent_value);
        }
        if self.signum() == 0 {
            return Ok(Self::from_big(BigInt::zero(), DIGITS_MIN as u16));
        }
        if self.signum() < 0 && !whole {
            return Err(invalid_power("a negative number raised to a non-integer power yields a complex result"));
        }
        let base = self.abs();
        let negative = self.signum() < 0 && !big(&exponent.trunc(0)).is_even_number();
        let estimate =
            base.ln_to_scale((8 - base.ln_weight()).clamp(0, SCALE_SHOWN_MAX) as u32).mul(exponent)?.to_f64();
        if estimate.abs() > RESULT_SCALE_MAX * 3.01 {
            if estimate > 0.0 {
                return Err(overflow());
            }
            return Ok(Self::from_big(BigInt::zero(), SCALE_SHOWN_MAX as u16));
        }
        let weight = (estimate * LOG10_E) as i32;
        let scale = result_scale(weight, &[self, exponent]);
        let digits = scale + GUARD + weight.max(0) as u32 + 8;
        let product = base.ln_to_scale(digits + exponent_digits(exponent)).mul(exponent)?.round(digits as i32);
        let result = product.exp_to_scale(scale, weight)?;
        Ok(if negative { result.neg() } else { result })
    }

    /// Powers with NaN and infinities, and 0 to a negative power.
    fn special_power(&self, exponent: &Self) -> SqlResult<Option<Self>> {
        let one = || Self::Small { digits: 1, scale: 0 };
        let is_one = |value: &Self| value.compare(&one()).is_eq();
        if self.is_nan() || exponent.is_nan() {
            // NaN ^ 0 and 1 ^ NaN are 1, as for floats.
            let certain = (self.is_nan() && exponent.signum() == 0) || (exponent.is_nan() && is_one(self));
            return Ok(Some(if certain { one() } else { Self::NaN }));
        }
        let infinite = |value: &Self| matches!(value, Self::Infinity | Self::NegInfinity);
        if self.signum() == 0 && exponent.signum() < 0 {
            return Err(invalid_power("zero raised to a negative power is undefined"));
        }
        if !infinite(self) && !infinite(exponent) {
            return Ok(None);
        }
        if is_one(self) || exponent.signum() == 0 {
            return Ok(Some(one()));
        }
        if infinite(exponent) {
            if self.signum() == 0 {
                return Ok(Some(Self::ZERO));
            }
            let grows = self.abs().compare(&one()).is_gt() == (exponent.signum() > 0);
            return Ok(Some(match () {
                () if is_one(&self.abs()) => one(),
                () if grows => Self::Infinity,
                () => Self::ZERO,
            }));
        }
        if exponent.signum() < 0 {
            return Ok(Some(Self::ZERO));
        }
        if self.signum() > 0 {
            return Ok(Some(Self::Infinity));
        }
        let whole = exponent.trunc(0).compare(exponent).is_eq();
        if !whole {
            return Err(invalid_power("a negative number raised to a non-integer power yields a complex result"));
        }
        let odd = !big(&exponent.trunc(0)).is_even_number();
        Ok(Some(if odd { Self::NegInfinity } else { Self::Infinity }))
    }

    /// An integer power: shown with 16 decimals, whatever its size.
    fn integer_power(&self, exponent: i32) -> SqlResult<Self> {
        let (digits, weight) = self.leading();
        let zero = self.signum() == 0;
        let estimate = if zero { 0.0 } else { f64::from(exponent) * (digits.log10() + f64::from(weight)) };
        // PostgreSQL's (NUMERIC_WEIGHT_MAX + 1) * DEC_DIGITS.
        if estimate > 131_072.0 {
            return Err(overflow());
        }
        let scale = result_scale(0, &[self]);
        if estimate + 1.0 < -f64::from(SCALE_SHOWN_MAX) {
            return Ok(Self::from_big(BigInt::zero(), scale as u16));
        }
        if zero {
            let result = if exponent == 0 { BigInt::one() } else { BigInt::zero() };
            return Ok(Self::from_big(result * pow10(scale), scale as u16));
        }
        if let Some(exact) = self.exact_power(exponent, scale) {
            return Ok(exact);
        }
        // Too many digits to be computed exactly: a product of rounded squares with enough digits.
        let digits = (scale as i32 + estimate.max(0.0) as i32) as u32 + GUARD + 16;
        Ok(self.rounded_power(exponent, digits, scale))
    }

    /// The power computed exactly, unless that takes too many digits.
    fn exact_power(&self, exponent: i32, scale: u32) -> Option<Self> {
        let value = big(self);
        let bits = value.bits().checked_mul(exponent.unsigned_abs().into())?;
        let result_scale = u64::from(self.scale()) * u64::from(exponent.unsigned_abs());
        if bits > 500_000 || result_scale > 150_000 {
            return None;
        }
        let power = value.pow(exponent.unsigned_abs());
        let result_scale = result_scale as u32;
        let result = if exponent >= 0 {
            if result_scale >= scale {
                divide_rounded(power, &pow10(result_scale - scale))
            } else {
                power * pow10(scale - result_scale)
            }
        } else {
            divide_rounded(pow10(result_scale + scale), &power)
        };
        Some(Self::from_big(result, scale as u16))
    }

    fn rounded_power(&self, exponent: i32, digits: u32, scale: u32) -> Self {
        // The value as mantissa of `digits` digits and an exponent of ten.
        let normalize = |mantissa: BigInt, ten: i64| {
            let length = mantissa.abs().to_string().len() as i64;
            let excess = length - i64::from(digits);
            if excess > 0 { (divide_rounded(mantissa, &pow10(excess as u32)), ten + excess) } else { (mantissa, ten) }
        };
        let (mut base, mut base_ten) = normalize(big(self), -i64::from(self.scale()));
        let (mut result, mut result_ten) = (BigInt::one(), 0);
        let mut rest = exponent.unsigned_abs();
        while rest > 0 {
            if rest & 1 == 1 {
                (result, result_ten) = normalize(&result * &base, result_ten + base_ten);
            }
            (base, base_ten) = normalize(&base * &base, base_ten * 2);
            rest >>= 1;
        }
        if exponent < 0 {
            let length = result.abs().to_string().len() as u32;
            (result, result_ten) =
                (divide_rounded(pow10(length + digits), &result), -result_ten - i64::from(length + digits));
        }
        let shift = result_ten + i64::from(scale);
        let value = if shift >= 0 {
            result * pow10(shift as u32)
        } else {
            divide_rounded(result, &pow10(shift.unsigned_abs() as u32))
        };
        Self::from_big(value, scale as u16)
    }
}

/// Digits before the point of an exponent: a product with it needs that many more.
fn exponent_digits(exponent: &Numeric) -> u32 {
    let digits = big(exponent).abs().to_string().len() as i32 - i32::from(exponent.scale());
    digits.max(0) as u32
}

trait Even {
    fn is_even_number(&self) -> bool;
}

impl Even for BigInt {
    fn is_even_number(&self) -> bool {
        (self % 2_u32).to_u32() == Some(0)
    }
}

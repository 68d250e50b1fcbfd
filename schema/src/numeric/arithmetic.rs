//! Arithmetic, comparison and rounding.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};
use num_traits::{Signed, Zero};
use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{INTEGER_DIGITS_MAX, Numeric, SCALE_MAX, pow10, small_pow10};

/// PostgreSQL's NUMERIC_MIN_SIG_DIGITS: digits that a quotient shows at least.
const QUOTIENT_DIGITS_MIN: i32 = 16;
/// Digits in one of PostgreSQL's base-10000 groups, by which it counts weights.
const GROUP_DIGITS: i32 = 4;

impl Numeric {
    /// The sum, at the greater scale.
    pub fn add(&self, other: &Self) -> SqlResult<Self> {
        use Numeric::{Infinity, NaN, NegInfinity};
        match (self, other) {
            (NaN, _) | (_, NaN) | (Infinity, NegInfinity) | (NegInfinity, Infinity) => Ok(NaN),
            (Infinity, _) | (_, Infinity) => Ok(Infinity),
            (NegInfinity, _) | (_, NegInfinity) => Ok(NegInfinity),
            (Self::Small { digits: a, scale: s }, Self::Small { digits: b, scale: t }) => {
                match small_sum(*a, *s, *b, *t) {
                    Some(sum) => Ok(sum),
                    None => self.big_sum(other),
                }
            }
            _ => self.big_sum(other),
        }
    }

    fn big_sum(&self, other: &Self) -> SqlResult<Self> {
        let (a, b, scale) = aligned(self, other);
        checked(a + b, scale)
    }

    /// The difference, at the greater scale.
    pub fn sub(&self, other: &Self) -> SqlResult<Self> {
        self.add(&other.neg())
    }

    /// The product, at the sum of the scales.
    pub fn mul(&self, other: &Self) -> SqlResult<Self> {
        let finite = (self.to_sign(), other.to_sign());
        let (Some(_), Some(_)) = finite else { return Ok(self.special_product(other)) };
        let scale = u32::from(self.scale()) + u32::from(other.scale());
        if let (Self::Small { digits: a, .. }, Self::Small { digits: b, .. }) = (self, other)
            && let (Some(digits), true) = (a.checked_mul(*b), scale <= u32::from(SCALE_MAX))
        {
            return Ok(Self::Small { digits, scale: scale as u16 });
        }
        let product = big(self) * big(other);
        if scale <= u32::from(SCALE_MAX) {
            return checked(product, scale as u16);
        }
        let excess = scale - u32::from(SCALE_MAX);
        checked(divide_rounded(product, &pow10(excess)), SCALE_MAX)
    }

    fn special_product(&self, other: &Self) -> Self {
        if self.is_nan() || other.is_nan() {
            return Self::NaN;
        }
        match self.signum() * other.signum() {
            0 => Self::NaN,
            1 => Self::Infinity,
            _ => Self::NegInfinity,
        }
    }

    /// The quotient with the digits PostgreSQL shows. Division by zero is 22012.
    pub fn div(&self, other: &Self) -> SqlResult<Self> {
        if self.is_nan() || other.is_nan() {
            return Ok(Self::NaN);
        }
        if other.signum() == 0 {
            return Err(division_by_zero());
        }
        match (self.to_sign(), other.to_sign()) {
            (None, None) => Ok(Self::NaN),
            (Some(_), None) => Ok(Self::ZERO),
            (None, Some(_)) => Ok(if self.signum() * other.signum() > 0 { Self::Infinity } else { Self::NegInfinity }),
            (Some(_), Some(_)) => {
                let scale = self.quotient_scale(other);
                self.div_to_scale(other, scale)
            }
        }
    }

    /// The finite quotient rounded to a scale.
    pub fn div_to_scale(&self, other: &Self, scale: u16) -> SqlResult<Self> {
        let (dividend, divisor) = (big(self), big(other));
        if divisor.is_zero() {
            return Err(division_by_zero());
        }
        let shift = i64::from(scale) + i64::from(other.scale()) - i64::from(self.scale());
        let quotient = if shift >= 0 {
            divide_rounded(dividend * pow10(shift as u32), &divisor)
        } else {
            divide_rounded(dividend, &(divisor * pow10(shift.unsigned_abs() as u32)))
        };
        checked(quotient, scale)
    }

    /// PostgreSQL's select_div_scale: at least 16 significant digits, judged by the first base-10000 groups.
    fn quotient_scale(&self, other: &Self) -> u16 {
        let (weight1, first1) = self.first_group();
        let (weight2, first2) = other.first_group();
        let mut weight = weight1 - weight2;
        if first1 <= first2 {
            weight -= 1;
        }
        let scale = QUOTIENT_DIGITS_MIN - weight * GROUP_DIGITS;
        let scale = scale.max(i32::from(self.scale())).max(i32::from(other.scale())).max(0);
        // PostgreSQL's NUMERIC_MAX_DISPLAY_SCALE.
        scale.min(1000) as u16
    }

    /// Weight (in groups of four digits before the decimal point, less one) and value of the first non-zero group.
    pub(super) fn first_group(&self) -> (i32, i32) {
        let digits = big(self).abs();
        if digits.is_zero() {
            return (0, 0);
        }
        let text = digits.to_string();
        let integer_digits = text.len() as i32 - i32::from(self.scale());
        let weight = (integer_digits - 1).div_euclid(GROUP_DIGITS);
        let in_first = (integer_digits - weight * GROUP_DIGITS) as usize;
        let mut first = text[..in_first.min(text.len())].to_owned();
        while first.len() < in_first {
            first.push('0');
        }
        (weight, first.parse().expect("up to four digits"))
    }

    /// The remainder with the dividend's sign. Division by zero is 22012.
    pub fn rem(&self, other: &Self) -> SqlResult<Self> {
        if self.is_nan() || other.is_nan() {
            return Ok(Self::NaN);
        }
        if other.signum() == 0 {
            return Err(division_by_zero());
        }
        match (self.to_sign(), other.to_sign()) {
            (None, _) => Ok(Self::NaN),
            (Some(_), None) => Ok(self.clone()),
            (Some(_), Some(_)) => {
                let (a, b, scale) = aligned(self, other);
                Ok(Self::from_big(a % b, scale))
            }
        }
    }

    /// The value with the opposite sign.
    #[must_use]
    pub fn neg(&self) -> Self {
        match self {
            Self::Small { digits, scale } => match digits.checked_neg() {
                Some(digits) => Self::Small { digits, scale: *scale },
                None => Self::from_big(-BigInt::from(*digits), *scale),
            },
            Self::Big { digits, scale } => Self::from_big(-(**digits).clone(), *scale),
            Self::NaN => Self::NaN,
            Self::Infinity => Self::NegInfinity,
            Self::NegInfinity => Self::Infinity,
        }
    }

    /// The value without its sign.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.signum() < 0 { self.neg() } else { self.clone() }
    }

    /// -1, 0 or 1; NaN counts as 1.
    pub fn signum(&self) -> i32 {
        match self {
            Self::Small { digits, .. } => digits.signum() as i32,
            Self::Big { digits, .. } => match digits.sign() {
                Sign::Minus => -1,
                Sign::NoSign => 0,
                Sign::Plus => 1,
            },
            Self::NaN | Self::Infinity => 1,
            Self::NegInfinity => -1,
        }
    }

    /// The sign of a finite number.
    fn to_sign(&self) -> Option<i32> {
        (!matches!(self, Self::NaN | Self::Infinity | Self::NegInfinity)).then(|| self.signum())
    }

    /// PostgreSQL's order: -Infinity, numbers, Infinity, NaN. Scale does not matter.
    pub fn compare(&self, other: &Self) -> Ordering {
        let class = |value: &Self| match value {
            Self::NegInfinity => 0,
            Self::Small { .. } | Self::Big { .. } => 1,
            Self::Infinity => 2,
            Self::NaN => 3,
        };
        class(self).cmp(&class(other)).then_with(|| match (self, other) {
            (Self::Small { digits: a, scale: s }, Self::Small { digits: b, scale: t }) if s == t => a.cmp(b),
            _ if class(self) != 1 => Ordering::Equal,
            _ => {
                let (a, b, _) = aligned(self, other);
                a.cmp(&b)
            }
        })
    }

    /// Rounded half away from zero to `scale` digits after the point; negative scales round before it.
    #[must_use]
    pub fn round(&self, scale: i32) -> Self {
        self.to_scale(scale, divide_rounded)
    }

    /// Cut off after `scale` digits.
    #[must_use]
    pub fn trunc(&self, scale: i32) -> Self {
        self.to_scale(scale, |digits, divisor| digits / divisor)
    }

    fn to_scale(&self, scale: i32, divide: impl Fn(BigInt, &BigInt) -> BigInt) -> Self {
        let Some((digits, present)) = self.to_big() else { return self.clone() };
        let scale = scale.clamp(-(INTEGER_DIGITS_MAX as i32), i32::from(SCALE_MAX));
        let excess = i32::from(present) - scale;
        let shown = scale.max(0) as u16;
        if excess <= 0 {
            return Self::from_big(digits * pow10(excess.unsigned_abs()), shown);
        }
        let cut = divide(digits, &pow10(excess as u32));
        Self::from_big(cut * pow10(scale.min(0).unsigned_abs()), shown)
    }

    /// The greatest integer not above.
    #[must_use]
    pub fn floor(&self) -> Self {
        let cut = self.trunc(0);
        if self.signum() < 0 && cut.compare(self) != Ordering::Equal { plus(&cut, -1) } else { cut }
    }

    /// The smallest integer not below.
    #[must_use]
    pub fn ceil(&self) -> Self {
        let cut = self.trunc(0);
        if self.signum() > 0 && cut.compare(self) != Ordering::Equal { plus(&cut, 1) } else { cut }
    }

    /// Rounds to a typmod's scale and checks its precision: 22003 as PostgreSQL words it.
    pub fn apply_typmod(&self, precision: i32, scale: i32) -> SqlResult<Self> {
        let overflow = |detail: String| {
            SqlError::new(SqlState::NumericValueOutOfRange, "numeric field overflow").with_detail(detail)
        };
        if self.is_nan() {
            return Ok(Self::NaN);
        }
        let Some(_) = self.to_sign() else {
            return Err(overflow(format!(
                "A field with precision {precision}, scale {scale} cannot hold an infinite value."
            )));
        };
        let rounded = self.round(scale);
        let limit = precision - scale;
        let bound = pow10(limit.max(0) as u32) * pow10(u32::from(rounded.scale()));
        if big(&rounded).abs() >= bound {
            let shown = if limit == 0 { "1".to_owned() } else { format!("10^{limit}") };
            return Err(overflow(format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than {shown}."
            )));
        }
        Ok(rounded)
    }
}

fn plus(value: &Numeric, change: i128) -> Numeric {
    let change = Numeric::Small { digits: change, scale: 0 };
    value.add(&change).expect("a neighbour of a rounded number is in range")
}

fn small_sum(a: i128, s: u16, b: i128, t: u16) -> Option<Numeric> {
    let scale = s.max(t);
    let a = a.checked_mul(small_pow10(u32::from(scale - s))?)?;
    let b = b.checked_mul(small_pow10(u32::from(scale - t))?)?;
    Some(Numeric::Small { digits: a.checked_add(b)?, scale })
}

/// Digits of a finite number.
pub(super) fn big(value: &Numeric) -> BigInt {
    value.to_big().map(|(digits, _)| digits).unwrap_or_default()
}

/// Digits of both at the greater scale.
fn aligned(a: &Numeric, b: &Numeric) -> (BigInt, BigInt, u16) {
    let scale = a.scale().max(b.scale());
    let at = |value: &Numeric| big(value) * pow10(u32::from(scale - value.scale()));
    (at(a), at(b), scale)
}

/// Division rounded half away from zero.
pub(super) fn divide_rounded(dividend: BigInt, divisor: &BigInt) -> BigInt {
    let negative = dividend.is_negative() != divisor.is_negative();
    let (dividend, divisor) = (dividend.abs(), divisor.abs());
    let quotient: BigInt = (dividend * 2 + &divisor) / (divisor * 2);
    if negative { -quotient } else { quotient }
}

fn checked(digits: BigInt, scale: u16) -> SqlResult<Numeric> {
    // Cheap for all but absurd numbers: bits bound digits.
    if digits.bits() > 3 * u64::from(INTEGER_DIGITS_MAX) && digits.abs() >= pow10(INTEGER_DIGITS_MAX + u32::from(scale))
    {
        return Err(SqlError::new(SqlState::NumericValueOutOfRange, "value overflows numeric format"));
    }
    Ok(Numeric::from_big(digits, scale))
}

/// 22012.
pub(crate) fn division_by_zero() -> SqlError {
    SqlError::new(SqlState::DivisionByZero, "division by zero")
}

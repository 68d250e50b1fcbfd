//! PostgreSQL's numeric: any precision, with a display scale.
//!
//! Numbers whose digits fit 128 bits are kept in one; greater ones in a big integer. Results carry the scale that
//! PostgreSQL shows: the greater scale for sums, the sum of scales for products, and at least 16 significant digits for
//! quotients.

mod arithmetic;
mod convert;
#[cfg(test)]
mod tests;
mod text;
mod transcendental;

use num_bigint::BigInt;

/// Digits that PostgreSQL allows after the decimal point.
pub(crate) const SCALE_MAX: u16 = 16_383;
/// Digits that PostgreSQL allows before the decimal point.
pub(crate) const INTEGER_DIGITS_MAX: u32 = 131_072;

/// A numeric value: `digits / 10^scale`, where `scale` is also the display scale, or one of the special values.
#[derive(Clone, Debug)]
pub enum Numeric {
    /// A number whose digits fit 128 bits.
    Small {
        /// All digits as an integer.
        digits: i128,
        /// Digits after the decimal point.
        scale: u16,
    },
    /// A greater number.
    Big {
        /// All digits as an integer.
        digits: Box<BigInt>,
        /// Digits after the decimal point.
        scale: u16,
    },
    /// NaN: equal to itself and greater than everything else.
    NaN,
    /// Infinity
    Infinity,
    /// -Infinity
    NegInfinity,
}

impl Numeric {
    /// Zero with scale 0.
    pub const ZERO: Self = Self::Small { digits: 0, scale: 0 };

    /// A number from its digits and scale, in the smaller form where it fits.
    pub fn from_big(digits: BigInt, scale: u16) -> Self {
        match i128::try_from(&digits) {
            Ok(digits) => Self::Small { digits, scale },
            Err(_) => Self::Big { digits: Box::new(digits), scale },
        }
    }

    /// Digits and scale; `None` for the special values.
    pub fn to_big(&self) -> Option<(BigInt, u16)> {
        match self {
            Self::Small { digits, scale } => Some((BigInt::from(*digits), *scale)),
            Self::Big { digits, scale } => Some(((**digits).clone(), *scale)),
            Self::NaN | Self::Infinity | Self::NegInfinity => None,
        }
    }

    /// The display scale; 0 for the special values.
    pub fn scale(&self) -> u16 {
        match self {
            Self::Small { scale, .. } | Self::Big { scale, .. } => *scale,
            Self::NaN | Self::Infinity | Self::NegInfinity => 0,
        }
    }

    /// Whether this is NaN.
    pub fn is_nan(&self) -> bool {
        matches!(self, Self::NaN)
    }
}

/// 10 to the power of `exponent`.
pub(crate) fn pow10(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

/// 10 to the power of `exponent` if it fits.
pub(crate) fn small_pow10(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

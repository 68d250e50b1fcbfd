//! PostgreSQL's numeric: any precision, with a display scale.

use num_bigint::BigInt;

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

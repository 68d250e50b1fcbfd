//! Text form.

use std::fmt;

use num_bigint::BigInt;
use num_traits::Signed;
use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{INTEGER_DIGITS_MAX, Numeric, SCALE_MAX};

impl Numeric {
    /// Reads PostgreSQL's input: digits with point and exponent, or NaN, Infinity and their spellings, with space around.
    pub fn parse(text: &str) -> SqlResult<Self> {
        let invalid = || {
            let message = format!("invalid input syntax for type numeric: \"{text}\"");
            SqlError::new(SqlState::InvalidTextRepresentation, message)
        };
        let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
        let (negative, body) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, &trimmed[1..]),
            Some(b'+') => (false, &trimmed[1..]),
            _ => (false, trimmed),
        };
        match (body.to_ascii_lowercase().as_str(), body.len() == trimmed.len()) {
            ("nan", true) => return Ok(Self::NaN),
            ("infinity" | "inf", _) => return Ok(if negative { Self::NegInfinity } else { Self::Infinity }),
            _ => {}
        }
        let (mantissa, exponent) = match body.find(['e', 'E']) {
            Some(at) => (&body[..at], parse_exponent(&body[at + 1..]).ok_or_else(invalid)?),
            None => (body, 0),
        };
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (integer.is_empty() && fraction.is_empty()) || !all_digits(integer) || !all_digits(fraction) {
            return Err(invalid());
        }
        assemble(integer, fraction, exponent, negative)
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let valid = !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.strip_prefix('+').unwrap_or(text).parse().ok()).flatten()
}

fn assemble(integer: &str, fraction: &str, exponent: i64, negative: bool) -> SqlResult<Numeric> {
    let overflow = || SqlError::new(SqlState::NumericValueOutOfRange, "value overflows numeric format");
    let scale = fraction.len() as i64 - exponent;
    let integer_digits = integer.trim_start_matches('0').len() as i64 + exponent;
    if integer_digits > i64::from(INTEGER_DIGITS_MAX) || scale > i64::from(SCALE_MAX) {
        return Err(overflow());
    }
    let mut digits = [integer, fraction].concat();
    if scale < 0 {
        digits.push_str(&"0".repeat(scale.unsigned_abs() as usize));
    }
    let scale = scale.max(0) as u16;
    if digits.len() <= 38 {
        let value: i128 = digits.parse().map_err(|_| overflow())?;
        return Ok(Numeric::Small { digits: if negative { -value } else { value }, scale });
    }
    let value: BigInt = digits.parse().map_err(|_| overflow())?;
    Ok(Numeric::from_big(if negative { -value } else { value }, scale))
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, scale, negative) = match self {
            Self::NaN => return f.write_str("NaN"),
            Self::Infinity => return f.write_str("Infinity"),
            Self::NegInfinity => return f.write_str("-Infinity"),
            Self::Small { digits, scale } => (digits.unsigned_abs().to_string(), *scale, *digits < 0),
            Self::Big { digits, scale } => (digits.abs().to_string(), *scale, digits.is_negative()),
        };
        if negative {
            f.write_str("-")?;
        }
        let scale = usize::from(scale);
        if scale == 0 {
            return f.write_str(&digits);
        }
        if digits.len() > scale {
            let (integer, fraction) = digits.split_at(digits.len() - scale);
            return write!(f, "{integer}.{fraction}");
        }
        write!(f, "0.{digits:0>scale$}")
    }
}

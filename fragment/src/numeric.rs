//! Numerics in Binary arrays, read and written without a `Datum` where 128 bits hold them.

use std::cmp::Ordering;

use arrow::array::{Array, BinaryArray, BinaryBuilder};
use proto::{SqlError, SqlResult};
use schema::{
    Datum, Numeric,
    row::{SMALL_NUMERIC_BYTES, decode_payload, decode_small_numeric, encode_payload, encode_small_numeric},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

/// A numeric as kernels see it.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Digits and scale in 128 bits.
    Small(i128, u16),
    /// Anything else.
    Other(Box<Numeric>),
}

impl Value {
    /// Reads an encoded numeric.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> SqlResult<Self> {
        match decode_small_numeric(bytes) {
            Some((digits, scale)) => Ok(Self::Small(digits, scale)),
            None => Self::read_other(bytes),
        }
    }

    #[cold]
    fn read_other(bytes: &[u8]) -> SqlResult<Self> {
        match decode_payload(bytes)? {
            Datum::Numeric(value) => Ok(value.into()),
            _ => Err(SqlError::internal("no numeric where one was expected")),
        }
    }

    /// The same as a numeric.
    pub(crate) fn to_numeric(&self) -> Numeric {
        match self {
            Self::Small(digits, scale) => Numeric::Small { digits: *digits, scale: *scale },
            Self::Other(value) => (**value).clone(),
        }
    }

    /// Appends it.
    #[inline]
    pub(crate) fn append(&self, builder: &mut BinaryBuilder) {
        match self {
            Self::Small(digits, scale) => append_small(*digits, *scale, builder),
            Self::Other(value) => {
                let mut bytes = Vec::with_capacity(32);
                encode_payload(&Datum::Numeric((**value).clone()), &mut bytes);
                builder.append_value(&bytes);
            }
        }
    }

    #[inline]
    pub(crate) fn add(&self, other: &Self) -> SqlResult<Self> {
        if let (Self::Small(a, s), Self::Small(b, t)) = (self, other)
            && let Some((a, b, scale)) = aligned(*a, *s, *b, *t)
            && let Some(sum) = a.checked_add(b)
        {
            return Ok(Self::Small(sum, scale));
        }
        self.to_numeric().add(&other.to_numeric()).map(Into::into)
    }

    #[inline]
    pub(crate) fn sub(&self, other: &Self) -> SqlResult<Self> {
        if let (Self::Small(a, s), Self::Small(b, t)) = (self, other)
            && let Some((a, b, scale)) = aligned(*a, *s, *b, *t)
            && let Some(difference) = a.checked_sub(b)
        {
            return Ok(Self::Small(difference, scale));
        }
        self.to_numeric().sub(&other.to_numeric()).map(Into::into)
    }

    #[inline]
    pub(crate) fn mul(&self, other: &Self) -> SqlResult<Self> {
        if let (Self::Small(a, s), Self::Small(b, t)) = (self, other)
            && let Some(product) = product(*a, *b)
            && u32::from(*s) + u32::from(*t) <= SCALE_MAX
        {
            return Ok(Self::Small(product, s + t));
        }
        self.to_numeric().mul(&other.to_numeric()).map(Into::into)
    }

    #[inline]
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Small(a, s), Self::Small(b, t)) if s == t => a.cmp(b),
            (Self::Small(a, s), Self::Small(b, t)) => match aligned(*a, *s, *b, *t) {
                Some((a, b, _)) => a.cmp(&b),
                None => self.to_numeric().compare(&other.to_numeric()),
            },
            _ => self.to_numeric().compare(&other.to_numeric()),
        }
    }
}

impl From<Numeric> for Value {
    fn from(value: Numeric) -> Self {
        match value {
            Numeric::Small { digits, scale } => Self::Small(digits, scale),
            other => Self::Other(Box::new(other)),
        }
    }
}

/// Products beyond this scale are rounded, which the general form does.
const SCALE_MAX: u32 = 1000;

/// 64-bit factors are the rule, and their product needs no check.
#[inline]
fn product(a: i128, b: i128) -> Option<i128> {
    match (i64::try_from(a), i64::try_from(b)) {
        (Ok(a), Ok(b)) => Some(i128::from(a) * i128::from(b)),
        _ => a.checked_mul(b),
    }
}

/// Both numbers at the greater scale.
#[inline]
fn aligned(a: i128, s: u16, b: i128, t: u16) -> Option<(i128, i128, u16)> {
    match s.cmp(&t) {
        Ordering::Equal => Some((a, b, s)),
        Ordering::Less => Some((product(a, pow10(t - s)?)?, b, t)),
        Ordering::Greater => Some((a, product(b, pow10(s - t)?)?, s)),
    }
}

#[inline]
fn pow10(exponent: u16) -> Option<i128> {
    const POWERS: [i128; 19] = {
        let mut powers = [1; 19];
        let mut at = 1;
        while at < 19 {
            powers[at] = powers[at - 1] * 10;
            at += 1;
        }
        powers
    };
    POWERS.get(usize::from(exponent)).copied()
}

/// Appends a numeric of 128 bits.
#[inline]
pub(crate) fn append_small(digits: i128, scale: u16, builder: &mut BinaryBuilder) {
    let mut bytes = [0; SMALL_NUMERIC_BYTES];
    let length = encode_small_numeric(digits, scale, &mut bytes);
    builder.append_value(&bytes[..length]);
}

/// The numeric of a row; `None` for NULL.
#[inline]
pub(crate) fn value_at(array: &BinaryArray, row: usize) -> SqlResult<Option<Value>> {
    if array.is_null(row) { Ok(None) } else { Value::read(array.value(row)).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Numeric::parse(text).expect("a number").into()
    }

    #[test]
    fn kernels_compute_what_numerics_do() {
        let texts =
            ["0", "1", "-1.5", "2.25", "99999999999999999999.99", "-0.000000000000000000001", "NaN", "1e30", "7"];
        for a in texts {
            for b in texts {
                let (x, y) = (value(a), value(b));
                let (p, q) = (x.to_numeric(), y.to_numeric());
                let same = |found: Value, expected: Numeric| {
                    let found = found.to_numeric();
                    assert_eq!(found.compare(&expected), Ordering::Equal, "{a} {b}");
                    assert_eq!(found.scale(), expected.scale(), "{a} {b}");
                };
                same(x.add(&y).expect("a sum"), p.add(&q).expect("a sum"));
                same(x.sub(&y).expect("a difference"), p.sub(&q).expect("a difference"));
                same(x.mul(&y).expect("a product"), p.mul(&q).expect("a product"));
                assert_eq!(x.compare(&y), p.compare(&q), "{a} {b}");
            }
        }
    }

    #[test]
    fn encoding_is_kept() {
        for text in ["0", "-1.50", "123456789012345678901234567890.12", "-128", "255", "1e40", "Infinity"] {
            let mut builder = BinaryBuilder::new();
            value(text).append(&mut builder);
            let array = builder.finish();
            let read = value_at(&array, 0).expect("a number").expect("not NULL");
            assert_eq!(read.compare(&value(text)), Ordering::Equal);
            assert_eq!(read.to_numeric().scale(), value(text).to_numeric().scale());
        }
    }
}

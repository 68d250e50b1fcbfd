//! Conversions from and to other numeric types, the wire, and ordered bytes.

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};
use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{Numeric, arithmetic::big, pow10};

impl From<i64> for Numeric {
    fn from(value: i64) -> Self {
        Self::Small { digits: value.into(), scale: 0 }
    }
}

impl Numeric {
    /// Rounded to an integer; `None` if it is out of range or not finite.
    pub fn to_i64(&self) -> Option<i64> {
        let rounded = self.round(0);
        rounded.to_big()?.0.to_i64()
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        match self {
            Self::NaN => f64::NAN,
            Self::Infinity => f64::INFINITY,
            Self::NegInfinity => f64::NEG_INFINITY,
            Self::Small { .. } | Self::Big { .. } => self.to_string().parse().expect("a numeric reads as a double"),
        }
    }

    /// A double as PostgreSQL converts it: through 15 significant digits.
    pub fn from_f64(value: f64) -> Self {
        Self::from_float(value, format!("{value:.14e}"))
    }

    /// A single as PostgreSQL converts it: through 6 significant digits.
    pub fn from_f32(value: f32) -> Self {
        Self::from_float(value.into(), format!("{value:.5e}"))
    }

    fn from_float(value: f64, digits: String) -> Self {
        if value.is_nan() {
            return Self::NaN;
        }
        if value.is_infinite() {
            return if value > 0.0 { Self::Infinity } else { Self::NegInfinity };
        }
        let exact = Self::parse(&digits).expect("a formatted double is a number");
        exact.without_trailing_zeros()
    }

    /// The same value at the smallest scale.
    #[must_use]
    pub fn without_trailing_zeros(&self) -> Self {
        let Some((mut digits, mut scale)) = self.to_big() else { return self.clone() };
        let ten = BigInt::from(10);
        while scale > 0 && (&digits % &ten).is_zero() {
            digits /= &ten;
            scale -= 1;
        }
        Self::from_big(digits, scale)
    }

    /// PostgreSQL's binary form: digit groups of base 10000.
    pub fn write_binary(&self, out: &mut Vec<u8>) {
        let special = |out: &mut Vec<u8>, sign: u16| {
            // PostgreSQL reads a scale out of the sign bits of its infinities.
            let scale = if sign == 0xC000 { 0 } else { 0x20 };
            for field in [0, 0, sign, scale] {
                out.extend_from_slice(&field.to_be_bytes());
            }
        };
        match self {
            Self::NaN => return special(out, 0xC000),
            Self::Infinity => return special(out, 0xD000),
            Self::NegInfinity => return special(out, 0xF000),
            Self::Small { .. } | Self::Big { .. } => {}
        }
        let (groups, weight) = self.groups();
        let sign: u16 = if self.signum() < 0 { 0x4000 } else { 0 };
        for field in [groups.len() as u16, weight as u16, sign, self.scale()] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        for group in groups {
            out.extend_from_slice(&group.to_be_bytes());
        }
    }

    /// Base-10000 groups without leading and trailing zero groups, and the weight of the first.
    fn groups(&self) -> (Vec<u16>, i16) {
        let digits = big(self).abs();
        if digits.is_zero() {
            return (Vec::new(), 0);
        }
        let mut text = digits.to_string();
        // The point must fall between groups.
        let pad = (4 - usize::from(self.scale()) % 4) % 4;
        text.push_str(&"0".repeat(pad));
        let fraction_groups = (usize::from(self.scale()) + pad) / 4;
        let lead = (4 - text.len() % 4) % 4;
        text.insert_str(0, &"0".repeat(lead));
        let parse = |chunk: &[u8]| chunk.iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0'));
        let mut groups: Vec<u16> = text.as_bytes().chunks(4).map(parse).collect();
        let mut weight = groups.len() as i64 - fraction_groups as i64 - 1;
        while groups.first() == Some(&0) {
            groups.remove(0);
            weight -= 1;
        }
        while groups.last() == Some(&0) {
            groups.pop();
        }
        (groups, weight as i16)
    }

    /// Reads PostgreSQL's binary form; 22P03 for anything else.
    pub fn read_binary(bytes: &[u8]) -> SqlResult<Self> {
        let invalid = || SqlError::new(SqlState::InvalidBinaryRepresentation, "invalid numeric in binary format");
        let field = |at: usize| bytes.get(at..at + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        let count = usize::from(field(0).ok_or_else(invalid)?);
        let weight = i64::from(field(2).ok_or_else(invalid)? as i16);
        let sign = field(4).ok_or_else(invalid)?;
        let scale = field(6).ok_or_else(invalid)?;
        if bytes.len() != 8 + 2 * count || scale > super::SCALE_MAX {
            return Err(invalid());
        }
        match sign {
            0xC000 => return Ok(Self::NaN),
            0xD000 => return Ok(Self::Infinity),
            0xF000 => return Ok(Self::NegInfinity),
            0 | 0x4000 => {}
            _ => return Err(invalid()),
        }
        let mut digits = BigInt::zero();
        for i in 0..count {
            let group = field(8 + 2 * i).filter(|group| *group < 10_000).ok_or_else(invalid)?;
            digits = digits * 10_000 + group;
        }
        if sign == 0x4000 {
            digits = -digits;
        }
        // `digits` is scaled by 10000^(count - 1 - weight).
        let exponent = 4 * (count as i64 - 1 - weight);
        let value = if exponent >= 0 {
            // Groups beyond the display scale are cut below.
            let scale = u16::try_from(exponent).map_err(|_| invalid())?;
            Self::from_big(digits, scale)
        } else {
            Self::from_big(digits * pow10(exponent.unsigned_abs() as u32), 0)
        };
        Ok(value.trunc(scale.into()))
    }
}

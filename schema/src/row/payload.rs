//! Self-describing bytes of a value: a tag, then the value. For types without a fixed layout of their own (numeric,
//! interval, timetz, arrays, records), in row values and in Arrow's Binary arrays alike.
//!
//! The same value may have several encodings (1.0 and 1.00 differ in scale): bytes are not for comparison.

use std::sync::Arc;

use num_bigint::{BigInt, Sign};
use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use crate::{ArrayValue, Datum, Interval, Numeric, Oid, SqlType};

/// Arrays of records of arrays … deeper than this are refused, so that reading cannot exhaust the stack.
const DEPTH_MAX: u8 = 16;

// Tags are part of the disk format: never reuse one.
const NULL: u8 = 0;
const NUMERIC_SMALL: u8 = 1;
const NUMERIC_BIG: u8 = 2;
const NUMERIC_NAN: u8 = 3;
const NUMERIC_INFINITY: u8 = 4;
const NUMERIC_NEG_INFINITY: u8 = 5;
const INTERVAL: u8 = 6;
const TIMETZ: u8 = 7;
const ARRAY: u8 = 8;
const RECORD: u8 = 9;
const FALSE: u8 = 10;
const TRUE: u8 = 11;
const INT2: u8 = 12;
const INT4: u8 = 13;
const INT8: u8 = 14;
const FLOAT4: u8 = 15;
const FLOAT8: u8 = 16;
const TEXT: u8 = 17;
const CHAR: u8 = 18;
const BYTES: u8 = 19;
const DATE: u8 = 20;
const TIME: u8 = 21;
const TIMESTAMP: u8 = 22;
const TIMESTAMPTZ: u8 = 23;
const UUID: u8 = 24;
const JSON: u8 = 25;
const JSONB: u8 = 26;
const OID: u8 = 27;

/// Appends the encoding of a value.
pub fn encode_payload(value: &Datum, out: &mut Vec<u8>) {
    match value {
        Datum::Null => out.push(NULL),
        Datum::Bool(v) => out.push(if *v { TRUE } else { FALSE }),
        Datum::Int2(v) => tagged(INT2, &v.to_le_bytes(), out),
        Datum::Int4(v) => tagged(INT4, &v.to_le_bytes(), out),
        Datum::Int8(v) => tagged(INT8, &v.to_le_bytes(), out),
        Datum::Float4(v) => tagged(FLOAT4, &v.to_le_bytes(), out),
        Datum::Float8(v) => tagged(FLOAT8, &v.to_le_bytes(), out),
        Datum::Numeric(v) => encode_numeric(v, out),
        Datum::Text(v) => sized(TEXT, v.as_bytes(), out),
        Datum::Char(v) => tagged(CHAR, &[*v], out),
        Datum::Bytes(v) => sized(BYTES, v, out),
        Datum::Date(v) => tagged(DATE, &v.to_le_bytes(), out),
        Datum::Time(v) => tagged(TIME, &v.to_le_bytes(), out),
        Datum::TimeTz(v, zone) => {
            tagged(TIMETZ, &v.to_le_bytes(), out);
            out.extend_from_slice(&zone.to_le_bytes());
        }
        Datum::Timestamp(v) => tagged(TIMESTAMP, &v.to_le_bytes(), out),
        Datum::TimestampTz(v) => tagged(TIMESTAMPTZ, &v.to_le_bytes(), out),
        Datum::Interval(v) => {
            tagged(INTERVAL, &v.months.to_le_bytes(), out);
            out.extend_from_slice(&v.days.to_le_bytes());
            out.extend_from_slice(&v.micros.to_le_bytes());
        }
        Datum::Uuid(v) => tagged(UUID, v, out),
        Datum::Json(v) => sized(JSON, v.as_bytes(), out),
        Datum::Jsonb(v) => sized(JSONB, v.as_bytes(), out),
        Datum::Oid(v) => tagged(OID, &v.to_le_bytes(), out),
        Datum::Array(v) => encode_array(v, out),
        Datum::Record(fields) => {
            tagged(RECORD, &(fields.len() as u32).to_le_bytes(), out);
            for (oid, value) in fields.iter() {
                out.extend_from_slice(&oid.0.to_le_bytes());
                encode_payload(value, out);
            }
        }
    }
}

fn tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn sized(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    tagged(tag, &(bytes.len() as u32).to_le_bytes(), out);
    out.extend_from_slice(bytes);
}

/// Longest encoding of a numeric of 128 bits.
pub const SMALL_NUMERIC_BYTES: usize = 20;

/// Encodes a numeric of 128 bits: digits as the fewest bytes of two's complement, preceded by their number. Answers the
/// length.
#[inline]
pub fn encode_small_numeric(digits: i128, scale: u16, out: &mut [u8; SMALL_NUMERIC_BYTES]) -> usize {
    let unused = if digits < 0 { digits.leading_ones() } else { digits.leading_zeros() };
    let length = 16 - (unused.saturating_sub(1) / 8) as usize;
    out[0] = NUMERIC_SMALL;
    out[1..3].copy_from_slice(&scale.to_le_bytes());
    out[3] = length as u8;
    out[4..20].copy_from_slice(&digits.to_le_bytes());
    4 + length
}

/// Digits and scale of an encoded numeric of 128 bits; `None` for other values.
#[inline]
pub fn decode_small_numeric(bytes: &[u8]) -> Option<(i128, u16)> {
    let (&[NUMERIC_SMALL, low, high, length], digits) = bytes.split_first_chunk()? else { return None };
    if digits.len() != usize::from(length) || digits.len() > 16 {
        return None;
    }
    let fill = if digits.last().is_some_and(|byte| byte & 0x80 != 0) { u8::MAX } else { 0 };
    let mut wide = [fill; 16];
    wide[..digits.len()].copy_from_slice(digits);
    Some((i128::from_le_bytes(wide), u16::from_le_bytes([low, high])))
}

fn encode_numeric(value: &Numeric, out: &mut Vec<u8>) {
    match value {
        Numeric::Small { digits, scale } => {
            let mut bytes = [0; SMALL_NUMERIC_BYTES];
            let length = encode_small_numeric(*digits, *scale, &mut bytes);
            out.extend_from_slice(&bytes[..length]);
        }
        Numeric::Big { digits, scale } => {
            tagged(NUMERIC_BIG, &scale.to_le_bytes(), out);
            let (sign, bytes) = digits.to_bytes_le();
            out.push(u8::from(sign == Sign::Minus));
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(&bytes);
        }
        Numeric::NaN => out.push(NUMERIC_NAN),
        Numeric::Infinity => out.push(NUMERIC_INFINITY),
        Numeric::NegInfinity => out.push(NUMERIC_NEG_INFINITY),
    }
}

fn encode_array(array: &ArrayValue, out: &mut Vec<u8>) {
    tagged(ARRAY, &array.element.0.to_le_bytes(), out);
    out.push(array.dims.len() as u8);
    for (length, lower) in &array.dims {
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&lower.to_le_bytes());
    }
    out.extend_from_slice(&(array.values.len() as u32).to_le_bytes());
    for value in &array.values {
        encode_payload(value, out);
    }
}

/// Reads one encoded value that fills the bytes.
pub fn decode_payload(bytes: &[u8]) -> SqlResult<Datum> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0)?;
    if reader.rest.is_empty() { Ok(value) } else { Err(corrupted()) }
}

#[cold]
fn corrupted() -> SqlError {
    SqlError::new(SqlState::DataCorrupted, "encoded value is corrupted")
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> SqlResult<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(corrupted)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> SqlResult<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| corrupted())
    }

    fn count(&mut self) -> SqlResult<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn sized(&mut self) -> SqlResult<&'a [u8]> {
        let length = self.count()?;
        self.take(length)
    }

    fn text(&mut self) -> SqlResult<Arc<str>> {
        Ok(Arc::from(std::str::from_utf8(self.sized()?).map_err(|_| corrupted())?))
    }

    fn value(&mut self, depth: u8) -> SqlResult<Datum> {
        let [tag] = self.array()?;
        Ok(match tag {
            NULL => Datum::Null,
            FALSE => Datum::Bool(false),
            TRUE => Datum::Bool(true),
            INT2 => Datum::Int2(i16::from_le_bytes(self.array()?)),
            INT4 => Datum::Int4(i32::from_le_bytes(self.array()?)),
            INT8 => Datum::Int8(i64::from_le_bytes(self.array()?)),
            FLOAT4 => Datum::Float4(f32::from_le_bytes(self.array()?)),
            FLOAT8 => Datum::Float8(f64::from_le_bytes(self.array()?)),
            TEXT => Datum::Text(self.text()?),
            CHAR => Datum::Char(self.array::<1>()?[0]),
            BYTES => Datum::Bytes(Arc::from(self.sized()?)),
            DATE => Datum::Date(i32::from_le_bytes(self.array()?)),
            TIME => Datum::Time(i64::from_le_bytes(self.array()?)),
            TIMETZ => Datum::TimeTz(i64::from_le_bytes(self.array()?), i32::from_le_bytes(self.array()?)),
            TIMESTAMP => Datum::Timestamp(i64::from_le_bytes(self.array()?)),
            TIMESTAMPTZ => Datum::TimestampTz(i64::from_le_bytes(self.array()?)),
            INTERVAL => Datum::Interval(Interval {
                months: i32::from_le_bytes(self.array()?),
                days: i32::from_le_bytes(self.array()?),
                micros: i64::from_le_bytes(self.array()?),
            }),
            UUID => Datum::Uuid(self.array()?),
            JSON => Datum::Json(self.text()?),
            JSONB => Datum::Jsonb(self.text()?),
            OID => Datum::Oid(u32::from_le_bytes(self.array()?)),
            ARRAY if depth < DEPTH_MAX => Datum::Array(Arc::new(self.array_value(depth + 1)?)),
            RECORD if depth < DEPTH_MAX => self.record(depth + 1)?,
            _ => Datum::Numeric(self.numeric(tag)?),
        })
    }

    fn numeric(&mut self, tag: u8) -> SqlResult<Numeric> {
        match tag {
            NUMERIC_SMALL => {
                let scale = u16::from_le_bytes(self.array()?);
                let [length] = self.array()?;
                let bytes = self.take(usize::from(length))?;
                let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { u8::MAX } else { 0 };
                let mut digits = [fill; 16];
                digits.get_mut(..bytes.len()).ok_or_else(corrupted)?.copy_from_slice(bytes);
                Ok(Numeric::Small { digits: i128::from_le_bytes(digits), scale })
            }
            NUMERIC_BIG => {
                let scale = u16::from_le_bytes(self.array()?);
                let sign = if self.array::<1>()? == [0] { Sign::Plus } else { Sign::Minus };
                Ok(Numeric::Big { digits: Box::new(BigInt::from_bytes_le(sign, self.sized()?)), scale })
            }
            NUMERIC_NAN => Ok(Numeric::NaN),
            NUMERIC_INFINITY => Ok(Numeric::Infinity),
            NUMERIC_NEG_INFINITY => Ok(Numeric::NegInfinity),
            _ => Err(corrupted()),
        }
    }

    fn array_value(&mut self, depth: u8) -> SqlResult<ArrayValue> {
        let element = Oid(u32::from_le_bytes(self.array()?));
        let [dims] = self.array()?;
        let dims = (0..dims).map(|_| Ok((i32::from_le_bytes(self.array()?), i32::from_le_bytes(self.array()?))));
        let dims = dims.collect::<SqlResult<Vec<_>>>()?;
        let count = self.count()?;
        let product = dims.iter().try_fold(1i64, |product, (length, _)| product.checked_mul(i64::from(*length)));
        let expected = if dims.is_empty() { Some(0) } else { product };
        if expected != Some(count as i64) || count > self.rest.len() {
            return Err(corrupted());
        }
        let values = (0..count).map(|_| self.value(depth)).collect::<SqlResult<Vec<_>>>()?;
        Ok(ArrayValue { element, dims, values })
    }

    fn record(&mut self, depth: u8) -> SqlResult<Datum> {
        let count = self.count()?;
        if count > self.rest.len() {
            return Err(corrupted());
        }
        let field = |_| Ok((Oid(u32::from_le_bytes(self.array()?)), self.value(depth)?));
        Ok(Datum::Record((0..count).map(field).collect::<SqlResult<Arc<[_]>>>()?))
    }
}

pub(super) fn parse_missing(sql_type: SqlType, text: &str) -> SqlResult<Datum> {
    let bad = || SqlError::internal("stored default of a column is malformed");
    Ok(match sql_type.oid {
        Oid::BOOL => Datum::Bool(text.starts_with('t')),
        Oid::INT2 => Datum::Int2(text.parse().map_err(|_| bad())?),
        Oid::INT4 => Datum::Int4(text.parse().map_err(|_| bad())?),
        Oid::INT8 => Datum::Int8(text.parse().map_err(|_| bad())?),
        Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR => Datum::text(text),
        _ => return Err(SqlError::unsupported("a stored default of this type")),
    })
}

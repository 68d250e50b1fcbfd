//! Order-preserving bytes of one key column.
//!
//! A column is a marker and, unless NULL, the value's canonical bytes. Marker: 0 for NULL with NULLS FIRST, 1 for a
//! value, 2 for NULL with NULLS LAST. With DESC the value's bytes are inverted, the marker is not.
//! Canonical bytes are equal exactly for values that PostgreSQL calls equal, and compare as the values do.

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;

use super::composite;
use crate::{Datum, IndexColumn, Oid, SqlType};

/// Marker of a NULL that sorts first.
pub(super) const NULL_FIRST: u8 = 0;
/// Marker of a value.
pub(super) const VALUE: u8 = 1;
/// Marker of a NULL that sorts last.
pub(super) const NULL_LAST: u8 = 2;

/// Appends a key column.
pub(super) fn write_column(column: &IndexColumn, sql_type: SqlType, value: &Datum, out: &mut Vec<u8>) -> SqlResult<()> {
    if value.is_null() {
        out.push(if column.nulls_first { NULL_FIRST } else { NULL_LAST });
        return Ok(());
    }
    out.push(VALUE);
    let start = out.len();
    write_value(sql_type, value, out)?;
    if column.descending {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(())
}

/// Appends what a value contributes to the hash bucket.
pub(super) fn write_hashed(sql_type: SqlType, value: &Datum, out: &mut Vec<u8>) -> SqlResult<()> {
    if value.is_null() {
        out.push(NULL_LAST);
        return Ok(());
    }
    out.push(VALUE);
    write_value(sql_type, value, out)
}

/// Where an integer lies relative to the range of an integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Below,
    Within,
    Above,
}

/// Whether a value can occur in a column of this type. Only integers of another width can fail to.
pub(super) fn fit(sql_type: SqlType, value: &Datum) -> Fit {
    let (Some((min, max)), Some(value)) = (int_range(sql_type.oid), as_int(value)) else { return Fit::Within };
    match value {
        _ if value < min => Fit::Below,
        _ if value > max => Fit::Above,
        _ => Fit::Within,
    }
}

fn int_range(oid: Oid) -> Option<(i64, i64)> {
    match oid {
        Oid::INT2 => Some((i16::MIN.into(), i16::MAX.into())),
        Oid::INT4 => Some((i32::MIN.into(), i32::MAX.into())),
        Oid::INT8 => Some((i64::MIN, i64::MAX)),
        _ => None,
    }
}

fn as_int(value: &Datum) -> Option<i64> {
    match value {
        Datum::Int2(v) => Some((*v).into()),
        Datum::Int4(v) => Some((*v).into()),
        Datum::Int8(v) => Some(*v),
        _ => None,
    }
}

/// Canonical bytes of an int8, also of the hidden row id.
pub(super) fn int_bytes(value: i64) -> [u8; 8] {
    ((value as u64) ^ (1 << 63)).to_be_bytes()
}

/// Appends the canonical bytes of a value that is not NULL.
pub fn write_value(sql_type: SqlType, value: &Datum, out: &mut Vec<u8>) -> SqlResult<()> {
    match (sql_type.oid, value) {
        (Oid::INT2 | Oid::INT4 | Oid::INT8, Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_)) => {
            write_int(sql_type, value, out)?;
        }
        (Oid::BPCHAR, Datum::Text(text)) => write_bytes(text.trim_end_matches(' ').as_bytes(), out),
        (_, Datum::Text(text)) => write_bytes(text.as_bytes(), out),
        (_, value) => write_other(value, out)?,
    }
    Ok(())
}

fn write_int(sql_type: SqlType, value: &Datum, out: &mut Vec<u8>) -> SqlResult<()> {
    let out_of_range = || SqlError::internal("integer does not fit its key column");
    let value = as_int(value).ok_or_else(out_of_range)?;
    match sql_type.oid {
        Oid::INT2 => {
            let value = i16::try_from(value).map_err(|_| out_of_range())?;
            out.extend_from_slice(&((value as u16) ^ (1 << 15)).to_be_bytes());
        }
        Oid::INT4 => {
            let value = i32::try_from(value).map_err(|_| out_of_range())?;
            out.extend_from_slice(&((value as u32) ^ (1 << 31)).to_be_bytes());
        }
        _ => out.extend_from_slice(&int_bytes(value)),
    }
    Ok(())
}

fn write_other(value: &Datum, out: &mut Vec<u8>) -> SqlResult<()> {
    match value {
        Datum::Bool(v) => out.push(u8::from(*v)),
        Datum::Float4(v) => out.extend_from_slice(&float4_bits(*v).to_be_bytes()),
        Datum::Float8(v) => out.extend_from_slice(&float8_bits(*v).to_be_bytes()),
        Datum::Char(v) => out.push(*v),
        Datum::Bytes(v) => write_bytes(v, out),
        Datum::Date(v) => out.extend_from_slice(&((*v as u32) ^ (1 << 31)).to_be_bytes()),
        Datum::Time(v) | Datum::Timestamp(v) | Datum::TimestampTz(v) => out.extend_from_slice(&int_bytes(*v)),
        Datum::Uuid(v) => out.extend_from_slice(v),
        Datum::Oid(v) => out.extend_from_slice(&v.to_be_bytes()),
        Datum::Numeric(v) => composite::write_numeric(v, out),
        Datum::Interval(v) => composite::write_interval(v, out),
        Datum::TimeTz(micros, west) => composite::write_timetz(*micros, *west, out),
        Datum::Jsonb(v) => composite::write_jsonb(v, out)?,
        Datum::Array(v) => composite::write_array(v, out)?,
        Datum::Record(v) => composite::write_record(v, out)?,
        _ => return Err(SqlError::unsupported("a key over a column of this type")),
    }
    Ok(())
}

/// Bytes with 0 as (0, 255), ended by (0, 1): prefix-free, and shorter strings sort first.
pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == 0) {
        out.extend_from_slice(&rest[..=at]);
        out.push(u8::MAX);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 1]);
}

fn float8_bits(value: f64) -> u64 {
    let value = if value.is_nan() { f64::NAN.abs() } else { value + 0.0 };
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

fn float4_bits(value: f32) -> u32 {
    let value = if value.is_nan() { f32::NAN.abs() } else { value + 0.0 };
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | (1 << 31) }
}

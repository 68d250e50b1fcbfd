//! Writing PostgreSQL's text and binary formats.

use bytes::{BufMut, BytesMut};
use proto::{SqlError, SqlResult};
use sharddb_proto as proto;

use crate::{
    ArrayValue, Datum, FormatSettings, Oid, SqlType,
    datetime::{
        DATE_INFINITY, DATE_NEG_INFINITY, EPOCH_2000_DAYS, EPOCH_2000_MICROS, TIMESTAMP_INFINITY,
        TIMESTAMP_NEG_INFINITY,
    },
    text::write_text,
};

/// Appends a value as text; nothing for NULL.
pub fn encode_text(value: &Datum, sql_type: SqlType, settings: &FormatSettings, out: &mut BytesMut) {
    match value {
        Datum::Text(text) | Datum::Json(text) | Datum::Jsonb(text) => out.put_slice(text.as_bytes()),
        Datum::Int2(value) => put_decimal((*value).into(), out),
        Datum::Int4(value) => put_decimal((*value).into(), out),
        Datum::Int8(value) => put_decimal(*value, out),
        Datum::Bool(value) => out.put_u8(if *value { b't' } else { b'f' }),
        other => {
            let mut text = String::new();
            write_text(other, sql_type, settings, &mut text);
            out.put_slice(text.as_bytes());
        }
    }
}

/// Appends an integer's digits: the hottest of all output functions, so it goes around `fmt`.
fn put_decimal(value: i64, out: &mut BytesMut) {
    // Sign and 19 digits.
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    out.put_slice(&digits[at..]);
}

/// Appends a value in binary; nothing for NULL.
pub fn encode_binary(value: &Datum, sql_type: SqlType, out: &mut BytesMut) -> SqlResult<()> {
    match value {
        Datum::Null => {}
        Datum::Bool(value) => out.put_u8((*value).into()),
        Datum::Char(value) => out.put_u8(*value),
        Datum::Int2(value) => out.put_i16(*value),
        Datum::Int4(value) => out.put_i32(*value),
        Datum::Int8(value) => out.put_i64(*value),
        Datum::Float4(value) => out.put_f32(*value),
        Datum::Float8(value) => out.put_f64(*value),
        Datum::Numeric(value) => {
            let mut bytes = Vec::new();
            value.write_binary(&mut bytes);
            out.put_slice(&bytes);
        }
        Datum::Text(text) | Datum::Json(text) => out.put_slice(text.as_bytes()),
        Datum::Jsonb(text) => {
            // The version of jsonb's binary format.
            out.put_u8(1);
            out.put_slice(text.as_bytes());
        }
        Datum::Bytes(bytes) => out.put_slice(bytes),
        Datum::Date(days) => out.put_i32(match *days {
            DATE_INFINITY => i32::MAX,
            DATE_NEG_INFINITY => i32::MIN,
            days => days - EPOCH_2000_DAYS,
        }),
        Datum::Time(micros) => out.put_i64(*micros),
        Datum::TimeTz(micros, west) => {
            out.put_i64(*micros);
            out.put_i32(*west);
        }
        Datum::Timestamp(micros) | Datum::TimestampTz(micros) => out.put_i64(match *micros {
            TIMESTAMP_INFINITY => i64::MAX,
            TIMESTAMP_NEG_INFINITY => i64::MIN,
            micros => micros - EPOCH_2000_MICROS,
        }),
        Datum::Interval(value) => {
            out.put_i64(value.micros);
            out.put_i32(value.days);
            out.put_i32(value.months);
        }
        Datum::Uuid(value) => out.put_slice(value),
        Datum::Oid(value) => out.put_u32(*value),
        Datum::Array(array) => put_array(array, sql_type, out)?,
        Datum::Record(fields) => {
            out.put_i32(count(fields.len())?);
            for (oid, field) in fields.iter() {
                out.put_u32(oid.0);
                put_field(field, *oid, out)?;
            }
        }
    }
    Ok(())
}

fn count(length: usize) -> SqlResult<i32> {
    i32::try_from(length).map_err(|_| SqlError::internal("value is too long for the wire"))
}

/// Appends a length and a value; -1 for NULL.
fn put_field(value: &Datum, oid: Oid, out: &mut BytesMut) -> SqlResult<()> {
    if value.is_null() {
        out.put_i32(-1);
        return Ok(());
    }
    let at = out.len();
    out.put_i32(0);
    encode_binary(value, SqlType::new(oid), out)?;
    let length = count(out.len() - at - 4)?;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn put_array(array: &ArrayValue, sql_type: SqlType, out: &mut BytesMut) -> SqlResult<()> {
    // The static type knows better than the value, which has text for every character type.
    let element = match sql_type.oid {
        Oid::INT2VECTOR => Oid::INT2,
        Oid::OIDVECTOR => Oid::OID,
        oid => oid.element_type().unwrap_or(array.element),
    };
    out.put_i32(count(array.dims.len())?);
    out.put_i32(array.values.iter().any(Datum::is_null).into());
    out.put_u32(element.0);
    for (length, lower) in &array.dims {
        out.put_i32(*length);
        out.put_i32(*lower);
    }
    array.values.iter().try_for_each(|value| put_field(value, element, out))
}

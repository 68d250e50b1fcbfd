//! Writing values.

use std::fmt::Write;

use super::{
    array::write_array,
    bytes,
    number::{write_double, write_single},
};
use crate::{ArrayValue, Datum, FormatSettings, Oid, SqlType, datetime, functions::builtin_name};

/// Writes a value as its type's output function does; nothing for NULL, which has no text.
pub fn write_text(value: &Datum, sql_type: SqlType, settings: &FormatSettings, out: &mut String) {
    // Writing to a string cannot fail.
    macro_rules! put {
        ($($arg:tt)*) => { write!(out, $($arg)*).expect("a string takes every write") };
    }
    match value {
        Datum::Null => {}
        Datum::Bool(value) => out.push(if *value { 't' } else { 'f' }),
        Datum::Int2(value) => put!("{value}"),
        Datum::Int4(value) => put!("{value}"),
        Datum::Int8(value) => put!("{value}"),
        Datum::Float4(value) => write_single(*value, settings.extra_float_digits, out),
        Datum::Float8(value) => write_double(*value, settings.extra_float_digits, out),
        Datum::Numeric(value) => put!("{value}"),
        Datum::Text(value) | Datum::Json(value) | Datum::Jsonb(value) => out.push_str(value),
        Datum::Char(0) => {}
        Datum::Char(byte @ 1..0x80) => out.push(char::from(*byte)),
        Datum::Char(byte) => put!("\\{byte:03o}"),
        Datum::Bytes(value) if settings.bytea_hex => bytes::write_hex(value, out),
        Datum::Bytes(value) => bytes::write_escaped(value, out),
        Datum::Date(days) => datetime::write_date(*days, settings, out),
        Datum::Time(micros) => datetime::write_time(*micros, out),
        Datum::TimeTz(micros, west) => datetime::write_timetz(*micros, *west, out),
        Datum::Timestamp(micros) => datetime::write_timestamp(*micros, settings, out),
        Datum::TimestampTz(micros) => datetime::write_timestamptz(*micros, settings, out),
        Datum::Interval(value) => datetime::write_interval(value, settings, out),
        Datum::Uuid(value) => bytes::write_uuid(value, out),
        Datum::Oid(value) if sql_type.oid.is_object_name() => match &settings.names {
            Some(names) => out.push_str(&names.show(sql_type.oid, *value)),
            None => out.push_str(&builtin_name(sql_type.oid, *value)),
        },
        Datum::Oid(value) => put!("{value}"),
        Datum::Array(array) if matches!(sql_type.oid, Oid::INT2VECTOR | Oid::OIDVECTOR) => {
            write_vector(array, settings, out);
        }
        Datum::Array(array) => write_array(array, settings, out),
        Datum::Record(fields) => write_record(fields, settings, out),
    }
}

/// int2vector and oidvector: numbers with spaces between.
fn write_vector(array: &ArrayValue, settings: &FormatSettings, out: &mut String) {
    for (at, value) in array.values.iter().enumerate() {
        out.push_str(if at > 0 { " " } else { "" });
        write_text(value, SqlType::new(array.element), settings, out);
    }
}

/// `(1,"a b",)`: NULL is nothing, an empty string is quoted.
fn write_record(fields: &[(Oid, Datum)], settings: &FormatSettings, out: &mut String) {
    out.push('(');
    for (at, (oid, field)) in fields.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        if field.is_null() {
            continue;
        }
        let mut text = String::new();
        write_text(field, SqlType::new(*oid), settings, &mut text);
        let special = |c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\\' | '(' | ')' | ',' | '\u{b}');
        if !text.is_empty() && !text.contains(special) {
            out.push_str(&text);
            continue;
        }
        out.push('"');
        for c in text.chars() {
            if matches!(c, '"' | '\\') {
                out.push(c);
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push(')');
}

//! SQL values as JSON.

use proto::SqlResult;
use sharddb_proto as proto;

use super::invalid;
use crate::{
    ArrayValue, Datum, FormatSettings,
    datetime::{offset_at, write_date, write_timestamp},
    functions::{EvalContext, text::write_output},
};

/// Appends a JSON string.
pub(in crate::functions) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends a value as to_json shows it: numbers and booleans bare, json as it is, arrays and rows as such, dates in
/// ISO 8601, everything else as a string.
pub(in crate::functions) fn write_json(env: &EvalContext, value: &Datum, out: &mut String) {
    write_pretty(env, value, false, out);
}

/// As `write_json`, with line feeds between the elements or fields of the outermost value.
pub(super) fn write_pretty(env: &EvalContext, value: &Datum, lines: bool, out: &mut String) {
    match value {
        Datum::Null => out.push_str("null"),
        Datum::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) => write_output(env, value, out),
        Datum::Float4(_) | Datum::Float8(_) | Datum::Numeric(_) => {
            let mut text = String::new();
            write_output(env, value, &mut text);
            // NaN and infinities are no JSON numbers.
            if text.ends_with(|c: char| c.is_ascii_digit()) { out.push_str(&text) } else { write_string(&text, out) }
        }
        Datum::Json(text) | Datum::Jsonb(text) => out.push_str(text),
        Datum::Date(_) | Datum::Timestamp(_) | Datum::TimestampTz(_) => write_string(&iso_8601(env, value), out),
        Datum::Array(array) => write_array(env, array, lines, out),
        Datum::Record(fields) => {
            out.push('{');
            for (at, (_, field)) in fields.iter().enumerate() {
                separate(at, lines, out);
                out.push_str(&format!("\"f{}\":", at + 1));
                write_json(env, field, out);
            }
            out.push('}');
        }
        other => {
            let mut text = String::new();
            write_output(env, other, &mut text);
            write_string(&text, out);
        }
    }
}

fn separate(at: usize, lines: bool, out: &mut String) {
    if at > 0 {
        out.push_str(if lines { ",\n " } else { "," });
    }
}

fn write_array(env: &EvalContext, array: &ArrayValue, lines: bool, out: &mut String) {
    let mut values = array.values.iter();
    if array.dims.is_empty() {
        return out.push_str("[]");
    }
    write_level(env, array, 0, &mut values, lines, out);
}

fn write_level<'a>(
    env: &EvalContext,
    array: &ArrayValue,
    depth: usize,
    values: &mut impl Iterator<Item = &'a Datum>,
    lines: bool,
    out: &mut String,
) {
    out.push('[');
    for at in 0..array.dims[depth].0 {
        separate(at as usize, lines, out);
        if depth + 1 < array.dims.len() {
            write_level(env, array, depth + 1, values, false, out);
        } else if let Some(value) = values.next() {
            write_json(env, value, out);
        }
    }
    out.push(']');
}

/// Dates and timestamps with a T between date and time and minutes in the offset, whatever DateStyle says.
fn iso_8601(env: &EvalContext, value: &Datum) -> String {
    let settings = FormatSettings { date_style: crate::DateStyle::Iso, ..env.format.clone() };
    let mut out = String::new();
    match value {
        Datum::Date(days) => write_date(*days, &settings, &mut out),
        Datum::Timestamp(micros) => write_timestamp(*micros, &settings, &mut out),
        Datum::TimestampTz(micros @ (i64::MAX | i64::MIN)) => write_timestamp(*micros, &settings, &mut out),
        Datum::TimestampTz(micros) => {
            let east = offset_at(&env.time_zone, *micros);
            write_timestamp(micros.saturating_add(i64::from(east) * 1_000_000), &settings, &mut out);
            let era = if out.ends_with(" BC") { out.split_off(out.len() - 3) } else { String::new() };
            let (sign, seconds) = if east < 0 { ('-', -east) } else { ('+', east) };
            out.push_str(&format!("{sign}{:02}:{:02}{era}", seconds / 3600, seconds / 60 % 60));
        }
        _ => {}
    }
    // Only the space between date and time is replaced, not the one before BC.
    if out.as_bytes().get(10).is_some_and(|byte| *byte == b' ') || !out.ends_with("BC") {
        out = out.replacen(' ', "T", 1);
    }
    out
}

/// Appends a value as the key of an object.
pub(in crate::functions) fn write_key(env: &EvalContext, value: &Datum, out: &mut String) -> SqlResult<()> {
    let text = match value {
        Datum::Array(_) | Datum::Record(_) | Datum::Json(_) | Datum::Jsonb(_) => {
            return Err(invalid("key value must be scalar, not array, composite, or json"));
        }
        Datum::Bool(value) => value.to_string(),
        Datum::Date(_) | Datum::Timestamp(_) | Datum::TimestampTz(_) => iso_8601(env, value),
        other => {
            let mut text = String::new();
            write_output(env, other, &mut text);
            text
        }
    };
    write_string(&text, out);
    Ok(())
}

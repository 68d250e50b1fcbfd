//! Numbers and booleans.

use std::fmt::Write;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::invalid_input;
use crate::Numeric;

/// Space as C's isspace has it.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}')
}

/// true, false, yes, no, on, off, 1, 0 and their unambiguous beginnings, in any case.
pub(super) fn parse_bool(text: &str) -> SqlResult<bool> {
    let word = trim(text).to_ascii_lowercase();
    let begins = |full: &str, least: usize| word.len() >= least && full.starts_with(&word);
    if begins("true", 1) || begins("yes", 1) || word == "on" || word == "1" {
        Ok(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(invalid_input("boolean", text))
    }
}

/// A decimal integer with optional sign and space around.
pub(super) fn parse_int<T: TryFrom<i64>>(text: &str, kind: &str) -> SqlResult<T> {
    let trimmed = trim(text);
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid_input(kind, text));
    }
    let value: Option<i64> = trimmed.parse().ok();
    value.and_then(|value| T::try_from(value).ok()).ok_or_else(|| {
        let message = format!("value \"{text}\" is out of range for type {kind}");
        SqlError::new(SqlState::NumericValueOutOfRange, message)
    })
}

/// An OID: an unsigned integer, or a negative one that wraps as in PostgreSQL.
pub(super) fn parse_oid(text: &str) -> SqlResult<u32> {
    let trimmed = trim(text);
    if let Ok(value) = trimmed.parse::<u32>() {
        return Ok(value);
    }
    match trimmed.parse::<i64>() {
        Ok(value) if i32::try_from(value).is_ok() => Ok(value as i32 as u32),
        Ok(_) => {
            let message = format!("value \"{text}\" is out of range for type oid");
            Err(SqlError::new(SqlState::NumericValueOutOfRange, message))
        }
        Err(_) => Err(invalid_input("oid", text)),
    }
}

pub(super) fn parse_float8(text: &str) -> SqlResult<f64> {
    parse_float(text, "double precision", |value| value)
}

pub(super) fn parse_float4(text: &str) -> SqlResult<f32> {
    // Read as a single at once: rounding twice would give other digits.
    let value = parse_float(text, "real", |value| value)?;
    let single: f32 = trim(text).parse().unwrap_or(value as f32);
    if single.is_infinite() && value.is_finite() || (single == 0.0 && value != 0.0) {
        return Err(float_out_of_range(text, "real"));
    }
    Ok(single)
}

fn parse_float(text: &str, kind: &str, finish: impl Fn(f64) -> f64) -> SqlResult<f64> {
    let trimmed = trim(text);
    let body = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let special = matches!(body.to_ascii_lowercase().as_str(), "nan" | "infinity" | "inf");
    let plain = body.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !special && !plain {
        return Err(invalid_input(kind, text));
    }
    let value: f64 = trimmed.parse().map_err(|_| invalid_input(kind, text))?;
    let lost = !special && (value.is_infinite() || (value == 0.0 && has_nonzero_digit(body)));
    if lost {
        return Err(float_out_of_range(text, kind));
    }
    Ok(finish(value))
}

/// Whether the mantissa is not zero, so that a result of zero is an underflow.
fn has_nonzero_digit(body: &str) -> bool {
    let mantissa = body.split(['e', 'E']).next().unwrap_or_default();
    mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

fn float_out_of_range(text: &str, kind: &str) -> SqlError {
    let message = format!("\"{}\" is out of range for type {kind}", trim(text));
    SqlError::new(SqlState::NumericValueOutOfRange, message)
}

/// Applies numeric(p, s).
pub(crate) fn fit_numeric(value: Numeric, modifier: i32) -> SqlResult<Numeric> {
    if modifier < 4 {
        return Ok(value);
    }
    let packed = modifier - 4;
    // The scale is a signed number of 11 bits.
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    value.apply_typmod((packed >> 16) & 0xffff, scale)
}

/// The shortest decimal that reads back as the same double, in PostgreSQL's layout.
pub fn write_float8(value: f64, out: &mut String) {
    if !write_special(value, out) {
        layout(&format!("{value:e}"), 15, out);
    }
}

/// The shortest decimal that reads back as the same single, in PostgreSQL's layout.
pub fn write_float4(value: f32, out: &mut String) {
    if !write_special(value.into(), out) {
        layout(&format!("{value:e}"), 6, out);
    }
}

/// A double as `extra_float_digits` asks: exactly when it is above 0, else with 15 digits and that many more (or less).
pub(super) fn write_double(value: f64, extra: i32, out: &mut String) {
    if extra > 0 {
        write_float8(value, out);
    } else {
        write_rounded(value, 15 + extra, out);
    }
}

/// A single likewise, with 6 digits.
pub(super) fn write_single(value: f32, extra: i32, out: &mut String) {
    if extra > 0 {
        write_float4(value, out);
    } else {
        write_rounded(value.into(), 6 + extra, out);
    }
}

/// As C's %.*g.
fn write_rounded(value: f64, digits: i32, out: &mut String) {
    if write_special(value, out) {
        return;
    }
    let digits = digits.max(1);
    let rounded = format!("{value:.*e}", digits as usize - 1);
    let (mantissa, exponent) = rounded.split_once('e').expect("scientific form has an exponent");
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    layout(&format!("{mantissa}e{exponent}"), digits, out);
}

fn write_special(value: f64, out: &mut String) -> bool {
    let text = match value {
        value if value.is_nan() => "NaN",
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => return false,
    };
    out.push_str(text);
    true
}

/// Lays out `d.ddde±x` as C's %g would: plain for exponents from -4 to below `precision`, scientific otherwise.
fn layout(shortest: &str, precision: i32, out: &mut String) {
    let (mantissa, exponent) = shortest.split_once('e').expect("scientific form has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits = mantissa.replace('.', "");
    out.push_str(sign);
    if !(-4..precision).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "e{sign}{:02}", exponent.abs()).expect("a string takes every write");
    } else if exponent < 0 {
        out.push_str("0.");
        out.push_str(&"0".repeat((-exponent - 1) as usize));
        out.push_str(&digits);
    } else {
        let integer = exponent as usize + 1;
        if digits.len() <= integer {
            out.push_str(&digits);
            out.push_str(&"0".repeat(integer - digits.len()));
        } else {
            out.push_str(&digits[..integer]);
            out.push('.');
            out.push_str(&digits[integer..]);
        }
    }
}

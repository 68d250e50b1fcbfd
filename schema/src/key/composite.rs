//! Order-preserving bytes of values that are not of one fixed length: numeric, interval, timetz, jsonb, arrays, rows.
//!
//! The order is that of `crate::compare`. Encodings are prefix-free, so a value can be followed by others.

use num_bigint::{BigInt, Sign};
use proto::{SqlError, SqlResult};
use serde_json::Value;
use sharddb_proto as proto;

use super::ordered::{write_bytes, write_value};
use crate::{ArrayValue, Datum, Interval, Numeric, Oid, SqlType};

/// First byte of a numeric, in order.
const NEGATIVE_INFINITY: u8 = 0;
const NEGATIVE: u8 = 1;
const ZERO: u8 = 2;
const POSITIVE: u8 = 3;
const POSITIVE_INFINITY: u8 = 4;
const NAN: u8 = 5;

/// Marks inside arrays and rows: no more elements, an element, a NULL.
const END: u8 = 0;
const ELEMENT: u8 = 1;
const NULL: u8 = 2;

/// First byte of a jsonb value, in order.
const JSON_EMPTY_ARRAY: u8 = 0;
const JSON_NULL: u8 = 1;
const JSON_STRING: u8 = 2;
const JSON_NUMBER: u8 = 3;
const JSON_BOOL: u8 = 4;
const JSON_ARRAY: u8 = 5;
const JSON_OBJECT: u8 = 6;

/// Class, then exponent and decimal digits in pairs, inverted for negative numbers. Trailing zeros do not count, so the
/// display scale is not part of it.
pub(super) fn write_numeric(value: &Numeric, out: &mut Vec<u8>) {
    let (negative, digits, scale) = match value {
        Numeric::NaN => return out.push(NAN),
        Numeric::Infinity => return out.push(POSITIVE_INFINITY),
        Numeric::NegInfinity => return out.push(NEGATIVE_INFINITY),
        Numeric::Small { digits: 0, .. } => return out.push(ZERO),
        Numeric::Small { digits, scale } => (*digits < 0, small_digits(digits.unsigned_abs()), *scale),
        Numeric::Big { digits, scale } => (digits.sign() == Sign::Minus, big_digits(digits), *scale),
    };
    let exponent = digits.len() as i32 - i32::from(scale);
    let significant = digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
    out.push(if negative { NEGATIVE } else { POSITIVE });
    let start = out.len();
    out.extend_from_slice(&((exponent as u32) ^ (1 << 31)).to_be_bytes());
    for pair in digits[..significant].chunks(2) {
        out.push(pair[0] * 10 + pair.get(1).copied().unwrap_or_default() + 1);
    }
    out.push(0);
    if negative {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// Decimal digits, most significant first.
fn small_digits(mut value: u128) -> Vec<u8> {
    let mut digits = Vec::with_capacity(20);
    while value > 0 {
        digits.push((value % 10) as u8);
        value /= 10;
    }
    digits.reverse();
    digits
}

fn big_digits(value: &BigInt) -> Vec<u8> {
    value.magnitude().to_radix_be(10)
}

pub(super) fn write_interval(value: &Interval, out: &mut Vec<u8>) {
    out.extend_from_slice(&((value.comparable() as u128) ^ (1 << 127)).to_be_bytes());
}

pub(super) fn write_timetz(micros: i64, west: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(&super::ordered::int_bytes(micros + i64::from(west) * 1_000_000));
    out.extend_from_slice(&((west as u32) ^ (1 << 31)).to_be_bytes());
}

pub(super) fn write_array(array: &ArrayValue, out: &mut Vec<u8>) -> SqlResult<()> {
    for value in &array.values {
        write_element(array.element, value, out)?;
    }
    out.push(END);
    out.push(array.dims.len() as u8);
    for (length, lower) in &array.dims {
        out.extend_from_slice(&((*length as u32) ^ (1 << 31)).to_be_bytes());
        out.extend_from_slice(&((*lower as u32) ^ (1 << 31)).to_be_bytes());
    }
    Ok(())
}

pub(super) fn write_record(fields: &[(Oid, Datum)], out: &mut Vec<u8>) -> SqlResult<()> {
    for (oid, value) in fields {
        write_element(*oid, value, out)?;
    }
    out.push(END);
    Ok(())
}

fn write_element(oid: Oid, value: &Datum, out: &mut Vec<u8>) -> SqlResult<()> {
    if value.is_null() {
        out.push(NULL);
        return Ok(());
    }
    out.push(ELEMENT);
    write_value(SqlType::new(oid), value, out)
}

pub(super) fn write_jsonb(text: &str, out: &mut Vec<u8>) -> SqlResult<()> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| SqlError::internal(format!("a jsonb value is damaged: {error}")))?;
    write_json(&value, out);
    Ok(())
}

fn write_json(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(elements) if elements.is_empty() => out.push(JSON_EMPTY_ARRAY),
        Value::Null => out.push(JSON_NULL),
        Value::String(text) => {
            out.push(JSON_STRING);
            write_bytes(text.as_bytes(), out);
        }
        Value::Number(number) => {
            out.push(JSON_NUMBER);
            write_numeric(&Numeric::parse(number.as_str()).unwrap_or(Numeric::NaN), out);
        }
        Value::Bool(value) => out.extend_from_slice(&[JSON_BOOL, u8::from(*value)]),
        Value::Array(elements) => {
            out.push(JSON_ARRAY);
            out.extend_from_slice(&(elements.len() as u32).to_be_bytes());
            elements.iter().for_each(|element| write_json(element, out));
        }
        Value::Object(members) => {
            out.push(JSON_OBJECT);
            out.extend_from_slice(&(members.len() as u32).to_be_bytes());
            for (key, value) in members {
                out.extend_from_slice(&(key.len() as u32).to_be_bytes());
                out.extend_from_slice(key.as_bytes());
                write_json(value, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::compare;

    fn key(oid: Oid, value: &Datum) -> Vec<u8> {
        let mut out = Vec::new();
        write_value(SqlType::new(oid), value, &mut out).expect("a key");
        out
    }

    /// Every pair orders by key as by value.
    fn check(oid: Oid, values: &[Datum]) {
        for a in values {
            for b in values {
                assert_eq!(key(oid, a).cmp(&key(oid, b)), compare(a, b), "{a:?} {b:?}");
            }
        }
    }

    fn numeric(text: &str) -> Datum {
        Datum::Numeric(Numeric::parse(text).expect("a number"))
    }

    #[test]
    fn numerics_order_by_value() {
        let huge = format!("1{}", "0".repeat(60));
        let mut values: Vec<Datum> =
            ["0", "0.00", "1", "1.0", "1.01", "10", "9.99", "100", "0.001", "0.0010", "123456789012345678901234567890"]
                .iter()
                .chain(&[huge.as_str(), "12", "120", "1.2", "0.12", "0.099"])
                .flat_map(|text| [numeric(text), numeric(&format!("-{text}"))])
                .collect();
        values.extend([Numeric::NaN, Numeric::Infinity, Numeric::NegInfinity].map(Datum::Numeric));
        check(Oid::NUMERIC, &values);
    }

    #[test]
    fn intervals_arrays_and_documents_order_by_value() {
        let interval = |months, days, micros| Datum::Interval(Interval { months, days, micros });
        check(Oid::INTERVAL, &[interval(1, 0, 0), interval(0, 30, 0), interval(0, 0, -5), interval(-1, 31, 7)]);
        check(Oid::TIMETZ, &[Datum::TimeTz(5, 0), Datum::TimeTz(5, 3600), Datum::TimeTz(3_600_000_005, 0)]);
        let array = |values: &[Option<i32>]| {
            let dims = if values.is_empty() { Vec::new() } else { vec![(values.len() as i32, 1)] };
            let values = values.iter().map(|value| value.map_or(Datum::Null, Datum::Int4)).collect();
            Datum::Array(std::sync::Arc::new(ArrayValue { element: Oid::INT4, dims, values }))
        };
        let arrays = [array(&[]), array(&[Some(1)]), array(&[Some(1), Some(2)]), array(&[None]), array(&[Some(2)])];
        check(Oid(1007), &arrays);
        let json = ["null", "1", "1.0", "\"a\"", "[]", "[1]", "[1, 2]", "{}", "{\"a\": 1}", "{\"b\": 1}", "true"];
        let json: Vec<Datum> = json.iter().map(|text| Datum::Jsonb((*text).into())).collect();
        check(Oid::JSONB, &json);
    }
}

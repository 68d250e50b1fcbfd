//! PostgreSQL's btree order of values, and the equality and hash that agree with it.
//!
//! Both values have the same type and neither is NULL (inside arrays and records NULL sorts last). Text sorts by bytes,
//! which is the "C" collation. jsonb sorts by kind, size and content as PostgreSQL documents.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

use serde_json::Value;

use crate::{ArrayValue, Datum, Numeric};

/// The order of two values of one type.
///
/// # Panics
/// If the values are of different types: the binder makes sure that they are not.
pub fn compare(a: &Datum, b: &Datum) -> Ordering {
    match (a, b) {
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Greater,
        (_, Datum::Null) => Ordering::Less,
        (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
        (Datum::Int2(a), Datum::Int2(b)) => a.cmp(b),
        (Datum::Int4(a), Datum::Int4(b)) => a.cmp(b),
        (Datum::Int8(a), Datum::Int8(b)) => a.cmp(b),
        (Datum::Float4(a), Datum::Float4(b)) => compare_floats((*a).into(), (*b).into()),
        (Datum::Float8(a), Datum::Float8(b)) => compare_floats(*a, *b),
        (Datum::Numeric(a), Datum::Numeric(b)) => a.compare(b),
        (Datum::Text(a), Datum::Text(b)) | (Datum::Json(a), Datum::Json(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Datum::Char(a), Datum::Char(b)) => a.cmp(b),
        (Datum::Bytes(a), Datum::Bytes(b)) => a.cmp(b),
        (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Time(a), Datum::Time(b)) => a.cmp(b),
        (Datum::TimeTz(a, west), Datum::TimeTz(b, other)) => compare_timetz((*a, *west), (*b, *other)),
        (Datum::Timestamp(a), Datum::Timestamp(b)) | (Datum::TimestampTz(a), Datum::TimestampTz(b)) => a.cmp(b),
        (Datum::Interval(a), Datum::Interval(b)) => a.comparable().cmp(&b.comparable()),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        (Datum::Jsonb(a), Datum::Jsonb(b)) => compare_jsonb(a, b),
        (Datum::Oid(a), Datum::Oid(b)) => a.cmp(b),
        (Datum::Array(a), Datum::Array(b)) => compare_arrays(a, b),
        (Datum::Record(a), Datum::Record(b)) => {
            let fields = a.iter().zip(b.iter()).map(|((_, a), (_, b))| compare(a, b));
            first_difference(fields).then_with(|| a.len().cmp(&b.len()))
        }
        (a, b) => panic!("values of different types are compared: {a:?} and {b:?}"),
    }
}

/// Whether two values of one type are equal.
pub fn equal(a: &Datum, b: &Datum) -> bool {
    compare(a, b) == Ordering::Equal
}

fn first_difference(mut orders: impl Iterator<Item = Ordering>) -> Ordering {
    orders.find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
}

/// NaN is equal to itself and greater than everything else; -0 equals 0.
pub(crate) fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// By instant, then by zone.
fn compare_timetz(a: (i64, i32), b: (i64, i32)) -> Ordering {
    let instant = |(micros, west): (i64, i32)| micros + i64::from(west) * 1_000_000;
    instant(a).cmp(&instant(b)).then_with(|| a.1.cmp(&b.1))
}

/// Element by element, then by length, dimensions and lower bounds.
fn compare_arrays(a: &ArrayValue, b: &ArrayValue) -> Ordering {
    let elements = a.values.iter().zip(&b.values).map(|(a, b)| compare(a, b));
    first_difference(elements)
        .then_with(|| a.values.len().cmp(&b.values.len()))
        .then_with(|| a.dims.len().cmp(&b.dims.len()))
        .then_with(|| a.dims.cmp(&b.dims))
}

fn compare_jsonb(a: &str, b: &str) -> Ordering {
    match (serde_json::from_str::<Value>(a), serde_json::from_str::<Value>(b)) {
        (Ok(a), Ok(b)) => compare_json_values(&a, &b),
        // A jsonb value was checked when it was made.
        _ => a.cmp(b),
    }
}

/// Object > Array > Boolean > Number > String > Null; an empty array sorts below everything.
pub(crate) fn compare_json_values(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Array(elements) if elements.is_empty() => 0,
        Value::Null => 1,
        Value::String(_) => 2,
        Value::Number(_) => 3,
        Value::Bool(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
    };
    rank(a).cmp(&rank(b)).then_with(|| match (a, b) {
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Number(a), Value::Number(b)) => json_number(a).compare(&json_number(b)),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => a
            .len()
            .cmp(&b.len())
            .then_with(|| first_difference(a.iter().zip(b).map(|(a, b)| compare_json_values(a, b)))),
        (Value::Object(a), Value::Object(b)) => a.len().cmp(&b.len()).then_with(|| {
            let members = a.iter().zip(b).map(|((k, a), (l, b))| {
                k.len().cmp(&l.len()).then_with(|| k.cmp(l)).then_with(|| compare_json_values(a, b))
            });
            first_difference(members)
        }),
        _ => Ordering::Equal,
    })
}

fn json_number(number: &serde_json::Number) -> Numeric {
    Numeric::parse(number.as_str()).unwrap_or(Numeric::NaN)
}

/// Feeds a hasher such that equal values hash alike.
pub fn hash(value: &Datum, state: &mut impl Hasher) {
    match value {
        Datum::Null => 0_u8.hash(state),
        Datum::Bool(value) => value.hash(state),
        Datum::Int2(value) => i64::from(*value).hash(state),
        Datum::Int4(value) => i64::from(*value).hash(state),
        Datum::Int8(value) => value.hash(state),
        Datum::Float4(value) => hash_float((*value).into(), state),
        Datum::Float8(value) => hash_float(*value, state),
        Datum::Numeric(value) => value.without_trailing_zeros().to_string().hash(state),
        Datum::Text(value) | Datum::Json(value) => value.hash(state),
        Datum::Jsonb(value) => hash_jsonb(value, state),
        Datum::Char(value) => value.hash(state),
        Datum::Bytes(value) => value.hash(state),
        Datum::Date(value) => value.hash(state),
        Datum::Time(value) | Datum::Timestamp(value) | Datum::TimestampTz(value) => value.hash(state),
        Datum::TimeTz(micros, west) => (micros, west).hash(state),
        Datum::Interval(value) => value.comparable().hash(state),
        Datum::Uuid(value) => value.hash(state),
        Datum::Oid(value) => value.hash(state),
        Datum::Array(array) => array.values.iter().for_each(|value| hash(value, state)),
        Datum::Record(fields) => fields.iter().for_each(|(_, value)| hash(value, state)),
    }
}

fn hash_float(value: f64, state: &mut impl Hasher) {
    let canonical = if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    };
    canonical.to_bits().hash(state);
}

/// Numbers of equal value may print differently (1 and 1.0), so only what surely agrees is hashed.
fn hash_jsonb(text: &str, state: &mut impl Hasher) {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::String(text)) => text.hash(state),
        Ok(Value::Number(number)) => json_number(&number).without_trailing_zeros().to_string().hash(state),
        Ok(Value::Array(elements)) => elements.len().hash(state),
        Ok(Value::Object(members)) => members.keys().for_each(|key| key.hash(state)),
        Ok(Value::Bool(value)) => value.hash(state),
        Ok(Value::Null) | Err(_) => 0_u8.hash(state),
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use proptest::prelude::*;

    use super::*;
    use crate::Interval;

    fn hashed(value: &Datum) -> u64 {
        let mut state = DefaultHasher::new();
        hash(value, &mut state);
        state.finish()
    }

    fn numeric(text: &str) -> Datum {
        Datum::Numeric(Numeric::parse(text).expect("a number"))
    }

    fn jsonb(text: &str) -> Datum {
        Datum::Jsonb(text.into())
    }

    #[test]
    fn equal_values_of_different_look_compare_and_hash_alike() {
        let interval = |months, days| Datum::Interval(Interval { months, days, micros: 0 });
        for (a, b) in [
            (numeric("1.0"), numeric("1.000")),
            (Datum::Float8(0.0), Datum::Float8(-0.0)),
            (Datum::Float8(f64::NAN), Datum::Float8(-f64::NAN)),
            (interval(1, 0), interval(0, 30)),
            (jsonb("1"), jsonb("1.0")),
        ] {
            assert!(equal(&a, &b), "{a:?} {b:?}");
            assert_eq!(hashed(&a), hashed(&b));
        }
    }

    #[test]
    fn order_is_postgresqls() {
        let ascending = [
            vec![
                Datum::Float8(f64::NEG_INFINITY),
                Datum::Float8(1.0),
                Datum::Float8(f64::INFINITY),
                Datum::Float8(f64::NAN),
            ],
            vec![numeric("-Infinity"), numeric("-1"), numeric("1.5"), numeric("Infinity"), numeric("NaN")],
            vec![
                jsonb("[]"),
                jsonb("null"),
                jsonb("\"a\""),
                jsonb("2"),
                jsonb("10"),
                jsonb("false"),
                jsonb("[1]"),
                jsonb("{}"),
            ],
            vec![Datum::text("B"), Datum::text("a"), Datum::text("ä")],
            vec![Datum::Bool(false), Datum::Bool(true), Datum::Null],
        ];
        for values in ascending {
            for pair in values.windows(2) {
                assert_eq!(compare(&pair[0], &pair[1]), Ordering::Less, "{pair:?}");
                assert_eq!(compare(&pair[1], &pair[0]), Ordering::Greater, "{pair:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn floats_have_a_total_order(a in any::<f64>(), b in any::<f64>(), c in any::<f64>()) {
            let mut values = [Datum::Float8(a), Datum::Float8(b), Datum::Float8(c)];
            values.sort_by(compare);
            prop_assert_ne!(compare(&values[0], &values[2]), Ordering::Greater);
        }
    }
}

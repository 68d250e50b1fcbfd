//! Whether jsonb contains other jsonb or has keys.

use proto::SqlResult;
use serde_json::Value;
use sharddb_proto as proto;

use super::parse;
use crate::{
    ArrayValue, Datum, Oid,
    compare::compare_json_values,
    functions::{
        Function,
        table::operator,
        value::{JsonText, two},
    },
};

const B: Oid = Oid::JSONB;
const TEXTS: Oid = Oid(1009);

/// Whether `whole` has all of `part`: members of objects by key, elements of arrays in any place and number.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|found| contains(found, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            part.iter().all(|value| whole.iter().any(|candidate| contains(candidate, value)))
        }
        (Value::Object(_) | Value::Array(_), _) | (_, Value::Object(_) | Value::Array(_)) => false,
        (whole, part) => compare_json_values(whole, part).is_eq(),
    }
}

fn contains_text(whole: JsonText<'_>, part: JsonText<'_>) -> SqlResult<bool> {
    let (whole, part) = (parse(whole.0)?, parse(part.0)?);
    // At the top, and only there, an array contains what is one of its elements.
    Ok(match (&whole, &part) {
        (Value::Array(_), Value::Array(_)) => contains(&whole, &part),
        (Value::Array(elements), scalar) if !scalar.is_object() => {
            elements.iter().any(|element| compare_json_values(element, scalar).is_eq())
        }
        _ => contains(&whole, &part),
    })
}

/// Whether a string is a key of an object, an element of an array, or the value itself.
fn has_key(json: &Value, key: &str) -> bool {
    match json {
        Value::Object(members) => members.contains_key(key),
        Value::Array(elements) => elements.iter().any(|element| element.as_str() == Some(key)),
        Value::String(text) => text == key,
        _ => false,
    }
}

fn keys(array: &ArrayValue) -> impl Iterator<Item = &str> {
    array.values.iter().filter_map(|value| match value {
        Datum::Text(key) => Some(&**key),
        _ => None,
    })
}

/// Containment and existence.
pub(in crate::functions) static CONTAIN: &[Function] = &[
    operator("jsonb_contains", "@>", &[B, B], Oid::BOOL, |_, args| two(args, contains_text)),
    operator("jsonb_contained", "<@", &[B, B], Oid::BOOL, |_, args| {
        two(args, |part: JsonText<'_>, whole: JsonText<'_>| contains_text(whole, part))
    }),
    operator("jsonb_exists", "?", &[B, Oid::TEXT], Oid::BOOL, |_, args| {
        two(args, |json: JsonText<'_>, key: &str| Ok(has_key(&parse(json.0)?, key)))
    }),
    operator("jsonb_exists_any", "?|", &[B, TEXTS], Oid::BOOL, |_, args| {
        two(args, |json: JsonText<'_>, wanted: &ArrayValue| {
            let json = parse(json.0)?;
            Ok(keys(wanted).any(|key| has_key(&json, key)))
        })
    }),
    operator("jsonb_exists_all", "?&", &[B, TEXTS], Oid::BOOL, |_, args| {
        two(args, |json: JsonText<'_>, wanted: &ArrayValue| {
            let json = parse(json.0)?;
            Ok(keys(wanted).all(|key| has_key(&json, key)))
        })
    }),
];

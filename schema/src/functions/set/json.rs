//! Rows from json and jsonb: elements, members, keys.

use proto::SqlResult;
use sharddb_proto as proto;

use super::{column, rows, set};
use crate::{
    Datum, Oid, SqlType,
    functions::{
        SetFunction, SetRows,
        json::{
            invalid,
            scan::{Kind, as_text, elements, members},
        },
        value::mismatch,
    },
};

const J: Oid = Oid::JSON;
const B: Oid = Oid::JSONB;
const T: Oid = Oid::TEXT;

fn source(args: &[Datum]) -> SqlResult<(&str, bool)> {
    match args {
        [Datum::Json(text)] => Ok((text, false)),
        [Datum::Jsonb(text)] => Ok((text, true)),
        _ => Err(mismatch(args)),
    }
}

/// A piece in the type of what it was cut from.
fn piece(text: &str, binary: bool) -> Datum {
    if binary { Datum::Jsonb(text.into()) } else { Datum::Json(text.into()) }
}

fn text(text: &str) -> Datum {
    as_text(text).map_or(Datum::Null, Datum::text)
}

fn checked_elements<'t>(json: &'t str, binary: bool, name: &str) -> SqlResult<Vec<&'t str>> {
    match (Kind::of(json), binary) {
        (Kind::Array, _) => Ok(elements(json)),
        (Kind::Object, true) => Err(invalid("cannot extract elements from an object")),
        (_, true) => Err(invalid("cannot extract elements from a scalar")),
        (Kind::Object, false) => Err(invalid(format!("cannot call {name} on a non-array"))),
        (_, false) => Err(invalid(format!("cannot call {name} on a scalar"))),
    }
}

fn element_rows(args: &[Datum], name: &str, as_text: bool) -> SqlResult<SetRows> {
    let (json, binary) = source(args)?;
    let show = |element: &str| if as_text { text(element) } else { piece(element, binary) };
    let values: Vec<Datum> = checked_elements(json, binary, name)?.into_iter().map(show).collect();
    Ok(rows(values))
}

fn checked_members<'t>(json: &'t str, binary: bool, name: &str) -> SqlResult<Vec<(String, &'t str)>> {
    match (Kind::of(json), binary) {
        (Kind::Object, _) => Ok(members(json)),
        (_, true) => Err(invalid(format!("cannot call {name} on a non-object"))),
        (Kind::Array, false) => Err(invalid("cannot deconstruct an array as an object")),
        (_, false) => Err(invalid("cannot deconstruct a scalar")),
    }
}

fn member_rows(args: &[Datum], name: &str, as_text: bool) -> SqlResult<SetRows> {
    let (json, binary) = source(args)?;
    let show = |(key, value): (String, &str)| {
        Ok(vec![Datum::text(key), if as_text { text(value) } else { piece(value, binary) }])
    };
    let found: Vec<SqlResult<Vec<Datum>>> = checked_members(json, binary, name)?.into_iter().map(show).collect();
    Ok(Box::new(found.into_iter()))
}

fn key_rows(args: &[Datum], name: &str) -> SqlResult<SetRows> {
    let (json, _) = source(args)?;
    match Kind::of(json) {
        Kind::Object => {
            let keys: Vec<Datum> = members(json).into_iter().map(|(key, _)| Datum::text(key)).collect();
            Ok(rows(keys))
        }
        Kind::Array => Err(invalid(format!("cannot call {name} on an array"))),
        _ => Err(invalid(format!("cannot call {name} on a scalar"))),
    }
}

fn pair(value: Oid) -> Vec<(String, SqlType)> {
    vec![("key".to_owned(), SqlType::new(T)), ("value".to_owned(), SqlType::new(value))]
}

macro_rules! functions {
    ($($prefix:literal $json:ident;)*) => { &[$(
        set(concat!($prefix, "_array_elements"), &[$json], $json, |_| column("value", $json), |_, args| {
            element_rows(args, concat!($prefix, "_array_elements"), false)
        }),
        set(concat!($prefix, "_array_elements_text"), &[$json], T, |_| column("value", T), |_, args| {
            element_rows(args, concat!($prefix, "_array_elements_text"), true)
        }),
        set(concat!($prefix, "_each"), &[$json], Oid::RECORD, |_| pair($json), |_, args| {
            member_rows(args, concat!($prefix, "_each"), false)
        }),
        set(concat!($prefix, "_each_text"), &[$json], Oid::RECORD, |_| pair(T), |_, args| {
            member_rows(args, concat!($prefix, "_each_text"), true)
        }),
        set(concat!($prefix, "_object_keys"), &[$json], T, |_| column(concat!($prefix, "_object_keys"), T), |_, args| {
            key_rows(args, concat!($prefix, "_object_keys"))
        }),
    )*] };
}

/// Rows from json and jsonb.
pub(in crate::functions) static JSON: &[SetFunction] = functions! {
    "json" J;
    "jsonb" B;
};

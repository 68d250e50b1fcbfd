//! Reading from json and jsonb: members, elements, paths, kinds.

use proto::SqlResult;
use sharddb_proto as proto;

use super::{
    invalid,
    scan::{Kind, as_text, element, elements, member},
};
use crate::{
    ArrayValue, Datum, Oid,
    functions::{
        Function,
        table::{function, operator},
        value::{JsonText, mismatch, one, two},
    },
};

const J: Oid = Oid::JSON;
const B: Oid = Oid::JSONB;
const T: Oid = Oid::TEXT;
const I: Oid = Oid::INT4;
const TEXTS: Oid = Oid(1009);

/// A piece as json or jsonb, as the value it was cut from.
fn piece(from: &Datum, text: Option<&str>) -> Datum {
    match (text, from) {
        (None, _) => Datum::Null,
        (Some(text), Datum::Jsonb(_)) => Datum::Jsonb(text.into()),
        (Some(text), _) => Datum::Json(text.into()),
    }
}

fn text_of(text: Option<&str>) -> Option<String> {
    text.and_then(as_text)
}

/// The piece that a path leads to; a NULL in the path leads nowhere.
fn walk<'t>(text: &'t str, path: &[Datum]) -> Option<&'t str> {
    let mut here = text.trim();
    for step in path {
        let Datum::Text(step) = step else { return None };
        here = match Kind::of(here) {
            Kind::Object => member(here, step)?,
            Kind::Array => element(here, step.trim().parse().ok()?)?,
            _ => return None,
        };
    }
    Some(here)
}

fn by_key(args: &[Datum]) -> SqlResult<Datum> {
    two(args, |from: &Datum, key: &str| -> SqlResult<Datum> { Ok(piece(from, member(source(from)?, key))) })
}

fn by_index(args: &[Datum]) -> SqlResult<Datum> {
    two(args, |from: &Datum, at: i32| -> SqlResult<Datum> { Ok(piece(from, element(source(from)?, at))) })
}

fn source(from: &Datum) -> SqlResult<&str> {
    match from {
        Datum::Json(text) | Datum::Jsonb(text) => Ok(text),
        _ => Err(mismatch(std::slice::from_ref(from))),
    }
}

fn by_path(args: &[Datum]) -> SqlResult<Datum> {
    two(args, |from: &Datum, path: &ArrayValue| -> SqlResult<Datum> {
        Ok(piece(from, walk(source(from)?, &path.values)))
    })
}

fn text_by_path(args: &[Datum]) -> SqlResult<Datum> {
    two(args, |json: JsonText<'_>, path: &ArrayValue| text_of(walk(json.0, &path.values)))
}

fn extract_path(args: &[Datum]) -> SqlResult<Datum> {
    let [from, path @ ..] = args else { return Err(mismatch(args)) };
    Ok(piece(from, walk(source(from)?, path)))
}

fn extract_path_text(args: &[Datum]) -> SqlResult<Datum> {
    let [from, path @ ..] = args else { return Err(mismatch(args)) };
    Ok(text_of(walk(source(from)?, path)).map_or(Datum::Null, Datum::text))
}

fn array_length(json: JsonText<'_>) -> SqlResult<i32> {
    match Kind::of(json.0) {
        Kind::Array => Ok(elements(json.0).len() as i32),
        Kind::Object => Err(invalid("cannot get array length of a non-array")),
        _ => Err(invalid("cannot get array length of a scalar")),
    }
}

macro_rules! operators {
    ($($prefix:literal $json:ident;)*) => { &[$(
        operator(concat!($prefix, "_object_field"), "->", &[$json, T], $json, |_, args| by_key(args)),
        operator(concat!($prefix, "_object_field_text"), "->>", &[$json, T], T, |_, args| {
            two(args, |json: JsonText<'_>, key: &str| text_of(member(json.0, key)))
        }),
        operator(concat!($prefix, "_array_element"), "->", &[$json, I], $json, |_, args| by_index(args)),
        operator(concat!($prefix, "_array_element_text"), "->>", &[$json, I], T, |_, args| {
            two(args, |json: JsonText<'_>, at: i32| text_of(element(json.0, at)))
        }),
    )*] };
}

/// `->` and `->>`.
pub(in crate::functions) static OPERATORS: &[Function] = operators! {
    "json" J;
    "jsonb" B;
};

macro_rules! functions {
    ($($prefix:literal $json:ident;)*) => { &[$(
        operator(concat!($prefix, "_extract_path"), "#>", &[$json, TEXTS], $json, |_, args| by_path(args)),
        operator(concat!($prefix, "_extract_path_text"), "#>>", &[$json, TEXTS], T, |_, args| text_by_path(args)),
        function(concat!($prefix, "_extract_path"), &[$json], $json, |_, args| extract_path(args)).variadic(T),
        function(concat!($prefix, "_extract_path_text"), &[$json], T, |_, args| extract_path_text(args)).variadic(T),
        function(concat!($prefix, "_typeof"), &[$json], T, |_, args| {
            one(args, |json: JsonText<'_>| Kind::of(json.0).name())
        }),
        function(concat!($prefix, "_array_length"), &[$json], I, |_, args| one(args, array_length)),
    )*] };
}

/// Paths, kinds and lengths.
pub(in crate::functions) static ACCESS: &[Function] = functions! {
    "json" J;
    "jsonb" B;
};

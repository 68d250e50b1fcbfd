//! Arrays from strings and strings from arrays.

use std::sync::Arc;

use proto::SqlResult;
use sharddb_proto as proto;

use super::list;
use crate::{
    Datum, Oid,
    functions::{EvalContext, Function, table::function, text::write_output, value::mismatch},
};

const T: Oid = Oid::TEXT;
const A: Oid = Oid::ANYARRAY;
const TEXTS: Oid = Oid(1009);

/// Elements with a separator between them; NULLs are left out or shown as a given string.
fn join(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let (array, separator, null) = match args {
        [Datum::Array(array), Datum::Text(separator)] => (array, separator, None),
        [Datum::Array(array), Datum::Text(separator), Datum::Null] => (array, separator, None),
        [Datum::Array(array), Datum::Text(separator), Datum::Text(null)] => (array, separator, Some(null)),
        _ => return Ok(Datum::Null),
    };
    let mut out = String::new();
    let mut first = true;
    for value in &array.values {
        if value.is_null() && null.is_none() {
            continue;
        }
        if !first {
            out.push_str(separator);
        }
        first = false;
        match (value, null) {
            (Datum::Null, Some(null)) => out.push_str(null),
            (value, _) => write_output(env, value, &mut out),
        }
    }
    Ok(Datum::text(out))
}

/// The parts of a string; `None` for NULL. Without a separator each character is a part.
pub(in crate::functions) fn parts(args: &[Datum]) -> SqlResult<Option<Vec<Datum>>> {
    let (text, separator, null) = match args {
        [Datum::Null, ..] => return Ok(None),
        [Datum::Text(text), separator] => (text, separator, &Datum::Null),
        [Datum::Text(text), separator, null] => (text, separator, null),
        _ => return Err(mismatch(args)),
    };
    let pieces: Vec<&str> = match separator {
        _ if text.is_empty() => Vec::new(),
        Datum::Null => text.split("").filter(|piece| !piece.is_empty()).collect(),
        Datum::Text(separator) if separator.is_empty() => vec![text],
        Datum::Text(separator) => text.split(&**separator).collect(),
        _ => return Err(mismatch(args)),
    };
    let null = if let Datum::Text(null) = null { Some(&**null) } else { None };
    let part = |piece: &str| if Some(piece) == null { Datum::Null } else { Datum::text(piece) };
    Ok(Some(pieces.into_iter().map(part).collect()))
}

fn split(args: &[Datum]) -> SqlResult<Datum> {
    Ok(parts(args)?.map_or(Datum::Null, |values| Datum::Array(Arc::new(list(T, values)))))
}

/// array_to_string and string_to_array.
pub(in crate::functions) static STRINGS: &[Function] = &[
    function("array_to_string", &[A, T], T, join).stable(),
    function("array_to_string", &[A, T, T], T, join).lenient().stable(),
    function("string_to_array", &[T, T], TEXTS, |_, args| split(args)).lenient(),
    function("string_to_array", &[T, T, T], TEXTS, |_, args| split(args)).lenient(),
];

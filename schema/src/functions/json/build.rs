//! json and jsonb made from SQL values.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{invalid, write::write_pretty, write_json, write_key, write_string};
use crate::{
    ArrayValue, Datum, Oid,
    functions::{
        EvalContext, Function,
        table::function,
        value::{Json, mismatch, two},
    },
    text::normalize_jsonb,
};

const J: Oid = Oid::JSON;
const B: Oid = Oid::JSONB;
const TEXTS: Oid = Oid(1009);

/// The json text of a result as jsonb.
fn to_jsonb(json: SqlResult<Datum>) -> SqlResult<Datum> {
    match json? {
        Datum::Json(text) => Ok(Datum::Jsonb(normalize_jsonb(&text)?.into())),
        other => Ok(other),
    }
}

fn to_json(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let [value] = args else { return Err(mismatch(args)) };
    let mut out = String::new();
    write_json(env, value, &mut out);
    Ok(Datum::Json(out.into()))
}

fn pretty(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    two(args, |value: &Datum, lines: bool| {
        let mut out = String::new();
        write_pretty(env, value, lines, &mut out);
        Json(out)
    })
}

fn build_array(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let mut out = String::from("[");
    for (at, value) in args.iter().enumerate() {
        out.push_str(if at > 0 { ", " } else { "" });
        write_json(env, value, &mut out);
    }
    out.push(']');
    Ok(Datum::Json(out.into()))
}

fn build_object(env: &EvalContext, args: &[Datum], name: &str) -> SqlResult<Datum> {
    if !args.len().is_multiple_of(2) {
        return Err(invalid("argument list must have even number of elements")
            .with_hint(format!("The arguments of {name}() must consist of alternating keys and values.")));
    }
    let mut out = String::from("{");
    for (at, pair) in args.chunks_exact(2).enumerate() {
        if pair[0].is_null() {
            return Err(if name == "json_build_object" {
                invalid(format!("argument {} cannot be null", at * 2 + 1)).with_hint("Object keys should be text.")
            } else {
                invalid(format!("argument {}: key must not be null", at * 2 + 1))
            });
        }
        out.push_str(if at > 0 { ", " } else { "" });
        write_key(env, &pair[0], &mut out)?;
        out.push_str(" : ");
        write_json(env, &pair[1], &mut out);
    }
    out.push('}');
    Ok(Datum::Json(out.into()))
}

/// A row with named columns, as names and values in turn: what row_to_json shows of a table's row.
fn named_row(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let mut out = String::from("{");
    for (at, pair) in args.chunks(2).enumerate() {
        let [Datum::Text(name), value] = pair else { return Err(mismatch(args)) };
        out.push_str(if at > 0 { "," } else { "" });
        write_string(name, &mut out);
        out.push(':');
        write_json(env, value, &mut out);
    }
    out.push('}');
    Ok(Datum::Json(out.into()))
}

fn null_key() -> SqlError {
    SqlError::new(SqlState::NullValueNotAllowed, "null value not allowed for object key")
}

fn subscripts(message: &str) -> SqlError {
    SqlError::new(SqlState::ArraySubscriptError, message)
}

/// An object of strings from keys and values.
fn object_of<'a>(pairs: impl Iterator<Item = (&'a Datum, &'a Datum)>) -> SqlResult<Datum> {
    let mut out = String::from("{");
    for (at, (key, value)) in pairs.enumerate() {
        let Datum::Text(key) = key else { return Err(null_key()) };
        out.push_str(if at > 0 { ", " } else { "" });
        write_string(key, &mut out);
        out.push_str(" : ");
        match value {
            Datum::Text(value) => write_string(value, &mut out),
            _ => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(Datum::Json(out.into()))
}

/// Alternating keys and values, in one dimension or in pairs.
fn object(args: &[Datum]) -> SqlResult<Datum> {
    let [Datum::Array(array)] = args else { return Err(mismatch(args)) };
    match array.dims[..] {
        [] => {}
        [(length, _)] if length % 2 == 0 => {}
        [_] => return Err(subscripts("array must have even number of elements")),
        [_, (2, _)] => {}
        [_, _] => return Err(subscripts("array must have two columns")),
        _ => return Err(subscripts("wrong number of array subscripts")),
    }
    object_of(array.values.chunks_exact(2).map(|pair| (&pair[0], &pair[1])))
}

fn object_of_two(args: &[Datum]) -> SqlResult<Datum> {
    let [Datum::Array(keys), Datum::Array(values)] = args else { return Err(mismatch(args)) };
    let flat = |array: &ArrayValue| array.dims.len() <= 1;
    if !flat(keys) || !flat(values) {
        return Err(subscripts("wrong number of array subscripts"));
    }
    if keys.values.len() != values.values.len() {
        return Err(subscripts("mismatched array dimensions"));
    }
    object_of(keys.values.iter().zip(&values.values))
}

/// Functions that make json and jsonb.
pub(in crate::functions) static BUILD: &[Function] = &[
    function("to_json", &[Oid::ANYELEMENT], J, to_json).stable(),
    function("to_jsonb", &[Oid::ANYELEMENT], B, |env, args| to_jsonb(to_json(env, args))).stable(),
    function("row_to_json", &[Oid::RECORD], J, to_json).stable(),
    function("row_to_json", &[Oid::RECORD, Oid::BOOL], J, pretty).stable(),
    function("array_to_json", &[Oid::ANYARRAY], J, to_json).stable(),
    function("array_to_json", &[Oid::ANYARRAY, Oid::BOOL], J, pretty).stable(),
    function("json_build_array", &[], J, build_array).stable().lenient(),
    function("json_build_array", &[], J, build_array).variadic(Oid::ANY).stable().lenient(),
    function("jsonb_build_array", &[], B, |env, args| to_jsonb(build_array(env, args))).stable().lenient(),
    function("jsonb_build_array", &[], B, |env, args| to_jsonb(build_array(env, args)))
        .variadic(Oid::ANY)
        .stable()
        .lenient(),
    function("json_build_object", &[], J, |env, args| build_object(env, args, "json_build_object")).stable().lenient(),
    function("json_build_object", &[], J, |env, args| build_object(env, args, "json_build_object"))
        .variadic(Oid::ANY)
        .stable()
        .lenient(),
    function("jsonb_build_object", &[], B, |env, args| to_jsonb(build_object(env, args, "jsonb_build_object")))
        .stable()
        .lenient(),
    function("jsonb_build_object", &[], B, |env, args| to_jsonb(build_object(env, args, "jsonb_build_object")))
        .variadic(Oid::ANY)
        .stable()
        .lenient(),
    // A row value does not know its columns' names; the binder, which does, calls this for whole rows of tables.
    function("named_row_to_json", &[], J, named_row).variadic(Oid::ANY).stable().lenient(),
    function("json_object", &[TEXTS], J, |_, args| object(args)),
    function("json_object", &[TEXTS, TEXTS], J, |_, args| object_of_two(args)),
    function("jsonb_object", &[TEXTS], B, |_, args| to_jsonb(object(args))),
    function("jsonb_object", &[TEXTS, TEXTS], B, |_, args| to_jsonb(object_of_two(args))),
];

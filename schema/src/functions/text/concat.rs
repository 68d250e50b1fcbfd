//! Putting strings together: `||`, and the text form of any value.

use std::sync::Arc;

use proto::SqlResult;
use sharddb_proto as proto;

use crate::{
    Datum, Oid, SqlType,
    functions::{
        EvalContext, Function,
        table::operator,
        value::{mismatch, two},
    },
    text::write_text,
};

/// The type a value shows on its own; text for every character type.
pub(in crate::functions) fn type_of(value: &Datum) -> Oid {
    match value {
        Datum::Null => Oid::UNKNOWN,
        Datum::Bool(_) => Oid::BOOL,
        Datum::Int2(_) => Oid::INT2,
        Datum::Int4(_) => Oid::INT4,
        Datum::Int8(_) => Oid::INT8,
        Datum::Float4(_) => Oid::FLOAT4,
        Datum::Float8(_) => Oid::FLOAT8,
        Datum::Numeric(_) => Oid::NUMERIC,
        Datum::Text(_) => Oid::TEXT,
        Datum::Char(_) => Oid::CHAR,
        Datum::Bytes(_) => Oid::BYTEA,
        Datum::Date(_) => Oid::DATE,
        Datum::Time(_) => Oid::TIME,
        Datum::TimeTz(..) => Oid::TIMETZ,
        Datum::Timestamp(_) => Oid::TIMESTAMP,
        Datum::TimestampTz(_) => Oid::TIMESTAMPTZ,
        Datum::Interval(_) => Oid::INTERVAL,
        Datum::Uuid(_) => Oid::UUID,
        Datum::Json(_) => Oid::JSON,
        Datum::Jsonb(_) => Oid::JSONB,
        Datum::Oid(_) => Oid::OID,
        Datum::Array(array) => array.element.array_type().unwrap_or(Oid::ANYARRAY),
        Datum::Record(_) => Oid::RECORD,
    }
}

/// Appends what a value's output function prints; nothing for NULL.
pub(in crate::functions) fn write_output(env: &EvalContext, value: &Datum, out: &mut String) {
    write_text(value, SqlType::new(type_of(value)), &env.format, out);
}

/// Appends what a cast to text gives: as the output function, but true and false are spelled out.
pub(in crate::functions) fn write_as_text(env: &EvalContext, value: &Datum, out: &mut String) {
    match value {
        Datum::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        other => write_output(env, other, out),
    }
}

fn join(a: &str, b: &str) -> Arc<str> {
    let mut joined = String::with_capacity(a.len() + b.len());
    joined.push_str(a);
    joined.push_str(b);
    joined.into()
}

fn concat_any(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let [a, b] = args else { return Err(mismatch(args)) };
    let mut out = String::new();
    write_as_text(env, a, &mut out);
    write_as_text(env, b, &mut out);
    Ok(Datum::text(out))
}

/// `||` on strings and bytea.
pub(in crate::functions) static CONCAT: &[Function] = &[
    operator("textcat", "||", &[Oid::TEXT; 2], Oid::TEXT, |_, args| two(args, join)),
    operator("textanycat", "||", &[Oid::TEXT, Oid::ANYNONARRAY], Oid::TEXT, concat_any).stable(),
    operator("anytextcat", "||", &[Oid::ANYNONARRAY, Oid::TEXT], Oid::TEXT, concat_any).stable(),
    operator("byteacat", "||", &[Oid::BYTEA; 2], Oid::BYTEA, |_, args| two(args, |a: &[u8], b: &[u8]| [a, b].concat())),
];

//! num_nulls, num_nonnulls, and the reading of identifiers.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use crate::{
    Datum, Oid,
    functions::{
        Function,
        array::list,
        table::function,
        value::{one, two},
    },
};

fn nulls(args: &[Datum]) -> usize {
    args.iter().filter(|value| value.is_null()).count()
}

/// The parts of a qualified name: quoted ones as they are, others in lower case.
fn parse_ident(text: &str, strict: bool) -> SqlResult<Datum> {
    let invalid = |detail: String| {
        let message = format!("string is not a valid identifier: \"{text}\"");
        SqlError::new(SqlState::InvalidParameterValue, message).with_detail(detail)
    };
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let after = if let Some(quoted) = rest.strip_prefix('"') {
            let end = super::names::closing_quote(quoted)
                .ok_or_else(|| invalid("String has unclosed double quotes.".to_owned()))?;
            if end == 0 {
                return Err(invalid("Quoted identifier must not be empty.".to_owned()));
            }
            parts.push(Datum::text(quoted[..end].replace("\"\"", "\"")));
            &quoted[end + 1..]
        } else {
            let starts = |c: char| c.is_alphabetic() || c == '_' || !c.is_ascii();
            let end = rest.find(|c: char| !(starts(c) || c.is_ascii_digit() || c == '$')).unwrap_or(rest.len());
            if end == 0 || !rest.starts_with(starts) {
                return Err(match (rest.starts_with('.'), parts.is_empty()) {
                    (true, _) => invalid("No valid identifier before \".\".".to_owned()),
                    (false, false) => invalid("No valid identifier after \".\".".to_owned()),
                    (false, true) => invalid(String::new()),
                });
            }
            parts.push(Datum::text(crate::functions::text::lower(&rest[..end])));
            &rest[end..]
        };
        let after = after.trim_start();
        match after.strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if after.is_empty() || !strict => break,
            None => return Err(invalid(String::new())),
        }
    }
    Ok(Datum::Array(Arc::new(list(Oid::TEXT, parts))))
}

const T: Oid = Oid::TEXT;
const TEXTS: Oid = Oid(1009);

/// Counting and parsing.
pub(in crate::functions) static COUNT: &[Function] = &[
    function("num_nulls", &[], Oid::INT4, |_, args| Ok(Datum::Int4(nulls(args) as i32))).variadic(Oid::ANY).lenient(),
    function("num_nonnulls", &[], Oid::INT4, |_, args| Ok(Datum::Int4((args.len() - nulls(args)) as i32)))
        .variadic(Oid::ANY)
        .lenient(),
    function("parse_ident", &[T], TEXTS, |_, args| one(args, |text: &str| parse_ident(text, true))),
    function("parse_ident", &[T, Oid::BOOL], TEXTS, |_, args| two(args, parse_ident)),
];

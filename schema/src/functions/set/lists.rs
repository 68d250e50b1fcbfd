//! Rows from arrays and strings: unnest, string_to_table, the regexp functions.

use proto::SqlResult;
use sharddb_proto as proto;

use super::{column, rows, set};
use crate::{
    Datum, Oid, SqlType,
    functions::{
        SetFunction, SetRows,
        array::parts,
        resolve::element_of,
        text::{matches, split},
        value::mismatch,
    },
};

const T: Oid = Oid::TEXT;
const TEXTS: Oid = Oid(1009);

fn unnest(args: &[Datum]) -> SqlResult<SetRows> {
    let [Datum::Array(array)] = args else { return Err(mismatch(args)) };
    let array = array.clone();
    Ok(rows((0..array.values.len()).map(move |at| array.values[at].clone())))
}

/// Elements of several arrays side by side; the shorter ones end in NULLs.
fn unnest_all(args: &[Datum]) -> SqlResult<SetRows> {
    let arrays = args.iter().map(|value| match value {
        Datum::Array(array) => Ok(array.values.clone()),
        Datum::Null => Ok(Vec::new()),
        _ => Err(mismatch(args)),
    });
    let arrays = arrays.collect::<SqlResult<Vec<Vec<Datum>>>>()?;
    let longest = arrays.iter().map(Vec::len).max().unwrap_or_default();
    let row = move |at| arrays.iter().map(|values| values.get(at).cloned().unwrap_or(Datum::Null)).collect();
    Ok(Box::new((0..longest).map(move |at| Ok(row(at)))))
}

fn unnest_columns(args: &[SqlType]) -> Vec<(String, SqlType)> {
    let column = |array: &SqlType| ("unnest".to_owned(), SqlType::new(element_of(array.oid).unwrap_or(T)));
    args.iter().map(column).collect()
}

/// Elements with their places, as the information schema's helper gives them.
fn expand(args: &[Datum]) -> SqlResult<SetRows> {
    let [Datum::Array(array)] = args else { return Err(mismatch(args)) };
    let array = array.clone();
    let numbered =
        (0..array.values.len()).map(move |at| Ok(vec![array.values[at].clone(), Datum::Int4(at as i32 + 1)]));
    Ok(Box::new(numbered))
}

fn element_type(args: &[SqlType]) -> Oid {
    args.first().and_then(|array| element_of(array.oid)).unwrap_or(T)
}

fn strings(args: &[Datum]) -> SqlResult<(&str, &str, &str)> {
    match args {
        [Datum::Text(text), Datum::Text(pattern)] => Ok((text, pattern, "")),
        [Datum::Text(text), Datum::Text(pattern), Datum::Text(letters)] => Ok((text, pattern, letters)),
        _ => Err(mismatch(args)),
    }
}

fn split_rows(args: &[Datum]) -> SqlResult<SetRows> {
    let (text, pattern, letters) = strings(args)?;
    let parts: Vec<Datum> =
        split(text, pattern, letters, "regexp_split_to_table")?.into_iter().map(Datum::text).collect();
    Ok(rows(parts))
}

fn match_rows(args: &[Datum]) -> SqlResult<SetRows> {
    let (text, pattern, letters) = strings(args)?;
    Ok(rows(matches(text, pattern, letters)?))
}

fn string_rows(args: &[Datum]) -> SqlResult<SetRows> {
    Ok(rows(parts(args)?.unwrap_or_default()))
}

const SPLIT: &str = "regexp_split_to_table";
const MATCHES: &str = "regexp_matches";
const STRING: &str = "string_to_table";

/// Rows from lists.
pub(in crate::functions) static LISTS: &[SetFunction] = &[
    set(
        "unnest",
        &[Oid::ANYARRAY],
        Oid::ANYELEMENT,
        |args| column("unnest", element_type(args)),
        |_, args| unnest(args),
    ),
    // Only in FROM, and of arrays, which the binder looks after.
    set("unnest", &[Oid::ANY; 2], Oid::RECORD, unnest_columns, |_, args| unnest_all(args)).lenient(),
    set("unnest", &[Oid::ANY; 3], Oid::RECORD, unnest_columns, |_, args| unnest_all(args)).lenient(),
    set("unnest", &[Oid::ANY; 4], Oid::RECORD, unnest_columns, |_, args| unnest_all(args)).lenient(),
    set(
        "_pg_expandarray",
        &[Oid::ANYARRAY],
        Oid::RECORD,
        |args| vec![("x".to_owned(), SqlType::new(element_type(args))), ("n".to_owned(), SqlType::new(Oid::INT4))],
        |_, args| expand(args),
    ),
    set(SPLIT, &[T, T], T, |_| column(SPLIT, T), |_, args| split_rows(args)),
    set(SPLIT, &[T, T, T], T, |_| column(SPLIT, T), |_, args| split_rows(args)),
    set(MATCHES, &[T, T], TEXTS, |_| column(MATCHES, TEXTS), |_, args| match_rows(args)),
    set(MATCHES, &[T, T, T], TEXTS, |_| column(MATCHES, TEXTS), |_, args| match_rows(args)),
    set(STRING, &[T, T], T, |_| column(STRING, T), |_, args| string_rows(args)).lenient(),
    set(STRING, &[T, T, T], T, |_| column(STRING, T), |_, args| string_rows(args)).lenient(),
];

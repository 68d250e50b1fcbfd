//! Lengths, positions and parts of strings. Positions count characters from 1.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use crate::{
    Oid,
    functions::{
        Function,
        table::function,
        value::{one, three, two},
    },
};

const T: Oid = Oid::TEXT;
const I: Oid = Oid::INT4;

/// 22011.
pub(super) fn negative_length() -> SqlError {
    SqlError::new(SqlState::SubstringError, "negative substring length not allowed")
}

fn count(text: &str) -> i32 {
    if text.is_ascii() { text.len() as i32 } else { text.chars().count() as i32 }
}

/// Without the padding of char(n).
fn bare(text: &str) -> &str {
    text.trim_end_matches(' ')
}

/// Bounds of a substring counted from 0 with the end left out, cut to what exists.
pub(super) fn window(start: i32, length: Option<i32>) -> SqlResult<(usize, usize)> {
    let first = i64::from(start) - 1;
    let end = match length {
        Some(length) if length < 0 => return Err(negative_length()),
        Some(length) => first + i64::from(length),
        None => i64::MAX,
    };
    Ok((first.max(0) as usize, end.max(0) as usize))
}

/// The characters from `from` to before `to`.
pub(super) fn characters(text: &str, from: usize, to: usize) -> &str {
    if from >= to {
        return "";
    }
    if text.is_ascii() {
        return &text[from.min(text.len())..to.min(text.len())];
    }
    let place = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(place, _)| place);
    let start = place(from);
    let rest = &text[start..];
    let end = rest.char_indices().nth(to.saturating_sub(from)).map_or(rest.len(), |(place, _)| place);
    &rest[..end]
}

fn substring(text: &str, start: i32, length: Option<i32>) -> SqlResult<String> {
    let (from, to) = window(start, length)?;
    Ok(characters(text, from, to).to_owned())
}

pub(super) fn bytes_window(bytes: &[u8], start: i32, length: Option<i32>) -> SqlResult<Vec<u8>> {
    let (from, to) = window(start, length)?;
    let (from, to) = (from.min(bytes.len()), to.min(bytes.len()));
    Ok(if from < to { bytes[from..to].to_vec() } else { Vec::new() })
}

fn left(text: &str, count: i32) -> String {
    let wanted = if count < 0 { i64::from(self::count(text)) + i64::from(count) } else { count.into() };
    characters(text, 0, wanted.max(0) as usize).to_owned()
}

fn right(text: &str, count: i32) -> String {
    let total = i64::from(self::count(text));
    let skipped = if count < 0 { -i64::from(count) } else { total - i64::from(count) };
    characters(text, skipped.max(0) as usize, total as usize).to_owned()
}

/// Place of the first occurrence, 0 without one; an empty string is found at once.
fn position(text: &str, part: &str) -> i32 {
    text.find(part).map_or(0, |at| count(&text[..at]) + 1)
}

fn bytes_position(bytes: &[u8], part: &[u8]) -> i32 {
    if part.is_empty() {
        return 1;
    }
    bytes.windows(part.len()).position(|window| window == part).map_or(0, |at| at as i32 + 1)
}

fn split_part(text: &str, separator: &str, field: i32) -> SqlResult<String> {
    if field == 0 {
        return Err(SqlError::new(SqlState::InvalidParameterValue, "field position must not be zero"));
    }
    if text.is_empty() {
        return Ok(String::new());
    }
    if separator.is_empty() {
        return Ok(if matches!(field, 1 | -1) { text.to_owned() } else { String::new() });
    }
    let at = field.unsigned_abs() as usize - 1;
    let part = if field > 0 { text.split(separator).nth(at) } else { text.rsplit(separator).nth(at) };
    Ok(part.unwrap_or_default().to_owned())
}

fn overlay(text: &str, new: &str, start: i32, length: i32) -> SqlResult<String> {
    if start <= 0 {
        return Err(negative_length());
    }
    let tail = start.checked_add(length).ok_or_else(|| crate::functions::number::out_of_range("integer"))?;
    let head = characters(text, 0, start as usize - 1);
    let (from, to) = window(tail, None)?;
    Ok([head, new, characters(text, from, to)].concat())
}

/// Lengths.
pub(in crate::functions) static LENGTHS: &[Function] = &[
    function("length", &[T], I, |_, args| one(args, count)),
    function("length", &[Oid::BPCHAR], I, |_, args| one(args, |text: &str| count(bare(text)))),
    function("char_length", &[T], I, |_, args| one(args, count)),
    function("char_length", &[Oid::BPCHAR], I, |_, args| one(args, |text: &str| count(bare(text)))),
    function("character_length", &[T], I, |_, args| one(args, count)),
    function("character_length", &[Oid::BPCHAR], I, |_, args| one(args, |text: &str| count(bare(text)))),
    function("octet_length", &[T], I, |_, args| one(args, |text: &str| text.len() as i32)),
    function("octet_length", &[Oid::BPCHAR], I, |_, args| one(args, |text: &str| text.len() as i32)),
    function("bit_length", &[T], I, |_, args| one(args, |text: &str| text.len() as i32 * 8)),
];

/// Parts and positions.
pub(in crate::functions) static PARTS: &[Function] = &[
    function("substr", &[T, I], T, |_, args| two(args, |text: &str, start: i32| substring(text, start, None))),
    function("substr", &[T, I, I], T, |_, args| {
        three(args, |text: &str, start: i32, length: i32| substring(text, start, Some(length)))
    }),
    function("substring", &[T, I], T, |_, args| two(args, |text: &str, start: i32| substring(text, start, None))),
    function("substring", &[T, I, I], T, |_, args| {
        three(args, |text: &str, start: i32, length: i32| substring(text, start, Some(length)))
    }),
    function("left", &[T, I], T, |_, args| two(args, left)),
    function("right", &[T, I], T, |_, args| two(args, right)),
    function("position", &[T, T], I, |_, args| two(args, position)),
    function("strpos", &[T, T], I, |_, args| two(args, position)),
    function("position", &[Oid::BYTEA; 2], I, |_, args| two(args, bytes_position)),
    function("split_part", &[T, T, I], T, |_, args| three(args, split_part)),
    function("overlay", &[T, T, I], T, |_, args| {
        three(args, |text: &str, new: &str, start: i32| overlay(text, new, start, count(new)))
    }),
    function("overlay", &[T, T, I, I], T, |_, args| crate::functions::value::four(args, overlay)),
];

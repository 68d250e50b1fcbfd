//! Strings made from strings: case, padding, trimming, replacement.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use crate::{
    Datum, Oid,
    functions::{
        Function,
        table::{function, operator},
        value::{one, three, two},
    },
};

const T: Oid = Oid::TEXT;
const I: Oid = Oid::INT4;
/// PostgreSQL's limit of a value's bytes (MaxAllocSize).
const BYTES_MAX: usize = 0x3fff_ffff;

/// One character's other case, where that is one character.
fn single(mut mapped: impl Iterator<Item = char>, original: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(c), None) => c,
        _ => original,
    }
}

fn upper_char(c: char) -> char {
    single(c.to_uppercase(), c)
}

fn lower_char(c: char) -> char {
    single(c.to_lowercase(), c)
}

/// Upper case, character by character as the C library does it.
pub(in crate::functions) fn upper(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_uppercase() } else { text.chars().map(upper_char).collect() }
}

/// Lower case, character by character as the C library does it.
pub(in crate::functions) fn lower(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().map(lower_char).collect() }
}

/// The first letter of each word in upper case, the others in lower case.
fn initcap(text: &str) -> String {
    let mut inside = false;
    let change = |c: char| {
        let changed = if inside { lower_char(c) } else { upper_char(c) };
        inside = c.is_alphanumeric();
        changed
    };
    text.chars().map(change).collect()
}

/// 54000.
pub(super) fn too_long() -> SqlError {
    SqlError::new(SqlState::ProgramLimitExceeded, "requested length too large")
}

fn padding(missing: usize, fill: &str) -> String {
    fill.chars().cycle().take(missing).collect()
}

/// Text cut or filled to a length, on the left or right.
fn pad(text: &str, length: i32, fill: &str, left: bool) -> SqlResult<String> {
    let length = length.max(0) as usize;
    let present = text.chars().count();
    if length.saturating_mul(4) > BYTES_MAX {
        return Err(too_long());
    }
    if present >= length || fill.is_empty() {
        return Ok(text.chars().take(length).collect());
    }
    let filling = padding(length - present, fill);
    Ok(if left { filling + text } else { text.to_owned() + &filling })
}

fn repeat(text: &str, count: i32) -> SqlResult<String> {
    let count = count.max(0) as usize;
    if text.len().saturating_mul(count) > BYTES_MAX {
        return Err(too_long());
    }
    Ok(text.repeat(count))
}

fn replace(text: &str, from: &str, to: &str) -> SqlResult<String> {
    if from.is_empty() {
        return Ok(text.to_owned());
    }
    if to.len() > from.len() {
        let grown = text.matches(from).count().saturating_mul(to.len() - from.len());
        if grown.saturating_add(text.len()) > BYTES_MAX {
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, "out of memory"));
        }
    }
    Ok(text.replace(from, to))
}

/// Replaces each character of `from` by the one at its place in `to`; without one it goes.
fn translate(text: &str, from: &str, to: &str) -> String {
    let to: Vec<char> = to.chars().collect();
    let change = |c: char| match from.chars().position(|other| other == c) {
        None => Some(c),
        Some(at) => to.get(at).copied(),
    };
    text.chars().filter_map(change).collect()
}

fn trim<'a>(text: &'a str, set: &str, left: bool, right: bool) -> &'a str {
    let in_set = |c: char| set.contains(c);
    let text = if left { text.trim_start_matches(in_set) } else { text };
    if right { text.trim_end_matches(in_set) } else { text }
}

fn trim_bytes(bytes: &[u8], set: &[u8], left: bool, right: bool) -> Vec<u8> {
    let kept = |byte: &u8| !set.contains(byte);
    let start = if left { bytes.iter().position(kept).unwrap_or(bytes.len()) } else { 0 };
    let end = if right { bytes.iter().rposition(kept).map_or(start, |at| at + 1) } else { bytes.len() };
    bytes[start..end.max(start)].to_vec()
}

fn ascii(text: &str) -> i32 {
    text.chars().next().map_or(0, |c| u32::from(c) as i32)
}

fn chr(code: i32) -> SqlResult<String> {
    let limit = |message: String| SqlError::new(SqlState::ProgramLimitExceeded, message);
    let code = u32::try_from(code)
        .map_err(|_| SqlError::new(SqlState::InvalidParameterValue, "character number must be positive"))?;
    if code == 0 {
        return Err(limit("null character not permitted".to_owned()));
    }
    if code > 0x10_ffff {
        return Err(limit(format!("requested character too large for encoding: {code}")));
    }
    let c = char::from_u32(code).ok_or_else(|| limit(format!("requested character not valid for encoding: {code}")))?;
    Ok(c.to_string())
}

macro_rules! trims {
    ($($name:literal $left:literal $right:literal;)*) => { &[$(
        function($name, &[T], T, |_, args| one(args, |text: &str| trim(text, " ", $left, $right).to_owned())),
        function($name, &[T, T], T, |_, args| {
            two(args, |text: &str, set: &str| trim(text, set, $left, $right).to_owned())
        }),
        function($name, &[Oid::BYTEA; 2], Oid::BYTEA, |_, args| {
            two(args, |bytes: &[u8], set: &[u8]| trim_bytes(bytes, set, $left, $right))
        }),
    )*] };
}

/// btrim, ltrim and rtrim.
pub(in crate::functions) static TRIMS: &[Function] = trims! {
    "btrim" true true;
    "ltrim" true false;
    "rtrim" false true;
};

/// Case, padding and replacement.
pub(in crate::functions) static CHANGES: &[Function] = &[
    function("upper", &[T], T, |_, args| one(args, upper)),
    function("lower", &[T], T, |_, args| one(args, lower)),
    function("initcap", &[T], T, |_, args| one(args, initcap)),
    function("lpad", &[T, I], T, |_, args| two(args, |text: &str, length: i32| pad(text, length, " ", true))),
    function("lpad", &[T, I, T], T, |_, args| {
        three(args, |text: &str, length: i32, fill: &str| pad(text, length, fill, true))
    }),
    function("rpad", &[T, I], T, |_, args| two(args, |text: &str, length: i32| pad(text, length, " ", false))),
    function("rpad", &[T, I, T], T, |_, args| {
        three(args, |text: &str, length: i32, fill: &str| pad(text, length, fill, false))
    }),
    function("repeat", &[T, I], T, |_, args| two(args, repeat)),
    function("replace", &[T, T, T], T, |_, args| three(args, replace)),
    function("reverse", &[T], T, |_, args| one(args, |text: &str| text.chars().rev().collect::<String>())),
    function("translate", &[T, T, T], T, |_, args| three(args, translate)),
    function("ascii", &[T], I, |_, args| one(args, ascii)),
    function("chr", &[I], T, |_, args| one(args, chr)),
    operator("starts_with", "^@", &[T, T], Oid::BOOL, |_, args| {
        two(args, |text: &str, start: &str| text.starts_with(start))
    }),
    function("to_hex", &[I], T, |_, args| one(args, |value: i32| format!("{value:x}"))),
    function("to_hex", &[Oid::INT8], T, |_, args| one(args, |value: i64| format!("{value:x}"))),
    function("text", &[Oid::BPCHAR], T, |_, args| one(args, |text: &str| text.trim_end_matches(' ').to_owned())),
    function("text", &[Oid::NAME], T, |_, args| Ok(args[0].clone())),
    function("text", &[Oid::BOOL], T, |_, args| one(args, |value: bool| value.to_string())),
    function("name", &[T], Oid::NAME, |_, args| one(args, crate::text::truncate_name)),
    function("unistr", &[T], T, |_, args| one(args, unistr)),
    function("hashtext", &[T], I, |_, args| one(args, |text: &str| Datum::Int4(hash_text(text)))),
];

/// Resolves Unicode escapes: `\XXXX`, `\+XXXXXX`, `\uXXXX`, `\UXXXXXXXX`.
fn unistr(text: &str) -> SqlResult<String> {
    let invalid = || {
        SqlError::new(SqlState::SyntaxError, "invalid Unicode escape")
            .with_hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut units: Vec<u16> = Vec::new();
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('\\') {
            out.push('\\');
            rest = after;
            continue;
        }
        let (skip, digits) = match rest.chars().next() {
            Some('+') => (1, 6),
            Some('u') => (1, 4),
            Some('U') => (1, 8),
            _ => (0, 4),
        };
        let hex = rest.get(skip..skip + digits).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = u32::from_str_radix(hex.ok_or_else(invalid)?, 16).map_err(|_| invalid())?;
        rest = &rest[skip + digits..];
        match u16::try_from(code) {
            Ok(unit @ 0xd800..=0xdfff) => units.push(unit),
            _ => out.push(char::from_u32(code).ok_or_else(invalid)?),
        }
        if units.len() == 2 {
            out.push_str(
                &String::from_utf16(&units)
                    .map_err(|_| SqlError::new(SqlState::SyntaxError, "invalid Unicode surrogate pair"))?,
            );
            units.clear();
        }
    }
    if !units.is_empty() {
        return Err(SqlError::new(SqlState::SyntaxError, "invalid Unicode surrogate pair"));
    }
    Ok(out + rest)
}

/// A hash that is the same in every process (FNV-1a); not PostgreSQL's.
fn hash_text(text: &str) -> i32 {
    text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)) as i32
}

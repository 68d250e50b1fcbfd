//! Texts that differ only in integer literals, made one.
//!
//! Clients of the simple protocol write values into the text. For statements of simple shapes an integer literal means
//! the same as a parameter of its type: these become `$1`, `$2` …, so that one plan serves all values. Shapes in which a
//! number stands for something else (a position, a length, a count of rows) are left alone.

use schema::{Datum, Oid};
use sharddb_schema as schema;

/// Longest text looked at: longer ones are loads.
const TEXT_BYTES_MAX: usize = 4096;
/// Most literals of one text.
const LITERALS_MAX: usize = 64;

/// A text with parameters for its integer literals.
pub(crate) struct Normalized {
    pub(crate) text: String,
    pub(crate) values: Vec<Datum>,
    pub(crate) types: Vec<Oid>,
}

/// Words after which numbers have other meanings than values.
const FOREIGN: [&[u8]; 24] = [
    b"order",
    b"group",
    b"limit",
    b"offset",
    b"fetch",
    b"interval",
    b"over",
    b"partition",
    b"with",
    b"create",
    b"alter",
    b"cast",
    b"array",
    b"date",
    b"time",
    b"timestamp",
    b"timestamptz",
    b"varchar",
    b"char",
    b"numeric",
    b"decimal",
    b"union",
    b"explain",
    b"distinct",
];

/// The text with its integer literals taken out; `None` when there is none or the shape is not simple.
pub(crate) fn normalize(sql: &str) -> Option<Normalized> {
    let bytes = sql.as_bytes();
    if bytes.len() > TEXT_BYTES_MAX || !starts_simply(bytes) {
        return None;
    }
    let mut out = Normalized { text: String::with_capacity(sql.len() + 8), values: Vec::new(), types: Vec::new() };
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\'' => at = after_string(bytes, at)?,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let end = after_word(bytes, at);
                let word = &bytes[at..end];
                // E'…' and its like have rules of their own.
                // SELECT INTO makes a table.
                let makes_table = word.eq_ignore_ascii_case(b"into") && !starts_with_insert(bytes);
                if makes_table
                    || bytes.get(end) == Some(&b'\'')
                    || FOREIGN.iter().any(|foreign| word.eq_ignore_ascii_case(foreign))
                {
                    return None;
                }
                at = end;
            }
            b'0'..=b'9' => {
                let end = at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                if !ends_number(bytes.get(end).copied()) || out.values.len() == LITERALS_MAX {
                    return None;
                }
                let (value, oid) = integer(&sql[at..end])?;
                out.text.push_str(&sql[copied..at]);
                out.values.push(value);
                out.types.push(oid);
                out.text.push('$');
                out.text.push_str(&out.values.len().to_string());
                (at, copied) = (end, end);
            }
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b'(' | b')' | b'=' | b'<' | b'>' | b'+' | b'*' | b'.' => at += 1,
            b'-' if bytes.get(at + 1) != Some(&b'-') => at += 1,
            b';' if bytes[at + 1..].iter().all(u8::is_ascii_whitespace) => break,
            // Anything else (quotes, comments, parameters, casts, arrays, bytes beyond ASCII) is for the parser.
            _ => return None,
        }
    }
    if out.values.is_empty() {
        return None;
    }
    out.text.push_str(&sql[copied..at]);
    Some(out)
}

fn starts_simply(bytes: &[u8]) -> bool {
    let starts = |word: &[u8]| {
        bytes.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            && bytes.get(word.len()).is_some_and(u8::is_ascii_whitespace)
    };
    [b"select".as_slice(), b"update", b"insert", b"delete"].into_iter().any(starts)
}

fn starts_with_insert(bytes: &[u8]) -> bool {
    bytes.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"insert"))
}

fn after_word(bytes: &[u8], start: usize) -> usize {
    let part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    start + bytes[start..].iter().take_while(part).count()
}

/// The end of a plain string literal.
fn after_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Whether a number ends before this byte: no fraction, exponent or word follows.
fn ends_number(next: Option<u8>) -> bool {
    next.is_none_or(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$')) && byte.is_ascii())
}

/// An integer literal's value and type, as the parser decides it.
fn integer(digits: &str) -> Option<(Datum, Oid)> {
    if let Ok(value) = digits.parse::<i32>() {
        return Some((Datum::Int4(value), Oid::INT4));
    }
    digits.parse::<i64>().ok().map(|value| (Datum::Int8(value), Oid::INT8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sql: &str) -> Option<String> {
        normalize(sql).map(|normalized| normalized.text)
    }

    #[test]
    fn values_become_parameters() {
        assert_eq!(
            text("UPDATE t SET a = a + -17 WHERE b = 3;").as_deref(),
            Some("UPDATE t SET a = a + -$1 WHERE b = $2")
        );
        assert_eq!(
            text("insert into t (a, b1) values (5000000000, 'x 1''2')").as_deref(),
            Some("insert into t (a, b1) values ($1, 'x 1''2')")
        );
    }

    #[test]
    fn other_shapes_are_left_alone() {
        for sql in [
            "SELECT a FROM t ORDER BY 1",
            "SELECT a FROM t LIMIT 1",
            "SELECT 1.5",
            "SELECT '1'::varchar(3), 1",
            "SELECT E'1', 1",
            "SELECT 1 -- 2",
            "SELECT 1; SELECT 2",
            "SELECT \"1\", 1",
            "SELECT $1, 1",
            "SET a = 1",
            "SELECT a FROM t",
            "SELECT 99999999999999999999",
        ] {
            assert_eq!(text(sql), None, "{sql}");
        }
    }
}

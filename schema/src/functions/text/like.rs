//! LIKE and ILIKE: `%` stands for any characters, `_` for one, a backslash takes the next character literally.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::lower;
use crate::{
    Oid,
    functions::{
        Function,
        table::{function, operator},
        value::two,
    },
};

fn escape_at_end() -> SqlError {
    SqlError::new(SqlState::InvalidEscapeSequence, "LIKE pattern must not end with escape character")
}

/// Whether bytes match a pattern. `width` tells how many bytes the character at the front has.
///
/// A mismatch goes back to the last `%` only: earlier ones need not be tried again, so this takes at most
/// length of text by length of pattern steps.
fn matches(text: &[u8], pattern: &[u8], width: fn(u8) -> usize) -> SqlResult<bool> {
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some(b'%') => {
                p += 1;
                retry = Some((t, p));
                continue;
            }
            None if t == text.len() => return Ok(true),
            None => None,
            Some(b'_') if t < text.len() => Some((width(text[t]), 1)),
            Some(b'_') => None,
            Some(b'\\') => {
                let literal = pattern.get(p + 1).ok_or_else(escape_at_end)?;
                (text.get(t) == Some(literal)).then_some((1, 2))
            }
            Some(literal) => (text.get(t) == Some(literal)).then_some((1, 1)),
        };
        match (step, retry) {
            (Some((text_step, pattern_step)), _) => {
                t += text_step;
                p += pattern_step;
            }
            (None, Some((from, after))) if from < text.len() => {
                t = from + width(text[from]);
                p = after;
                retry = Some((t, p));
            }
            _ => return check_rest(pattern, p),
        }
    }
}

/// No match; but a pattern that ends with its escape character is an error if the match got that far.
fn check_rest(pattern: &[u8], at: usize) -> SqlResult<bool> {
    match pattern.get(at..) {
        Some([b'\\']) => Err(escape_at_end()),
        _ => Ok(false),
    }
}

/// Bytes of a UTF-8 character by its first byte.
fn utf8_width(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

fn like(text: &str, pattern: &str) -> SqlResult<bool> {
    matches(text.as_bytes(), pattern.as_bytes(), utf8_width)
}

fn ilike(text: &str, pattern: &str) -> SqlResult<bool> {
    matches(lower(text).as_bytes(), lower(pattern).as_bytes(), utf8_width)
}

fn bytes_like(text: &[u8], pattern: &[u8]) -> SqlResult<bool> {
    matches(text, pattern, |_| 1)
}

/// `LIKE … ESCAPE`: rewrites the pattern to the backslash as escape character.
fn change_escape(pattern: &str, escape: &str) -> SqlResult<String> {
    let mut chars = escape.chars();
    let (escape, further) = (chars.next(), chars.next());
    if further.is_some() {
        return Err(SqlError::new(SqlState::InvalidEscapeSequence, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let mut out = String::with_capacity(pattern.len());
    let mut escaped = false;
    for c in pattern.chars() {
        if Some(c) == escape && !escaped {
            out.push('\\');
            escaped = true;
        } else {
            if c == '\\' && !escaped {
                out.push('\\');
            }
            out.push(c);
            escaped = false;
        }
    }
    Ok(out)
}

macro_rules! likes {
    ($($prefix:literal $left:ident;)*) => { &[$(
        operator(concat!($prefix, "like"), "~~", &[Oid::$left, Oid::TEXT], Oid::BOOL, |_, args| two(args, like)),
        operator(concat!($prefix, "nlike"), "!~~", &[Oid::$left, Oid::TEXT], Oid::BOOL, |_, args| {
            two(args, |text: &str, pattern: &str| like(text, pattern).map(|found| !found))
        }),
        operator(concat!($prefix, "iclike"), "~~*", &[Oid::$left, Oid::TEXT], Oid::BOOL, |_, args| two(args, ilike)),
        operator(concat!($prefix, "icnlike"), "!~~*", &[Oid::$left, Oid::TEXT], Oid::BOOL, |_, args| {
            two(args, |text: &str, pattern: &str| ilike(text, pattern).map(|found| !found))
        }),
    )*] };
}

/// The operators that LIKE and ILIKE stand for.
pub(in crate::functions) static LIKE: &[Function] = likes! {
    "text" TEXT;
    "bpchar" BPCHAR;
    "name" NAME;
};

/// LIKE on bytea, the function form, and ESCAPE.
pub(in crate::functions) static LIKE_OTHER: &[Function] = &[
    operator("bytealike", "~~", &[Oid::BYTEA; 2], Oid::BOOL, |_, args| two(args, bytes_like)),
    operator("byteanlike", "!~~", &[Oid::BYTEA; 2], Oid::BOOL, |_, args| {
        two(args, |text: &[u8], pattern: &[u8]| bytes_like(text, pattern).map(|found| !found))
    }),
    function("like", &[Oid::TEXT; 2], Oid::BOOL, |_, args| two(args, like)),
    function("notlike", &[Oid::TEXT; 2], Oid::BOOL, |_, args| {
        two(args, |text: &str, pattern: &str| like(text, pattern).map(|found| !found))
    }),
    function("like_escape", &[Oid::TEXT; 2], Oid::TEXT, |_, args| two(args, change_escape)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_postgresql() {
        for (text, pattern, found) in [
            ("hawkeye", "h%", true),
            ("hawkeye", "H%", false),
            ("hawkeye", "h%eye", true),
            ("hawkeye", "_ndio", false),
            ("indio", "_nd_o", true),
            ("", "%", true),
            ("", "", true),
            ("a", "", false),
            ("ä", "_", true),
            ("äx", "_x", true),
            ("h%", "h\\%", true),
            ("hx", "h\\%", false),
            ("abcabc", "%abc", true),
            ("aXbXc", "a%b%c", true),
            ("aaa", "%a%a%a%a%", false),
        ] {
            assert_eq!(like(text, pattern).ok(), Some(found), "{text} {pattern}");
        }
        assert!(like("a", "a\\").is_err() || !like("a", "a\\").unwrap_or(true));
        assert_eq!(ilike("HawkEye", "hAWK%").ok(), Some(true));
        assert_eq!(change_escape("a!%b\\", "!").ok().as_deref(), Some("a\\%b\\\\"));
    }
}

//! SIMILAR TO: SQL's own regular expressions, rewritten to PostgreSQL's.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{Flags, compile};
use crate::{
    Datum, Oid,
    functions::{
        Function,
        table::function,
        value::{mismatch, one, three, two},
    },
};

const T: Oid = Oid::TEXT;

/// Rewrites a pattern; `escape` takes the meaning from the character after it. The escape character before a double
/// quote separates the parts of substring(text, pattern, escape).
fn rewrite(pattern: &str, escape: &str) -> SqlResult<String> {
    let mut chars = escape.chars();
    let escape = chars.next();
    if chars.next().is_some() {
        return Err(SqlError::new(SqlState::InvalidEscapeSequence, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let mut out = String::from("^(?:");
    let (mut escaped, mut bracket, mut separators) = (false, false, 0);
    for c in pattern.chars() {
        if escaped {
            match (c, bracket, separators) {
                ('"', false, 0) => {
                    out.push_str("){1,1}?(");
                    separators = 1;
                }
                ('"', false, 1) => {
                    out.push_str("){1,1}(?:");
                    separators = 2;
                }
                ('"', false, _) => {
                    let message = "SQL regular expression may not contain more than two escape-double-quote separators";
                    return Err(SqlError::new(SqlState::InvalidEscapeSequence, message));
                }
                // Escaped letters and digits are passed on, so that classes such as \d work.
                (c, ..) => out.extend(['\\', c]),
            }
            escaped = false;
        } else if Some(c) == escape {
            escaped = true;
        } else if bracket {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
            bracket = c != ']';
        } else {
            match c {
                '[' => {
                    bracket = true;
                    out.push(c);
                }
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                '\\' | '.' | '^' | '$' => out.extend(['\\', c]),
                c => out.push(c),
            }
        }
    }
    out.push_str(")$");
    Ok(out)
}

fn similar_escape(args: &[Datum]) -> SqlResult<Datum> {
    match args {
        [Datum::Null, _] => Ok(Datum::Null),
        [Datum::Text(pattern), Datum::Null] => rewrite(pattern, "\\").map(Datum::text),
        [Datum::Text(pattern), Datum::Text(escape)] => rewrite(pattern, escape).map(Datum::text),
        _ => Err(mismatch(args)),
    }
}

fn substring(text: &str, pattern: &str, escape: &str) -> SqlResult<Option<String>> {
    let pattern = compile(&rewrite(pattern, escape)?, Flags::NONE)?;
    let place = pattern.find_at(text, 0).and_then(|places| places[usize::from(pattern.groups() > 0)]);
    Ok(place.map(|(from, to)| text[from..to].to_owned()))
}

/// What SIMILAR TO and its substring stand for.
pub(in crate::functions) static SIMILAR: &[Function] = &[
    function("similar_to_escape", &[T], T, |_, args| one(args, |pattern: &str| rewrite(pattern, "\\"))),
    function("similar_to_escape", &[T, T], T, |_, args| two(args, rewrite)),
    function("similar_escape", &[T, T], T, |_, args| similar_escape(args)).lenient(),
    function("substring", &[T, T, T], T, |_, args| three(args, substring)),
];

//! json and jsonb.
//!
//! json keeps its text; jsonb is normalized as PostgreSQL prints it: keys ordered by length and bytes, the last of equal
//! keys kept, one space after colons and commas, numbers as numerics.

use proto::{SqlError, SqlResult, SqlState};
use serde_json::Value;
use sharddb_proto as proto;

use crate::Numeric;

/// Checks that text is JSON.
pub fn check_json(text: &str, kind: &str) -> SqlResult<()> {
    parse(text, kind).map(drop)
}

/// Text of a jsonb value.
pub fn normalize_jsonb(text: &str) -> SqlResult<String> {
    let value = parse(text, "json")?;
    let mut out = String::with_capacity(text.len());
    write(&value, &mut out)?;
    Ok(out)
}

fn parse(text: &str, kind: &str) -> SqlResult<Value> {
    serde_json::from_str(text).map_err(|error| {
        let state = SqlState::InvalidTextRepresentation;
        if error.to_string().contains("recursion limit") {
            return SqlError::new(SqlState::StatementTooComplex, "stack depth limit exceeded");
        }
        let detail = if text.trim().is_empty() || error.is_eof() {
            "The input string ended unexpectedly.".to_owned()
        } else {
            format!("Token \"{}\" is invalid.", token_at(text, error.line(), error.column()))
        };
        SqlError::new(state, format!("invalid input syntax for type {kind}")).with_detail(detail)
    })
}

/// The token around a position that a parse error names.
fn token_at(text: &str, line: usize, column: usize) -> String {
    let Some(line) = text.lines().nth(line.saturating_sub(1)) else { return String::new() };
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = column.saturating_sub(1).min(line.len());
    while !line.is_char_boundary(at) {
        at -= 1;
    }
    let start = line[..at]
        .rfind(|c| !part_of_word(c))
        .map_or(0, |before| before + line[before..].chars().next().map_or(1, char::len_utf8));
    let word: String = line[start..].chars().take_while(|c| part_of_word(*c)).collect();
    if word.is_empty() { line[at..].chars().take(1).collect() } else { word }
}

/// Writes a value in jsonb's form.
pub(crate) fn write(value: &Value, out: &mut String) -> SqlResult<()> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&Numeric::parse(number.as_str())?.to_string()),
        Value::String(text) => write_string(text, out)?,
        Value::Array(elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write(element, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            out.push('{');
            for (at, (key, member)) in members.into_iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_string(key, out)?;
                out.push_str(": ");
                write(member, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut String) -> SqlResult<()> {
    if text.contains('\0') {
        return Err(SqlError::new(SqlState::UntranslatableCharacter, "unsupported Unicode escape sequence")
            .with_detail("\\u0000 cannot be converted to text."));
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(())
}

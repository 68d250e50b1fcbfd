//! SET, SHOW, RESET and DISCARD.

use proto::SqlResult;
use sharddb_proto as proto;
use sqlparser::tokenizer::Token;

use super::{super::cursor::Cursor, transaction};
use crate::plan::Statement;

pub(super) fn read(word: &str, cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    match word {
        "set" => set(cursor),
        "show" => Ok(Statement::Show(parameter(cursor)?)),
        "reset" => Ok(Statement::Reset(match cursor.take("all") {
            true => None,
            false => Some(parameter(cursor)?),
        })),
        _ => {
            for (word, name) in [
                ("all", "ALL"),
                ("plans", "PLANS"),
                ("sequences", "SEQUENCES"),
                ("temp", "TEMP"),
                ("temporary", "TEMP"),
            ] {
                if cursor.take(word) {
                    return Ok(Statement::Discard(name.to_owned()));
                }
            }
            cursor.error()
        }
    }
}

/// A parameter's name, with the spellings of several words that SQL gives some.
pub(super) fn parameter(cursor: &mut Cursor<'_>) -> SqlResult<String> {
    if cursor.take_all(&["time", "zone"]) {
        return Ok("timezone".to_owned());
    }
    if cursor.take_all(&["transaction", "isolation", "level"]) {
        return Ok("transaction_isolation".to_owned());
    }
    if cursor.take_all(&["session", "authorization"]) {
        return Ok("session_authorization".to_owned());
    }
    Ok(cursor.qualified_name()?.join(".").to_lowercase())
}

fn set(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    let session = cursor.take("session");
    if session && cursor.take_all(&["characteristics", "as", "transaction"]) {
        return Ok(Statement::SetTransaction { mode: transaction::modes(cursor)?, session: true });
    }
    let local = !session && cursor.take("local");
    if !session && !local && cursor.take("transaction") {
        if cursor.take("snapshot") {
            return Err(proto::SqlError::unsupported("SET TRANSACTION SNAPSHOT"));
        }
        return Ok(Statement::SetTransaction { mode: transaction::modes(cursor)?, session: false });
    }
    if !session && !local && cursor.take("constraints") {
        if !cursor.take("all") {
            return Err(proto::SqlError::unsupported("SET CONSTRAINTS for single constraints"));
        }
        let deferred = cursor.take("deferred");
        if !deferred {
            cursor.expect("immediate")?;
        }
        return Ok(Statement::SetConstraints { deferred });
    }
    if cursor.take_all(&["time", "zone"]) {
        return Ok(Statement::Set { name: "timezone".to_owned(), value: time_zone(cursor)?, local });
    }
    if cursor.take("names") {
        let value = if cursor.take("default") { None } else { Some(value(cursor)?) };
        return Ok(Statement::Set { name: "client_encoding".to_owned(), value, local });
    }
    if cursor.take("schema") {
        return Ok(Statement::Set { name: "search_path".to_owned(), value: Some(cursor.string()?), local });
    }
    if cursor.take("role") {
        let value = if cursor.take("none") { "none".to_owned() } else { value(cursor)? };
        return Ok(Statement::Set { name: "role".to_owned(), value: Some(value), local });
    }
    let name = parameter(cursor)?;
    if !(cursor.take("to") || name == "session_authorization" || cursor.take_token(&Token::Eq)) {
        return cursor.error();
    }
    if cursor.take("default") {
        return Ok(Statement::Set { name, value: None, local });
    }
    let values = cursor.list(value)?;
    let value = if values.len() > 1 || name == "search_path" { quote_list(&values) } else { values.concat() };
    Ok(Statement::Set { name, value: Some(value), local })
}

/// Values of a list as one text: what is no plain name is quoted.
fn quote_list(values: &[String]) -> String {
    let quoted: Vec<String> = values
        .iter()
        .map(|value| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let first = value.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
            match first && value.chars().all(plain) {
                true => value.clone(),
                false => format!("\"{}\"", value.replace('"', "\"\"")),
            }
        })
        .collect();
    quoted.join(", ")
}

/// A value: a name, a string or a number.
pub(super) fn value(cursor: &mut Cursor<'_>) -> SqlResult<String> {
    let sign = if cursor.take_token(&Token::Minus) { "-" } else { "" };
    match cursor.peek() {
        Some(Token::Number(digits, _)) => {
            cursor.next();
            Ok(format!("{sign}{digits}"))
        }
        Some(Token::Word(_)) if sign.is_empty() => Ok(cursor.qualified_name()?.join(".")),
        _ if sign.is_empty() => cursor.string(),
        _ => cursor.error(),
    }
}

/// The value of SET TIME ZONE; a number counts hours east, an interval is an offset.
fn time_zone(cursor: &mut Cursor<'_>) -> SqlResult<Option<String>> {
    if cursor.take_any(&["local", "default"]) {
        return Ok(None);
    }
    if cursor.take("interval") {
        let offset = cursor.string()?;
        if cursor.take("hour") && cursor.take("to") {
            cursor.expect("minute")?;
        }
        return Ok(Some(format!("<{offset}>{}", invert(&offset))));
    }
    value(cursor).map(Some)
}

/// POSIX zones count west of Greenwich.
fn invert(offset: &str) -> String {
    match offset.strip_prefix('-') {
        Some(west) => west.to_owned(),
        None => format!("-{}", offset.trim_start_matches('+')),
    }
}

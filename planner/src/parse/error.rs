//! Syntax errors as PostgreSQL reports them.

use proto::{SqlError, SqlState};
use sharddb_proto as proto;
use sqlparser::{
    parser::ParserError,
    tokenizer::{Location, Token, TokenWithSpan, TokenizerError},
};

use super::{Positions, too_deep};

/// "syntax error at or near" this token, or "at end of input".
pub(super) fn near(token: &TokenWithSpan, positions: &Positions<'_>) -> SqlError {
    if token.token == Token::EOF {
        return at_end(positions);
    }
    let start = positions.offset(token.span.start);
    let end = positions.offset(token.span.end).max(start);
    near_text(&positions.text()[start..end], positions.position(start))
}

fn near_text(text: &str, position: u32) -> SqlError {
    SqlError::new(SqlState::SyntaxError, format!("syntax error at or near \"{text}\"")).with_position(position)
}

/// "syntax error at end of input".
pub(super) fn at_end(positions: &Positions<'_>) -> SqlError {
    SqlError::new(SqlState::SyntaxError, "syntax error at end of input")
        .with_position(positions.position(positions.text().len()))
}

/// An error of the tokenizer: almost always something unterminated.
pub(super) fn of_tokenizer(error: &TokenizerError, positions: &Positions<'_>) -> SqlError {
    let start = positions.offset(error.location);
    let rest = &positions.text()[start.min(positions.text().len())..];
    let what = match rest.as_bytes() {
        [b'\'', ..] => "unterminated quoted string",
        [b'"', ..] => "unterminated quoted identifier",
        [b'$', ..] => "unterminated dollar-quoted string",
        [b'/', b'*', ..] => "unterminated /* comment",
        _ if error.message.to_lowercase().contains("comment") => "unterminated /* comment",
        _ if error.message.contains("string literal") => "unterminated quoted string",
        _ => "syntax error",
    };
    let message = format!("{what} at or near \"{rest}\"");
    SqlError::new(SqlState::SyntaxError, message).with_position(positions.position(start))
}

/// An error of the parser. Its message ends in "found: TOKEN at Line: L, Column: C", from which the place is read.
pub(super) fn of_parser(error: &ParserError, positions: &Positions<'_>) -> SqlError {
    let message = match error {
        ParserError::RecursionLimitExceeded => return too_deep(),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let Some(location) = location(message) else {
        if message.contains("found: EOF") {
            return at_end(positions);
        }
        return SqlError::new(SqlState::SyntaxError, format!("syntax error: {message}"));
    };
    let start = positions.offset(location);
    match first_token(&positions.text()[start..]) {
        "" => at_end(positions),
        token => near_text(token, positions.position(start)),
    }
}

fn location(message: &str) -> Option<Location> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
}

/// The word, quoted thing or single character that a text starts with.
fn first_token(text: &str) -> &str {
    let Some(first) = text.chars().next() else { return "" };
    let end = match first {
        '\'' | '"' => text[1..].find(first).map_or(text.len(), |at| at + 2),
        c if c.is_alphanumeric() || c == '_' => {
            text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '.'))).unwrap_or(text.len())
        }
        c => c.len_utf8(),
    };
    &text[..end]
}

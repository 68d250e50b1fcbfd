//! Character types with lengths.

use std::borrow::Cow;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use crate::{Oid, SqlType, functions::CastContext};

/// Bytes of a name, less the terminator PostgreSQL keeps.
const NAME_BYTES_MAX: usize = 63;

/// A name cut to 63 bytes, between characters.
pub(crate) fn truncate_name(text: &str) -> &str {
    let mut end = text.len().min(NAME_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// "char": the first byte, or a backslash and three octal digits.
pub(super) fn parse_char(text: &str) -> u8 {
    match text.as_bytes() {
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'),
        [first, ..] => *first,
        [] => 0,
    }
}

/// Fits text into varchar(n) or char(n): spaces beyond the length go; other characters fail (22001) when assigned and
/// go when cast explicitly; char(n) is filled with spaces.
pub fn fit_length<'t>(text: &'t str, sql_type: SqlType, context: CastContext) -> SqlResult<Cow<'t, str>> {
    if sql_type.modifier < 4 {
        return Ok(Cow::Borrowed(text));
    }
    let limit = (sql_type.modifier - 4) as usize;
    let fitted = match text.char_indices().nth(limit) {
        None => text,
        Some((end, _)) if context == CastContext::Explicit || text[end..].bytes().all(|byte| byte == b' ') => {
            &text[..end]
        }
        Some(_) => {
            let kind = if sql_type.oid == Oid::BPCHAR { "character" } else { "character varying" };
            let message = format!("value too long for type {kind}({limit})");
            return Err(SqlError::new(SqlState::StringDataRightTruncation, message));
        }
    };
    if sql_type.oid == Oid::BPCHAR { Ok(pad_bpchar(fitted, limit)) } else { Ok(Cow::Borrowed(fitted)) }
}

/// Text filled with spaces to a length in characters.
pub fn pad_bpchar(text: &str, length: usize) -> Cow<'_, str> {
    let missing = length.saturating_sub(text.chars().count());
    if missing == 0 { Cow::Borrowed(text) } else { Cow::Owned(format!("{text}{}", " ".repeat(missing))) }
}

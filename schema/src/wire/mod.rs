//! Values on the wire: PostgreSQL's text and binary formats of every type.
//!
//! What a client sends is checked in full: lengths, UTF-8, ranges. Nothing here panics on any input. NULL has no bytes
//! in either format; the message around a value tells it.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::decode_binary;
pub use encode::{encode_binary, encode_text};

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use crate::{
    Datum, SqlType,
    datetime::Now,
    functions::{CastContext, EvalContext, resolve_object},
    text::parse_datum,
};

/// Reads a value sent as text: 22021 unless it is UTF-8 without NUL.
pub fn decode_text(bytes: &[u8], sql_type: SqlType, env: &EvalContext) -> SqlResult<Datum> {
    let text = decode_utf8(bytes)?;
    if sql_type.oid.is_object_name() {
        return resolve_object(env, sql_type.oid, text).map(Datum::Oid);
    }
    parse_datum(sql_type, text, &env.format, Now(env.transaction_time), CastContext::Assignment)
}

/// Bytes as a string that PostgreSQL could hold.
pub fn decode_utf8(bytes: &[u8]) -> SqlResult<&str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        invalid_sequence(&bytes[at..(at + sequence_length(bytes[at])).min(bytes.len())])
    })?;
    if text.as_bytes().contains(&0) { Err(invalid_sequence(&[0])) } else { Ok(text) }
}

/// Bytes that a character with this first byte should have.
fn sequence_length(first: u8) -> usize {
    match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    }
}

fn invalid_sequence(bytes: &[u8]) -> SqlError {
    let shown: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
    let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
    SqlError::new(SqlState::CharacterNotInRepertoire, message)
}

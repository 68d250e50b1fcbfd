//! bytea and uuid.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::invalid_input;

/// Reads bytea: hex after `\x`, otherwise the escape form.
pub(crate) fn parse(text: &str) -> SqlResult<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(hex) => parse_hex(hex),
        None => parse_escaped(text),
    }
}

fn parse_hex(hex: &str) -> SqlResult<Vec<u8>> {
    let invalid = |message: String| SqlError::new(SqlState::InvalidParameterValue, message);
    let mut digits = Vec::with_capacity(hex.len());
    for c in hex.chars().filter(|c| !c.is_ascii_whitespace()) {
        let digit = c.to_digit(16).ok_or_else(|| invalid(format!("invalid hexadecimal digit: \"{c}\"")))?;
        digits.push(digit as u8);
    }
    if digits.len() % 2 != 0 {
        return Err(invalid("invalid hexadecimal data: odd number of digits".to_owned()));
    }
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Reads the escape form.
pub(crate) fn parse_escaped(text: &str) -> SqlResult<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'\\', b'\\', ..] => {
                out.push(b'\\');
                at += 2;
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                at += 4;
            }
            [b'\\', ..] => {
                let message = "invalid input syntax for type bytea";
                return Err(SqlError::new(SqlState::InvalidTextRepresentation, message));
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    Ok(out)
}

/// Writes bytea in hex.
pub(super) fn write_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push_str("\\x");
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// Writes bytea in the escape form.
pub(super) fn write_escaped(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(*byte)),
            _ => {
                out.push('\\');
                for shift in [6, 3, 0] {
                    out.push(char::from(b'0' + (byte >> shift & 7)));
                }
            }
        }
    }
}

/// Reads a uuid: 32 hex digits, hyphens after any group of four, optional braces.
pub(super) fn parse_uuid(text: &str) -> SqlResult<[u8; 16]> {
    let body = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(|| invalid_input("uuid", text))?,
        None => text,
    };
    let mut value = [0; 16];
    let mut digits = 0;
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        let digit = c.to_digit(16).filter(|_| digits < 32).ok_or_else(|| invalid_input("uuid", text))?;
        value[digits / 2] = value[digits / 2] << 4 | digit as u8;
        digits += 1;
        if digits % 4 == 0 && digits < 32 {
            chars.next_if(|next| *next == '-');
        }
    }
    if digits == 32 { Ok(value) } else { Err(invalid_input("uuid", text)) }
}

/// Writes a uuid in groups of 8, 4, 4, 4 and 12 digits.
pub(super) fn write_uuid(value: &[u8; 16], out: &mut String) {
    for (at, byte) in value.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is a hex digit"));
        }
    }
}

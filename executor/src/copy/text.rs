//! The text format: fields between delimiters, backslash escapes.

use planner::plan::CopyOptions;
use proto::SqlResult;
use sharddb_planner as planner;
use sharddb_proto as proto;

use super::csv::Scanned;

/// Length of the first line and of its line break, if the line is complete. A backslash takes a line break along.
pub(super) fn line_end(buffer: &[u8], scanned: &mut Scanned) -> Option<(usize, usize)> {
    let mut at = scanned.position;
    while let Some(found) = memchr(buffer, at) {
        let backslashes = buffer[..found].iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 {
            return Some((found, 1));
        }
        at = found + 1;
    }
    scanned.position = buffer.len();
    None
}

fn memchr(buffer: &[u8], from: usize) -> Option<usize> {
    buffer.get(from..)?.iter().position(|byte| *byte == b'\n').map(|found| found + from)
}

/// The fields of a line; `None` is NULL.
pub(super) fn fields(line: &str, options: &CopyOptions) -> SqlResult<Vec<Option<String>>> {
    let delimiter = char::from(options.delimiter);
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let end = field_end(rest, delimiter);
        let raw = &rest[..end];
        fields.push(if raw == options.null { None } else { Some(unescape(raw)) });
        match rest[end..].strip_prefix(delimiter) {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

fn field_end(text: &str, delimiter: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == delimiter {
            return at;
        }
    }
    text.len()
}

/// Replaces backslash sequences.
fn unescape(raw: &str) -> String {
    if !raw.contains('\\') {
        return raw.to_owned();
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            None => bytes.push(b'\\'),
            Some(b'b') => bytes.push(8),
            Some(b'f') => bytes.push(12),
            Some(b'n') => bytes.push(b'\n'),
            Some(b'r') => bytes.push(b'\r'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'v') => bytes.push(11),
            Some(b'x') => bytes.push(digits(&mut rest, 16, 2, None).unwrap_or(b'x')),
            Some(first @ b'0'..=b'7') => bytes.push(digits(&mut rest, 8, 2, Some(first)).unwrap_or(first)),
            Some(other) => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A byte given by up to `most` digits after the first.
fn digits(
    rest: &mut std::iter::Peekable<std::str::Bytes<'_>>,
    radix: u32,
    most: usize,
    first: Option<u8>,
) -> Option<u8> {
    let mut value = first.and_then(|first| char::from(first).to_digit(radix));
    for _ in 0..most {
        let Some(digit) = rest.peek().and_then(|byte| char::from(*byte).to_digit(radix)) else { break };
        value = Some(value.unwrap_or(0) * radix + digit);
        rest.next();
    }
    value.map(|value| (value & 0xFF) as u8)
}

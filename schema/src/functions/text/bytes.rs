//! bytea: parts, encodings, digests, bits.

use base64::{Engine, engine::general_purpose::STANDARD};
use proto::{SqlError, SqlResult, SqlState};
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use sharddb_proto as proto;

use super::measure::{bytes_window, negative_length};
use crate::{
    Oid,
    functions::{
        Function,
        number::out_of_range,
        table::function,
        value::{four, one, three, two},
    },
    wire::decode_utf8,
};

const B: Oid = Oid::BYTEA;
const T: Oid = Oid::TEXT;
const I: Oid = Oid::INT4;
/// Characters in a line of base64, as in MIME.
const BASE64_LINE: usize = 76;

fn invalid(message: String) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, message)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(bytes: &[u8], encoding: &str) -> SqlResult<String> {
    match encoding.to_ascii_lowercase().as_str() {
        "hex" => Ok(hex(bytes)),
        "base64" => {
            let encoded = STANDARD.encode(bytes);
            let lines: Vec<&str> = encoded
                .as_bytes()
                .chunks(BASE64_LINE)
                .map(|line| std::str::from_utf8(line).unwrap_or_default())
                .collect();
            Ok(lines.join("\n"))
        }
        "escape" => Ok(escape(bytes)),
        _ => Err(invalid(format!("unrecognized encoding: \"{encoding}\""))),
    }
}

/// NUL and bytes above 127 as octal escapes.
fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            1..=127 => out.push(char::from(*byte)),
            _ => out.push_str(&format!("\\{byte:03o}")),
        }
    }
    out
}

fn decode(text: &str, encoding: &str) -> SqlResult<Vec<u8>> {
    match encoding.to_ascii_lowercase().as_str() {
        "hex" => crate::text::parse_bytea(&format!("\\x{text}")),
        "base64" => decode_base64(text),
        "escape" => crate::text::parse_bytea_escaped(text),
        _ => Err(invalid(format!("unrecognized encoding: \"{encoding}\""))),
    }
}

fn decode_base64(text: &str) -> SqlResult<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut place, mut end) = (0_u32, 0, 0);
    for c in text.chars().filter(|c| !matches!(c, ' ' | '\t' | '\n' | '\r')) {
        let digit = match c {
            'A'..='Z' => u32::from(c) - u32::from('A'),
            'a'..='z' => u32::from(c) - u32::from('a') + 26,
            '0'..='9' => u32::from(c) - u32::from('0') + 52,
            '+' => 62,
            '/' => 63,
            '=' => {
                if end == 0 {
                    end = match place {
                        2 => 1,
                        3 => 2,
                        _ => return Err(invalid("unexpected \"=\" while decoding base64 sequence".to_owned())),
                    };
                }
                0
            }
            other => return Err(invalid(format!("invalid symbol \"{other}\" found while decoding base64 sequence"))),
        };
        group = group << 6 | digit;
        place += 1;
        if place == 4 {
            let bytes = group.to_be_bytes();
            let kept = if end == 0 { 3 } else { end };
            out.extend_from_slice(&bytes[1..=kept]);
            (group, place) = (0, 0);
        }
    }
    if place != 0 {
        return Err(invalid("invalid base64 end sequence".to_owned())
            .with_hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}

fn index_error(index: i64, length: i64) -> SqlError {
    let message = format!("index {index} out of valid range, 0..{}", length - 1);
    SqlError::new(SqlState::ArraySubscriptError, message)
}

fn place(index: i64, length: usize) -> SqlResult<usize> {
    usize::try_from(index).ok().filter(|at| *at < length).ok_or_else(|| index_error(index, length as i64))
}

fn get_byte(bytes: &[u8], index: i32) -> SqlResult<i32> {
    Ok(bytes[place(index.into(), bytes.len())?].into())
}

fn set_byte(bytes: &[u8], index: i32, value: i32) -> SqlResult<Vec<u8>> {
    let at = place(index.into(), bytes.len())?;
    let mut changed = bytes.to_vec();
    changed[at] = value as u8;
    Ok(changed)
}

fn get_bit(bytes: &[u8], index: i64) -> SqlResult<i32> {
    let at = place(index, bytes.len() * 8)?;
    Ok((bytes[at / 8] >> (at % 8) & 1).into())
}

fn set_bit(bytes: &[u8], index: i64, value: i32) -> SqlResult<Vec<u8>> {
    let at = place(index, bytes.len() * 8)?;
    if !matches!(value, 0 | 1) {
        return Err(invalid("new bit must be 0 or 1".to_owned()));
    }
    let mut changed = bytes.to_vec();
    changed[at / 8] = changed[at / 8] & !(1 << (at % 8)) | (value as u8) << (at % 8);
    Ok(changed)
}

fn overlay(bytes: &[u8], new: &[u8], start: i32, length: i32) -> SqlResult<Vec<u8>> {
    if start <= 0 {
        return Err(negative_length());
    }
    let tail = start.checked_add(length).ok_or_else(|| out_of_range("integer"))?;
    Ok([bytes_window(bytes, 1, Some(start - 1))?, new.to_vec(), bytes_window(bytes, tail, None)?].concat())
}

fn check_encoding(name: &str, role: &str) -> SqlResult<()> {
    let plain: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    if matches!(plain.as_str(), "utf8" | "unicode" | "sqlascii") {
        return Ok(());
    }
    Err(invalid(format!("invalid {role} encoding name \"{name}\"")))
}

fn convert_from(bytes: &[u8], encoding: &str) -> SqlResult<String> {
    check_encoding(encoding, "source")?;
    decode_utf8(bytes).map(str::to_owned)
}

fn convert_to(text: &str, encoding: &str) -> SqlResult<Vec<u8>> {
    check_encoding(encoding, "destination")?;
    Ok(text.as_bytes().to_vec())
}

/// Parts and bits.
pub(in crate::functions) static BYTES: &[Function] = &[
    function("length", &[B], I, |_, args| one(args, |bytes: &[u8]| bytes.len() as i32)),
    function("octet_length", &[B], I, |_, args| one(args, |bytes: &[u8]| bytes.len() as i32)),
    function("bit_length", &[B], I, |_, args| one(args, |bytes: &[u8]| bytes.len() as i32 * 8)),
    function("bit_count", &[B], Oid::INT8, |_, args| {
        one(args, |bytes: &[u8]| bytes.iter().map(|byte| i64::from(byte.count_ones())).sum::<i64>())
    }),
    function("substr", &[B, I], B, |_, args| two(args, |bytes: &[u8], start: i32| bytes_window(bytes, start, None))),
    function("substr", &[B, I, I], B, |_, args| {
        three(args, |bytes: &[u8], start: i32, length: i32| bytes_window(bytes, start, Some(length)))
    }),
    function("substring", &[B, I], B, |_, args| two(args, |bytes: &[u8], start: i32| bytes_window(bytes, start, None))),
    function("substring", &[B, I, I], B, |_, args| {
        three(args, |bytes: &[u8], start: i32, length: i32| bytes_window(bytes, start, Some(length)))
    }),
    function("overlay", &[B, B, I], B, |_, args| {
        three(args, |bytes: &[u8], new: &[u8], start: i32| overlay(bytes, new, start, new.len() as i32))
    }),
    function("overlay", &[B, B, I, I], B, |_, args| four(args, overlay)),
    function("get_byte", &[B, I], I, |_, args| two(args, get_byte)),
    function("set_byte", &[B, I, I], B, |_, args| three(args, set_byte)),
    function("get_bit", &[B, Oid::INT8], I, |_, args| two(args, get_bit)),
    function("set_bit", &[B, Oid::INT8, I], B, |_, args| three(args, set_bit)),
];

/// Encodings and digests.
pub(in crate::functions) static ENCODINGS: &[Function] = &[
    function("encode", &[B, T], T, |_, args| two(args, encode)),
    function("decode", &[T, T], B, |_, args| two(args, decode)),
    function("convert_from", &[B, Oid::NAME], T, |_, args| two(args, convert_from)).stable(),
    function("convert_to", &[T, Oid::NAME], B, |_, args| two(args, convert_to)).stable(),
    function("md5", &[T], T, |_, args| one(args, |text: &str| hex(&md5::Md5::digest(text.as_bytes())))),
    function("md5", &[B], T, |_, args| one(args, |bytes: &[u8]| hex(&md5::Md5::digest(bytes)))),
    function("sha224", &[B], B, |_, args| one(args, |bytes: &[u8]| Sha224::digest(bytes).to_vec())),
    function("sha256", &[B], B, |_, args| one(args, |bytes: &[u8]| Sha256::digest(bytes).to_vec())),
    function("sha384", &[B], B, |_, args| one(args, |bytes: &[u8]| Sha384::digest(bytes).to_vec())),
    function("sha512", &[B], B, |_, args| one(args, |bytes: &[u8]| Sha512::digest(bytes).to_vec())),
];

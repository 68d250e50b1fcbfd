//! Messages to the client, written straight into the output buffer.

use bytes::{BufMut, BytesMut};
use planner::plan::Field;
use proto::SqlError;
use schema::{Oid, SqlType};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

/// Type byte of DataRow.
pub(crate) const DATA_ROW: u8 = b'D';
/// Type byte of CopyData.
pub(crate) const COPY_DATA: u8 = b'd';

/// Writes a message's type and room for its length; answers the position for [`finish_message`].
#[inline]
pub(crate) fn start_message(out: &mut BytesMut, tag: u8) -> usize {
    out.put_slice(&[tag, 0, 0, 0, 0]);
    out.len() - 4
}

/// Fills in the length of the message started at this position. The caller has made sure that it is in bounds.
#[inline]
pub(crate) fn finish_message(out: &mut BytesMut, at: usize) {
    let length = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

fn message(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    let at = start_message(out, tag);
    body(out);
    finish_message(out, at);
}

/// Writes a zero-terminated text; zero bytes inside it, which it cannot have, are left out.
fn put_text(out: &mut BytesMut, text: &str) {
    if text.as_bytes().contains(&0) {
        text.bytes().filter(|byte| *byte != 0).for_each(|byte| out.put_u8(byte));
    } else {
        out.put_slice(text.as_bytes());
    }
    out.put_u8(0);
}

/// Writes a count. Columns, parameters and formats are at most 1,664 or came as a count themselves.
fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
}

/// A message without content: ParseComplete `1`, BindComplete `2`, CloseComplete `3`, NoData `n`, EmptyQueryResponse
/// `I`, PortalSuspended `s`, CopyDone `c`.
#[inline]
pub(crate) fn empty(out: &mut BytesMut, tag: u8) {
    out.put_slice(&[tag, 0, 0, 0, 4]);
}

/// ReadyForQuery with the transaction status: `I`, `T` or `E`.
#[inline]
pub(crate) fn ready_for_query(out: &mut BytesMut, status: u8) {
    out.put_slice(&[b'Z', 0, 0, 0, 5, status]);
}

/// AuthenticationOk.
pub(crate) fn authentication_ok(out: &mut BytesMut) {
    authentication(out, 0, &[]);
}

/// An authentication request of this kind with its data.
pub(crate) fn authentication(out: &mut BytesMut, kind: u32, data: &[u8]) {
    message(out, b'R', |out| {
        out.put_u32(kind);
        out.put_slice(data);
    });
}

/// BackendKeyData.
pub(crate) fn backend_key(out: &mut BytesMut, pid: i32, secret: i32) {
    message(out, b'K', |out| {
        out.put_i32(pid);
        out.put_i32(secret);
    });
}

/// NegotiateProtocolVersion: the newest minor version is 0, and these options are not known.
pub(crate) fn negotiate_version(out: &mut BytesMut, unknown_options: &[String]) {
    message(out, b'v', |out| {
        out.put_u32(3 << 16);
        out.put_u32(unknown_options.len() as u32);
        unknown_options.iter().for_each(|option| put_text(out, option));
    });
}

/// ParameterStatus.
pub(crate) fn parameter_status(out: &mut BytesMut, name: &str, value: &str) {
    message(out, b'S', |out| {
        put_text(out, name);
        put_text(out, value);
    });
}

/// ErrorResponse; the severity is ERROR or FATAL.
pub(crate) fn error_response(out: &mut BytesMut, severity: &str, error: &SqlError) {
    message(out, b'E', |out| put_fields(out, severity, error));
}

/// NoticeResponse.
pub(crate) fn notice_response(out: &mut BytesMut, severity: &str, notice: &SqlError) {
    message(out, b'N', |out| put_fields(out, severity, notice));
}

fn put_fields(out: &mut BytesMut, severity: &str, error: &SqlError) {
    let mut put = |code: u8, text: &str| {
        out.put_u8(code);
        put_text(out, text);
    };
    put(b'S', severity);
    put(b'V', severity);
    put(b'C', error.state().code());
    put(b'M', error.message());
    let fields = error.fields();
    let position = fields.position.map(|position| position.to_string());
    let optional = [
        (b'D', &fields.detail),
        (b'H', &fields.hint),
        (b'P', &position),
        (b'W', &fields.context),
        (b's', &fields.schema),
        (b't', &fields.table),
        (b'c', &fields.column),
        (b'd', &fields.data_type),
        (b'n', &fields.constraint),
    ];
    for (code, text) in optional {
        if let Some(text) = text {
            put(code, text);
        }
    }
    out.put_u8(0);
}

/// ParameterDescription.
pub(crate) fn parameter_description(out: &mut BytesMut, types: &[Oid]) {
    message(out, b't', |out| {
        put_count(out, types.len());
        types.iter().for_each(|oid| out.put_u32(oid.0));
    });
}

/// RowDescription; `format` answers the format code of the column at a position.
pub(crate) fn row_description(out: &mut BytesMut, fields: &[Field], format: impl Fn(usize) -> u16) {
    message(out, b'T', |out| {
        put_count(out, fields.len());
        for (position, field) in fields.iter().enumerate() {
            let SqlType { oid, modifier } = shown_type(field.sql_type);
            put_text(out, &field.name);
            out.put_u32(field.origin.0);
            out.put_u16(field.origin.1);
            out.put_u32(oid.0);
            out.put_i16(oid.type_info().map_or(-1, |info| info.length));
            out.put_i32(modifier);
            out.put_u16(format(position));
        }
    });
}

/// A result of type unknown is text to the client.
fn shown_type(sql_type: SqlType) -> SqlType {
    if sql_type.oid == Oid::UNKNOWN { SqlType::new(Oid::TEXT) } else { sql_type }
}

/// CopyInResponse `G` or CopyOutResponse `H`.
pub(crate) fn copy_response(out: &mut BytesMut, tag: u8, columns: usize, binary: bool) {
    message(out, tag, |out| {
        out.put_u8(u8::from(binary));
        put_count(out, columns);
        (0..columns).for_each(|_| out.put_u16(u16::from(binary)));
    });
}

//! One value as text or in its type's binary form.

use bytes::{BufMut, BytesMut};
use proto::SqlResult;
use schema::{Datum, FormatSettings, SqlType};
use sharddb_proto as proto;
use sharddb_schema as schema;

/// Writes a value, not NULL, as text.
#[inline]
pub(super) fn text(
    value: &Datum,
    sql_type: SqlType,
    settings: &FormatSettings,
    scratch: &mut String,
    out: &mut BytesMut,
) {
    match value {
        Datum::Int2(value) => integer(*value, out),
        Datum::Int4(value) => integer(*value, out),
        Datum::Int8(value) => integer(*value, out),
        Datum::Bool(value) => out.put_u8(if *value { b't' } else { b'f' }),
        Datum::Text(value) | Datum::Json(value) | Datum::Jsonb(value) => out.put_slice(value.as_bytes()),
        other => {
            scratch.clear();
            schema::text::write_text(other, sql_type, settings, scratch);
            out.put_slice(scratch.as_bytes());
        }
    }
}

#[inline]
pub(super) fn integer(value: impl itoa::Integer, out: &mut BytesMut) {
    out.put_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes a value, not NULL, in binary.
#[inline]
pub(super) fn binary(value: &Datum, sql_type: SqlType, out: &mut BytesMut) -> SqlResult<()> {
    match value {
        Datum::Int2(value) => out.put_i16(*value),
        Datum::Int4(value) => out.put_i32(*value),
        Datum::Int8(value) => out.put_i64(*value),
        Datum::Bool(value) => out.put_u8(u8::from(*value)),
        Datum::Text(value) | Datum::Json(value) => out.put_slice(value.as_bytes()),
        other => return schema::wire::encode_binary(other, sql_type, out),
    }
    Ok(())
}

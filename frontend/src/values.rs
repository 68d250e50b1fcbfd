//! Values in the protocol's text and binary formats: what is not on the hot path of `rows`.

use bytes::{BufMut, BytesMut};
use proto::{SqlError, SqlResult, SqlState};
use schema::{Datum, FormatSettings, Oid, SqlType, datetime::Now, functions::CastContext};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::wire::check_utf8;

pub(crate) fn decode_text(bytes: &[u8], oid: Oid, settings: &FormatSettings) -> SqlResult<Datum> {
    schema::text::parse_datum(SqlType::new(oid), check_utf8(bytes)?, settings, Now(0), CastContext::Implicit)
}

pub(crate) fn decode_binary(bytes: &[u8], oid: Oid) -> SqlResult<Datum> {
    let bad = || SqlError::new(SqlState::InvalidBinaryRepresentation, "incorrect binary data format");
    Ok(match oid {
        Oid::BOOL => Datum::Bool(*bytes.first().ok_or_else(bad)? != 0),
        Oid::INT2 => Datum::Int2(i16::from_be_bytes(bytes.try_into().map_err(|_| bad())?)),
        Oid::INT4 => Datum::Int4(i32::from_be_bytes(bytes.try_into().map_err(|_| bad())?)),
        Oid::INT8 => Datum::Int8(i64::from_be_bytes(bytes.try_into().map_err(|_| bad())?)),
        Oid::FLOAT8 => Datum::Float8(f64::from_be_bytes(bytes.try_into().map_err(|_| bad())?)),
        Oid::TEXT | Oid::VARCHAR | Oid::UNKNOWN | Oid::NAME => Datum::text(check_utf8(bytes)?),
        Oid::BYTEA => Datum::Bytes(bytes.into()),
        _ => return Err(SqlError::unsupported("this type in binary format")),
    })
}

pub(crate) fn encode_binary(value: &Datum, _sql_type: SqlType, out: &mut BytesMut) -> SqlResult<()> {
    match value {
        Datum::Bytes(value) => out.put_slice(value),
        Datum::Float8(value) => out.put_f64(*value),
        Datum::Float4(value) => out.put_f32(*value),
        Datum::Uuid(value) => out.put_slice(value),
        Datum::Oid(value) => out.put_u32(*value),
        _ => return Err(SqlError::unsupported("this type in binary format")),
    }
    Ok(())
}

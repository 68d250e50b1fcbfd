//! Payloads of types without a fixed layout of their own.

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;

use crate::{Datum, Oid, SqlType};

pub(super) fn encode(_value: &Datum, _out: &mut Vec<u8>) -> SqlResult<()> {
    Err(SqlError::unsupported("storing a value of this type"))
}

pub(super) fn decode(_bytes: &[u8]) -> SqlResult<Datum> {
    Err(SqlError::unsupported("reading a value of this type"))
}

pub(super) fn parse_missing(sql_type: SqlType, text: &str) -> SqlResult<Datum> {
    let bad = || SqlError::internal("stored default of a column is malformed");
    Ok(match sql_type.oid {
        Oid::BOOL => Datum::Bool(text.starts_with('t')),
        Oid::INT2 => Datum::Int2(text.parse().map_err(|_| bad())?),
        Oid::INT4 => Datum::Int4(text.parse().map_err(|_| bad())?),
        Oid::INT8 => Datum::Int8(text.parse().map_err(|_| bad())?),
        Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR => Datum::text(text),
        _ => return Err(SqlError::unsupported("a stored default of this type")),
    })
}

//! Datums as DataFusion's scalar values and back.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use proto::{SqlError, SqlResult};
use schema::{
    Datum, Oid,
    row::{decode_payload, encode_payload},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::types::{Shape, UTC, arrow_type};

/// A datum of a type as a scalar value; NULL keeps the type.
pub fn scalar_value(oid: Oid, value: &Datum) -> SqlResult<ScalarValue> {
    Ok(match (Shape::of(oid), value) {
        (_, Datum::Null) => {
            ScalarValue::try_new_null(&arrow_type(oid)).map_err(|e| SqlError::internal(e.to_string()))?
        }
        (Shape::Bool, Datum::Bool(v)) => ScalarValue::Boolean(Some(*v)),
        (Shape::Int2, Datum::Int2(v)) => ScalarValue::Int16(Some(*v)),
        (Shape::Int4, Datum::Int4(v)) => ScalarValue::Int32(Some(*v)),
        (Shape::Int8, Datum::Int8(v)) => ScalarValue::Int64(Some(*v)),
        (Shape::Float4, Datum::Float4(v)) => ScalarValue::Float32(Some(*v)),
        (Shape::Float8, Datum::Float8(v)) => ScalarValue::Float64(Some(*v)),
        (Shape::Char, Datum::Char(v)) => ScalarValue::UInt8(Some(*v)),
        (Shape::Oid, Datum::Oid(v)) => ScalarValue::UInt32(Some(*v)),
        (Shape::Text, Datum::Text(v) | Datum::Json(v) | Datum::Jsonb(v)) => ScalarValue::Utf8(Some(v.to_string())),
        (Shape::Bytes, Datum::Bytes(v)) => ScalarValue::Binary(Some(v.to_vec())),
        (Shape::Date, Datum::Date(v)) => ScalarValue::Date32(Some(*v)),
        (Shape::Time, Datum::Time(v)) => ScalarValue::Time64Microsecond(Some(*v)),
        (Shape::Timestamp, Datum::Timestamp(v)) => ScalarValue::TimestampMicrosecond(Some(*v), None),
        (Shape::TimestampTz, Datum::TimestampTz(v)) => ScalarValue::TimestampMicrosecond(Some(*v), Some(UTC.into())),
        (Shape::Uuid, Datum::Uuid(v)) => ScalarValue::FixedSizeBinary(16, Some(v.to_vec())),
        (Shape::Encoded, value) => {
            let mut bytes = Vec::with_capacity(32);
            encode_payload(value, &mut bytes);
            ScalarValue::Binary(Some(bytes))
        }
        (_, value) => return Err(SqlError::internal(format!("value {value:?} does not have type {oid}"))),
    })
}

/// A scalar value as a datum of a type.
pub fn scalar_to_datum(oid: Oid, value: &ScalarValue) -> SqlResult<Datum> {
    Ok(match (Shape::of(oid), value) {
        (_, value) if value.is_null() => Datum::Null,
        (_, ScalarValue::Boolean(Some(v))) => Datum::Bool(*v),
        (_, ScalarValue::Int16(Some(v))) => Datum::Int2(*v),
        (_, ScalarValue::Int32(Some(v))) => Datum::Int4(*v),
        (_, ScalarValue::Int64(Some(v))) => Datum::Int8(*v),
        (_, ScalarValue::Float32(Some(v))) => Datum::Float4(*v),
        (_, ScalarValue::Float64(Some(v))) => Datum::Float8(*v),
        (_, ScalarValue::UInt8(Some(v))) => Datum::Char(*v),
        (_, ScalarValue::UInt32(Some(v))) => Datum::Oid(*v),
        (_, ScalarValue::Utf8(Some(v)) | ScalarValue::Utf8View(Some(v)) | ScalarValue::LargeUtf8(Some(v))) => {
            let text: Arc<str> = Arc::from(v.as_str());
            match oid {
                Oid::JSON => Datum::Json(text),
                Oid::JSONB => Datum::Jsonb(text),
                _ => Datum::Text(text),
            }
        }
        (Shape::Bytes, ScalarValue::Binary(Some(v))) => Datum::Bytes(Arc::from(v.as_slice())),
        (Shape::Encoded, ScalarValue::Binary(Some(v))) => decode_payload(v)?,
        (_, ScalarValue::Date32(Some(v))) => Datum::Date(*v),
        (_, ScalarValue::Time64Microsecond(Some(v))) => Datum::Time(*v),
        (Shape::TimestampTz, ScalarValue::TimestampMicrosecond(Some(v), _)) => Datum::TimestampTz(*v),
        (_, ScalarValue::TimestampMicrosecond(Some(v), _)) => Datum::Timestamp(*v),
        (_, ScalarValue::FixedSizeBinary(16, Some(v))) => {
            Datum::Uuid(v.as_slice().try_into().map_err(|_| SqlError::internal("uuid of odd length"))?)
        }
        (_, ScalarValue::Dictionary(_, inner)) => scalar_to_datum(oid, inner)?,
        (_, value) => return Err(SqlError::internal(format!("scalar {value:?} where type {oid} was expected"))),
    })
}

//! From Arrow arrays to datums.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, FixedSizeBinaryArray, Float32Array, Float64Array,
        Int16Array, Int32Array, Int64Array, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray, UInt8Array,
        UInt32Array,
    },
    record_batch::RecordBatch,
};
use proto::{SqlError, SqlResult};
use schema::{Datum, Oid, row::decode_payload};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::types::Shape;

/// An array of a known PostgreSQL type, downcast once and read by row.
#[derive(Clone, Copy, Debug)]
pub enum Column<'a> {
    /// bool
    Bool(&'a BooleanArray),
    /// int2
    Int2(&'a Int16Array),
    /// int4
    Int4(&'a Int32Array),
    /// int8
    Int8(&'a Int64Array),
    /// float4
    Float4(&'a Float32Array),
    /// float8
    Float8(&'a Float64Array),
    /// "char"
    Char(&'a UInt8Array),
    /// oid and relatives
    Oid(&'a UInt32Array),
    /// Character types; json and jsonb with their OID
    Text(&'a StringArray, Oid),
    /// bytea
    Bytes(&'a BinaryArray),
    /// date
    Date(&'a Date32Array),
    /// time
    Time(&'a Time64MicrosecondArray),
    /// timestamp
    Timestamp(&'a TimestampMicrosecondArray),
    /// timestamptz
    TimestampTz(&'a TimestampMicrosecondArray),
    /// uuid
    Uuid(&'a FixedSizeBinaryArray),
    /// Self-describing encoding
    Encoded(&'a BinaryArray),
    /// An array of Arrow's Null type.
    Null(&'a dyn Array),
}

fn cast<T: 'static>(array: &dyn Array) -> SqlResult<&T> {
    array.as_any().downcast_ref().ok_or_else(|| {
        SqlError::internal(format!("array of {} where {} was expected", array.data_type(), std::any::type_name::<T>()))
    })
}

impl<'a> Column<'a> {
    /// Reads an array as values of a type.
    pub fn new(oid: Oid, array: &'a dyn Array) -> SqlResult<Self> {
        if *array.data_type() == arrow::datatypes::DataType::Null {
            return Ok(Self::Null(array));
        }
        Ok(match Shape::of(oid) {
            Shape::Bool => Self::Bool(cast(array)?),
            Shape::Int2 => Self::Int2(cast(array)?),
            Shape::Int4 => Self::Int4(cast(array)?),
            Shape::Int8 => Self::Int8(cast(array)?),
            Shape::Float4 => Self::Float4(cast(array)?),
            Shape::Float8 => Self::Float8(cast(array)?),
            Shape::Char => Self::Char(cast(array)?),
            Shape::Oid => Self::Oid(cast(array)?),
            Shape::Text => Self::Text(cast(array)?, oid),
            Shape::Bytes => Self::Bytes(cast(array)?),
            Shape::Date => Self::Date(cast(array)?),
            Shape::Time => Self::Time(cast(array)?),
            Shape::Timestamp => Self::Timestamp(cast(array)?),
            Shape::TimestampTz => Self::TimestampTz(cast(array)?),
            Shape::Uuid => Self::Uuid(cast(array)?),
            Shape::Encoded => Self::Encoded(cast(array)?),
        })
    }

    /// Whether the value of this row is NULL.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Bool(a) => a.is_null(row),
            Self::Int2(a) => a.is_null(row),
            Self::Int4(a) => a.is_null(row),
            Self::Int8(a) => a.is_null(row),
            Self::Float4(a) => a.is_null(row),
            Self::Float8(a) => a.is_null(row),
            Self::Char(a) => a.is_null(row),
            Self::Oid(a) => a.is_null(row),
            Self::Text(a, _) => a.is_null(row),
            Self::Bytes(a) | Self::Encoded(a) => a.is_null(row),
            Self::Date(a) => a.is_null(row),
            Self::Time(a) => a.is_null(row),
            Self::Timestamp(a) | Self::TimestampTz(a) => a.is_null(row),
            Self::Uuid(a) => a.is_null(row),
            Self::Null(_) => true,
        }
    }

    /// The value of this row.
    pub fn datum(&self, row: usize) -> SqlResult<Datum> {
        if self.is_null(row) {
            return Ok(Datum::Null);
        }
        Ok(match self {
            Self::Bool(a) => Datum::Bool(a.value(row)),
            Self::Int2(a) => Datum::Int2(a.value(row)),
            Self::Int4(a) => Datum::Int4(a.value(row)),
            Self::Int8(a) => Datum::Int8(a.value(row)),
            Self::Float4(a) => Datum::Float4(a.value(row)),
            Self::Float8(a) => Datum::Float8(a.value(row)),
            Self::Char(a) => Datum::Char(a.value(row)),
            Self::Oid(a) => Datum::Oid(a.value(row)),
            Self::Text(a, Oid::JSON) => Datum::Json(Arc::from(a.value(row))),
            Self::Text(a, Oid::JSONB) => Datum::Jsonb(Arc::from(a.value(row))),
            Self::Text(a, _) => Datum::Text(Arc::from(a.value(row))),
            Self::Bytes(a) => Datum::Bytes(Arc::from(a.value(row))),
            Self::Date(a) => Datum::Date(a.value(row)),
            Self::Time(a) => Datum::Time(a.value(row)),
            Self::Timestamp(a) => Datum::Timestamp(a.value(row)),
            Self::TimestampTz(a) => Datum::TimestampTz(a.value(row)),
            Self::Uuid(a) => {
                Datum::Uuid(a.value(row).try_into().map_err(|_| SqlError::internal("uuid of odd length"))?)
            }
            Self::Encoded(a) => decode_payload(a.value(row))?,
            Self::Null(_) => Datum::Null,
        })
    }
}

/// The value of one row of an array.
pub fn datum_at(oid: Oid, array: &ArrayRef, row: usize) -> SqlResult<Datum> {
    Column::new(oid, array.as_ref())?.datum(row)
}

/// The rows of a batch, given the type of each column.
pub fn batch_rows(types: &[Oid], batch: &RecordBatch) -> SqlResult<Vec<Vec<Datum>>> {
    let columns = types.iter().zip(batch.columns()).map(|(oid, array)| Column::new(*oid, array.as_ref()));
    let columns = columns.collect::<SqlResult<Vec<_>>>()?;
    let row = |row| columns.iter().map(|column| column.datum(row)).collect::<SqlResult<Vec<_>>>();
    (0..batch.num_rows()).map(row).collect()
}

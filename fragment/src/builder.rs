//! From datums and stored rows to Arrow arrays.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, FixedSizeBinaryBuilder, Float32Builder, Float64Builder,
        Int16Builder, Int32Builder, Int64Builder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
        UInt8Builder, UInt32Builder, new_null_array,
    },
    compute::cast,
};
use proto::{SqlError, SqlResult};
use schema::{
    Datum, Oid,
    row::{RawField, encode_payload},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::{
    error::from_arrow,
    types::{Shape, UTC, arrow_type},
};

/// Bytes a text or binary builder makes room for per expected row.
const BYTES_PER_VALUE: usize = 16;

/// Builds an array of one PostgreSQL type.
#[derive(Debug)]
pub enum ColumnBuilder {
    /// bool
    Bool(BooleanBuilder),
    /// int2
    Int2(Int16Builder),
    /// int4
    Int4(Int32Builder),
    /// int8
    Int8(Int64Builder),
    /// float4
    Float4(Float32Builder),
    /// float8
    Float8(Float64Builder),
    /// "char"
    Char(UInt8Builder),
    /// oid and relatives
    Oid(UInt32Builder),
    /// Character types, json, jsonb
    Text(StringBuilder),
    /// bytea
    Bytes(BinaryBuilder),
    /// date
    Date(Date32Builder),
    /// time
    Time(Time64MicrosecondBuilder),
    /// timestamp and timestamptz
    Timestamp(TimestampMicrosecondBuilder),
    /// uuid
    Uuid(FixedSizeBinaryBuilder),
    /// Self-describing encoding
    Encoded(BinaryBuilder),
}

/// Evaluates `$body` with `$builder` bound to whatever Arrow builder there is.
macro_rules! each {
    ($self:expr, $builder:ident => $body:expr) => {
        match $self {
            Self::Bool($builder) => $body,
            Self::Int2($builder) => $body,
            Self::Int4($builder) => $body,
            Self::Int8($builder) => $body,
            Self::Float4($builder) => $body,
            Self::Float8($builder) => $body,
            Self::Char($builder) => $body,
            Self::Oid($builder) => $body,
            Self::Text($builder) => $body,
            Self::Bytes($builder) | Self::Encoded($builder) => $body,
            Self::Date($builder) => $body,
            Self::Time($builder) => $body,
            Self::Timestamp($builder) => $body,
            Self::Uuid($builder) => $body,
        }
    };
}

impl ColumnBuilder {
    /// A builder for about `rows` values of a type.
    pub fn new(oid: Oid, rows: usize) -> Self {
        let bytes = rows * BYTES_PER_VALUE;
        match Shape::of(oid) {
            Shape::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            Shape::Int2 => Self::Int2(Int16Builder::with_capacity(rows)),
            Shape::Int4 => Self::Int4(Int32Builder::with_capacity(rows)),
            Shape::Int8 => Self::Int8(Int64Builder::with_capacity(rows)),
            Shape::Float4 => Self::Float4(Float32Builder::with_capacity(rows)),
            Shape::Float8 => Self::Float8(Float64Builder::with_capacity(rows)),
            Shape::Char => Self::Char(UInt8Builder::with_capacity(rows)),
            Shape::Oid => Self::Oid(UInt32Builder::with_capacity(rows)),
            Shape::Text => Self::Text(StringBuilder::with_capacity(rows, bytes)),
            Shape::Bytes => Self::Bytes(BinaryBuilder::with_capacity(rows, bytes)),
            Shape::Date => Self::Date(Date32Builder::with_capacity(rows)),
            Shape::Time => Self::Time(Time64MicrosecondBuilder::with_capacity(rows)),
            Shape::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows)),
            Shape::TimestampTz => Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows).with_timezone(UTC)),
            Shape::Uuid => Self::Uuid(FixedSizeBinaryBuilder::with_capacity(rows, 16)),
            Shape::Encoded => Self::Encoded(BinaryBuilder::with_capacity(rows, bytes)),
        }
    }

    /// Appends NULL.
    pub fn append_null(&mut self) {
        each!(self, builder => builder.append_null());
    }

    /// Appends a datum of the builder's type.
    pub fn append(&mut self, value: &Datum) -> SqlResult<()> {
        match (&mut *self, value) {
            (_, Datum::Null) => self.append_null(),
            (Self::Bool(b), Datum::Bool(v)) => b.append_value(*v),
            (Self::Int2(b), Datum::Int2(v)) => b.append_value(*v),
            (Self::Int4(b), Datum::Int4(v)) => b.append_value(*v),
            (Self::Int8(b), Datum::Int8(v)) => b.append_value(*v),
            (Self::Float4(b), Datum::Float4(v)) => b.append_value(*v),
            (Self::Float8(b), Datum::Float8(v)) => b.append_value(*v),
            (Self::Char(b), Datum::Char(v)) => b.append_value(*v),
            (Self::Oid(b), Datum::Oid(v)) => b.append_value(*v),
            (Self::Text(b), Datum::Text(v) | Datum::Json(v) | Datum::Jsonb(v)) => b.append_value(v),
            (Self::Bytes(b), Datum::Bytes(v)) => b.append_value(v),
            (Self::Date(b), Datum::Date(v)) => b.append_value(*v),
            (Self::Time(b), Datum::Time(v)) => b.append_value(*v),
            (Self::Timestamp(b), Datum::Timestamp(v) | Datum::TimestampTz(v)) => b.append_value(*v),
            (Self::Uuid(b), Datum::Uuid(v)) => b.append_value(v).map_err(|error| from_arrow(&error))?,
            (Self::Encoded(b), value) => {
                let mut bytes = Vec::with_capacity(32);
                encode_payload(value, &mut bytes);
                b.append_value(&bytes);
            }
            (_, value) => return Err(mismatch(value)),
        }
        Ok(())
    }

    /// Appends a stored field of a row.
    #[inline]
    pub fn append_raw(&mut self, field: &RawField<'_>) -> SqlResult<()> {
        if field.is_null() {
            self.append_null();
            return Ok(());
        }
        match self {
            Self::Bool(b) => b.append_value(field.bool()?),
            Self::Int2(b) => b.append_value(i16::try_from(field.int()?).map_err(|_| narrow())?),
            Self::Int4(b) => b.append_value(i32::try_from(field.int()?).map_err(|_| narrow())?),
            Self::Int8(b) => b.append_value(field.int()?),
            Self::Float4(b) => b.append_value(f32::from_le_bytes(field.array()?)),
            Self::Float8(b) => b.append_value(f64::from_le_bytes(field.array()?)),
            Self::Char(b) => b.append_value(field.array::<1>()?[0]),
            Self::Oid(b) => b.append_value(u32::from_le_bytes(field.array()?)),
            Self::Text(b) => b.append_value(field.text()?),
            Self::Bytes(b) | Self::Encoded(b) => b.append_value(field.variable()?),
            Self::Date(b) => b.append_value(i32::from_le_bytes(field.array()?)),
            Self::Time(b) => b.append_value(i64::from_le_bytes(field.array()?)),
            Self::Timestamp(b) => b.append_value(i64::from_le_bytes(field.array()?)),
            Self::Uuid(b) => b.append_value(field.array::<16>()?).map_err(|error| from_arrow(&error))?,
        }
        Ok(())
    }

    /// The array of what was appended; the builder starts again.
    pub fn finish(&mut self) -> ArrayRef {
        each!(self, builder => Arc::new(builder.finish()))
    }
}

#[cold]
fn narrow() -> SqlError {
    SqlError::new(proto::SqlState::DataCorrupted, "row value is corrupted")
}

#[cold]
fn mismatch(value: &Datum) -> SqlError {
    SqlError::internal(format!("value {value:?} does not have the type of its column"))
}

/// An array of datums of one type.
pub fn array_of<'a>(oid: Oid, values: impl ExactSizeIterator<Item = &'a Datum>) -> SqlResult<ArrayRef> {
    let mut builder = ColumnBuilder::new(oid, values.len());
    for value in values {
        builder.append(value)?;
    }
    Ok(builder.finish())
}

/// An array of NULLs.
pub fn null_array(oid: Oid, rows: usize) -> ArrayRef {
    new_null_array(&arrow_type(oid), rows)
}

/// Converts between Arrow types that hold the same values (Utf8View to Utf8 and the like).
pub fn normalize(array: &ArrayRef, oid: Oid) -> SqlResult<ArrayRef> {
    let wanted = arrow_type(oid);
    if *array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    cast(array, &wanted).map_err(|error| from_arrow(&error))
}

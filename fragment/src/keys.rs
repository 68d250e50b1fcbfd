//! Values that DataFusion compares as PostgreSQL compares the originals.
//!
//! Equality, grouping, joining and sorting go through a key wherever the Arrow representation of a type does not order
//! and equal like the type. What a key looks like:
//! * the value itself where Arrow's order is right (integers, text, dates, uuid …);
//! * floats with -0 as 0 and one NaN, which Arrow then orders as PostgreSQL does;
//! * char(n) as text without trailing blanks;
//! * order-preserving bytes for everything else (numeric, interval, timetz, jsonb, arrays, records).

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryBuilder, StringArray},
    datatypes::{DataType, Float32Type, Float64Type},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::ColumnarValue,
};
use schema::Oid;
use sharddb_schema as schema;

use crate::{column::Column, error::to_datafusion, registry, types::arrow_type};

/// What the key of a type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// The value itself.
    Native,
    /// A normalized float of the same width.
    Float,
    /// Text without trailing blanks.
    Trimmed,
    /// Order-preserving bytes.
    Bytes,
}

/// What the key of a type is.
pub fn key_form(oid: Oid) -> KeyForm {
    match oid {
        Oid::FLOAT4 | Oid::FLOAT8 => KeyForm::Float,
        Oid::BPCHAR => KeyForm::Trimmed,
        Oid::JSONB | Oid::JSON => KeyForm::Bytes,
        _ => match arrow_type(oid) {
            DataType::Binary if oid != Oid::BYTEA => KeyForm::Bytes,
            _ => KeyForm::Native,
        },
    }
}

/// Arrow type of a type's key.
pub fn key_type(oid: Oid) -> DataType {
    match key_form(oid) {
        KeyForm::Bytes => DataType::Binary,
        _ => arrow_type(oid),
    }
}

/// Keys of a column.
pub(crate) fn key_column(oid: Oid, value: &ColumnarValue) -> Result<ColumnarValue> {
    match value {
        ColumnarValue::Array(array) => Ok(ColumnarValue::Array(key_array(oid, array)?)),
        ColumnarValue::Scalar(scalar) => {
            let keys = key_array(oid, &scalar.to_array()?)?;
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&keys, 0)?))
        }
    }
}

/// Keys of an array.
pub fn key_array(oid: Oid, array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match key_form(oid) {
        KeyForm::Native => Arc::clone(array),
        KeyForm::Float if oid == Oid::FLOAT4 => {
            let normal = |v: f32| if v.is_nan() { f32::NAN.abs() } else { v + 0.0 };
            Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(normal))
        }
        KeyForm::Float => {
            let normal = |v: f64| if v.is_nan() { f64::NAN.abs() } else { v + 0.0 };
            Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(normal))
        }
        KeyForm::Trimmed => {
            let trimmed = array.as_string::<i32>().iter().map(|v| v.map(|v| v.trim_end_matches(' ')));
            Arc::new(trimmed.collect::<StringArray>())
        }
        KeyForm::Bytes => byte_keys(oid, array)?,
    })
}

fn byte_keys(oid: Oid, array: &ArrayRef) -> Result<ArrayRef> {
    let column = Column::new(oid, array.as_ref()).map_err(to_datafusion)?;
    let mut builder = BinaryBuilder::with_capacity(array.len(), array.len() * 12);
    let mut bytes = Vec::with_capacity(32);
    for row in 0..array.len() {
        if column.is_null(row) {
            builder.append_null();
            continue;
        }
        bytes.clear();
        let value = column.datum(row).map_err(to_datafusion)?;
        registry::canonical_key(oid, &value, &mut bytes).map_err(to_datafusion)?;
        builder.append_value(&bytes);
    }
    Ok(Arc::new(builder.finish()))
}

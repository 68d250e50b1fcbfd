//! PostgreSQL types as Arrow types.
//!
//! A field carries its PostgreSQL type as metadata where it leaves the engine. Inside a plan the Arrow type is enough,
//! and all fields are nullable and bare, so that schemas of equal types are equal.
//! Types without an Arrow counterpart of the same values (numeric, interval, timetz, arrays, records) are Binary in
//! the self-describing encoding of `schema::row`; those bytes are for storage, not for comparison.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use schema::{Oid, SqlType};
use sharddb_schema as schema;

/// Metadata key of the type's OID.
pub const OID_KEY: &str = "pg.oid";
/// Metadata key of the type modifier.
pub const TYPMOD_KEY: &str = "pg.typmod";
/// Time zone of timestamptz values, which are instants.
pub const UTC: &str = "UTC";

/// How values of a type lie in Arrow arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// bool
    Bool,
    /// int2
    Int2,
    /// int4
    Int4,
    /// int8
    Int8,
    /// float4
    Float4,
    /// float8
    Float8,
    /// "char"
    Char,
    /// oid, reg*, xid
    Oid,
    /// Character types, json, jsonb
    Text,
    /// bytea
    Bytes,
    /// date
    Date,
    /// time
    Time,
    /// timestamp
    Timestamp,
    /// timestamptz
    TimestampTz,
    /// uuid
    Uuid,
    /// Self-describing encoding
    Encoded,
}

impl Shape {
    /// The shape of a type; types unknown here are encoded.
    pub fn of(oid: Oid) -> Self {
        match oid {
            Oid::BOOL => Self::Bool,
            Oid::INT2 => Self::Int2,
            Oid::INT4 => Self::Int4,
            Oid::INT8 => Self::Int8,
            Oid::FLOAT4 => Self::Float4,
            Oid::FLOAT8 => Self::Float8,
            Oid::CHAR => Self::Char,
            oid if oid.is_unsigned() => Self::Oid,
            Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR | Oid::NAME | Oid::UNKNOWN | Oid::JSON | Oid::JSONB => Self::Text,
            Oid::BYTEA => Self::Bytes,
            Oid::DATE => Self::Date,
            Oid::TIME => Self::Time,
            Oid::TIMESTAMP => Self::Timestamp,
            Oid::TIMESTAMPTZ => Self::TimestampTz,
            Oid::UUID => Self::Uuid,
            _ => Self::Encoded,
        }
    }

    /// Its Arrow type.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Char => DataType::UInt8,
            Self::Oid => DataType::UInt32,
            Self::Text => DataType::Utf8,
            Self::Bytes | Self::Encoded => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            Self::Uuid => DataType::FixedSizeBinary(16),
        }
    }
}

/// The Arrow type of values of a PostgreSQL type.
pub fn arrow_type(oid: Oid) -> DataType {
    Shape::of(oid).arrow()
}

/// A bare, nullable field.
pub fn plain_field(name: impl Into<String>, oid: Oid) -> Field {
    Field::new(name, arrow_type(oid), true)
}

/// A schema of bare, nullable fields.
pub fn plain_schema(fields: impl IntoIterator<Item = (String, Oid)>) -> SchemaRef {
    let fields: Vec<FieldRef> = fields.into_iter().map(|(name, oid)| Arc::new(plain_field(name, oid))).collect();
    Arc::new(Schema::new(fields))
}

/// A nullable field that says its PostgreSQL type.
pub fn typed_field(name: impl Into<String>, sql_type: SqlType) -> Field {
    let metadata = HashMap::from([
        (OID_KEY.to_owned(), sql_type.oid.0.to_string()),
        (TYPMOD_KEY.to_owned(), sql_type.modifier.to_string()),
    ]);
    plain_field(name, sql_type.oid).with_metadata(metadata)
}

/// The PostgreSQL type a field says it has.
pub fn sql_type_of(field: &Field) -> Option<SqlType> {
    let oid = field.metadata().get(OID_KEY)?.parse().ok()?;
    let modifier = field.metadata().get(TYPMOD_KEY)?.parse().ok()?;
    Some(SqlType::with_modifier(Oid(oid), modifier))
}

//! A value of a PostgreSQL type, or NULL.

use std::sync::Arc;

use crate::{Interval, Numeric, Oid};

/// One SQL value. The static type is known from the plan; a datum only carries the representation.
///
/// text, varchar, bpchar, name and unknown share `Text`; oid and the reg* types share `Oid`.
/// char(n) values are stored blank-padded as PostgreSQL prints them.
#[derive(Clone, Debug)]
pub enum Datum {
    /// SQL NULL of any type.
    Null,
    /// bool
    Bool(bool),
    /// int2
    Int2(i16),
    /// int4
    Int4(i32),
    /// int8
    Int8(i64),
    /// float4
    Float4(f32),
    /// float8
    Float8(f64),
    /// numeric with its display scale
    Numeric(Numeric),
    /// Character types
    Text(Arc<str>),
    /// "char": one byte
    Char(u8),
    /// bytea
    Bytes(Arc<[u8]>),
    /// date: days since 1970-01-01; `i32::MAX` and `i32::MIN` are infinity and -infinity
    Date(i32),
    /// time: microseconds since midnight, 0 to 86,400,000,000
    Time(i64),
    /// timetz: microseconds since midnight and the zone in seconds west of Greenwich (PostgreSQL's sign)
    TimeTz(i64, i32),
    /// timestamp: microseconds since 1970-01-01 00:00:00; `i64::MAX` and `i64::MIN` are infinity and -infinity
    Timestamp(i64),
    /// timestamptz: microseconds since 1970-01-01 00:00:00 UTC, infinities as in `Timestamp`
    TimestampTz(i64),
    /// interval
    Interval(Interval),
    /// uuid
    Uuid([u8; 16]),
    /// json: the text as it came
    Json(Arc<str>),
    /// jsonb: the normalized text as PostgreSQL prints it
    Jsonb(Arc<str>),
    /// oid, regclass, regtype, xid …
    Oid(u32),
    /// Any array
    Array(Arc<ArrayValue>),
    /// A row value
    Record(Arc<[(Oid, Datum)]>),
}

/// An array value of one or more dimensions, row-major. An empty array has no dimensions.
#[derive(Clone, Debug)]
pub struct ArrayValue {
    /// Type of the elements.
    pub element: Oid,
    /// Length and lower bound of each dimension; the product of the lengths is `values.len()`.
    pub dims: Vec<(i32, i32)>,
    /// The elements.
    pub values: Vec<Datum>,
}

impl Datum {
    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// A text value.
    pub fn text(value: impl Into<Arc<str>>) -> Self {
        Self::Text(value.into())
    }
}

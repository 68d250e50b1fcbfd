//! Messages inside a serialized fragment, beside DataFusion's own.

use std::sync::Arc;

use proto::{SqlError, SqlResult};
use schema::{
    DateOrder, DateStyle, FormatSettings, IntervalStyle, Oid, SqlType, TimeZone,
    functions::{CastContext, EvalContext},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

/// A fragment: the statement's surroundings and the plan.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FragmentPlan {
    #[prost(message, optional, tag = "1")]
    pub(crate) context: Option<Context>,
    /// datafusion-proto's encoding of the plan.
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) plan: bytes::Bytes,
}

/// `EvalContext`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Context {
    #[prost(int64, tag = "1")]
    transaction_time: i64,
    #[prost(int64, tag = "2")]
    statement_time: i64,
    /// IANA name; empty for a fixed offset.
    #[prost(string, tag = "3")]
    zone_name: String,
    #[prost(int32, tag = "4")]
    zone_offset: i32,
    #[prost(string, tag = "5")]
    zone_text: String,
    #[prost(uint32, tag = "6")]
    date_style: u32,
    #[prost(uint32, tag = "7")]
    date_order: u32,
    #[prost(uint32, tag = "8")]
    interval_style: u32,
    #[prost(int32, tag = "9")]
    extra_float_digits: i32,
    #[prost(bool, tag = "10")]
    bytea_hex: bool,
    #[prost(string, tag = "11")]
    user: String,
    #[prost(string, tag = "12")]
    session_user: String,
    #[prost(string, tag = "13")]
    database: String,
    #[prost(string, repeated, tag = "14")]
    search_path: Vec<String>,
    #[prost(int32, tag = "15")]
    backend_pid: i32,
}

/// A leaf.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Scan {
    #[prost(string, tag = "1")]
    pub(crate) table: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) columns: Vec<ScanColumn>,
    #[prost(bool, tag = "3")]
    pub(crate) with_key: bool,
    #[prost(message, repeated, tag = "4")]
    pub(crate) spans: Vec<proto::kv::Span>,
    #[prost(uint64, optional, tag = "5")]
    pub(crate) limit: Option<u64>,
}

/// A column of a leaf.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ScanColumn {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(uint32, tag = "2")]
    pub(crate) id: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) oid: u32,
    /// Self-describing encoding; empty for NULL.
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) missing: Vec<u8>,
}

/// A type with its modifier.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Type {
    #[prost(uint32, tag = "1")]
    oid: u32,
    #[prost(sint32, tag = "2")]
    modifier: i32,
}

/// A scalar operation.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Scalar {
    #[prost(enumeration = "ScalarKind", tag = "1")]
    pub(crate) kind: i32,
    /// Key of the function, for kinds that have one.
    #[prost(string, tag = "2")]
    pub(crate) function: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) args: Vec<Type>,
    #[prost(message, optional, tag = "4")]
    pub(crate) result: Option<Type>,
    /// NOT, ALL or slice.
    #[prost(bool, tag = "5")]
    pub(crate) flag: bool,
    /// Cast context, or for subscripts two bits a dimension.
    #[prost(uint32, repeated, tag = "6")]
    pub(crate) details: Vec<u32>,
}

/// Kinds of scalar operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum ScalarKind {
    Call = 0,
    Cast = 1,
    Key = 2,
    IsDistinct = 3,
    InList = 4,
    Quantified = 5,
    Array = 6,
    Subscript = 7,
    Row = 8,
}

/// An aggregate call.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Aggregate {
    #[prost(string, tag = "1")]
    pub(crate) function: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) args: Vec<Type>,
    #[prost(message, optional, tag = "3")]
    pub(crate) result: Option<Type>,
    #[prost(bool, tag = "4")]
    pub(crate) distinct: bool,
    /// One for each sort key: bit 0 DESC, bit 1 NULLS FIRST.
    #[prost(uint32, repeated, tag = "5")]
    pub(crate) order: Vec<u32>,
}

impl From<SqlType> for Type {
    fn from(sql_type: SqlType) -> Self {
        Self { oid: sql_type.oid.0, modifier: sql_type.modifier }
    }
}

impl From<Type> for SqlType {
    fn from(wire: Type) -> Self {
        Self::with_modifier(Oid(wire.oid), wire.modifier)
    }
}

pub(crate) fn types(types: &[SqlType]) -> Vec<Type> {
    types.iter().map(|sql_type| (*sql_type).into()).collect()
}

pub(crate) fn cast_context(code: u32) -> CastContext {
    match code {
        0 => CastContext::Implicit,
        1 => CastContext::Assignment,
        _ => CastContext::Explicit,
    }
}

impl Context {
    pub(crate) fn of(context: &EvalContext) -> Self {
        let format = &context.format;
        let (zone_name, zone_offset, zone_text) = match &context.time_zone {
            TimeZone::Named(zone) => (zone.name().to_owned(), 0, String::new()),
            TimeZone::Fixed(offset, text) => (String::new(), *offset, text.clone()),
        };
        Self {
            transaction_time: context.transaction_time,
            statement_time: context.statement_time,
            zone_name,
            zone_offset,
            zone_text,
            date_style: format.date_style as u32,
            date_order: format.date_order as u32,
            interval_style: format.interval_style as u32,
            extra_float_digits: format.extra_float_digits,
            bytea_hex: format.bytea_hex,
            user: context.user.to_string(),
            session_user: context.session_user.to_string(),
            database: context.database.to_string(),
            search_path: context.search_path.to_vec(),
            backend_pid: context.backend_pid,
        }
    }

    pub(crate) fn into_eval(self) -> SqlResult<EvalContext> {
        let time_zone = if self.zone_name.is_empty() {
            TimeZone::Fixed(self.zone_offset, self.zone_text)
        } else {
            let zone = self.zone_name.parse();
            TimeZone::Named(zone.map_err(|_| SqlError::internal("fragment names an unknown time zone"))?)
        };
        let format = FormatSettings {
            time_zone: time_zone.clone(),
            date_style: match self.date_style {
                1 => DateStyle::Sql,
                2 => DateStyle::Postgres,
                3 => DateStyle::German,
                _ => DateStyle::Iso,
            },
            date_order: match self.date_order {
                1 => DateOrder::Dmy,
                2 => DateOrder::Ymd,
                _ => DateOrder::Mdy,
            },
            interval_style: match self.interval_style {
                1 => IntervalStyle::PostgresVerbose,
                2 => IntervalStyle::SqlStandard,
                3 => IntervalStyle::Iso8601,
                _ => IntervalStyle::Postgres,
            },
            extra_float_digits: self.extra_float_digits,
            bytea_hex: self.bytea_hex,
            names: None,
        };
        Ok(EvalContext {
            transaction_time: self.transaction_time,
            statement_time: self.statement_time,
            time_zone,
            format,
            user: Arc::from(self.user),
            session_user: Arc::from(self.session_user),
            database: Arc::from(self.database),
            search_path: Arc::from(self.search_path),
            backend_pid: self.backend_pid,
            host: None,
        })
    }
}

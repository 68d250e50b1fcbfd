//! Lookups in the table of built-in functions, for code that finds a function again by its key.

use proto::{SqlError, SqlResult};
use schema::{
    Datum, Oid, SqlType,
    functions::{Aggregate, CastContext, EvalContext, Function},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

/// The function with this key.
pub(crate) fn function(key: &str) -> SqlResult<&'static Function> {
    Err(SqlError::internal(format!("no function {key}")))
}

/// The aggregate with this key.
pub(crate) fn aggregate(key: &str) -> SqlResult<&'static Aggregate> {
    Err(SqlError::internal(format!("no aggregate {key}")))
}

/// Key of an aggregate.
pub(crate) fn aggregate_key(aggregate: &Aggregate) -> String {
    let args: Vec<String> = aggregate.args.iter().map(|oid| oid.0.to_string()).collect();
    format!("{}({})", aggregate.name, args.join(","))
}

/// Converts a value that is not NULL.
pub(crate) fn cast(_: &EvalContext, _: &Datum, from: SqlType, to: SqlType, _: CastContext) -> SqlResult<Datum> {
    Err(SqlError::internal(format!("no cast from {} to {}", from.oid, to.oid)))
}

/// Appends bytes that order and equal as the values of a type do.
pub(crate) fn canonical_key(oid: Oid, value: &Datum, out: &mut Vec<u8>) -> SqlResult<()> {
    schema::key::canonical_key(SqlType::new(oid), value, out)
}

/// Divides as numeric's `/` does.
pub(crate) fn numeric_div(_: &schema::Numeric, _: &schema::Numeric) -> SqlResult<schema::Numeric> {
    Err(SqlError::unsupported("division of numeric"))
}

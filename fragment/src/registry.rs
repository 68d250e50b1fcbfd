//! Lookups in the table of built-in functions, for code that finds a function again by its key.

use proto::{SqlError, SqlResult};
use schema::{
    Datum, Oid, SqlType,
    functions::{self, Aggregate, CastContext, EvalContext, Function},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::aggregate::{FIRST, FIRST_KEY};

/// The function with this key.
pub(crate) fn function(key: &str) -> SqlResult<&'static Function> {
    functions::function_by_key(key).ok_or_else(|| SqlError::internal(format!("no function {key}")))
}

/// The aggregate with this key.
pub(crate) fn aggregate(key: &str) -> SqlResult<&'static Aggregate> {
    if key == FIRST_KEY {
        return Ok(&FIRST);
    }
    functions::aggregate_by_key(key).ok_or_else(|| SqlError::internal(format!("no aggregate {key}")))
}

/// Key of an aggregate.
pub(crate) fn aggregate_key(aggregate: &Aggregate) -> String {
    if std::ptr::eq(aggregate, &FIRST) {
        return FIRST_KEY.to_owned();
    }
    aggregate.key()
}

/// Converts a value that is not NULL.
pub(crate) fn cast(
    env: &EvalContext,
    value: &Datum,
    from: SqlType,
    to: SqlType,
    context: CastContext,
) -> SqlResult<Datum> {
    schema::cast::cast(value, from, to, context, env)
}

/// Appends bytes that order and equal as the values of a type do.
pub(crate) fn canonical_key(oid: Oid, value: &Datum, out: &mut Vec<u8>) -> SqlResult<()> {
    schema::key::canonical_key(SqlType::new(oid), value, out)
}

/// Divides as numeric's `/` does.
pub(crate) fn numeric_div(dividend: &schema::Numeric, divisor: &schema::Numeric) -> SqlResult<schema::Numeric> {
    dividend.div(divisor)
}

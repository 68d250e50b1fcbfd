//! Fields of row values.

use proto::SqlResult;
use sharddb_proto as proto;

use crate::{
    Datum, Oid,
    functions::{Function, table::function, value::mismatch},
};

fn field(args: &[Datum]) -> SqlResult<Datum> {
    match args {
        [Datum::Record(fields), Datum::Int4(at)] => {
            let found = usize::try_from(*at).ok().and_then(|at| fields.get(at));
            found.map(|(_, value)| value.clone()).ok_or_else(|| mismatch(args))
        }
        _ => Err(mismatch(args)),
    }
}

/// The name is one that no call can have; stable, so that no shard is asked for it.
static FIELD: Function =
    function("record.field", &[Oid::RECORD, Oid::INT4], Oid::ANYELEMENT, |_, args| field(args)).stable();

/// A row is null when all of its fields are, and not null when none of them is.
static IS_NULL: Function = function("record.is_null", &[Oid::RECORD, Oid::BOOL], Oid::BOOL, |_, args| match args {
    [Datum::Record(fields), Datum::Bool(negated)] => {
        Ok(Datum::Bool(fields.iter().all(|(_, value)| value.is_null() != *negated)))
    }
    [Datum::Null, Datum::Bool(negated)] => Ok(Datum::Bool(!*negated)),
    _ => Err(mismatch(args)),
})
.stable()
.lenient();

/// The function behind IS NULL of a row value; IS NOT NULL when the second argument is true.
pub fn record_is_null() -> &'static Function {
    &IS_NULL
}

/// The function behind `(record).name`: a row value and the place of a field, counted from 0.
pub fn record_field() -> &'static Function {
    &FIELD
}

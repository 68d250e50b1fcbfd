//! Functions and operators on arrays.

mod build;
mod inspect;
mod search;
mod strings;

pub(super) use build::BUILD;
pub(super) use inspect::INSPECT;
pub(super) use search::SEARCH;
pub(super) use strings::{STRINGS, parts};

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::resolve::type_name;
use crate::{ArrayValue, Datum, Oid, compare};

/// A one-dimensional array counted from 1.
pub(super) fn list(element: Oid, values: Vec<Datum>) -> ArrayValue {
    let dims = if values.is_empty() { Vec::new() } else { vec![(values.len() as i32, 1)] };
    ArrayValue { element, dims, values }
}

/// 2202E.
fn subscript_error(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::ArraySubscriptError, message)
}

/// Whether two elements, NULLs included, are the same.
fn same(a: &Datum, b: &Datum) -> bool {
    match (a.is_null(), b.is_null()) {
        (false, false) => std::mem::discriminant(a) == std::mem::discriminant(b) && compare::equal(a, b),
        (a, b) => a == b,
    }
}

/// json has no equality.
fn check_equality(array: &ArrayValue) -> SqlResult<()> {
    if array.element == Oid::JSON {
        let message = format!("could not identify an equality operator for type {}", type_name(array.element));
        return Err(SqlError::new(SqlState::UndefinedFunction, message));
    }
    Ok(())
}

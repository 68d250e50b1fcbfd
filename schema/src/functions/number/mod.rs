//! Functions and operators on numbers.

mod float;
mod integer;
mod math;
mod numeric;

pub(super) use float::{ARITHMETIC as FLOAT_ARITHMETIC, FLOAT};
pub(super) use integer::{ARITHMETIC as INTEGER_ARITHMETIC, DIVISORS, INTEGER};
pub(super) use math::{MATH, TRIGONOMETRY};
pub(super) use numeric::{FUNCTIONS as NUMERIC, OPERATORS as NUMERIC_OPERATORS};

use proto::{SqlError, SqlState};
use sharddb_proto as proto;

/// 22003 naming the type.
#[cold]
pub(super) fn out_of_range(kind: &str) -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, format!("{kind} out of range"))
}

/// 22012.
#[cold]
pub(super) fn division_by_zero() -> SqlError {
    SqlError::new(SqlState::DivisionByZero, "division by zero")
}

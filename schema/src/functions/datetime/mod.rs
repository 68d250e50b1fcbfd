//! Functions and operators on dates, times and intervals.

mod arithmetic;
mod compare;
mod extract;
mod make;
mod now;
mod overlaps;
mod truncate;
mod unit;
mod zones;

pub(super) use arithmetic::{ARITHMETIC, INTERVAL};
pub(super) use compare::COMPARE;
pub(super) use extract::EXTRACT;
pub(super) use make::{MAKE, SPANS};
pub(super) use now::NOW;
pub(super) use overlaps::{OVERLAPS, OVERLAPS_TIMETZ};
pub(super) use truncate::TRUNCATE;
pub(super) use unit::iso_week;
pub(super) use zones::ZONES;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::EvalContext;
use crate::datetime::{
    DATE_INFINITY, DATE_NEG_INFINITY, DAY_MICROS, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, local_to_utc, offset_at,
};

/// 22008.
#[cold]
pub(super) fn out_of_range(what: &str) -> SqlError {
    SqlError::new(SqlState::DatetimeFieldOverflow, format!("{what} out of range"))
}

/// Whether a timestamp is infinity or -infinity.
pub(super) fn is_infinite(micros: i64) -> bool {
    micros == TIMESTAMP_INFINITY || micros == TIMESTAMP_NEG_INFINITY
}

/// A date's midnight, infinities kept. Dates beyond the timestamps' range are taken for infinities when `lossy`, as
/// comparisons want it, and 22008 otherwise.
pub(super) fn midnight(days: i32, lossy: bool) -> SqlResult<i64> {
    match days {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_NEG_INFINITY => Ok(TIMESTAMP_NEG_INFINITY),
        days => match i64::from(days).checked_mul(DAY_MICROS) {
            Some(micros) => Ok(micros),
            None if lossy => Ok(TIMESTAMP_INFINITY - 1),
            None => Err(SqlError::new(SqlState::DatetimeFieldOverflow, "date out of range for timestamp")),
        },
    }
}

/// A local time of the session as an instant.
pub(super) fn to_instant(env: &EvalContext, local: i64) -> SqlResult<i64> {
    if is_infinite(local) {
        return Ok(local);
    }
    local_to_utc(&env.time_zone, local).ok_or_else(|| out_of_range("timestamp"))
}

/// An instant as local time of the session.
pub(super) fn to_local(env: &EvalContext, instant: i64) -> i64 {
    if is_infinite(instant) {
        return instant;
    }
    instant.saturating_add(i64::from(offset_at(&env.time_zone, instant)) * 1_000_000)
}

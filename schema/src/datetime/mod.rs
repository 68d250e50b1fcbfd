//! Dates, times and intervals: the calendar, text forms, arithmetic.
//!
//! Internally days and microseconds count from 1970-01-01; PostgreSQL's wire counts from 2000-01-01. The calendar is the
//! proleptic Gregorian one, with a year 0 that is 1 BC, as PostgreSQL has it.

mod arithmetic;
mod civil;
mod format;
mod interval_text;
mod lexer;
mod parse;
mod zone;

#[cfg(test)]
mod tests;

pub use arithmetic::{
    add_to_date, add_to_timestamp, add_to_timestamptz, interval_between, justify_days, justify_hours,
};
pub use civil::{
    Civil, DAY_MICROS, EPOCH_2000_DAYS, EPOCH_2000_MICROS, civil_from_days, days_from_civil, days_in_month,
};
pub use format::{write_date, write_interval, write_time, write_timestamp, write_timestamptz, write_timetz};
pub use interval_text::parse_interval;
pub use parse::{Now, parse_date, parse_time, parse_timestamp, parse_timestamptz, parse_timetz};
pub(crate) use zone::abbreviation as zone_of_abbreviation;
pub use zone::{local_to_utc, offset_at, parse_zone, zone_abbreviation};

use proto::{SqlError, SqlState};
use sharddb_proto as proto;

/// `date` and timestamps: infinity.
pub const DATE_INFINITY: i32 = i32::MAX;
/// `date`: -infinity.
pub const DATE_NEG_INFINITY: i32 = i32::MIN;
/// timestamps: infinity.
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
/// timestamps: -infinity.
pub const TIMESTAMP_NEG_INFINITY: i64 = i64::MIN;

/// 22007: not a date or time at all.
pub(crate) fn invalid(kind: &str, text: &str) -> SqlError {
    SqlError::new(SqlState::InvalidDatetimeFormat, format!("invalid input syntax for type {kind}: \"{text}\""))
}

/// 22008: a field is out of range.
pub(crate) fn out_of_range(text: &str) -> SqlError {
    SqlError::new(SqlState::DatetimeFieldOverflow, format!("date/time field value out of range: \"{text}\""))
}

/// 22008: a result is out of range.
pub(crate) fn result_out_of_range(kind: &str) -> SqlError {
    SqlError::new(SqlState::DatetimeFieldOverflow, format!("{kind} out of range"))
}

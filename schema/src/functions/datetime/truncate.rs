//! date_trunc and date_bin.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{is_infinite, out_of_range, unit::Unit, zones::named_zone};
use crate::{
    Interval, Oid, TimeZone,
    datetime::{DAY_MICROS, civil_from_days, days_from_civil, local_to_utc, offset_at},
    functions::{
        Function,
        resolve::type_name,
        table::function,
        text::lower,
        value::{Timestamp, TimestampTz, three, two},
    },
};

const T: Oid = Oid::TEXT;
const TS: Oid = Oid::TIMESTAMP;
const TSTZ: Oid = Oid::TIMESTAMPTZ;
const I: Oid = Oid::INTERVAL;

fn find_unit(name: &str, of: Oid) -> SqlResult<Unit> {
    // Fields that are no lengths of time are unknown here.
    let length = |unit: &Unit| !(Unit::Julian..=Unit::Epoch).contains(unit);
    Unit::parse(name).filter(length).ok_or_else(|| {
        let message = format!("unit \"{name}\" not recognized for type {}", type_name(of));
        SqlError::new(SqlState::InvalidParameterValue, message)
    })
}

fn unsupported(name: &str, of: Oid) -> SqlError {
    let message = format!("unit \"{name}\" not supported for type {}", type_name(of));
    SqlError::new(SqlState::FeatureNotSupported, message)
}

/// Microseconds of the units of the clock.
fn clock_unit(unit: Unit) -> Option<i64> {
    Some(match unit {
        Unit::Microseconds => 1,
        Unit::Milliseconds => 1000,
        Unit::Second => 1_000_000,
        Unit::Minute => 60_000_000,
        Unit::Hour => 3_600_000_000,
        _ => return None,
    })
}

/// The first year of a decade, century or millennium.
fn first_year(year: i32, length: i32) -> i32 {
    match length {
        1 => year,
        10 if year > 0 => year / 10 * 10,
        10 => -((8 - (year - 1)) / 10) * 10,
        _ if year > 0 => (year + length - 1) / length * length - (length - 1),
        _ => -((length - 1 - (year - 1)) / length) * length + 1,
    }
}

/// A local time cut to a unit; `None` for a unit there is no cutting to.
fn cut(unit: Unit, micros: i64) -> Option<i64> {
    if let Some(length) = clock_unit(unit) {
        return Some(micros - micros.rem_euclid(length));
    }
    let days = micros.div_euclid(DAY_MICROS);
    let (year, month, _) = civil_from_days(days);
    let start = match unit {
        Unit::Day => days,
        Unit::Week => days - (days + 3).rem_euclid(7),
        Unit::Month => days_from_civil(year, month, 1),
        Unit::Quarter => days_from_civil(year, (month - 1) / 3 * 3 + 1, 1),
        Unit::Year => days_from_civil(year, 1, 1),
        Unit::Decade => days_from_civil(first_year(year, 10), 1, 1),
        Unit::Century => days_from_civil(first_year(year, 100), 1, 1),
        Unit::Millennium => days_from_civil(first_year(year, 1000), 1, 1),
        _ => return None,
    };
    start.checked_mul(DAY_MICROS)
}

fn truncate_local(name: &str, value: Timestamp) -> SqlResult<Timestamp> {
    let name = lower(name);
    let unit = find_unit(&name, TS)?;
    if is_infinite(value.0) {
        return Ok(value);
    }
    cut(unit, value.0).map(Timestamp).ok_or_else(|| unsupported(&name, TS))
}

/// Cut by the clock of a zone. Units below a day keep the offset of the moment itself, so that hours repeated at the end
/// of summer time stay apart.
fn truncate_instant(name: &str, value: TimestampTz, zone: &TimeZone) -> SqlResult<TimestampTz> {
    let name = lower(name);
    let unit = find_unit(&name, TSTZ)?;
    if is_infinite(value.0) {
        return Ok(value);
    }
    let offset = i64::from(offset_at(zone, value.0)) * 1_000_000;
    let local = cut(unit, value.0.saturating_add(offset)).ok_or_else(|| unsupported(&name, TSTZ))?;
    if clock_unit(unit).is_some() {
        return Ok(TimestampTz(local.saturating_sub(offset)));
    }
    local_to_utc(zone, local).map(TimestampTz).ok_or_else(|| out_of_range("timestamp"))
}

fn truncate_interval(name: &str, value: Interval) -> SqlResult<Interval> {
    let name = lower(name);
    let unit = find_unit(&name, I)?;
    if let Some(length) = clock_unit(unit) {
        return Ok(Interval { micros: value.micros - value.micros % length, ..value });
    }
    let months = |length: i32| Interval { months: value.months - value.months % length, days: 0, micros: 0 };
    Ok(match unit {
        Unit::Day => Interval { micros: 0, ..value },
        Unit::Month => months(1),
        Unit::Quarter => months(3),
        Unit::Year => months(12),
        Unit::Decade => months(120),
        Unit::Century => months(1200),
        Unit::Millennium => months(12_000),
        Unit::Week => {
            return Err(unsupported(&name, I).with_detail("Months usually have fractional weeks."));
        }
        _ => return Err(unsupported(&name, I)),
    })
}

/// The start of the stride, counted from an origin, that a moment is in.
fn bin(stride: Interval, source: i64, origin: i64) -> SqlResult<i64> {
    if is_infinite(source) {
        return Ok(source);
    }
    if is_infinite(origin) {
        return Err(SqlError::new(SqlState::DatetimeFieldOverflow, "origin out of range"));
    }
    if stride.months != 0 {
        let message = "timestamps cannot be binned into intervals containing months or years";
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    let length = i64::from(stride.days)
        .checked_mul(DAY_MICROS)
        .and_then(|days| days.checked_add(stride.micros))
        .ok_or_else(|| out_of_range("interval"))?;
    if length <= 0 {
        return Err(SqlError::new(SqlState::DatetimeFieldOverflow, "stride must be greater than zero"));
    }
    let distance = source.checked_sub(origin).ok_or_else(|| out_of_range("interval"))?;
    source.checked_sub(distance.rem_euclid(length)).ok_or_else(|| out_of_range("timestamp"))
}

/// date_trunc and date_bin.
pub(in crate::functions) static TRUNCATE: &[Function] = &[
    function("date_trunc", &[T, TS], TS, |_, args| two(args, truncate_local)),
    function("date_trunc", &[T, TSTZ], TSTZ, |env, args| {
        two(args, |unit: &str, value: TimestampTz| truncate_instant(unit, value, &env.time_zone))
    })
    .stable(),
    function("date_trunc", &[T, TSTZ, T], TSTZ, |_, args| {
        three(args, |unit: &str, value: TimestampTz, zone: &str| truncate_instant(unit, value, &named_zone(zone)?))
    })
    .stable(),
    function("date_trunc", &[T, I], I, |_, args| two(args, truncate_interval)),
    function("date_bin", &[I, TS, TS], TS, |_, args| {
        three(args, |stride: Interval, source: Timestamp, origin: Timestamp| {
            bin(stride, source.0, origin.0).map(Timestamp)
        })
    }),
    function("date_bin", &[I, TSTZ, TSTZ], TSTZ, |_, args| {
        three(args, |stride: Interval, source: TimestampTz, origin: TimestampTz| {
            bin(stride, source.0, origin.0).map(TimestampTz)
        })
    }),
];

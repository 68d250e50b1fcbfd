//! AT TIME ZONE: the functions named timezone.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{is_infinite, out_of_range};
use crate::{
    Interval, Oid, TimeZone,
    datetime::{DAY_MICROS, local_to_utc, offset_at, parse_zone, zone_of_abbreviation},
    functions::{
        Function,
        table::function,
        value::{TimeTz, Timestamp, TimestampTz, two},
    },
};

const T: Oid = Oid::TEXT;
const TS: Oid = Oid::TIMESTAMP;
const TSTZ: Oid = Oid::TIMESTAMPTZ;
const TZ: Oid = Oid::TIMETZ;
const I: Oid = Oid::INTERVAL;

/// A zone by abbreviation, name or POSIX offset: 22023 if there is none.
pub(super) fn named_zone(name: &str) -> SqlResult<TimeZone> {
    let lower = name.to_ascii_lowercase();
    if let Some(east) = zone_of_abbreviation(&lower) {
        return Ok(TimeZone::Fixed(east, name.to_owned()));
    }
    if let Some(east) = posix_offset(&lower) {
        return Ok(TimeZone::Fixed(east, name.to_owned()));
    }
    parse_zone(name)
        .ok_or_else(|| SqlError::new(SqlState::InvalidParameterValue, format!("time zone \"{name}\" not recognized")))
}

/// Seconds east of Greenwich of a POSIX zone such as `+02` or `utc-5:30`, whose sign counts to the west.
fn posix_offset(text: &str) -> Option<i32> {
    let offset = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let letters = text.len() - offset.len();
    let (sign, digits) = match offset.as_bytes().first()? {
        b'+' => (-1, &offset[1..]),
        b'-' => (1, &offset[1..]),
        _ if letters >= 3 => (-1, offset),
        _ => return None,
    };
    let mut seconds = 0;
    let mut parts = digits.split(':');
    for unit in [3600, 60, 1] {
        let Some(part) = parts.next() else { break };
        let valid = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        seconds += part.parse::<i32>().ok().filter(|_| valid)? * unit;
    }
    (parts.next().is_none() && seconds <= 24 * 3600).then_some(sign * seconds)
}

/// A zone as an offset: positive is east of Greenwich.
fn interval_zone(offset: Interval) -> SqlResult<TimeZone> {
    if offset.months != 0 || offset.days != 0 {
        let mut shown = String::new();
        crate::datetime::write_interval(&offset, &crate::FormatSettings::default(), &mut shown);
        let message = format!("interval time zone \"{shown}\" must not include months or days");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    Ok(TimeZone::Fixed((offset.micros / 1_000_000) as i32, String::new()))
}

fn at_zone(value: TimestampTz, zone: &TimeZone) -> Timestamp {
    if is_infinite(value.0) {
        return Timestamp(value.0);
    }
    Timestamp(value.0.saturating_add(i64::from(offset_at(zone, value.0)) * 1_000_000))
}

fn from_zone(value: Timestamp, zone: &TimeZone) -> SqlResult<TimestampTz> {
    if is_infinite(value.0) {
        return Ok(TimestampTz(value.0));
    }
    local_to_utc(zone, value.0).map(TimestampTz).ok_or_else(|| out_of_range("timestamp"))
}

fn move_time(value: TimeTz, east: i32) -> TimeTz {
    let moved = value.0 + (i64::from(value.1) + i64::from(east)) * 1_000_000;
    TimeTz(moved.rem_euclid(DAY_MICROS), -east)
}

/// The functions behind AT TIME ZONE.
pub(in crate::functions) static ZONES: &[Function] = &[
    function("timezone", &[T, TSTZ], TS, |_, args| {
        two(args, |zone: &str, value: TimestampTz| Ok(at_zone(value, &named_zone(zone)?)))
    }),
    function("timezone", &[I, TSTZ], TS, |_, args| {
        two(args, |zone: Interval, value: TimestampTz| Ok(at_zone(value, &interval_zone(zone)?)))
    }),
    function("timezone", &[T, TS], TSTZ, |_, args| {
        two(args, |zone: &str, value: Timestamp| from_zone(value, &named_zone(zone)?))
    }),
    function("timezone", &[I, TS], TSTZ, |_, args| {
        two(args, |zone: Interval, value: Timestamp| from_zone(value, &interval_zone(zone)?))
    }),
    function("timezone", &[T, TZ], TZ, |env, args| {
        two(args, |zone: &str, value: TimeTz| Ok(move_time(value, offset_at(&named_zone(zone)?, env.transaction_time))))
    })
    .stable(),
    function("timezone", &[I, TZ], TZ, |env, args| {
        two(args, |zone: Interval, value: TimeTz| {
            Ok(move_time(value, offset_at(&interval_zone(zone)?, env.transaction_time)))
        })
    }),
];

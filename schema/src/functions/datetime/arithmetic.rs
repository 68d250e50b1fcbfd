//! Arithmetic operators on dates, times, timestamps and intervals.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{is_infinite, midnight, out_of_range};
use crate::{
    Interval, Oid,
    datetime::{DATE_INFINITY, DATE_NEG_INFINITY, DAY_MICROS, add_to_timestamp, add_to_timestamptz, interval_between},
    functions::{
        Function,
        table::{function, operator},
        value::{Date, Time, TimeTz, Timestamp, TimestampTz, one, two},
    },
};

fn infinite_date(days: i32) -> bool {
    days == DATE_INFINITY || days == DATE_NEG_INFINITY
}

fn date_plus(date: Date, days: i64) -> SqlResult<Date> {
    if infinite_date(date.0) {
        return Ok(date);
    }
    let moved = i64::from(date.0) + days;
    // PostgreSQL's range of dates: 4713-11-24 BC to 5874897-12-31.
    if !(-2_440_588..=2_145_042_905).contains(&moved) {
        return Err(out_of_range("date"));
    }
    Ok(Date(moved as i32))
}

fn date_difference(a: Date, b: Date) -> SqlResult<i32> {
    if infinite_date(a.0) || infinite_date(b.0) {
        return Err(SqlError::new(SqlState::DatetimeFieldOverflow, "cannot subtract infinite dates"));
    }
    Ok(a.0 - b.0)
}

fn date_plus_interval(date: Date, interval: Interval) -> SqlResult<Timestamp> {
    add_to_timestamp(midnight(date.0, false)?, &interval).map(Timestamp)
}

fn date_plus_time(date: Date, time: Time) -> SqlResult<Timestamp> {
    let start = midnight(date.0, false)?;
    if is_infinite(start) {
        return Ok(Timestamp(start));
    }
    start.checked_add(time.0).map(Timestamp).ok_or_else(|| out_of_range("timestamp"))
}

fn date_plus_timetz(date: Date, time: TimeTz) -> SqlResult<TimestampTz> {
    let start = midnight(date.0, false)?;
    if is_infinite(start) {
        return Ok(TimestampTz(start));
    }
    let instant = start.checked_add(time.0 + i64::from(time.1) * 1_000_000);
    instant.map(TimestampTz).ok_or_else(|| out_of_range("date"))
}

/// Days and months do not count; the clock goes round.
fn time_plus(time: Time, interval: Interval) -> Time {
    Time((time.0 + interval.micros % DAY_MICROS).rem_euclid(DAY_MICROS))
}

fn time_minus(time: Time, interval: Interval) -> Time {
    Time((time.0 - interval.micros % DAY_MICROS).rem_euclid(DAY_MICROS))
}

fn span(micros: i64) -> Interval {
    Interval { months: 0, days: 0, micros }
}

fn interval_minus(a: Interval, b: Interval) -> SqlResult<Interval> {
    let difference = || {
        Some(Interval {
            months: a.months.checked_sub(b.months)?,
            days: a.days.checked_sub(b.days)?,
            micros: a.micros.checked_sub(b.micros)?,
        })
    };
    difference().ok_or_else(|| out_of_range("interval"))
}

fn interval_divide(interval: Interval, divisor: f64) -> SqlResult<Interval> {
    if divisor == 0.0 {
        return Err(crate::functions::number::division_by_zero());
    }
    interval.div(divisor)
}

const D: Oid = Oid::DATE;
const T: Oid = Oid::TIME;
const TZ: Oid = Oid::TIMETZ;
const TS: Oid = Oid::TIMESTAMP;
const TSTZ: Oid = Oid::TIMESTAMPTZ;
const I: Oid = Oid::INTERVAL;

/// Dates and times with numbers and intervals.
pub(in crate::functions) static ARITHMETIC: &[Function] = &[
    operator("date_pli", "+", &[D, Oid::INT4], D, |_, args| two(args, |a: Date, b: i32| date_plus(a, b.into()))),
    operator("integer_pl_date", "+", &[Oid::INT4, D], D, |_, args| two(args, |a: i32, b: Date| date_plus(b, a.into()))),
    operator("date_mii", "-", &[D, Oid::INT4], D, |_, args| two(args, |a: Date, b: i32| date_plus(a, -i64::from(b)))),
    operator("date_mi", "-", &[D, D], Oid::INT4, |_, args| two(args, date_difference)),
    operator("date_pl_interval", "+", &[D, I], TS, |_, args| two(args, date_plus_interval)),
    operator("interval_pl_date", "+", &[I, D], TS, |_, args| {
        two(args, |a: Interval, b: Date| date_plus_interval(b, a))
    }),
    operator("date_mi_interval", "-", &[D, I], TS, |_, args| {
        two(args, |a: Date, b: Interval| date_plus_interval(a, b.neg()?))
    }),
    operator("datetime_pl", "+", &[D, T], TS, |_, args| two(args, date_plus_time)),
    operator("timedate_pl", "+", &[T, D], TS, |_, args| two(args, |a: Time, b: Date| date_plus_time(b, a))),
    operator("datetimetz_pl", "+", &[D, TZ], TSTZ, |_, args| two(args, date_plus_timetz)),
    operator("timetzdate_pl", "+", &[TZ, D], TSTZ, |_, args| two(args, |a: TimeTz, b: Date| date_plus_timetz(b, a))),
    operator("time_pl_interval", "+", &[T, I], T, |_, args| two(args, time_plus)),
    operator("interval_pl_time", "+", &[I, T], T, |_, args| two(args, |a: Interval, b: Time| time_plus(b, a))),
    operator("time_mi_interval", "-", &[T, I], T, |_, args| two(args, time_minus)),
    operator("time_mi_time", "-", &[T, T], I, |_, args| two(args, |a: Time, b: Time| span(a.0 - b.0))),
    operator("timetz_pl_interval", "+", &[TZ, I], TZ, |_, args| {
        two(args, |a: TimeTz, b: Interval| TimeTz(time_plus(Time(a.0), b).0, a.1))
    }),
    operator("interval_pl_timetz", "+", &[I, TZ], TZ, |_, args| {
        two(args, |a: Interval, b: TimeTz| TimeTz(time_plus(Time(b.0), a).0, b.1))
    }),
    operator("timetz_mi_interval", "-", &[TZ, I], TZ, |_, args| {
        two(args, |a: TimeTz, b: Interval| TimeTz(time_minus(Time(a.0), b).0, a.1))
    }),
    operator("timestamp_pl_interval", "+", &[TS, I], TS, |_, args| {
        two(args, |a: Timestamp, b: Interval| add_to_timestamp(a.0, &b).map(Timestamp))
    }),
    operator("interval_pl_timestamp", "+", &[I, TS], TS, |_, args| {
        two(args, |a: Interval, b: Timestamp| add_to_timestamp(b.0, &a).map(Timestamp))
    }),
    operator("timestamp_mi_interval", "-", &[TS, I], TS, |_, args| {
        two(args, |a: Timestamp, b: Interval| add_to_timestamp(a.0, &b.neg()?).map(Timestamp))
    }),
    operator("timestamp_mi", "-", &[TS, TS], I, |_, args| {
        two(args, |a: Timestamp, b: Timestamp| interval_between(a.0, b.0))
    }),
    operator("timestamptz_pl_interval", "+", &[TSTZ, I], TSTZ, |env, args| {
        two(args, |a: TimestampTz, b: Interval| add_to_timestamptz(a.0, &b, &env.time_zone).map(TimestampTz))
    })
    .stable(),
    operator("interval_pl_timestamptz", "+", &[I, TSTZ], TSTZ, |env, args| {
        two(args, |a: Interval, b: TimestampTz| add_to_timestamptz(b.0, &a, &env.time_zone).map(TimestampTz))
    })
    .stable(),
    operator("timestamptz_mi_interval", "-", &[TSTZ, I], TSTZ, |env, args| {
        two(args, |a: TimestampTz, b: Interval| add_to_timestamptz(a.0, &b.neg()?, &env.time_zone).map(TimestampTz))
    })
    .stable(),
    operator("timestamptz_mi", "-", &[TSTZ, TSTZ], I, |_, args| {
        two(args, |a: TimestampTz, b: TimestampTz| interval_between(a.0, b.0))
    }),
];

/// Intervals with intervals and numbers.
pub(in crate::functions) static INTERVAL: &[Function] = &[
    operator("interval_pl", "+", &[I, I], I, |_, args| two(args, |a: Interval, b: Interval| a.add(&b))),
    operator("interval_mi", "-", &[I, I], I, |_, args| two(args, interval_minus)),
    operator("interval_um", "-", &[I], I, |_, args| one(args, |a: Interval| a.neg())),
    operator("interval_mul", "*", &[I, Oid::FLOAT8], I, |_, args| two(args, |a: Interval, b: f64| a.mul(b))),
    operator("mul_d_interval", "*", &[Oid::FLOAT8, I], I, |_, args| two(args, |a: f64, b: Interval| b.mul(a))),
    operator("interval_div", "/", &[I, Oid::FLOAT8], I, |_, args| two(args, interval_divide)),
    function("interval", &[T], I, |_, args| one(args, |a: Time| span(a.0))),
];

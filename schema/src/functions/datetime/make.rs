//! Dates, times and intervals from numbers, ages, and justification.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{is_infinite, midnight, out_of_range, to_instant, to_local, zones::named_zone};
use crate::{
    Datum, Interval, Oid,
    datetime::{
        Civil, DATE_INFINITY, DATE_NEG_INFINITY, DAY_MICROS, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY,
        days_from_civil, days_in_month, justify_days, justify_hours, local_to_utc,
    },
    functions::{
        EvalContext, Function,
        table::function,
        value::{Date, Time, Timestamp, TimestampTz, mismatch, one, seven, six, three, two},
    },
};

const T: Oid = Oid::TEXT;
const N: Oid = Oid::INT4;
const F: Oid = Oid::FLOAT8;
const D: Oid = Oid::DATE;
const TS: Oid = Oid::TIMESTAMP;
const TSTZ: Oid = Oid::TIMESTAMPTZ;
const I: Oid = Oid::INTERVAL;

fn field_error(what: &str, shown: String) -> SqlError {
    SqlError::new(SqlState::DatetimeFieldOverflow, format!("{what} field value out of range: {shown}"))
}

/// Days of a date; negative years are before Christ.
fn checked_days(year: i32, month: i32, day: i32) -> SqlResult<i64> {
    let invalid = || field_error("date", format!("{year}-{month:02}-{day:02}"));
    let astronomical = if year < 0 { year.checked_add(1).ok_or_else(invalid)? } else { year };
    let valid = year != 0
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && day as u32 <= days_in_month(astronomical, month as u32);
    if !valid {
        return Err(invalid());
    }
    Ok(days_from_civil(astronomical, month as u32, day as u32))
}

fn make_date(year: i32, month: i32, day: i32) -> SqlResult<Date> {
    let days = checked_days(year, month, day)?;
    if !(-2_440_588..=2_145_042_905).contains(&days) {
        return Err(SqlError::new(
            SqlState::DatetimeFieldOverflow,
            format!("date out of range: {year}-{month:02}-{day:02}"),
        ));
    }
    Ok(Date(days as i32))
}

fn checked_time(hour: i32, minute: i32, second: f64) -> SqlResult<i64> {
    let valid = (0..=24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..=60.0).contains(&second)
        && (hour < 24 || (minute == 0 && second == 0.0));
    if !valid {
        // The seconds are shown as C's %02g shows them.
        let mut shown = String::new();
        crate::text::write_float8(second, &mut shown);
        return Err(field_error("time", format!("{hour}:{minute:02}:{shown:0>2}")));
    }
    Ok((i64::from(hour) * 60 + i64::from(minute)) * 60_000_000 + (second * 1e6).round_ties_even() as i64)
}

fn make_time(hour: i32, minute: i32, second: f64) -> SqlResult<Time> {
    checked_time(hour, minute, second).map(Time)
}

fn make_timestamp(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64) -> SqlResult<Timestamp> {
    let days = checked_days(year, month, day)?;
    let time = checked_time(hour, minute, second)?;
    let micros = days.checked_mul(DAY_MICROS).and_then(|days| days.checked_add(time));
    micros.map(Timestamp).ok_or_else(|| {
        let mut shown = String::new();
        crate::text::write_float8(second, &mut shown);
        let message = format!("timestamp out of range: {year}-{month:02}-{day:02} {hour}:{minute:02}:{shown:0>2}");
        SqlError::new(SqlState::DatetimeFieldOverflow, message)
    })
}

/// make_interval with as many arguments as there are; the others are 0.
fn make_interval(args: &[Datum]) -> SqlResult<Datum> {
    let number = |at: usize| match args.get(at) {
        None => Ok(0_i64),
        Some(Datum::Int4(value)) => Ok(i64::from(*value)),
        Some(_) => Err(mismatch(args)),
    };
    let seconds = match args.get(6) {
        None => 0.0,
        Some(Datum::Float8(seconds)) => *seconds,
        Some(_) => return Err(mismatch(args)),
    };
    if !seconds.is_finite() {
        return Err(out_of_range("interval"));
    }
    let months = number(0)? * 12 + number(1)?;
    let days = number(2)? * 7 + number(3)?;
    let clock = number(4)? * 3_600_000_000 + number(5)? * 60_000_000;
    let fraction = (seconds * 1e6).round_ties_even();
    let micros = (fraction.abs() < 9e18).then(|| clock.checked_add(fraction as i64)).flatten();
    match (i32::try_from(months), i32::try_from(days), micros) {
        (Ok(months), Ok(days), Some(micros)) => Ok(Datum::Interval(Interval { months, days, micros })),
        _ => Err(out_of_range("interval")),
    }
}

/// Seconds since 1970 as an instant.
fn from_epoch(seconds: f64) -> SqlResult<TimestampTz> {
    if seconds.is_nan() {
        return Err(SqlError::new(SqlState::DatetimeFieldOverflow, "timestamp cannot be NaN"));
    }
    if seconds.is_infinite() {
        return Ok(TimestampTz(if seconds > 0.0 { TIMESTAMP_INFINITY } else { TIMESTAMP_NEG_INFINITY }));
    }
    let micros = (seconds * 1e6).round_ties_even();
    if !(-210_866_803_200_000_000.0..9_223_372_036_854_775_000.0).contains(&micros) {
        let mut shown = String::new();
        crate::text::write_float8(seconds, &mut shown);
        let message = format!("timestamp out of range: \"{shown}\"");
        return Err(SqlError::new(SqlState::DatetimeFieldOverflow, message));
    }
    Ok(TimestampTz(micros as i64))
}

/// The difference in years, months, days and time by the calendar.
fn age(later: i64, earlier: i64) -> SqlResult<Interval> {
    if is_infinite(later) || is_infinite(earlier) {
        return Err(out_of_range("timestamp"));
    }
    let negative = later < earlier;
    let (a, b) = if negative { (earlier, later) } else { (later, earlier) };
    let (x, y) = (Civil::from_micros(a), Civil::from_micros(b));
    let mut micros = x.micros - y.micros;
    let mut days = i64::from(x.day) - i64::from(y.day);
    let mut months = i64::from(x.month) - i64::from(y.month);
    let years = i64::from(x.year) - i64::from(y.year);
    if micros < 0 {
        micros += DAY_MICROS;
        days -= 1;
    }
    // Missing days are those of the month in which the earlier moment lies.
    while days < 0 {
        days += i64::from(days_in_month(y.year, y.month));
        months -= 1;
    }
    let sign = if negative { -1 } else { 1 };
    let months = (years * 12 + months) * sign;
    Ok(Interval { months: months as i32, days: (days * sign) as i32, micros: micros * sign })
}

fn today(env: &EvalContext) -> i64 {
    let now = to_local(env, env.transaction_time);
    now - now.rem_euclid(DAY_MICROS)
}

fn justify_interval(value: Interval) -> SqlResult<Interval> {
    let mut result = justify_days(&justify_hours(&value)?)?;
    // One sign for all three.
    if result.months > 0 && (result.days < 0 || (result.days == 0 && result.micros < 0)) {
        result.days += 30;
        result.months -= 1;
    } else if result.months < 0 && (result.days > 0 || (result.days == 0 && result.micros > 0)) {
        result.days -= 30;
        result.months += 1;
    }
    if result.days > 0 && result.micros < 0 {
        result.micros += DAY_MICROS;
        result.days -= 1;
    } else if result.days < 0 && result.micros > 0 {
        result.micros -= DAY_MICROS;
        result.days += 1;
    }
    Ok(result)
}

/// Dates and times from numbers.
pub(in crate::functions) static MAKE: &[Function] = &[
    function("make_date", &[N, N, N], D, |_, args| three(args, make_date)),
    function("make_time", &[N, N, F], Oid::TIME, |_, args| three(args, make_time)),
    function("make_timestamp", &[N, N, N, N, N, F], TS, |_, args| six(args, make_timestamp)),
    function("make_timestamptz", &[N, N, N, N, N, F], TSTZ, |env, args| {
        six(args, |year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64| {
            let local = make_timestamp(year, month, day, hour, minute, second)?;
            to_instant(env, local.0).map(TimestampTz)
        })
    })
    .stable(),
    function("make_timestamptz", &[N, N, N, N, N, F, T], TSTZ, |_, args| {
        seven(args, |year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64, zone: &str| {
            let local = make_timestamp(year, month, day, hour, minute, second)?;
            local_to_utc(&named_zone(zone)?, local.0).map(TimestampTz).ok_or_else(|| out_of_range("timestamp"))
        })
    })
    .stable(),
    function("make_interval", &[], I, |_, args| make_interval(args)),
    function("make_interval", &[N], I, |_, args| make_interval(args)),
    function("make_interval", &[N, N], I, |_, args| make_interval(args)),
    function("make_interval", &[N, N, N], I, |_, args| make_interval(args)),
    function("make_interval", &[N, N, N, N], I, |_, args| make_interval(args)),
    function("make_interval", &[N, N, N, N, N], I, |_, args| make_interval(args)),
    function("make_interval", &[N, N, N, N, N, N], I, |_, args| make_interval(args)),
    function("make_interval", &[N, N, N, N, N, N, F], I, |_, args| make_interval(args)),
    function("to_timestamp", &[F], TSTZ, |_, args| one(args, from_epoch)),
];

/// Ages, justification and finiteness.
pub(in crate::functions) static SPANS: &[Function] = &[
    function("age", &[TS, TS], I, |_, args| two(args, |a: Timestamp, b: Timestamp| age(a.0, b.0))),
    function("age", &[TSTZ, TSTZ], I, |env, args| {
        two(args, |a: TimestampTz, b: TimestampTz| age(to_local(env, a.0), to_local(env, b.0)))
    })
    .stable(),
    function("age", &[TS], I, |env, args| one(args, |a: Timestamp| age(today(env), a.0))).stable(),
    function("age", &[TSTZ], I, |env, args| one(args, |a: TimestampTz| age(today(env), to_local(env, a.0)))).stable(),
    function("justify_days", &[I], I, |_, args| one(args, |value: Interval| justify_days(&value))),
    function("justify_hours", &[I], I, |_, args| one(args, |value: Interval| justify_hours(&value))),
    function("justify_interval", &[I], I, |_, args| one(args, justify_interval)),
    function("isfinite", &[D], Oid::BOOL, |_, args| {
        one(args, |value: Date| value.0 != DATE_INFINITY && value.0 != DATE_NEG_INFINITY)
    }),
    function("isfinite", &[TS], Oid::BOOL, |_, args| one(args, |value: Timestamp| !is_infinite(value.0))),
    function("isfinite", &[TSTZ], Oid::BOOL, |_, args| one(args, |value: TimestampTz| !is_infinite(value.0))),
    function("isfinite", &[I], Oid::BOOL, |_, args| one(args, |_: Interval| true)),
    function("timestamp", &[D, Oid::TIME], TS, |_, args| {
        two(args, |date: Date, time: Time| {
            midnight(date.0, false)?.checked_add(time.0).map(Timestamp).ok_or_else(|| out_of_range("timestamp"))
        })
    }),
];

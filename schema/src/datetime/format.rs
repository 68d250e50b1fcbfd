//! Writing dates, times and intervals as text.

use std::fmt::Write;

use super::{
    DATE_INFINITY, DATE_NEG_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY,
    civil::{Civil, DAY_MICROS, civil_from_days},
    zone::{offset_at, zone_abbreviation},
};
use crate::{DateOrder, DateStyle, FormatSettings, Interval, IntervalStyle};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => { write!($out, $($arg)*).expect("a string takes every write") };
}

/// Writes a date.
pub fn write_date(days: i32, settings: &FormatSettings, out: &mut String) {
    match days {
        DATE_INFINITY => return out.push_str("infinity"),
        DATE_NEG_INFINITY => return out.push_str("-infinity"),
        _ => {}
    }
    let (year, month, day) = civil_from_days(days.into());
    let (shown, era) = era(year);
    match (settings.date_style, settings.date_order) {
        (DateStyle::Iso, _) => put!(out, "{shown:04}-{month:02}-{day:02}"),
        (DateStyle::Sql, DateOrder::Dmy) => put!(out, "{day:02}/{month:02}/{shown:04}"),
        (DateStyle::Sql, _) => put!(out, "{month:02}/{day:02}/{shown:04}"),
        (DateStyle::German, _) => put!(out, "{day:02}.{month:02}.{shown:04}"),
        (DateStyle::Postgres, DateOrder::Dmy) => put!(out, "{day:02}-{month:02}-{shown:04}"),
        (DateStyle::Postgres, _) => put!(out, "{month:02}-{day:02}-{shown:04}"),
    }
    out.push_str(era);
}

/// The year shown and the suffix of years before Christ.
fn era(year: i32) -> (i32, &'static str) {
    if year <= 0 { (1 - year, " BC") } else { (year, "") }
}

/// Writes a time of day.
pub fn write_time(micros: i64, out: &mut String) {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    put!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    write_fraction(fraction, out);
}

/// Up to six digits without trailing zeros.
fn write_fraction(fraction: i64, out: &mut String) {
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        put!(out, ".{}", digits.trim_end_matches('0'));
    }
}

/// Writes a time of day with its zone (seconds west of Greenwich).
pub fn write_timetz(micros: i64, west: i32, out: &mut String) {
    write_time(micros, out);
    write_offset(-west, out);
}

/// `+hh[:mm[:ss]]`
fn write_offset(east: i32, out: &mut String) {
    let (sign, seconds) = if east < 0 { ('-', -east) } else { ('+', east) };
    put!(out, "{sign}{:02}", seconds / 3600);
    if seconds % 3600 != 0 {
        put!(out, ":{:02}", seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
        put!(out, ":{:02}", seconds % 60);
    }
}

/// Writes a timestamp without time zone.
pub fn write_timestamp(micros: i64, settings: &FormatSettings, out: &mut String) {
    write_local(micros, settings, None, out);
}

/// Writes an instant in the session's zone.
pub fn write_timestamptz(micros: i64, settings: &FormatSettings, out: &mut String) {
    if micros == TIMESTAMP_INFINITY || micros == TIMESTAMP_NEG_INFINITY {
        return write_local(micros, settings, None, out);
    }
    let east = offset_at(&settings.time_zone, micros);
    let mut zone = String::new();
    match (settings.date_style, zone_abbreviation(&settings.time_zone, micros)) {
        (DateStyle::Iso, _) => write_offset(east, &mut zone),
        (_, Some(name)) => put!(zone, " {name}"),
        (DateStyle::Postgres, None) => {
            zone.push(' ');
            write_offset(east, &mut zone);
        }
        (_, None) => write_offset(east, &mut zone),
    }
    write_local(micros.saturating_add(i64::from(east) * 1_000_000), settings, Some(&zone), out);
}

fn write_local(micros: i64, settings: &FormatSettings, zone: Option<&str>, out: &mut String) {
    match micros {
        TIMESTAMP_INFINITY => return out.push_str("infinity"),
        TIMESTAMP_NEG_INFINITY => return out.push_str("-infinity"),
        _ => {}
    }
    let civil = Civil::from_micros(micros);
    let (shown, suffix) = era(civil.year);
    let (month, day) = (civil.month, civil.day);
    match (settings.date_style, settings.date_order) {
        (DateStyle::Iso, _) => put!(out, "{shown:04}-{month:02}-{day:02} "),
        (DateStyle::Sql, DateOrder::Dmy) => put!(out, "{day:02}/{month:02}/{shown:04} "),
        (DateStyle::Sql, _) => put!(out, "{month:02}/{day:02}/{shown:04} "),
        (DateStyle::German, _) => put!(out, "{day:02}.{month:02}.{shown:04} "),
        (DateStyle::Postgres, order) => {
            let weekday = WEEKDAYS[(micros.div_euclid(DAY_MICROS) + 4).rem_euclid(7) as usize];
            let name = MONTHS[month as usize - 1];
            match order {
                DateOrder::Dmy => put!(out, "{weekday} {day:02} {name} "),
                DateOrder::Mdy | DateOrder::Ymd => put!(out, "{weekday} {name} {day:02} "),
            }
        }
    }
    write_time(civil.micros, out);
    if settings.date_style == DateStyle::Postgres {
        put!(out, " {shown:04}");
    }
    out.push_str(zone.unwrap_or_default());
    out.push_str(suffix);
}

/// Writes an interval.
pub fn write_interval(interval: &Interval, settings: &FormatSettings, out: &mut String) {
    match settings.interval_style {
        IntervalStyle::Postgres => write_postgres(interval, out),
        IntervalStyle::PostgresVerbose => write_verbose(interval, out),
        IntervalStyle::SqlStandard => write_sql_standard(interval, out),
        IntervalStyle::Iso8601 => write_iso(interval, out),
    }
}

fn plural(count: i64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn write_postgres(interval: &Interval, out: &mut String) {
    let start = out.len();
    let mut negative_before = false;
    let units = [
        (i64::from(interval.months / 12), "year"),
        (i64::from(interval.months % 12), "mon"),
        (i64::from(interval.days), "day"),
    ];
    for (count, unit) in units {
        if count != 0 {
            let space = if out.len() > start { " " } else { "" };
            let plus = if negative_before && count > 0 { "+" } else { "" };
            put!(out, "{space}{plus}{count} {unit}{}", plural(count));
            negative_before = count < 0;
        }
    }
    if interval.micros != 0 || out.len() == start {
        if out.len() > start {
            out.push(' ');
        }
        match (interval.micros < 0, negative_before) {
            (true, _) => out.push('-'),
            (false, true) => out.push('+'),
            (false, false) => {}
        }
        write_clock(interval.micros, out);
    }
}

/// `hh:mm:ss[.fraction]` without sign; hours may take more than two digits.
fn write_clock(micros: i64, out: &mut String) {
    let micros = micros.unsigned_abs();
    let seconds = micros / 1_000_000;
    put!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    write_fraction((micros % 1_000_000) as i64, out);
}

/// Hours, minutes and seconds with fraction, each with the sign of the whole.
fn clock_fields(micros: i64) -> (i64, i64, i64, i64) {
    let seconds = micros / 1_000_000;
    (seconds / 3600, seconds / 60 % 60, seconds % 60, micros % 1_000_000)
}

fn seconds_text(seconds: i64, fraction: i64) -> String {
    let mut text = format!("{}", seconds.abs());
    write_fraction(fraction.abs(), &mut text);
    text
}

fn write_verbose(interval: &Interval, out: &mut String) {
    out.push('@');
    let (hours, minutes, seconds, fraction) = clock_fields(interval.micros);
    let units = [
        (i64::from(interval.months / 12), "year"),
        (i64::from(interval.months % 12), "mon"),
        (i64::from(interval.days), "day"),
        (hours, "hour"),
        (minutes, "min"),
    ];
    // The first field decides the sign; later ones show theirs against it.
    let mut ago: Option<bool> = None;
    for (count, unit) in units {
        if count != 0 {
            let negative = *ago.get_or_insert(count < 0);
            let shown = if negative { -count } else { count };
            put!(out, " {shown} {unit}{}", plural(shown));
        }
    }
    if seconds != 0 || fraction != 0 {
        let negative = *ago.get_or_insert(seconds < 0 || fraction < 0);
        let sign = if (seconds < 0 || fraction < 0) != negative { "-" } else { "" };
        let unit = if seconds.abs() == 1 && fraction == 0 { "sec" } else { "secs" };
        put!(out, " {sign}{} {unit}", seconds_text(seconds, fraction));
    }
    match ago {
        None => out.push_str(" 0"),
        Some(true) => out.push_str(" ago"),
        Some(false) => {}
    }
}

fn write_sql_standard(interval: &Interval, out: &mut String) {
    let (months, days, micros) = (interval.months, interval.days, interval.micros);
    let signs = [i64::from(months).signum(), i64::from(days).signum(), micros.signum()];
    if signs == [0; 3] {
        return out.push('0');
    }
    let mixed = signs.contains(&1) && signs.contains(&-1);
    if mixed || (months != 0 && (days != 0 || micros != 0)) {
        let sign = |negative: bool| if negative { '-' } else { '+' };
        put!(out, "{}{}-{} ", sign(months < 0), (months / 12).abs(), (months % 12).abs());
        put!(out, "{}{} ", sign(days < 0), days.unsigned_abs());
        put!(out, "{}", sign(micros < 0));
        return write_short_clock(micros, out);
    }
    if signs.contains(&-1) {
        out.push('-');
    }
    if months != 0 {
        return put!(out, "{}-{}", (months / 12).abs(), (months % 12).abs());
    }
    if days != 0 {
        put!(out, "{} ", days.unsigned_abs());
    }
    write_short_clock(micros, out);
}

/// `h:mm:ss[.fraction]`
fn write_short_clock(micros: i64, out: &mut String) {
    let micros = micros.unsigned_abs();
    let seconds = micros / 1_000_000;
    put!(out, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    write_fraction((micros % 1_000_000) as i64, out);
}

fn write_iso(interval: &Interval, out: &mut String) {
    if *interval == Interval::default() {
        return out.push_str("PT0S");
    }
    out.push('P');
    let put_unit = |out: &mut String, count: i64, unit: char| {
        if count != 0 {
            put!(out, "{count}{unit}");
        }
    };
    put_unit(out, (interval.months / 12).into(), 'Y');
    put_unit(out, (interval.months % 12).into(), 'M');
    put_unit(out, interval.days.into(), 'D');
    if interval.micros != 0 {
        out.push('T');
        let (hours, minutes, seconds, fraction) = clock_fields(interval.micros);
        put_unit(out, hours, 'H');
        put_unit(out, minutes, 'M');
        if seconds != 0 || fraction != 0 {
            let sign = if seconds < 0 || fraction < 0 { "-" } else { "" };
            put!(out, "{sign}{}S", seconds_text(seconds, fraction));
        }
    }
}

//! to_char of timestamps and intervals.

use std::fmt::Write;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{
    date_node::{Case, Field, FieldNode, Node, parse},
    fields::{DAYS, Fields, MONTHS, ROMAN},
    ordinal,
};
use crate::{
    Interval, Oid,
    datetime::{days_from_civil, offset_at, zone_abbreviation},
    functions::{
        EvalContext, Function,
        datetime::{is_infinite, iso_week},
        table::function,
        value::{Timestamp, TimestampTz, two},
    },
};

const T: Oid = Oid::TEXT;
/// Julian day of 1970-01-01.
const JULIAN_EPOCH: i64 = 2_440_588;

fn no_interval() -> SqlError {
    SqlError::new(SqlState::InvalidDatetimeFormat, "invalid format specification for an interval value")
        .with_hint("Intervals are not tied to specific calendar dates.")
}

fn cased(text: &str, case: Case) -> String {
    match case {
        Case::Upper => text.to_ascii_uppercase(),
        Case::Lower => text.to_ascii_lowercase(),
        Case::Capitalized => text.to_owned(),
    }
}

/// Padded on the right to a width unless FM says no.
fn padded(text: String, width: usize, node: &FieldNode) -> String {
    if node.fill { text } else { format!("{text:<width$}") }
}

/// A number with leading zeros unless FM says no. The minus sign of days and months counts as one of the places.
fn number(value: i64, width: usize, node: &FieldNode) -> String {
    if node.fill {
        return value.to_string();
    }
    let counted = matches!(node.field, Field::Day | Field::Month | Field::DayOfYear);
    let width = width + usize::from(value < 0 && !counted);
    format!("{value:0width$}")
}

/// What a field shows.
fn show(node: &FieldNode, fields: &Fields) -> SqlResult<String> {
    if let Some(text) = show_time(node, fields) {
        return Ok(text);
    }
    match node.field {
        Field::ZoneName | Field::ZoneHours | Field::ZoneMinutes | Field::ZoneOffset => show_zone(node, fields),
        Field::MonthName | Field::MonthShort | Field::DayName | Field::DayShort | Field::Era { .. } => {
            show_name(node, fields)
        }
        _ => show_date(node, fields),
    }
}

/// Fields of the clock.
fn show_time(node: &FieldNode, fields: &Fields) -> Option<String> {
    Some(match node.field {
        Field::Meridiem { dots } => {
            let after = fields.hour.rem_euclid(24) >= 12;
            let text = match (after, dots) {
                (true, true) => "P.M.",
                (true, false) => "PM",
                (false, true) => "A.M.",
                (false, false) => "AM",
            };
            cased(text, node.case)
        }
        Field::Hour24 => number(fields.hour, 2, node),
        Field::Hour12 => {
            let hour = fields.hour % 12;
            number(if hour == 0 { 12 } else { hour }, 2, node)
        }
        Field::Minute => number(fields.minute, 2, node),
        Field::Second => number(fields.second, 2, node),
        Field::Fraction(digits) => {
            format!("{:0width$}", fields.micros / 10_i64.pow(6 - digits), width = digits as usize)
        }
        Field::Milliseconds => format!("{:03}", fields.micros / 1000),
        Field::Microseconds => format!("{:06}", fields.micros),
        Field::SecondOfDay => (fields.hour * 3600 + fields.minute * 60 + fields.second).to_string(),
        Field::Exact => String::new(),
        _ => return None,
    })
}

/// Days since 1970-01-01; intervals have no place in the calendar.
fn days(fields: &Fields) -> SqlResult<i64> {
    fields.days.ok_or_else(no_interval)
}

/// 0 for Sunday.
fn weekday(fields: &Fields) -> SqlResult<i64> {
    days(fields).map(|days| (days + 4).rem_euclid(7))
}

fn show_zone(node: &FieldNode, fields: &Fields) -> SqlResult<String> {
    days(fields)?;
    let (hours, minutes) = (fields.east.abs() / 3600, fields.east.abs() / 60 % 60);
    Ok(match node.field {
        Field::ZoneHours => format!("{}{hours:02}", sign(fields.east)),
        Field::ZoneMinutes => format!("{minutes:02}"),
        Field::ZoneOffset => {
            let tail = if minutes == 0 { String::new() } else { format!(":{minutes:02}") };
            format!("{}{}{tail}", sign(fields.east), number(hours.into(), 2, node))
        }
        _ if node.case == Case::Lower => fields.zone.to_lowercase(),
        _ => fields.zone.clone(),
    })
}

/// Fields that show words.
fn show_name(node: &FieldNode, fields: &Fields) -> SqlResult<String> {
    let weekday = weekday(fields)?;
    let month = MONTHS[(fields.month.clamp(1, 12) - 1) as usize];
    Ok(match node.field {
        Field::MonthName => padded(cased(month, node.case), 9, node),
        Field::MonthShort => cased(&month[..3], node.case),
        Field::DayName => padded(cased(DAYS[weekday as usize], node.case), 9, node),
        Field::DayShort => cased(&DAYS[weekday as usize][..3], node.case),
        _ => {
            let dots = node.field == Field::Era { dots: true };
            let text = match (fields.year <= 0, dots) {
                (true, true) => "B.C.",
                (true, false) => "BC",
                (false, true) => "A.D.",
                (false, false) => "AD",
            };
            cased(text, node.case)
        }
    })
}

/// Numbers of the calendar.
fn show_date(node: &FieldNode, fields: &Fields) -> SqlResult<String> {
    let year = i64::from(fields.shown_year());
    Ok(match node.field {
        Field::Month => number(fields.month.into(), 2, node),
        Field::Roman => roman(fields, node),
        Field::DayOfYear => number(fields.day_of_year(), 3, node),
        Field::Day => number(fields.day.into(), 2, node),
        Field::DayOfWeek => (weekday(fields)? + 1).to_string(),
        Field::IsoDayOfWeek => match weekday(fields)? {
            0 => "7".to_owned(),
            weekday => weekday.to_string(),
        },
        Field::IsoDayOfYear => {
            let days = days(fields)?;
            // The ISO year begins with the Monday of the week that has January 4th.
            let fourth = days_from_civil(iso_week(days).0, 1, 4);
            number(days - (fourth - (fourth + 3).rem_euclid(7)) + 1, 3, node)
        }
        Field::Week => number((fields.day_of_year() - 1) / 7 + 1, 2, node),
        Field::IsoWeek => number(iso_week(days(fields)?).1.into(), 2, node),
        Field::WeekOfMonth => ((i64::from(fields.day) - 1) / 7 + 1).to_string(),
        Field::Quarter if fields.month == 0 => String::new(),
        Field::Quarter => ((fields.month - 1) / 3 + 1).to_string(),
        Field::Century => century(fields, node),
        Field::YearWithComma => format!("{},{:03}", year / 1000, (year % 1000).abs()),
        Field::Year(digits) => last_digits(year, digits, node),
        Field::IsoYear(digits) => {
            let (iso_year, _) = iso_week(days(fields)?);
            last_digits((if iso_year > 0 { iso_year } else { 1 - iso_year }).into(), digits, node)
        }
        Field::Julian => (days(fields)? + JULIAN_EPOCH).to_string(),
        _ => String::new(),
    })
}

fn sign(east: i32) -> char {
    if east < 0 { '-' } else { '+' }
}

fn last_digits(year: i64, digits: u32, node: &FieldNode) -> String {
    let shown = if digits == 4 { year } else { year % 10_i64.pow(digits) };
    number(shown, digits as usize, node)
}

fn century(fields: &Fields, node: &FieldNode) -> String {
    let year = i64::from(fields.year);
    let century = if fields.days.is_none() {
        year / 100
    } else if year > 0 {
        (year - 1) / 100 + 1
    } else {
        // Centuries before Christ are negative.
        year / 100 - 1
    };
    if (-99..=99).contains(&century) { number(century, 2, node) } else { century.to_string() }
}

fn roman(fields: &Fields, node: &FieldNode) -> String {
    let months = if fields.month == 0 && fields.year == 0 {
        return String::new();
    } else if fields.month == 0 {
        if fields.year >= 0 { 11 } else { 0 }
    } else if fields.month < 0 {
        // Negative months are counted from December.
        (-fields.month - 1) as usize
    } else {
        fields.month as usize - 1
    };
    padded(cased(ROMAN[months], node.case), 4, node)
}

/// Whether a field shows a number that an ordinal ending may follow.
fn is_counted(field: Field, text: &str) -> bool {
    let zone = matches!(field, Field::ZoneHours | Field::ZoneMinutes | Field::ZoneOffset | Field::ZoneName);
    !zone && text.ends_with(|c: char| c.is_ascii_digit())
}

fn write(template: &str, fields: &Fields) -> SqlResult<String> {
    let mut out = String::new();
    for node in parse(template) {
        match node {
            Node::Literal(text) => out.push_str(&text),
            Node::Separator(c) | Node::Space(c) => out.push(c),
            Node::Field(node) => {
                let text = show(&node, fields)?;
                let ending = match node.ordinal {
                    Some(upper) if is_counted(node.field, &text) => ordinal(&text, upper),
                    _ => "",
                };
                write!(out, "{text}{ending}").expect("a string takes every write");
            }
        }
    }
    Ok(out)
}

fn timestamp(value: Timestamp, template: &str) -> SqlResult<Option<String>> {
    if template.is_empty() || is_infinite(value.0) {
        return Ok(None);
    }
    write(template, &Fields::of_timestamp(value.0, 0, String::new())).map(Some)
}

fn instant(env: &EvalContext, value: TimestampTz, template: &str) -> SqlResult<Option<String>> {
    if template.is_empty() || is_infinite(value.0) {
        return Ok(None);
    }
    let east = offset_at(&env.time_zone, value.0);
    let zone = zone_abbreviation(&env.time_zone, value.0).unwrap_or_else(|| {
        let minutes = east.abs() / 60 % 60;
        let tail = if minutes == 0 { String::new() } else { format!(":{minutes:02}") };
        format!("{}{:02}{tail}", sign(east), east.abs() / 3600)
    });
    let local = value.0.saturating_add(i64::from(east) * 1_000_000);
    write(template, &Fields::of_timestamp(local, east, zone)).map(Some)
}

fn interval(value: Interval, template: &str) -> SqlResult<Option<String>> {
    if template.is_empty() {
        return Ok(None);
    }
    write(template, &Fields::of_interval(&value)).map(Some)
}

/// to_char of timestamps and intervals.
pub(in crate::functions) static WRITE: &[Function] = &[
    function("to_char", &[Oid::TIMESTAMP, T], T, |_, args| two(args, timestamp)).stable(),
    function("to_char", &[Oid::TIMESTAMPTZ, T], T, |env, args| {
        two(args, |value: TimestampTz, template: &str| instant(env, value, template))
    })
    .stable(),
    function("to_char", &[Oid::INTERVAL, T], T, |_, args| two(args, interval)).stable(),
];

//! Time zones: names, abbreviations, offsets.

use chrono::{MappedLocalTime, NaiveDateTime, Offset, TimeZone as _};
use chrono_tz::{OffsetName, Tz};

use super::civil::{DAY_MICROS, civil_from_days, days_from_civil, days_in_month};
use crate::TimeZone;

/// Abbreviations that PostgreSQL's default set knows, with seconds east of Greenwich.
const ABBREVIATIONS: &[(&str, i32)] = &[
    ("utc", 0),
    ("gmt", 0),
    ("z", 0),
    ("zulu", 0),
    ("wet", 0),
    ("west", 3600),
    ("bst", 3600),
    ("cet", 3600),
    ("met", 3600),
    ("cest", 7200),
    ("mest", 7200),
    ("eet", 7200),
    ("sast", 7200),
    ("eest", 10_800),
    ("msk", 10_800),
    ("ist", 7200),
    ("jst", 32_400),
    ("kst", 32_400),
    ("aest", 36_000),
    ("aedt", 39_600),
    ("nzst", 43_200),
    ("nzdt", 46_800),
    ("ast", -14_400),
    ("adt", -10_800),
    ("est", -18_000),
    ("edt", -14_400),
    ("cst", -21_600),
    ("cdt", -18_000),
    ("mst", -25_200),
    ("mdt", -21_600),
    ("pst", -28_800),
    ("pdt", -25_200),
    ("akst", -32_400),
    ("akdt", -28_800),
    ("hst", -36_000),
];

/// The offset of a zone abbreviation, in seconds east of Greenwich.
pub(crate) fn abbreviation(name: &str) -> Option<i32> {
    let name = name.to_ascii_lowercase();
    ABBREVIATIONS.iter().find(|(known, _)| *known == name).map(|(_, offset)| *offset)
}

/// A zone by IANA name (any case), abbreviation, or offset such as `+02`, `-05:30`; offsets count east of Greenwich.
pub fn parse_zone(text: &str) -> Option<TimeZone> {
    let text = text.trim();
    if let Some(offset) = parse_offset(text) {
        return Some(TimeZone::Fixed(offset, text.to_owned()));
    }
    if let Ok(zone) = text.parse::<Tz>() {
        return Some(TimeZone::Named(zone));
    }
    if let Ok(zone) = Tz::from_str_insensitive(text) {
        return Some(TimeZone::Named(zone));
    }
    abbreviation(text).map(|offset| TimeZone::Fixed(offset, text.to_ascii_uppercase()))
}

/// Seconds east of Greenwich of `+hh[[:]mm[[:]ss]]`.
pub(super) fn parse_offset(text: &str) -> Option<i32> {
    let negative = match text.as_bytes().first()? {
        b'+' => false,
        b'-' => true,
        _ => return None,
    };
    let body = &text[1..];
    let parts: Vec<&str> = if body.contains(':') {
        body.split(':').collect()
    } else {
        match body.len() {
            1 | 2 => vec![body],
            3 => vec![&body[..1], &body[1..]],
            4 => vec![&body[..2], &body[2..]],
            6 => vec![&body[..2], &body[2..4], &body[4..]],
            _ => return None,
        }
    };
    if parts.len() > 3 || parts.iter().any(|part| part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let field = |at: usize| parts.get(at).map_or(Some(0), |part| part.parse::<i32>().ok());
    let (hours, minutes, seconds) = (field(0)?, field(1)?, field(2)?);
    // PostgreSQL allows displacements below 16 hours.
    (hours < 16 && minutes < 60 && seconds < 60).then(|| {
        let total = hours * 3600 + minutes * 60 + seconds;
        if negative { -total } else { total }
    })
}

/// Years from here on repeat the rules of earlier ones: the compiled zones end with this year.
const RULES_END: i32 = 2100;

fn naive(micros: i64) -> Option<NaiveDateTime> {
    let micros = repeated(micros).unwrap_or(micros);
    chrono::DateTime::from_timestamp_micros(micros).map(|instant| instant.naive_utc())
}

/// For a moment after the zones' rules, the same day of a year in them that begins on the same weekday and has as many
/// days.
fn repeated(micros: i64) -> Option<i64> {
    let start = |year: i32| days_from_civil(year, 1, 1);
    if micros < start(RULES_END) * DAY_MICROS {
        return None;
    }
    let (year, ..) = civil_from_days(micros.div_euclid(DAY_MICROS));
    let alike =
        |other: &i32| (start(*other) - start(year)) % 7 == 0 && days_in_month(*other, 2) == days_in_month(year, 2);
    // 28 years without a century among them have every kind of year.
    let other = (RULES_END - 28..RULES_END).find(alike)?;
    micros.checked_sub((start(year) - start(other)) * DAY_MICROS)
}

/// Seconds east of Greenwich at an instant. Instants beyond the calendar library's range use the standard offset 0.
pub fn offset_at(zone: &TimeZone, utc_micros: i64) -> i32 {
    match zone {
        TimeZone::Fixed(offset, _) => *offset,
        TimeZone::Named(zone) => {
            naive(utc_micros).map_or(0, |utc| zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
        }
    }
}

/// What a zone is called at an instant: CET, EST; the offset for zones without abbreviations.
pub fn zone_abbreviation(zone: &TimeZone, utc_micros: i64) -> Option<String> {
    match zone {
        TimeZone::Fixed(..) => None,
        TimeZone::Named(zone) => {
            let offset = zone.offset_from_utc_datetime(&naive(utc_micros)?);
            offset.abbreviation().map(str::to_owned).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
        }
    }
}

/// The instant of a local time. In a gap the clock is taken to have gone on with the offset before it, in an overlap the
/// later reading (standard time) counts, both as in PostgreSQL.
pub fn local_to_utc(zone: &TimeZone, local_micros: i64) -> Option<i64> {
    let offset = match zone {
        TimeZone::Fixed(offset, _) => *offset,
        TimeZone::Named(named) => match naive(local_micros) {
            None => 0,
            Some(local) => match named.offset_from_local_datetime(&local) {
                MappedLocalTime::Single(offset) => offset.fix().local_minus_utc(),
                MappedLocalTime::Ambiguous(_, later) => later.fix().local_minus_utc(),
                MappedLocalTime::None => offset_at(zone, local_micros - 2 * 86_400_000_000),
            },
        },
    };
    local_micros.checked_sub(i64::from(offset) * 1_000_000)
}

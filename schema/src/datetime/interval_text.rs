//! Reading intervals from text: PostgreSQL's units, ISO 8601, and SQL's year-month and day-time forms.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{civil::DAY_MICROS, invalid};
use crate::{FormatSettings, Interval, IntervalStyle};

const SECOND: i64 = 1_000_000;

/// What a unit counts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Months(f64),
    Days(f64),
    Micros(i64),
}

/// Sums of fields, as doubles are added.
#[derive(Default)]
struct Sums {
    months: i64,
    days: i64,
    micros: i64,
}

/// Reads an interval.
pub fn parse_interval(text: &str, settings: &FormatSettings) -> SqlResult<Interval> {
    let trimmed = text.trim();
    let sums = if trimmed.starts_with('P') || trimmed.starts_with("-P") {
        parse_iso(trimmed).ok_or_else(|| invalid("interval", text))?
    } else {
        parse_words(trimmed, settings).ok_or_else(|| invalid("interval", text))?
    };
    let overflow = |_| {
        let message = format!("interval field value out of range: \"{text}\"");
        SqlError::new(SqlState::IntervalFieldOverflow, message)
    };
    Ok(Interval {
        months: i32::try_from(sums.months).map_err(overflow)?,
        days: i32::try_from(sums.days).map_err(overflow)?,
        micros: sums.micros,
    })
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "us" | "usec" | "usecs" | "microsecond" | "microseconds" | "microsecon" => Unit::Micros(1),
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" | "millisecon" => Unit::Micros(1000),
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Micros(SECOND),
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Micros(60 * SECOND),
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Micros(3600 * SECOND),
        "d" | "day" | "days" => Unit::Days(1.0),
        "w" | "week" | "weeks" => Unit::Days(7.0),
        "mon" | "mons" | "month" | "months" => Unit::Months(1.0),
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Months(12.0),
        "dec" | "decs" | "decade" | "decades" => Unit::Months(120.0),
        "c" | "cent" | "century" | "centuries" => Unit::Months(1200.0),
        "mil" | "mils" | "millennium" | "millennia" => Unit::Months(12_000.0),
        _ => return None,
    })
}

impl Sums {
    /// Adds `whole.fraction` of a unit; fractions of months become days, fractions of days microseconds.
    fn add(&mut self, number: &str, unit: Unit) -> Option<()> {
        let value: f64 = number.parse().ok()?;
        match unit {
            Unit::Micros(size) => {
                let whole = value.trunc();
                let whole_micros = (whole as i64).checked_mul(size)?;
                let fraction = ((value - whole) * size as f64).round_ties_even() as i64;
                self.micros = self.micros.checked_add(whole_micros)?.checked_add(fraction)?;
            }
            Unit::Days(size) => {
                let days = value * size;
                self.days = self.days.checked_add(days.trunc() as i64)?;
                self.add_day_fraction(days - days.trunc())?;
            }
            Unit::Months(size) if size > 1.0 => {
                // Years and greater round to whole months.
                self.months = self.months.checked_add((value * size).round_ties_even() as i64)?;
            }
            Unit::Months(_) => {
                self.months = self.months.checked_add(value.trunc() as i64)?;
                let days = (value - value.trunc()) * 30.0;
                let days = (days * 1e6).round_ties_even() / 1e6;
                self.days = self.days.checked_add(days.trunc() as i64)?;
                self.add_day_fraction(days - days.trunc())?;
            }
        }
        Some(())
    }

    fn add_day_fraction(&mut self, fraction: f64) -> Option<()> {
        let micros = (fraction * DAY_MICROS as f64).round_ties_even() as i64;
        self.micros = self.micros.checked_add(micros)?;
        Some(())
    }

    fn negate(&mut self) -> Option<()> {
        (self.months, self.days, self.micros) =
            (self.months.checked_neg()?, self.days.checked_neg()?, self.micros.checked_neg()?);
        Some(())
    }
}

fn parse_words(text: &str, settings: &FormatSettings) -> Option<Sums> {
    let pieces = pieces(text.trim_start_matches('@'))?;
    let mut sums = Sums::default();
    let mut ago = false;
    let mut at = 0;
    // In SQL's standard form a leading minus counts for every field that has no sign of its own.
    let leading_minus = settings.interval_style == IntervalStyle::SqlStandard
        && pieces.first().is_some_and(|piece| piece.starts_with('-'))
        && !pieces[1..].iter().any(|piece| piece.starts_with(['-', '+']));
    while at < pieces.len() {
        let piece = &pieces[at];
        at += 1;
        if piece == "ago" {
            ago = true;
            continue;
        }
        if piece == "and" {
            continue;
        }
        let first = piece.trim_start_matches(['-', '+']);
        if !first.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        let signed = if leading_minus && !piece.starts_with('-') { format!("-{piece}") } else { piece.clone() };
        if first.contains(':') {
            add_clock(&mut sums, &signed)?;
        } else if let Some((years, months)) = first.split_once('-') {
            let total = years.parse::<i64>().ok()?.checked_mul(12)?.checked_add(months.parse::<i64>().ok()?)?;
            sums.months = sums.months.checked_add(if signed.starts_with('-') { -total } else { total })?;
        } else if let Some(unit) = pieces.get(at).and_then(|word| unit(word)) {
            at += 1;
            sums.add(&signed, unit)?;
        } else if pieces.get(at).is_some_and(|next| next.contains(':')) {
            sums.add(&signed, Unit::Days(1.0))?;
        } else {
            sums.add(&signed, Unit::Micros(SECOND))?;
        }
    }
    if ago {
        sums.negate()?;
    }
    Some(sums)
}

/// Numbers, words and clocks, lower case; a number runs into its unit without a space.
fn pieces(text: &str) -> Option<Vec<String>> {
    let mut pieces: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() || c == ',' {
            continue;
        }
        let mut piece = c.to_ascii_lowercase().to_string();
        let word = c.is_ascii_alphabetic();
        if !word && !c.is_ascii_digit() && !matches!(c, '-' | '+' | '.') {
            return None;
        }
        while let Some(next) = chars.peek().copied() {
            let belongs = if word {
                next.is_ascii_alphabetic()
            } else {
                next.is_ascii_digit()
                    || matches!(next, ':' | '.')
                    || (next == '-' && piece.ends_with(|c: char| c.is_ascii_digit()))
            };
            if !belongs {
                break;
            }
            piece.push(next.to_ascii_lowercase());
            chars.next();
        }
        if matches!(piece.as_str(), "-" | "+") {
            // The sign stands apart from its number.
            while chars.next_if(|next| next.is_whitespace()).is_some() {}
            while let Some(next) = chars.next_if(|next| next.is_ascii_digit() || matches!(next, ':' | '.')) {
                piece.push(next);
            }
        }
        pieces.push(piece);
    }
    (!pieces.is_empty()).then_some(pieces)
}

/// `[-]hh:mm[:ss[.fraction]]`
fn add_clock(sums: &mut Sums, text: &str) -> Option<()> {
    let negative = text.starts_with('-');
    let parts: Vec<&str> = text.trim_start_matches(['-', '+']).split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [minutes, seconds] if seconds.contains('.') => ("0", minutes, seconds),
        [hours, minutes] => (hours, minutes, "0"),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    let whole = hours.parse::<i64>().ok()?.checked_mul(3600)?.checked_add(minutes.parse::<i64>().ok()? * 60)?;
    let seconds: f64 = if seconds.is_empty() { return None } else { seconds.parse().ok()? };
    if minutes.parse::<i64>().ok()? > 59 || seconds > 60.0 {
        return None;
    }
    let micros = whole.checked_mul(SECOND)?.checked_add((seconds * 1e6).round_ties_even() as i64)?;
    sums.micros = sums.micros.checked_add(if negative { -micros } else { micros })?;
    Some(())
}

/// `P1Y2M3DT4H5M6S`, any field signed or with a fraction, weeks too.
fn parse_iso(text: &str) -> Option<Sums> {
    let negative = text.starts_with('-');
    let mut rest = text.trim_start_matches('-').strip_prefix('P')?;
    let mut sums = Sums::default();
    let mut time = false;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            (time, rest) = (true, after);
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let unit = match (rest.as_bytes()[end], time) {
            (b'Y', false) => Unit::Months(12.0),
            (b'M', false) => Unit::Months(1.0),
            (b'W', false) => Unit::Days(7.0),
            (b'D', false) => Unit::Days(1.0),
            (b'H', true) => Unit::Micros(3600 * SECOND),
            (b'M', true) => Unit::Micros(60 * SECOND),
            (b'S', true) => Unit::Micros(SECOND),
            _ => return None,
        };
        sums.add(&rest[..end], unit)?;
        rest = &rest[end + 1..];
    }
    if negative {
        sums.negate()?;
    }
    Some(sums)
}

//! Reading dates, times and timestamps from text.

use proto::SqlResult;
use sharddb_proto as proto;

use super::{
    DATE_INFINITY, DATE_NEG_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY,
    civil::{Civil, DAY_MICROS, civil_from_days, days_from_civil, days_in_month},
    invalid,
    lexer::{Token, tokens},
    out_of_range,
    zone::{abbreviation, local_to_utc, offset_at, parse_offset, parse_zone},
};
use crate::{DateOrder, FormatSettings, TimeZone};

/// Start of the transaction in microseconds, for 'now', 'today' and their kin.
#[derive(Clone, Copy, Debug)]
pub struct Now(pub i64);

/// Earliest and latest days that PostgreSQL's date accepts: 4713-11-24 BC and 5874897-12-31.
const DATE_DAYS: std::ops::RangeInclusive<i64> = -2_440_588..=2_145_042_905;
/// Earliest and latest timestamps: 4713-11-24 BC and January of 294247, where microseconds since 1970 end (PostgreSQL's,
/// counted from 2000, end in 294276).
const TIMESTAMP_MICROS: std::ops::Range<i64> = -210_866_803_200_000_000..i64::MAX;

/// Julian day of 1970-01-01.
const JULIAN_EPOCH: i64 = 2_440_588;

/// What the fields of an input say.
#[derive(Debug, Default)]
struct Fields {
    date: Option<(i32, u32, u32)>,
    /// Microseconds since midnight.
    time: Option<i64>,
    zone: Option<TimeZone>,
    special: Option<Special>,
    /// BC was given.
    before_christ: bool,
    pm: Option<bool>,
    month: Option<u32>,
    /// Bare numbers that belong to a date with a month's name.
    numbers: Vec<String>,
    /// The last word was `t`: a time follows.
    time_follows: bool,
    /// The last word was `j`: a Julian day follows.
    julian_follows: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    Infinity,
    NegInfinity,
    Epoch,
    Now,
    Today,
    Tomorrow,
    Yesterday,
}

struct Parser<'a> {
    kind: &'a str,
    text: &'a str,
    settings: &'a FormatSettings,
    fields: Fields,
}

/// Reads a date: days since 1970-01-01.
pub fn parse_date(text: &str, settings: &FormatSettings, now: Now) -> SqlResult<i32> {
    let parser = Parser::run("date", text, settings)?;
    let days = match parser.fields.special {
        Some(Special::Infinity) => return Ok(DATE_INFINITY),
        Some(Special::NegInfinity) => return Ok(DATE_NEG_INFINITY),
        Some(special) => special_local(special, settings, now).div_euclid(DAY_MICROS),
        None => parser.days()?,
    };
    if !DATE_DAYS.contains(&days) {
        let message = format!("date out of range: \"{text}\"");
        return Err(proto::SqlError::new(proto::SqlState::DatetimeFieldOverflow, message));
    }
    Ok(days as i32)
}

/// Reads a timestamp without time zone; a zone in the input is ignored.
pub fn parse_timestamp(text: &str, settings: &FormatSettings, now: Now) -> SqlResult<i64> {
    let parser = Parser::run("timestamp", text, settings)?;
    match parser.fields.special {
        Some(Special::Infinity) => return Ok(TIMESTAMP_INFINITY),
        Some(Special::NegInfinity) => return Ok(TIMESTAMP_NEG_INFINITY),
        Some(Special::Now) => return Ok(special_local(Special::Now, settings, now)),
        Some(special) => {
            return parser.in_range(special_local(special, settings, now) + parser.fields.time.unwrap_or(0));
        }
        None => {}
    }
    let micros =
        parser.days()?.checked_mul(DAY_MICROS).and_then(|days| days.checked_add(parser.fields.time.unwrap_or(0)));
    parser.in_range(micros.ok_or_else(|| parser.beyond())?)
}

/// Reads a timestamp with time zone: an instant; without a zone in the input the session's counts.
pub fn parse_timestamptz(text: &str, settings: &FormatSettings, now: Now) -> SqlResult<i64> {
    let parser = Parser::run("timestamp with time zone", text, settings)?;
    let zone = parser.fields.zone.clone().unwrap_or_else(|| settings.time_zone.clone());
    let local = match parser.fields.special {
        Some(Special::Infinity) => return Ok(TIMESTAMP_INFINITY),
        Some(Special::NegInfinity) => return Ok(TIMESTAMP_NEG_INFINITY),
        Some(Special::Now) => return Ok(now.0),
        Some(Special::Epoch) => return Ok(0),
        Some(special) => special_local(special, settings, now) + parser.fields.time.unwrap_or(0),
        None => {
            let days = parser.days()?.checked_mul(DAY_MICROS);
            let micros = days.and_then(|days| days.checked_add(parser.fields.time.unwrap_or(0)));
            micros.ok_or_else(|| parser.beyond())?
        }
    };
    parser.in_range(local_to_utc(&zone, local).ok_or_else(|| parser.beyond())?)
}

/// Reads a time of day: microseconds since midnight.
pub fn parse_time(text: &str, settings: &FormatSettings, now: Now) -> SqlResult<i64> {
    let parser = Parser::run("time", text, settings)?;
    match (parser.fields.time, parser.fields.special) {
        (_, Some(Special::Now)) => Ok(special_local(Special::Now, settings, now).rem_euclid(DAY_MICROS)),
        (Some(time), _) => Ok(time),
        (None, _) => Err(invalid("time", text)),
    }
}

/// Reads a time of day with zone: microseconds since midnight, and seconds west of Greenwich.
pub fn parse_timetz(text: &str, settings: &FormatSettings, now: Now) -> SqlResult<(i64, i32)> {
    let parser = Parser::run("time with time zone", text, settings)?;
    let zone = parser.fields.zone.clone().unwrap_or_else(|| settings.time_zone.clone());
    let west = -offset_at(&zone, now.0);
    match (parser.fields.time, parser.fields.special) {
        (_, Some(Special::Now)) => Ok((special_local(Special::Now, settings, now).rem_euclid(DAY_MICROS), west)),
        (Some(time), _) => Ok((time, west)),
        (None, _) => Err(invalid("time with time zone", text)),
    }
}

/// A special value as a local time in the session's zone.
fn special_local(special: Special, settings: &FormatSettings, now: Now) -> i64 {
    let local = now.0 + i64::from(offset_at(&settings.time_zone, now.0)) * 1_000_000;
    let today = local - local.rem_euclid(DAY_MICROS);
    match special {
        Special::Now => local,
        Special::Today => today,
        Special::Tomorrow => today + DAY_MICROS,
        Special::Yesterday => today - DAY_MICROS,
        Special::Epoch | Special::Infinity | Special::NegInfinity => 0,
    }
}

/// The month of a name or its first three letters.
fn month(word: &str) -> Option<u32> {
    const NAMES: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.trim_end_matches('.');
    let matches = |name: &&str| {
        **name == *word || (word.len() == 3 && name.starts_with(word)) || (word == "sept" && name.starts_with(word))
    };
    NAMES.iter().position(matches).map(|at| at as u32 + 1)
}

/// Whether a text has the form of an offset, whatever its fields.
fn is_offset(text: &str) -> bool {
    let body = text.trim_start_matches(['+', '-']);
    body.len() >= 2 && body.bytes().all(|byte| byte.is_ascii_digit() || byte == b':')
}

fn is_weekday(word: &str) -> bool {
    const NAMES: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    let word = word.trim_end_matches('.');
    NAMES.iter().any(|name| *name == word || (word.len() >= 3 && name.starts_with(word)))
}

impl<'a> Parser<'a> {
    fn run(kind: &'a str, text: &'a str, settings: &'a FormatSettings) -> SqlResult<Self> {
        let mut parser = Self { kind, text, settings, fields: Fields::default() };
        let tokens = tokens(text).filter(|tokens| !tokens.is_empty()).ok_or_else(|| parser.invalid())?;
        for token in tokens {
            match token {
                Token::Word(word) => parser.word(&word)?,
                Token::Number(number) => parser.number(number)?,
                Token::Signed(offset) => parser.signed(&offset)?,
            }
        }
        parser.finish()?;
        Ok(parser)
    }

    fn invalid(&self) -> proto::SqlError {
        invalid(self.kind, self.text)
    }

    fn word(&mut self, word: &str) -> SqlResult<()> {
        let special = match word {
            "infinity" | "inf" => Some(Special::Infinity),
            "epoch" => Some(Special::Epoch),
            "now" => Some(Special::Now),
            "today" => Some(Special::Today),
            "tomorrow" => Some(Special::Tomorrow),
            "yesterday" => Some(Special::Yesterday),
            _ => None,
        };
        if special.is_some() {
            self.fields.special = special;
            return Ok(());
        }
        match word {
            "bc" => self.fields.before_christ = true,
            "ad" => {}
            "am" => self.fields.pm = Some(false),
            "pm" => self.fields.pm = Some(true),
            "allballs" => (self.fields.time, self.fields.zone) = (Some(0), Some(TimeZone::Fixed(0, "+00".to_owned()))),
            "t" => self.fields.time_follows = true,
            "j" | "julian" => self.fields.julian_follows = true,
            "at" | "on" => {}
            _ if month(word).is_some() => self.fields.month = month(word),
            _ if is_weekday(word) => {}
            _ => return self.zone(word),
        }
        Ok(())
    }

    fn zone(&mut self, word: &str) -> SqlResult<()> {
        if let Some(offset) = abbreviation(word) {
            self.fields.zone = Some(TimeZone::Fixed(offset, word.to_owned()));
            return Ok(());
        }
        let Some(zone) = parse_zone(word) else {
            if word.contains('/') {
                let message = format!("time zone \"{word}\" not recognized");
                return Err(proto::SqlError::new(proto::SqlState::InvalidParameterValue, message));
            }
            return Err(self.invalid());
        };
        self.fields.zone = Some(zone);
        Ok(())
    }

    fn signed(&mut self, text: &str) -> SqlResult<()> {
        if text == "-infinity" || text == "-inf" {
            self.fields.special = Some(Special::NegInfinity);
            return Ok(());
        }
        if text == "+infinity" {
            self.fields.special = Some(Special::Infinity);
            return Ok(());
        }
        let far = || {
            let message = format!("time zone displacement out of range: \"{}\"", self.text);
            proto::SqlError::new(proto::SqlState::InvalidTimeZoneDisplacement, message)
        };
        let offset = parse_offset(text).ok_or_else(|| if is_offset(text) { far() } else { self.invalid() })?;
        // After a zone's name an offset would be a POSIX zone, which nobody writes.
        self.fields.zone = Some(TimeZone::Fixed(offset, text.to_owned()));
        Ok(())
    }

    fn number(&mut self, number: String) -> SqlResult<()> {
        let time_follows = std::mem::take(&mut self.fields.time_follows);
        if number.contains(':') {
            self.fields.time = Some(self.time(&number)?);
            return Ok(());
        }
        if std::mem::take(&mut self.fields.julian_follows) {
            let days = i64::from(self.digits(&number)?) - JULIAN_EPOCH;
            self.fields.date = Some(civil_from_days(days));
            return Ok(());
        }
        if time_follows {
            self.fields.time = Some(self.packed_time(&number)?);
            return Ok(());
        }
        // A value without a date may be a time without colons.
        if self.kind.starts_with("time ") || self.kind == "time" {
            let digits = number.split('.').next().unwrap_or_default();
            let plain = digits.len() >= 4 && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            if plain && digits.len().is_multiple_of(2) && self.fields.time.is_none() {
                self.fields.time = Some(self.packed_time(&number)?);
                return Ok(());
            }
        }
        let separated = number.contains(['-', '/'])
            || number.matches('.').count() == 2
            || number.split_once('.').is_some_and(|(year, day)| (year.len(), day.len()) == (4, 3));
        if separated && self.fields.date.is_none() {
            self.fields.date = Some(self.separated_date(&number)?);
        } else if self.fields.date.is_none()
            && self.fields.month.is_none()
            && matches!(number.len(), 6 | 8)
            && number.bytes().all(|b| b.is_ascii_digit())
        {
            let (year, rest) = number.split_at(number.len() - 4);
            let year = self.year(year)?;
            self.fields.date = Some((year, self.digits(&rest[..2])?, self.digits(&rest[2..])?));
        } else if self.fields.date.is_some() && self.fields.time.is_none() && number.len() >= 4 {
            self.fields.time = Some(self.packed_time(&number)?);
        } else {
            self.fields.numbers.push(number);
        }
        Ok(())
    }

    fn digits(&self, text: &str) -> SqlResult<u32> {
        let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !valid { Err(self.invalid()) } else { text.parse().map_err(|_| out_of_range(self.text)) }
    }

    /// A year; two digits mean 1970 to 2069.
    fn year(&self, text: &str) -> SqlResult<i32> {
        let year = self.digits(text)? as i32;
        Ok(match text.len() {
            1 | 2 if year < 70 => year + 2000,
            1 | 2 => year + 1900,
            _ => year,
        })
    }

    fn separated_date(&self, text: &str) -> SqlResult<(i32, u32, u32)> {
        let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
        if parts.len() == 2 && parts[0].len() >= 3 {
            // 1999.039 and 1999-039: a day of the year.
            let year = self.year(parts[0])?;
            let days = days_from_civil(year, 1, 1) + i64::from(self.digits(parts[1])?) - 1;
            let (year, month, day) = civil_from_days(days);
            return Ok((year, month, day));
        }
        let [a, b, c] = parts[..] else { return Err(self.invalid()) };
        if let Some(at) = [a, b].iter().position(|part| month(part).is_some()) {
            let named = month([a, b][at]).ok_or_else(|| self.invalid())?;
            let other = [b, a][at];
            return if other.len() >= 3 {
                Ok((self.year(other)?, named, self.digits(c)?))
            } else {
                Ok((self.year(c)?, named, self.digits(other)?))
            };
        }
        if a.len() >= 3 {
            return Ok((self.year(a)?, self.digits(b)?, self.digits(c)?));
        }
        match self.settings.date_order {
            DateOrder::Ymd => Ok((self.year(a)?, self.digits(b)?, self.digits(c)?)),
            DateOrder::Dmy => Ok((self.year(c)?, self.digits(b)?, self.digits(a)?)),
            DateOrder::Mdy => Ok((self.year(c)?, self.digits(a)?, self.digits(b)?)),
        }
    }

    fn time(&self, text: &str) -> SqlResult<i64> {
        let mut parts = text.split(':');
        let hours = self.digits(parts.next().unwrap_or_default())?;
        let minutes = self.digits(parts.next().unwrap_or_default())?;
        let seconds = parts.next().unwrap_or("0");
        if parts.next().is_some() {
            return Err(self.invalid());
        }
        self.assemble_time(hours, minutes, self.seconds(seconds)?)
    }

    /// Microseconds of `ss[.fraction]`, rounded to the sixth digit.
    fn seconds(&self, text: &str) -> SqlResult<i64> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let whole = i64::from(self.digits(whole)?);
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.invalid());
        }
        let value: f64 = format!("0.{fraction}0").parse().map_err(|_| self.invalid())?;
        Ok(whole * 1_000_000 + (value * 1e6).round_ties_even() as i64)
    }

    fn packed_time(&self, text: &str) -> SqlResult<i64> {
        let (digits, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !matches!(digits.len(), 2 | 4 | 6) {
            return Err(self.invalid());
        }
        let field = |at: usize| digits.get(at..at + 2).map_or(Ok(0), |part| self.digits(part));
        let seconds = format!("{}.{fraction}", field(4)?);
        self.assemble_time(field(0)?, field(2)?, self.seconds(&seconds)?)
    }

    fn assemble_time(&self, hours: u32, minutes: u32, seconds: i64) -> SqlResult<i64> {
        let total = (i64::from(hours) * 60 + i64::from(minutes)) * 60_000_000 + seconds;
        if hours > 24 || minutes > 59 || seconds > 60_000_000 || total > DAY_MICROS {
            return Err(out_of_range(self.text));
        }
        Ok(total)
    }

    /// Brings loose fields together.
    fn finish(&mut self) -> SqlResult<()> {
        if let (Some(pm), Some(time)) = (self.fields.pm, self.fields.time) {
            let hour = time / 3_600_000_000;
            if !(1..=12).contains(&hour) {
                return Err(out_of_range(self.text));
            }
            let hour_12 = hour % 12 + if pm { 12 } else { 0 };
            self.fields.time = Some(time % 3_600_000_000 + hour_12 * 3_600_000_000);
        }
        if let Some(month) = self.fields.month {
            let [a, b] = &self.fields.numbers[..] else { return Err(self.invalid()) };
            let (year, day) = if a.len() >= 3 { (a, b) } else { (b, a) };
            self.fields.date = Some((self.year(year)?, month, self.digits(day)?));
        } else if !self.fields.numbers.is_empty() || self.fields.time_follows || self.fields.julian_follows {
            return Err(self.invalid());
        }
        if let Some((year, month, day)) = &mut self.fields.date {
            if self.fields.before_christ {
                *year = 1 - *year;
            }
            let valid = (1..=12).contains(month) && *day >= 1 && *day <= days_in_month(*year, *month);
            let zero = *year == 0 && !self.fields.before_christ;
            if !valid || zero {
                return Err(out_of_range(self.text));
            }
        } else if self.fields.before_christ {
            return Err(self.invalid());
        }
        Ok(())
    }

    fn days(&self) -> SqlResult<i64> {
        let (year, month, day) = self.fields.date.ok_or_else(|| self.invalid())?;
        Ok(days_from_civil(year, month, day))
    }

    fn beyond(&self) -> proto::SqlError {
        let message = format!("timestamp out of range: \"{}\"", self.text);
        proto::SqlError::new(proto::SqlState::DatetimeFieldOverflow, message)
    }

    fn in_range(&self, micros: i64) -> SqlResult<i64> {
        if TIMESTAMP_MICROS.contains(&micros) { Ok(micros) } else { Err(self.beyond()) }
    }
}

/// Whether a timestamp is one PostgreSQL can hold.
pub(crate) fn timestamp_in_range(micros: i64) -> bool {
    TIMESTAMP_MICROS.contains(&micros) || micros == TIMESTAMP_INFINITY || micros == TIMESTAMP_NEG_INFINITY
}

/// The fields of a timestamp, for callers that need them.
pub(crate) fn split(micros: i64) -> Civil {
    Civil::from_micros(micros)
}

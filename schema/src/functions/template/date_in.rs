//! to_date and to_timestamp: reading by a template.
//!
//! Unless the template says FX, spaces and punctuation in the input need not be those of the template.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{
    date_node::{Field, FieldNode, Node, parse},
    fields::{DAYS, MONTHS, ROMAN},
    read_fields::ReadFields,
};
use crate::{
    Oid,
    datetime::local_to_utc,
    functions::{
        EvalContext, Function,
        datetime::out_of_range,
        table::function,
        value::{Date, TimestampTz, two},
    },
};

const T: Oid = Oid::TEXT;

/// 22007.
pub(super) fn invalid(message: String) -> SqlError {
    SqlError::new(SqlState::InvalidDatetimeFormat, message)
}

struct Reader<'t> {
    input: &'t str,
    at: usize,
    nodes: &'t [Node],
    exact: bool,
    /// Characters passed over beyond those that the template has.
    extra: i32,
    found: ReadFields,
}

/// Reads a text by a template.
fn read(input: &str, template: &str) -> SqlResult<ReadFields> {
    let nodes = parse(template);
    let mut reader = Reader { input, at: 0, nodes: &nodes, exact: false, extra: 0, found: ReadFields::default() };
    for place in 0..nodes.len() {
        if reader.at >= input.len() {
            break;
        }
        reader.node(place)?;
    }
    Ok(reader.found)
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.input[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            self.at += 1;
            self.extra += 1;
        }
    }

    fn node(&mut self, place: usize) -> SqlResult<()> {
        let node = &self.nodes[place];
        if !self.exact && (!matches!(node, Node::Literal(_)) || place == 0) {
            self.skip_spaces();
        }
        match node {
            Node::Space(_) | Node::Separator(_) if self.exact => self.skip(),
            Node::Space(_) | Node::Separator(_) => {
                self.extra -= 1;
                if self.peek().is_some_and(|c| c.is_ascii_whitespace() || c.is_ascii_punctuation()) {
                    self.at += 1;
                    self.extra += 1;
                }
            }
            Node::Literal(text) => {
                for _ in text.chars() {
                    if !self.exact && self.extra > 0 {
                        self.extra -= 1;
                    } else {
                        self.skip();
                    }
                }
            }
            Node::Field(field) => {
                self.field(field, place)?;
                if !self.exact {
                    self.extra = 0;
                    self.skip_spaces();
                }
            }
        }
        Ok(())
    }

    /// Whether what follows a field cannot be a digit, so that the field may take every digit there is.
    fn open_ended(&self, place: usize) -> bool {
        let Node::Field(field) = &self.nodes[place] else { return true };
        if field.ordinal.is_some() {
            return true;
        }
        match self.nodes.get(place + 1) {
            Some(Node::Field(next)) => !is_digits(next.field),
            Some(Node::Literal(text)) => !(text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_digit())),
            Some(Node::Separator(_) | Node::Space(_)) | None => true,
        }
    }

    /// Reads an integer of a width, and how many characters it took.
    fn integer(&mut self, node: &FieldNode, width: usize, place: usize) -> SqlResult<(i32, usize)> {
        let start = self.at;
        let spaces = self.rest().len() - self.rest().trim_start_matches(|c: char| c.is_ascii_whitespace()).len();
        self.at += spaces;
        let shown: String = self.rest().chars().take(width).collect();
        let open = node.fill || self.open_ended(place);
        let source = if open { self.rest() } else { &shown };
        let signed = usize::from(source.starts_with(['+', '-']));
        let digits = source[signed..].bytes().take_while(u8::is_ascii_digit).count();
        let used = if digits == 0 { 0 } else { signed + digits };
        if !open {
            let remaining = self.rest().chars().count();
            let hint = "If your source string is not fixed-width, try using the \"FM\" modifier.";
            if remaining < width {
                let message = format!("source string too short for \"{}\" formatting field", node.keyword);
                let detail = format!("Field requires {width} characters, but only {remaining} remain.");
                return Err(invalid(message).with_detail(detail).with_hint(hint));
            }
            if used > 0 && used < width {
                let detail = format!("Field requires {width} characters, but only {used} could be parsed.");
                return Err(self.invalid_value(&shown, node).with_detail(detail).with_hint(hint));
            }
        }
        if used == 0 {
            return Err(self.invalid_value(&shown, node).with_detail("Value must be an integer."));
        }
        let value = source[..used].parse().map_err(|_| {
            let message = format!("value for \"{}\" in source string is out of range", node.keyword);
            let detail = "Value must be in the range -2147483648 to 2147483647.";
            SqlError::new(SqlState::DatetimeFieldOverflow, message).with_detail(detail)
        })?;
        self.at += used;
        Ok((value, self.at - start))
    }

    fn invalid_value(&self, shown: &str, node: &FieldNode) -> SqlError {
        invalid(format!("invalid value \"{shown}\" for \"{}\"", node.keyword))
    }

    /// Reads one of several words and answers which.
    fn word(&mut self, node: &FieldNode, words: &[&str]) -> SqlResult<i32> {
        let rest = self.rest();
        let matches = |word: &&str| rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        // Longer words first: "VIII" begins with "VII".
        let found = words.iter().enumerate().filter(|(_, word)| matches(word)).max_by_key(|(_, word)| word.len());
        match found {
            Some((at, word)) => {
                self.at += word.len();
                Ok(at as i32)
            }
            None => {
                let shown = rest.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
                let detail = "The given value did not match any of the allowed values for this field.";
                Err(self.invalid_value(shown, node).with_detail(detail))
            }
        }
    }

    fn skip_ordinal(&mut self, node: &FieldNode) {
        if node.ordinal.is_some() {
            self.skip();
            self.skip();
        }
    }

    fn field(&mut self, node: &FieldNode, place: usize) -> SqlResult<()> {
        self.found.check_convention(node.field)?;
        match node.field {
            Field::Exact => self.exact = true,
            Field::Meridiem { dots } => {
                let words = if dots { ["a.m.", "p.m."] } else { ["am", "pm"] };
                let after = self.word(node, &words)?;
                self.found.set(node, |found| &mut found.after_noon, after)?;
                self.found.twelve_hours = true;
            }
            Field::Era { dots } => {
                let words = if dots { ["a.d.", "b.c."] } else { ["ad", "bc"] };
                let before = self.word(node, &words)?;
                self.found.set(node, |found| &mut found.before_christ, before)?;
            }
            Field::MonthName => {
                let month = self.word(node, &MONTHS)?;
                self.found.set(node, |found| &mut found.month, month + 1)?;
            }
            Field::MonthShort => {
                let month = self.word(node, &MONTHS.map(|name| &name[..3]))?;
                self.found.set(node, |found| &mut found.month, month + 1)?;
            }
            Field::Roman => {
                let month = self.word(node, &ROMAN)?;
                self.found.set(node, |found| &mut found.month, month + 1)?;
            }
            Field::DayName => {
                let day = self.word(node, &DAYS)?;
                self.found.set(node, |found| &mut found.weekday, day + 1)?;
            }
            Field::DayShort => {
                let day = self.word(node, &DAYS.map(|name| &name[..3]))?;
                self.found.set(node, |found| &mut found.weekday, day + 1)?;
            }
            Field::ZoneName | Field::ZoneOffset => {
                let message = format!("formatting field \"{}\" is only supported in to_char", node.keyword);
                return Err(SqlError::new(SqlState::FeatureNotSupported, message));
            }
            Field::ZoneHours => self.zone_hours(node, place)?,
            Field::YearWithComma => self.year_with_comma(node)?,
            _ => return self.number(node, place),
        }
        Ok(())
    }

    fn zone_hours(&mut self, node: &FieldNode, place: usize) -> SqlResult<()> {
        self.found.zone_sign = match self.peek() {
            Some(sign @ ('+' | '-' | ' ')) => {
                self.at += 1;
                if sign == '-' { -1 } else { 1 }
            }
            // The minus sign may have been taken for a separator.
            _ if self.extra > 0 && self.input[..self.at].ends_with('-') => -1,
            _ => 1,
        };
        let (hours, _) = self.integer(node, 2, place)?;
        self.found.set(node, |found| &mut found.zone_hours, hours)
    }

    fn year_with_comma(&mut self, node: &FieldNode) -> SqlResult<()> {
        let unreadable = || invalid("invalid input string for \"Y,YYY\"".to_owned());
        let rest = self.rest();
        let (thousands, after) = rest.split_once(',').ok_or_else(unreadable)?;
        let digits = after.bytes().take(3).take_while(u8::is_ascii_digit).count();
        let thousands_value: i32 = thousands.trim().parse().map_err(|_| unreadable())?;
        let years: i32 = after[..digits].parse().map_err(|_| unreadable())?;
        let year =
            thousands_value.checked_mul(1000).and_then(|value| value.checked_add(years)).ok_or_else(unreadable)?;
        self.found.set(node, |found| &mut found.year, year)?;
        self.found.year_digits = 4;
        self.at += thousands.len() + 1 + digits;
        self.skip_ordinal(node);
        Ok(())
    }

    /// Fields that are plain numbers.
    fn number(&mut self, node: &FieldNode, place: usize) -> SqlResult<()> {
        let width = width(node);
        let (value, used) = self.integer(node, width, place)?;
        let fraction = |places: usize| 10_i32.pow(places.saturating_sub(used) as u32);
        let found = &mut self.found;
        match node.field {
            Field::Hour12 => {
                found.set(node, |found| &mut found.hour, value)?;
                found.twelve_hours = true;
            }
            Field::Hour24 => found.set(node, |found| &mut found.hour, value)?,
            Field::Minute => found.set(node, |found| &mut found.minute, value)?,
            Field::Second => found.set(node, |found| &mut found.second, value)?,
            Field::SecondOfDay => found.set(node, |found| &mut found.second_of_day, value)?,
            Field::Milliseconds => found.set(node, |found| &mut found.millis, value.saturating_mul(fraction(3)))?,
            Field::Microseconds => found.set(node, |found| &mut found.micros, value.saturating_mul(fraction(6)))?,
            Field::Fraction(digits) => {
                found.precision = digits as i32;
                found.set(node, |found| &mut found.micros, value.saturating_mul(fraction(6)))?;
            }
            Field::ZoneMinutes => {
                if found.zone_sign == 0 {
                    found.zone_sign = 1;
                }
                found.set(node, |found| &mut found.zone_minutes, value)?;
            }
            Field::Month => found.set(node, |found| &mut found.month, value)?,
            Field::Day => found.set(node, |found| &mut found.day, value)?,
            Field::DayOfYear | Field::IsoDayOfYear => found.set(node, |found| &mut found.day_of_year, value)?,
            Field::DayOfWeek => found.set(node, |found| &mut found.weekday, value)?,
            // Sunday is 7 here and 1 elsewhere.
            Field::IsoDayOfWeek => {
                found.set(node, |found| &mut found.weekday, if value >= 7 { 1 } else { value + 1 })?
            }
            Field::Week | Field::IsoWeek => found.set(node, |found| &mut found.week, value)?,
            Field::WeekOfMonth => found.set(node, |found| &mut found.week_of_month, value)?,
            Field::Century => found.set(node, |found| &mut found.century, value)?,
            Field::Julian => found.set(node, |found| &mut found.julian, value)?,
            Field::Year(digits) | Field::IsoYear(digits) => {
                let year = if digits < 4 && used < 4 { near_2020(value) } else { value };
                found.set(node, |found| &mut found.year, year)?;
                found.year_digits = digits;
            }
            // A quarter does not tell a date.
            _ => {}
        }
        self.skip_ordinal(node);
        Ok(())
    }
}

/// Completes a year of less than four digits to the one nearest to 2020.
fn near_2020(year: i32) -> i32 {
    match year {
        ..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}

/// Characters of a field: of the keyword, unless the field has a width of its own.
fn width(node: &FieldNode) -> usize {
    match node.field {
        Field::Hour12 | Field::Hour24 | Field::ZoneHours | Field::ZoneMinutes => 2,
        Field::Milliseconds | Field::IsoDayOfYear => 3,
        Field::Microseconds => 6,
        Field::Fraction(digits) => digits as usize,
        Field::IsoDayOfWeek => 1,
        _ => node.keyword.len(),
    }
}

/// Fields that begin with a digit.
fn is_digits(field: Field) -> bool {
    !matches!(
        field,
        Field::Meridiem { .. }
            | Field::Era { .. }
            | Field::DayName
            | Field::DayShort
            | Field::MonthName
            | Field::MonthShort
            | Field::Roman
            | Field::ZoneName
            | Field::ZoneOffset
            | Field::ZoneHours
            | Field::Exact
    )
}

fn to_date(input: &str, template: &str) -> SqlResult<Date> {
    let (days, _) = read(input, template)?.local(input)?;
    if !(-2_440_588..=2_145_042_905).contains(&days) {
        let message = format!("date out of range: \"{input}\"");
        return Err(SqlError::new(SqlState::DatetimeFieldOverflow, message));
    }
    Ok(Date(days as i32))
}

fn to_timestamp(env: &EvalContext, input: &str, template: &str) -> SqlResult<TimestampTz> {
    let found = read(input, template)?;
    let (days, time) = found.local(input)?;
    let local = days.checked_mul(crate::datetime::DAY_MICROS).and_then(|micros| micros.checked_add(time));
    let local = local.ok_or_else(|| out_of_range("timestamp"))?;
    let instant = match found.offset(input)? {
        Some(east) => local.checked_sub(i64::from(east) * 1_000_000),
        None => local_to_utc(&env.time_zone, local),
    };
    let instant = instant.ok_or_else(|| out_of_range("timestamp"))?;
    let precision = if found.precision > 0 { found.precision } else { 6 };
    Ok(TimestampTz(crate::text::fit_timestamp(instant, precision)))
}

/// to_date and to_timestamp.
pub(in crate::functions) static READ: &[Function] = &[
    function("to_date", &[T, T], Oid::DATE, |_, args| two(args, to_date)).stable(),
    function("to_timestamp", &[T, T], Oid::TIMESTAMPTZ, |env, args| {
        two(args, |input: &str, template: &str| to_timestamp(env, input, template))
    })
    .stable(),
];

//! What was read by a template, and the moment it makes.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{
    date_in::invalid,
    date_node::{Field, FieldNode},
};
use crate::datetime::{civil_from_days, days_from_civil, days_in_month};

/// Julian day of 1970-01-01.
const JULIAN_EPOCH: i64 = 2_440_588;

/// Which calendar the fields belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Convention {
    Gregorian,
    IsoWeek,
}

/// Fields that were read; 0 is not read, as in PostgreSQL.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadFields {
    convention: Option<Convention>,
    pub(super) twelve_hours: bool,
    pub(super) after_noon: i32,
    pub(super) before_christ: i32,
    pub(super) hour: i32,
    pub(super) minute: i32,
    pub(super) second: i32,
    pub(super) second_of_day: i32,
    pub(super) millis: i32,
    pub(super) micros: i32,
    /// Digits of FF1 to FF6.
    pub(super) precision: i32,
    pub(super) zone_sign: i32,
    pub(super) zone_hours: i32,
    pub(super) zone_minutes: i32,
    pub(super) year: i32,
    /// Digits of the year's field.
    pub(super) year_digits: u32,
    pub(super) century: i32,
    pub(super) month: i32,
    pub(super) day: i32,
    pub(super) day_of_year: i32,
    /// From 1 for Sunday.
    pub(super) weekday: i32,
    pub(super) week: i32,
    pub(super) week_of_month: i32,
    pub(super) julian: i32,
}

fn field_overflow(input: &str) -> SqlError {
    SqlError::new(SqlState::DatetimeFieldOverflow, format!("date/time field value out of range: \"{input}\""))
}

/// Days since 1970-01-01 of the Monday of an ISO week.
fn iso_week_start(year: i32, week: i32) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - (fourth + 3).rem_euclid(7) + (i64::from(week) - 1) * 7
}

impl ReadFields {
    /// Sets a field; a second, different value is 22007.
    pub(super) fn set(
        &mut self,
        node: &FieldNode,
        field: impl FnOnce(&mut Self) -> &mut i32,
        value: i32,
    ) -> SqlResult<()> {
        let slot = field(self);
        if *slot != 0 && *slot != value {
            let message = format!("conflicting values for \"{}\" field in formatting string", node.keyword);
            let detail = "This value contradicts a previous setting for the same field type.";
            return Err(invalid(message).with_detail(detail));
        }
        *slot = value;
        Ok(())
    }

    /// ISO weeks and the usual calendar do not mix.
    pub(super) fn check_convention(&mut self, field: Field) -> SqlResult<()> {
        let convention = match field {
            Field::IsoDayOfYear | Field::IsoDayOfWeek | Field::IsoWeek | Field::IsoYear(_) => Convention::IsoWeek,
            Field::Century
            | Field::DayOfYear
            | Field::Day
            | Field::DayOfWeek
            | Field::Month
            | Field::MonthName
            | Field::MonthShort
            | Field::Roman
            | Field::Week
            | Field::WeekOfMonth
            | Field::YearWithComma
            | Field::Year(_) => Convention::Gregorian,
            _ => return Ok(()),
        };
        if *self.convention.get_or_insert(convention) != convention {
            let hint = "Do not mix Gregorian and ISO week date conventions in a formatting template.";
            return Err(invalid("invalid combination of date conventions".to_owned()).with_hint(hint));
        }
        Ok(())
    }

    /// Days since 1970-01-01 and microseconds since midnight.
    pub(super) fn local(&self, input: &str) -> SqlResult<(i64, i64)> {
        Ok((self.days(input)?, self.time(input)?))
    }

    fn time(&self, input: &str) -> SqlResult<i64> {
        let part = |whole: i32, field: i32| if field != 0 { field } else { whole };
        let mut hour = part(self.second_of_day / 3600, self.hour);
        let minute = part(self.second_of_day / 60 % 60, self.minute);
        let second = part(self.second_of_day % 60, self.second);
        if self.twelve_hours {
            if !(1..=12).contains(&hour) {
                let message = format!("hour \"{hour}\" is invalid for the 12-hour clock");
                return Err(invalid(message).with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            hour = hour % 12 + if self.after_noon != 0 { 12 } else { 0 };
        }
        let micros = i64::from(self.millis) * 1000 + i64::from(self.micros);
        let valid = (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second)
            && (0..1_000_000).contains(&micros);
        if !valid {
            return Err(field_overflow(input));
        }
        Ok(((i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second)) * 1_000_000 + micros)
    }

    /// The year as the calendar counts, with a year 0; 0 if none was read.
    fn full_year(&self) -> i32 {
        let century = if self.before_christ != 0 { -self.century } else { self.century };
        if self.year != 0 && self.century != 0 && self.year_digits <= 2 {
            let rest = self.year % 100;
            return match (rest, century >= 0) {
                (0, true) => century * 100,
                (0, false) => century * 100 + 1,
                (rest, true) => (century - 1) * 100 + rest,
                (rest, false) => (century + 1) * 100 - rest + 1,
            };
        }
        if self.year != 0 {
            let year = if self.before_christ != 0 { -self.year } else { self.year };
            return if year < 0 { year + 1 } else { year };
        }
        match century {
            0 => 0,
            1.. => (century - 1) * 100 + 1,
            _ => century * 100 + 1,
        }
    }

    fn days(&self, input: &str) -> SqlResult<i64> {
        let iso = self.convention == Some(Convention::IsoWeek);
        let (mut year, mut month, mut day) = (self.full_year(), 1_i32, 1_i32);
        let set = |days: i64| {
            let (year, month, day) = civil_from_days(days);
            (year, month as i32, day as i32)
        };
        if self.julian != 0 {
            (year, month, day) = set(i64::from(self.julian) - JULIAN_EPOCH);
        }
        let mut day_of_year = self.day_of_year;
        if self.week != 0 && iso {
            let start = iso_week_start(year, self.week);
            // Sunday, which is 1, ends the week.
            let weekday = match self.weekday {
                0 => 0,
                1 => 6,
                weekday => i64::from(weekday) - 2,
            };
            (year, month, day) = set(start + weekday);
        } else if self.week != 0 {
            day_of_year = (self.week - 1).saturating_mul(7).saturating_add(1);
        }
        if self.week_of_month != 0 {
            day = (self.week_of_month - 1).saturating_mul(7).saturating_add(1);
        } else if self.day != 0 {
            day = self.day;
        }
        if self.month != 0 {
            month = self.month;
        }
        if day_of_year != 0 && (month <= 1 || day <= 1) {
            if year == 0 && self.before_christ == 0 {
                return Err(invalid("cannot calculate day of year without year information".to_owned()));
            }
            let start = if iso { iso_week_start(year, 1) } else { days_from_civil(year, 1, 1) };
            let beyond = !iso && day_of_year > if days_in_month(year, 2) == 29 { 366 } else { 365 };
            if beyond || day_of_year < 1 {
                return Err(field_overflow(input));
            }
            return Ok(start + i64::from(day_of_year) - 1);
        }
        let valid = (1..=12).contains(&month) && day >= 1 && day as u32 <= days_in_month(year, month as u32);
        if !valid {
            return Err(field_overflow(input));
        }
        Ok(days_from_civil(year, month as u32, day as u32))
    }

    /// Seconds east of Greenwich, if an offset was read.
    pub(super) fn offset(&self, input: &str) -> SqlResult<Option<i32>> {
        if self.zone_sign == 0 {
            return Ok(None);
        }
        if !(0..=15).contains(&self.zone_hours) || !(0..60).contains(&self.zone_minutes) {
            return Err(field_overflow(input));
        }
        Ok(Some(self.zone_sign * (self.zone_hours * 3600 + self.zone_minutes * 60)))
    }
}

//! The fields of a date, time or interval that templates show.

use crate::{
    Interval,
    datetime::{Civil, DAY_MICROS, days_from_civil},
};

/// Names of months and days.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Sunday first.
pub(super) const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// December first, as the numerals are looked for from the end of the year.
pub(super) const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// What a template shows.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    /// Years as the calendar counts them, with a year 0; of an interval its years.
    pub(super) year: i32,
    pub(super) month: i32,
    pub(super) day: i32,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) micros: i64,
    /// Days since 1970-01-01, of what is no interval.
    pub(super) days: Option<i64>,
    /// Seconds east of Greenwich.
    pub(super) east: i32,
    /// Abbreviation of the zone.
    pub(super) zone: String,
}

impl Fields {
    /// Fields of a local timestamp.
    pub(super) fn of_timestamp(local: i64, east: i32, zone: String) -> Self {
        let civil = Civil::from_micros(local);
        let seconds = civil.micros / 1_000_000;
        Self {
            year: civil.year,
            month: civil.month as i32,
            day: civil.day as i32,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: civil.micros % 1_000_000,
            days: Some(local.div_euclid(DAY_MICROS)),
            east,
            zone,
        }
    }

    /// Fields of an interval, each with its sign.
    pub(super) fn of_interval(value: &Interval) -> Self {
        let seconds = value.micros / 1_000_000;
        Self {
            year: value.months / 12,
            month: value.months % 12,
            day: value.days,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: value.micros % 1_000_000,
            days: None,
            east: 0,
            zone: String::new(),
        }
    }

    /// The year without its sign: 1 BC is 1.
    pub(super) fn shown_year(&self) -> i32 {
        if self.days.is_none() || self.year > 0 { self.year } else { 1 - self.year }
    }

    /// Day of the year; of an interval all its days, months counted as 30.
    pub(super) fn day_of_year(&self) -> i64 {
        match self.days {
            Some(days) => days - days_from_civil(self.year, 1, 1) + 1,
            None => (i64::from(self.year) * 12 + i64::from(self.month)) * 30 + i64::from(self.day),
        }
    }
}

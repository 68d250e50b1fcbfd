//! Arithmetic on dates, timestamps and intervals.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{
    TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY,
    civil::{Civil, DAY_MICROS, days_in_month},
    parse::{split, timestamp_in_range},
    result_out_of_range,
    zone::{local_to_utc, offset_at},
};
use crate::{Interval, TimeZone};

fn interval_out_of_range() -> SqlError {
    SqlError::new(SqlState::DatetimeFieldOverflow, "interval out of range")
}

fn timestamp_out_of_range() -> SqlError {
    result_out_of_range("timestamp")
}

/// A timestamp moved by an interval: months first, clamped to the end of the month, then days, then the rest.
pub fn add_to_timestamp(micros: i64, interval: &Interval) -> SqlResult<i64> {
    if micros == TIMESTAMP_INFINITY || micros == TIMESTAMP_NEG_INFINITY {
        return Ok(micros);
    }
    let moved = add_months(split(micros), interval.months).and_then(Civil::to_micros);
    let moved = moved.and_then(|moved| moved.checked_add(i64::from(interval.days).checked_mul(DAY_MICROS)?));
    let moved = moved.and_then(|moved| moved.checked_add(interval.micros));
    moved.filter(|moved| timestamp_in_range(*moved)).ok_or_else(timestamp_out_of_range)
}

/// An instant moved by an interval: months and days by the session's calendar, the rest by the clock.
pub fn add_to_timestamptz(micros: i64, interval: &Interval, zone: &TimeZone) -> SqlResult<i64> {
    if micros == TIMESTAMP_INFINITY || micros == TIMESTAMP_NEG_INFINITY {
        return Ok(micros);
    }
    let mut instant = micros;
    if interval.months != 0 || interval.days != 0 {
        let local = micros.saturating_add(i64::from(offset_at(zone, micros)) * 1_000_000);
        let calendar = Interval { micros: 0, ..*interval };
        instant = local_to_utc(zone, add_to_timestamp(local, &calendar)?).ok_or_else(timestamp_out_of_range)?;
    }
    let moved = instant.checked_add(interval.micros);
    moved.filter(|moved| timestamp_in_range(*moved)).ok_or_else(timestamp_out_of_range)
}

/// A date moved by an interval: a timestamp, as in PostgreSQL.
pub fn add_to_date(days: i32, interval: &Interval) -> SqlResult<i64> {
    let micros = i64::from(days).checked_mul(DAY_MICROS).ok_or_else(timestamp_out_of_range)?;
    add_to_timestamp(micros, interval)
}

fn add_months(civil: Civil, months: i32) -> Option<Civil> {
    if months == 0 {
        return Some(civil);
    }
    let total = i64::from(civil.year) * 12 + i64::from(civil.month) - 1 + i64::from(months);
    let year = i32::try_from(total.div_euclid(12)).ok()?;
    let month = total.rem_euclid(12) as u32 + 1;
    Some(Civil { year, month, day: civil.day.min(days_in_month(year, month)), ..civil })
}

/// The difference of two timestamps: whole days and the rest.
pub fn interval_between(later: i64, earlier: i64) -> SqlResult<Interval> {
    let infinite = |micros| micros == TIMESTAMP_INFINITY || micros == TIMESTAMP_NEG_INFINITY;
    if infinite(later) || infinite(earlier) {
        return Err(SqlError::new(SqlState::DatetimeFieldOverflow, "cannot subtract infinite timestamps"));
    }
    let micros = later.checked_sub(earlier).ok_or_else(interval_out_of_range)?;
    justify_hours(&Interval { months: 0, days: 0, micros })
}

/// Turns 24 hours into days, with one sign for both.
pub fn justify_hours(interval: &Interval) -> SqlResult<Interval> {
    let mut days = i64::from(interval.days) + interval.micros / DAY_MICROS;
    let mut micros = interval.micros % DAY_MICROS;
    if days > 0 && micros < 0 {
        (days, micros) = (days - 1, micros + DAY_MICROS);
    } else if days < 0 && micros > 0 {
        (days, micros) = (days + 1, micros - DAY_MICROS);
    }
    let days = i32::try_from(days).map_err(|_| interval_out_of_range())?;
    Ok(Interval { months: interval.months, days, micros })
}

/// Turns 30 days into months, with one sign for both.
pub fn justify_days(interval: &Interval) -> SqlResult<Interval> {
    let mut months = i64::from(interval.months) + i64::from(interval.days / 30);
    let mut days = interval.days % 30;
    if months > 0 && days < 0 {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && days > 0 {
        (months, days) = (months + 1, days - 30);
    }
    let months = i32::try_from(months).map_err(|_| interval_out_of_range())?;
    Ok(Interval { months, days, micros: interval.micros })
}

impl Interval {
    /// The sum, field by field.
    pub fn add(&self, other: &Self) -> SqlResult<Self> {
        let sum = || {
            Some(Self {
                months: self.months.checked_add(other.months)?,
                days: self.days.checked_add(other.days)?,
                micros: self.micros.checked_add(other.micros)?,
            })
        };
        sum().ok_or_else(interval_out_of_range)
    }

    /// The interval with each field's sign changed.
    pub fn neg(&self) -> SqlResult<Self> {
        let negated = || {
            Some(Self {
                months: self.months.checked_neg()?,
                days: self.days.checked_neg()?,
                micros: self.micros.checked_neg()?,
            })
        };
        negated().ok_or_else(interval_out_of_range)
    }

    /// Microseconds with a month of 30 days and a day of 24 hours: what intervals are compared by.
    pub fn comparable(&self) -> i128 {
        let days = i128::from(self.months) * 30 + i128::from(self.days);
        days * i128::from(DAY_MICROS) + i128::from(self.micros)
    }

    /// The product: fractions of months spill into days, fractions of days into microseconds.
    pub fn mul(&self, factor: f64) -> SqlResult<Self> {
        self.scaled(|value| value * factor)
    }

    /// The quotient by a divisor that is not 0; fractions spill as in the product.
    pub fn div(&self, divisor: f64) -> SqlResult<Self> {
        self.scaled(|value| value / divisor)
    }

    fn scaled(&self, scale: impl Fn(f64) -> f64) -> SqlResult<Self> {
        let months = scale(f64::from(self.months));
        let days = scale(f64::from(self.days));
        let fits = |value: f64| value.is_finite() && value.abs() < f64::from(i32::MAX);
        if !fits(months) || !fits(days) {
            return Err(interval_out_of_range());
        }
        let spilled_days = round6((months - months.trunc()) * 30.0);
        let fraction = (days - days.trunc()) + spilled_days - spilled_days.trunc();
        let mut seconds = round6(fraction * 86_400.0);
        let mut whole_days = days.trunc();
        if seconds.abs() >= 86_400.0 {
            whole_days += (seconds / 86_400.0).trunc();
            seconds -= (seconds / 86_400.0).trunc() * 86_400.0;
        }
        whole_days += spilled_days.trunc();
        let micros = (scale(self.micros as f64) + seconds * 1e6).round_ties_even();
        if !fits(whole_days) || micros.is_nan() || micros.abs() >= i64::MAX as f64 {
            return Err(interval_out_of_range());
        }
        Ok(Self { months: months.trunc() as i32, days: whole_days as i32, micros: micros as i64 })
    }
}

/// Rounded to a millionth, as PostgreSQL does to hide what doubles cannot say.
fn round6(value: f64) -> f64 {
    (value * 1e6).round_ties_even() / 1e6
}

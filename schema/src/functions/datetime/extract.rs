//! extract and date_part: fields of dates, times and intervals.
//!
//! extract answers numeric with the decimals the field has; date_part answers the same as double precision.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{
    is_infinite, to_local,
    unit::{Unit, decade, group_of_years, iso_week, shown_year},
};
use crate::{
    Datum, Interval, Numeric, Oid,
    datetime::{DATE_INFINITY, DATE_NEG_INFINITY, DAY_MICROS, days_from_civil, offset_at},
    functions::{
        EvalContext, Function,
        resolve::type_name,
        table::function,
        text::lower,
        value::{TimeTz, mismatch},
    },
};

const T: Oid = Oid::TEXT;
/// Julian day of 1970-01-01.
const JULIAN_EPOCH: i64 = 2_440_588;

/// A field's value.
enum Field {
    /// A whole number.
    Whole(i64),
    /// Digits with a number of decimals.
    Decimal(i64, u16),
    /// Any number.
    Number(Numeric),
    /// The type does not have it.
    Unsupported,
}

fn unit_error(name: &str, of: Oid, known: bool) -> SqlError {
    let (state, verb) = if known {
        (SqlState::FeatureNotSupported, "supported")
    } else {
        (SqlState::InvalidParameterValue, "recognized")
    };
    SqlError::new(state, format!("unit \"{name}\" not {verb} for type {}", type_name(of)))
}

impl Field {
    fn numeric(self) -> Option<Numeric> {
        Some(match self {
            Self::Whole(value) => Numeric::from(value),
            Self::Decimal(digits, scale) => Numeric::Small { digits: digits.into(), scale },
            Self::Number(value) => value,
            Self::Unsupported => return None,
        })
    }
}

/// Fields within a day.
fn clock(unit: Unit, micros: i64) -> Field {
    match unit {
        Unit::Microseconds => Field::Whole(micros % 60_000_000),
        Unit::Milliseconds => Field::Decimal(micros % 60_000_000, 3),
        Unit::Second => Field::Decimal(micros % 60_000_000, 6),
        Unit::Minute => Field::Whole(micros / 60_000_000 % 60),
        Unit::Hour => Field::Whole(micros / 3_600_000_000),
        _ => Field::Unsupported,
    }
}

/// Fields of the calendar.
fn calendar(unit: Unit, days: i64) -> Field {
    let (year, month, day) = crate::datetime::civil_from_days(days);
    let weekday = (days + 4).rem_euclid(7);
    Field::Whole(match unit {
        Unit::Day => day.into(),
        Unit::Month => month.into(),
        Unit::Quarter => i64::from((month - 1) / 3 + 1),
        Unit::Week => iso_week(days).1.into(),
        Unit::Year => shown_year(year).into(),
        Unit::Decade => decade(year).into(),
        Unit::Century => group_of_years(year, 100).into(),
        Unit::Millennium => group_of_years(year, 1000).into(),
        Unit::Julian => days + JULIAN_EPOCH,
        Unit::IsoYear => shown_year(iso_week(days).0).into(),
        Unit::DayOfWeek => weekday,
        Unit::IsoDayOfWeek => {
            if weekday == 0 {
                7
            } else {
                weekday
            }
        }
        Unit::DayOfYear => days - days_from_civil(year, 1, 1) + 1,
        _ => return Field::Unsupported,
    })
}

fn timestamp_field(unit: Unit, micros: i64) -> SqlResult<Field> {
    let (days, time) = (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS));
    Ok(match unit {
        Unit::Epoch => Field::Decimal(micros, 6),
        Unit::Julian => {
            let part = Numeric::from(time).div(&Numeric::from(DAY_MICROS))?;
            Field::Number(Numeric::from(days + JULIAN_EPOCH).add(&part)?)
        }
        unit => match clock(unit, time) {
            Field::Unsupported => calendar(unit, days),
            field => field,
        },
    })
}

/// Fields of a zone, from seconds east of Greenwich.
fn zone_field(unit: Unit, east: i32) -> Field {
    Field::Whole(match unit {
        Unit::TimeZone => east.into(),
        Unit::TimeZoneHour => (east / 3600).into(),
        Unit::TimeZoneMinute => (east / 60 % 60).into(),
        _ => return Field::Unsupported,
    })
}

fn timetz_field(unit: Unit, time: TimeTz) -> Field {
    match (unit, clock(unit, time.0)) {
        (Unit::Epoch, _) => Field::Decimal(time.0 + i64::from(time.1) * 1_000_000, 6),
        (unit, Field::Unsupported) => zone_field(unit, -time.1),
        (_, field) => field,
    }
}

fn interval_field(unit: Unit, value: Interval) -> SqlResult<Field> {
    let years = i64::from(value.months / 12);
    Ok(match unit {
        Unit::Day => Field::Whole(value.days.into()),
        Unit::Month => Field::Whole((value.months % 12).into()),
        Unit::Quarter => Field::Whole(i64::from(value.months % 12 / 3) + 1),
        Unit::Year => Field::Whole(years),
        Unit::Decade => Field::Whole(years / 10),
        Unit::Century => Field::Whole(years / 100),
        Unit::Millennium => Field::Whole(years / 1000),
        Unit::Epoch => {
            // A year has 365.25 days, a month beyond the years 30: times four, all is whole.
            let quarters = 1461 * years + 120 * i64::from(value.months % 12) + 4 * i64::from(value.days);
            let micros = i128::from(quarters) * 21_600_000_000 + i128::from(value.micros);
            Field::Number(Numeric::Small { digits: micros, scale: 6 })
        }
        unit => clock(unit, value.micros),
    })
}

/// What an infinite date or timestamp has: endless fields are infinite, the others NULL.
fn infinite(unit: Unit, negative: bool) -> Option<Numeric> {
    let endless = matches!(
        unit,
        Unit::Year | Unit::Decade | Unit::Century | Unit::Millennium | Unit::Julian | Unit::IsoYear | Unit::Epoch
    );
    endless.then_some(if negative { Numeric::NegInfinity } else { Numeric::Infinity })
}

fn extract(env: &EvalContext, args: &[Datum]) -> SqlResult<Option<Numeric>> {
    let [Datum::Text(name), value] = args else { return Err(mismatch(args)) };
    let name = lower(name);
    let of = crate::functions::text::type_of(value);
    let unit = Unit::parse(&name).ok_or_else(|| unit_error(&name, of, false))?;
    let field = match value {
        Datum::Date(DATE_INFINITY | DATE_NEG_INFINITY)
            if matches!(calendar(unit, 0), Field::Unsupported) && unit != Unit::Epoch =>
        {
            Field::Unsupported
        }
        Datum::Date(days @ (DATE_INFINITY | DATE_NEG_INFINITY)) => return Ok(infinite(unit, *days < 0)),
        Datum::Timestamp(micros) | Datum::TimestampTz(micros) if is_infinite(*micros) => {
            return Ok(infinite(unit, *micros < 0));
        }
        Datum::Date(days) if unit == Unit::Epoch => Field::Whole(i64::from(*days) * 86_400),
        Datum::Date(days) => calendar(unit, (*days).into()),
        Datum::Timestamp(micros) => timestamp_field(unit, *micros)?,
        Datum::TimestampTz(micros) if unit == Unit::Epoch => Field::Decimal(*micros, 6),
        Datum::TimestampTz(micros) => match zone_field(unit, offset_at(&env.time_zone, *micros)) {
            Field::Unsupported => timestamp_field(unit, to_local(env, *micros))?,
            field => field,
        },
        Datum::Time(micros) if unit == Unit::Epoch => Field::Decimal(*micros, 6),
        Datum::Time(micros) => clock(unit, *micros),
        Datum::TimeTz(micros, west) => timetz_field(unit, TimeTz(*micros, *west)),
        Datum::Interval(value) => interval_field(unit, *value)?,
        _ => return Err(mismatch(args)),
    };
    field.numeric().map(Some).ok_or_else(|| unit_error(&name, of, true))
}

fn extract_numeric(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    Ok(extract(env, args)?.map_or(Datum::Null, Datum::Numeric))
}

fn date_part(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    // date_part of a date knows the fields of its midnight.
    if let [unit, Datum::Date(days)] = args {
        let midnight = Datum::Timestamp(super::midnight(*days, false)?);
        return date_part(env, &[unit.clone(), midnight]);
    }
    Ok(extract(env, args)?.map_or(Datum::Null, |value| Datum::Float8(value.to_f64())))
}

macro_rules! fields {
    ($($oid:ident $volatility:ident;)*) => { &[$(
        function("extract", &[T, Oid::$oid], Oid::NUMERIC, extract_numeric).$volatility(),
        function("date_part", &[T, Oid::$oid], Oid::FLOAT8, date_part).$volatility(),
    )*] };
}

/// extract and date_part of every type.
pub(in crate::functions) static EXTRACT: &[Function] = fields! {
    DATE immutable;
    TIME immutable;
    TIMETZ immutable;
    TIMESTAMP immutable;
    TIMESTAMPTZ stable;
    INTERVAL immutable;
};

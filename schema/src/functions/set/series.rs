//! generate_series and generate_subscripts.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{column, rows, set};
use crate::{
    Datum, Interval, Numeric, Oid, TimeZone,
    datetime::{add_to_timestamp, add_to_timestamptz},
    functions::{SetFunction, SetRows, value::mismatch},
};

const I4: Oid = Oid::INT4;
const I8: Oid = Oid::INT8;
const N: Oid = Oid::NUMERIC;
const TS: Oid = Oid::TIMESTAMP;
const TSTZ: Oid = Oid::TIMESTAMPTZ;
const I: Oid = Oid::INTERVAL;

fn invalid(message: &str) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, message)
}

fn zero_step() -> SqlError {
    invalid("step size cannot equal zero")
}

/// Whole numbers from one to another; the series ends where the next one would overflow.
fn integers(first: i64, last: i64, step: i64, wrap: fn(i64) -> Option<Datum>) -> SqlResult<SetRows> {
    if step == 0 {
        return Err(zero_step());
    }
    let mut next = Some(first);
    let values = std::iter::from_fn(move || {
        let value = next.filter(|value| if step > 0 { *value <= last } else { *value >= last })?;
        next = value.checked_add(step);
        wrap(value)
    });
    Ok(rows(values))
}

fn integer_args(args: &[Datum]) -> SqlResult<(i64, i64, i64)> {
    let number = |value: &Datum| match value {
        Datum::Int4(value) => Ok(i64::from(*value)),
        Datum::Int8(value) => Ok(*value),
        _ => Err(mismatch(args)),
    };
    match args {
        [first, last] => Ok((number(first)?, number(last)?, 1)),
        [first, last, step] => Ok((number(first)?, number(last)?, number(step)?)),
        _ => Err(mismatch(args)),
    }
}

fn int4(args: &[Datum]) -> SqlResult<SetRows> {
    let (first, last, step) = integer_args(args)?;
    integers(first, last, step, |value| i32::try_from(value).ok().map(Datum::Int4))
}

fn int8(args: &[Datum]) -> SqlResult<SetRows> {
    let (first, last, step) = integer_args(args)?;
    integers(first, last, step, |value| Some(Datum::Int8(value)))
}

/// NaN and infinities cannot bound or step a series.
fn finite(value: &Numeric, what: &str) -> SqlResult<()> {
    match value {
        Numeric::NaN => Err(invalid(&format!("{what} cannot be NaN"))),
        Numeric::Infinity | Numeric::NegInfinity => Err(invalid(&format!("{what} cannot be infinity"))),
        _ => Ok(()),
    }
}

fn numerics(args: &[Datum]) -> SqlResult<SetRows> {
    let one = Numeric::from(1);
    let (first, last, step) = match args {
        [Datum::Numeric(first), Datum::Numeric(last)] => (first, last, &one),
        [Datum::Numeric(first), Datum::Numeric(last), Datum::Numeric(step)] => (first, last, step),
        _ => return Err(mismatch(args)),
    };
    finite(first, "start value")?;
    finite(last, "stop value")?;
    finite(step, "step size")?;
    let direction = step.signum();
    if direction == 0 {
        return Err(zero_step());
    }
    let (mut next, last, step) = (Some(first.clone()), last.clone(), step.clone());
    let values = std::iter::from_fn(move || {
        let value = next.take()?;
        let order = value.compare(&last);
        if (direction > 0 && order.is_gt()) || (direction < 0 && order.is_lt()) {
            return None;
        }
        next = value.add(&step).ok();
        Some(Datum::Numeric(value))
    });
    Ok(rows(values))
}

/// Moments from one to another; `zone` makes them instants.
fn moments(first: i64, last: i64, step: Interval, zone: Option<TimeZone>) -> SqlResult<SetRows> {
    let direction = step.comparable().signum();
    if direction == 0 {
        return Err(zero_step());
    }
    let mut next = Some(Ok(first));
    let values = std::iter::from_fn(move || {
        let value = match next.take()? {
            Ok(value) => value,
            Err(error) => return Some(Err(error)),
        };
        if (direction > 0 && value > last) || (direction < 0 && value < last) {
            return None;
        }
        next = Some(match &zone {
            Some(zone) => add_to_timestamptz(value, &step, zone),
            None => add_to_timestamp(value, &step),
        });
        // An infinite moment does not move on: the series would not end.
        if matches!(next, Some(Ok(moved)) if moved == value) {
            next = None;
        }
        Some(Ok(vec![if zone.is_some() { Datum::TimestampTz(value) } else { Datum::Timestamp(value) }]))
    });
    Ok(Box::new(values))
}

fn subscripts(args: &[Datum]) -> SqlResult<SetRows> {
    let (array, dimension, reverse) = match args {
        [Datum::Array(array), Datum::Int4(dimension)] => (array, *dimension, false),
        [Datum::Array(array), Datum::Int4(dimension), Datum::Bool(reverse)] => (array, *dimension, *reverse),
        _ => return Err(mismatch(args)),
    };
    let bounds = usize::try_from(dimension).ok().and_then(|at| array.dims.get(at.checked_sub(1)?));
    let Some((length, lower)) = bounds.copied() else { return Ok(rows(Vec::new())) };
    let mut places: Vec<Datum> = (lower..lower + length).map(Datum::Int4).collect();
    if reverse {
        places.reverse();
    }
    Ok(rows(places))
}

const SERIES_NAME: &str = "generate_series";

/// Series of numbers, moments and subscripts.
pub(in crate::functions) static SERIES: &[SetFunction] = &[
    set(SERIES_NAME, &[I4, I4], I4, |_| column(SERIES_NAME, I4), |_, args| int4(args)),
    set(SERIES_NAME, &[I4, I4, I4], I4, |_| column(SERIES_NAME, I4), |_, args| int4(args)),
    set(SERIES_NAME, &[I8, I8], I8, |_| column(SERIES_NAME, I8), |_, args| int8(args)),
    set(SERIES_NAME, &[I8, I8, I8], I8, |_| column(SERIES_NAME, I8), |_, args| int8(args)),
    set(SERIES_NAME, &[N, N], N, |_| column(SERIES_NAME, N), |_, args| numerics(args)),
    set(SERIES_NAME, &[N, N, N], N, |_| column(SERIES_NAME, N), |_, args| numerics(args)),
    set(
        SERIES_NAME,
        &[TS, TS, I],
        TS,
        |_| column(SERIES_NAME, TS),
        |_, args| match args {
            [Datum::Timestamp(first), Datum::Timestamp(last), Datum::Interval(step)] => {
                moments(*first, *last, *step, None)
            }
            _ => Err(mismatch(args)),
        },
    ),
    set(
        SERIES_NAME,
        &[TSTZ, TSTZ, I],
        TSTZ,
        |_| column(SERIES_NAME, TSTZ),
        |env, args| match args {
            [Datum::TimestampTz(first), Datum::TimestampTz(last), Datum::Interval(step)] => {
                moments(*first, *last, *step, Some(env.time_zone.clone()))
            }
            _ => Err(mismatch(args)),
        },
    )
    .stable(),
    set(
        "generate_subscripts",
        &[Oid::ANYARRAY, I4],
        I4,
        |_| column("generate_subscripts", I4),
        |_, args| subscripts(args),
    ),
    set(
        "generate_subscripts",
        &[Oid::ANYARRAY, I4, Oid::BOOL],
        I4,
        |_| column("generate_subscripts", I4),
        |_, args| subscripts(args),
    ),
];

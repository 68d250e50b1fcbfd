//! Carrying out casts.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use serde_json::Value;
use sharddb_proto as proto;

use crate::{
    ArrayValue, Datum, Interval, Numeric, Oid, SqlType,
    datetime::{self, DAY_MICROS, Now, local_to_utc, offset_at},
    functions::{CastContext, EvalContext, element_of, object_name, resolve_object},
    text::{fit_interval, fit_length, fit_numeric, fit_time, fit_timestamp, parse_datum, write_text},
};

/// Converts a value. NULL stays NULL. Lengths and precisions of the target are applied: explicitly they cut, by
/// assignment too long strings fail.
pub fn cast(value: &Datum, from: SqlType, to: SqlType, context: CastContext, env: &EvalContext) -> SqlResult<Datum> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    let converted = match (element_of(from.oid), to.oid.element_type()) {
        (Some(from), Some(element)) => {
            let element = SqlType::with_modifier(element, to.modifier);
            return cast_array(value, SqlType::new(from), element, context, env);
        }
        _ if from.oid == to.oid => value.clone(),
        _ => convert(value, from, to, context, env)?,
    };
    fit(converted, to, context)
}

/// Applies the target's modifier.
pub(crate) fn fit(value: Datum, to: SqlType, context: CastContext) -> SqlResult<Datum> {
    if to.modifier < 0 {
        return Ok(value);
    }
    Ok(match value {
        Datum::Numeric(value) => Datum::Numeric(fit_numeric(value, to.modifier)?),
        Datum::Text(text) if matches!(to.oid, Oid::VARCHAR | Oid::BPCHAR) => {
            let fitted = fit_length(&text, to, context)?;
            if *fitted == *text { Datum::Text(text) } else { Datum::text(fitted.as_ref()) }
        }
        Datum::Time(micros) => Datum::Time(fit_time(micros, to.modifier)),
        Datum::TimeTz(micros, west) => Datum::TimeTz(fit_time(micros, to.modifier), west),
        Datum::Timestamp(micros) => Datum::Timestamp(fit_timestamp(micros, to.modifier)),
        Datum::TimestampTz(micros) => Datum::TimestampTz(fit_timestamp(micros, to.modifier)),
        Datum::Interval(value) => Datum::Interval(fit_interval(value, to.modifier)),
        other => other,
    })
}

fn cast_array(
    value: &Datum,
    from: SqlType,
    element: SqlType,
    context: CastContext,
    env: &EvalContext,
) -> SqlResult<Datum> {
    let Datum::Array(array) = value else { return Err(mismatch(value, element)) };
    let values = array.values.iter().map(|value| cast(value, from, element, context, env)).collect::<SqlResult<_>>()?;
    Ok(Datum::Array(Arc::new(ArrayValue { element: element.oid, dims: array.dims.clone(), values })))
}

fn convert(value: &Datum, from: SqlType, to: SqlType, context: CastContext, env: &EvalContext) -> SqlResult<Datum> {
    if let Some(number) = to_number(value, to.oid)? {
        return Ok(number);
    }
    if let Some(moment) = to_moment(value, to.oid, env)? {
        return Ok(moment);
    }
    match (value, to.oid) {
        (Datum::Bool(value), Oid::INT4) => return Ok(Datum::Int4((*value).into())),
        (Datum::Int4(value), Oid::BOOL) => return Ok(Datum::Bool(*value != 0)),
        (Datum::Char(value), Oid::INT4) => return Ok(Datum::Int4((*value as i8).into())),
        (Datum::Int4(value), Oid::CHAR) => {
            let byte = i8::try_from(*value).map_err(|_| out_of_range("\"char\""))?;
            return Ok(Datum::Char(byte as u8));
        }
        (Datum::Jsonb(text), _) if from.oid == Oid::JSONB => {
            if let Some(scalar) = from_jsonb(text, to, context, env)? {
                return Ok(scalar);
            }
        }
        (Datum::Oid(value), _) if to.oid.is_unsigned() => return Ok(Datum::Oid(*value)),
        // char(n) loses its padding on the way to other strings.
        (Datum::Text(text), Oid::TEXT | Oid::VARCHAR | Oid::NAME) if from.oid == Oid::BPCHAR => {
            return through_text(text.trim_end_matches(' '), to, context, env);
        }
        _ => {}
    }
    let mut text = String::new();
    match value {
        Datum::Oid(oid) if from.oid.is_object_name() => text = object_name(env, from.oid, *oid),
        _ => write_text(value, from, &env.format, &mut text),
    }
    // bool says true and false when cast to a string, t and f when printed.
    if let Datum::Bool(value) = value {
        text = value.to_string();
    }
    through_text(&text, to, context, env)
}

fn through_text(text: &str, to: SqlType, context: CastContext, env: &EvalContext) -> SqlResult<Datum> {
    if to.oid.is_object_name() {
        return resolve_object(env, to.oid, text).map(Datum::Oid);
    }
    parse_datum(to, text, &env.format, Now(env.transaction_time), context)
}

/// Conversions between numbers; `None` if the value or the target is none.
fn to_number(value: &Datum, to: Oid) -> SqlResult<Option<Datum>> {
    Ok(Some(match to {
        Oid::INT2 => Datum::Int2(narrow(to_integer(value, "smallint")?, "smallint")?),
        Oid::INT4 => Datum::Int4(narrow(to_integer(value, "integer")?, "integer")?),
        Oid::INT8 => Datum::Int8(narrow(to_integer(value, "bigint")?, "bigint")?),
        Oid::NUMERIC => match value {
            Datum::Int2(value) => Datum::Numeric(i64::from(*value).into()),
            Datum::Int4(value) => Datum::Numeric(i64::from(*value).into()),
            Datum::Int8(value) => Datum::Numeric((*value).into()),
            Datum::Float4(value) => Datum::Numeric(Numeric::from_f32(*value)),
            Datum::Float8(value) => Datum::Numeric(Numeric::from_f64(*value)),
            _ => return Ok(None),
        },
        Oid::FLOAT8 => match to_float(value) {
            Some(wide) if wide.is_infinite() && !is_infinity(value) => {
                let Datum::Numeric(number) = value else { return Ok(None) };
                let message = format!("\"{number}\" is out of range for type double precision");
                return Err(SqlError::new(SqlState::NumericValueOutOfRange, message));
            }
            Some(value) => Datum::Float8(value),
            None => return Ok(None),
        },
        Oid::FLOAT4 => match to_float(value) {
            Some(wide) => {
                let narrow = wide as f32;
                if narrow.is_infinite() && wide.is_finite() {
                    return Err(SqlError::new(SqlState::NumericValueOutOfRange, "value out of range: overflow"));
                }
                if narrow == 0.0 && wide != 0.0 {
                    return Err(SqlError::new(SqlState::NumericValueOutOfRange, "value out of range: underflow"));
                }
                Datum::Float4(narrow)
            }
            None => return Ok(None),
        },
        oid if oid == Oid::OID || oid.is_object_name() => match value {
            Datum::Int2(value) => Datum::Oid(i32::from(*value) as u32),
            Datum::Int4(value) => Datum::Oid(*value as u32),
            Datum::Int8(value) => Datum::Oid(
                u32::try_from(*value)
                    .map_err(|_| SqlError::new(SqlState::NumericValueOutOfRange, "OID out of range"))?,
            ),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    })
    .filter(|_| is_number(value)))
}

fn is_infinity(value: &Datum) -> bool {
    match value {
        Datum::Numeric(value) => matches!(value, Numeric::Infinity | Numeric::NegInfinity),
        Datum::Float4(value) => value.is_infinite(),
        Datum::Float8(value) => value.is_infinite(),
        _ => false,
    }
}

fn is_number(value: &Datum) -> bool {
    matches!(
        value,
        Datum::Int2(_)
            | Datum::Int4(_)
            | Datum::Int8(_)
            | Datum::Float4(_)
            | Datum::Float8(_)
            | Datum::Numeric(_)
            | Datum::Oid(_)
    )
}

/// An integer, rounding halves to even from floats and away from zero from numerics. Zero for what is no number.
fn to_integer(value: &Datum, kind: &'static str) -> SqlResult<i64> {
    match value {
        Datum::Int2(value) => Ok((*value).into()),
        Datum::Int4(value) => Ok((*value).into()),
        Datum::Int8(value) => Ok(*value),
        Datum::Oid(value) if kind == "integer" => Ok((*value as i32).into()),
        Datum::Oid(value) => Ok((*value).into()),
        Datum::Float4(value) => float_to_integer((*value).into(), kind),
        Datum::Float8(value) => float_to_integer(*value, kind),
        Datum::Numeric(value) => match value {
            Numeric::NaN => Err(feature(format!("cannot convert NaN to {kind}"))),
            Numeric::Infinity | Numeric::NegInfinity => Err(feature(format!("cannot convert infinity to {kind}"))),
            finite => finite.to_i64().ok_or_else(|| out_of_range(kind)),
        },
        _ => Ok(0),
    }
}

fn float_to_integer(value: f64, kind: &str) -> SqlResult<i64> {
    let rounded = value.round_ties_even();
    // The bounds are exact in doubles: -2^63 fits, 2^63 does not.
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
        return Err(out_of_range(kind));
    }
    Ok(rounded as i64)
}

fn narrow<T: TryFrom<i64>>(value: i64, kind: &str) -> SqlResult<T> {
    T::try_from(value).map_err(|_| out_of_range(kind))
}

fn to_float(value: &Datum) -> Option<f64> {
    Some(match value {
        Datum::Int2(value) => (*value).into(),
        Datum::Int4(value) => (*value).into(),
        Datum::Int8(value) => *value as f64,
        Datum::Float4(value) => (*value).into(),
        Datum::Float8(value) => *value,
        Datum::Numeric(value) => value.to_f64(),
        _ => return None,
    })
}

/// Conversions between dates and times; `None` if the value or the target is none.
fn to_moment(value: &Datum, to: Oid, env: &EvalContext) -> SqlResult<Option<Datum>> {
    let zone = &env.time_zone;
    let local = |utc: i64| {
        if infinite(utc) { utc } else { utc.saturating_add(i64::from(offset_at(zone, utc)) * 1_000_000) }
    };
    let instant = |local: i64| {
        if infinite(local) {
            return Ok(local);
        }
        local_to_utc(zone, local).ok_or_else(|| datetime::result_out_of_range("timestamp"))
    };
    Ok(Some(match (value, to) {
        (Datum::Date(days), Oid::TIMESTAMP) => Datum::Timestamp(midnight(*days)?),
        (Datum::Date(days), Oid::TIMESTAMPTZ) => Datum::TimestampTz(instant(midnight(*days)?)?),
        (Datum::Timestamp(micros), Oid::DATE) => Datum::Date(day(*micros)),
        (Datum::Timestamp(micros), Oid::TIME) if !infinite(*micros) => Datum::Time(micros.rem_euclid(DAY_MICROS)),
        (Datum::Timestamp(micros), Oid::TIMESTAMPTZ) => Datum::TimestampTz(instant(*micros)?),
        (Datum::TimestampTz(micros), Oid::TIMESTAMP) => Datum::Timestamp(local(*micros)),
        (Datum::TimestampTz(micros), Oid::DATE) => Datum::Date(day(local(*micros))),
        (Datum::TimestampTz(micros), Oid::TIME) if !infinite(*micros) => {
            Datum::Time(local(*micros).rem_euclid(DAY_MICROS))
        }
        (Datum::TimestampTz(micros), Oid::TIMETZ) if !infinite(*micros) => {
            Datum::TimeTz(local(*micros).rem_euclid(DAY_MICROS), -offset_at(zone, *micros))
        }
        (Datum::Timestamp(_) | Datum::TimestampTz(_), Oid::TIME | Oid::TIMETZ) => Datum::Null,
        (Datum::Time(micros), Oid::TIMETZ) => Datum::TimeTz(*micros, -offset_at(zone, env.transaction_time)),
        (Datum::Time(micros), Oid::INTERVAL) => Datum::Interval(Interval { months: 0, days: 0, micros: *micros }),
        (Datum::TimeTz(micros, _), Oid::TIME) => Datum::Time(*micros),
        (Datum::Interval(value), Oid::TIME) => Datum::Time(value.micros.rem_euclid(DAY_MICROS)),
        _ => return Ok(None),
    }))
}

fn infinite(micros: i64) -> bool {
    micros == datetime::TIMESTAMP_INFINITY || micros == datetime::TIMESTAMP_NEG_INFINITY
}

fn midnight(days: i32) -> SqlResult<i64> {
    match days {
        datetime::DATE_INFINITY => Ok(datetime::TIMESTAMP_INFINITY),
        datetime::DATE_NEG_INFINITY => Ok(datetime::TIMESTAMP_NEG_INFINITY),
        days => i64::from(days)
            .checked_mul(DAY_MICROS)
            .ok_or_else(|| SqlError::new(SqlState::DatetimeFieldOverflow, "date out of range for timestamp")),
    }
}

fn day(micros: i64) -> i32 {
    match micros {
        datetime::TIMESTAMP_INFINITY => datetime::DATE_INFINITY,
        datetime::TIMESTAMP_NEG_INFINITY => datetime::DATE_NEG_INFINITY,
        micros => micros.div_euclid(DAY_MICROS) as i32,
    }
}

/// A jsonb number or boolean as SQL value; `None` for targets that go through text.
fn from_jsonb(text: &str, to: SqlType, context: CastContext, env: &EvalContext) -> SqlResult<Option<Datum>> {
    let numeric = matches!(to.oid, Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::FLOAT4 | Oid::FLOAT8 | Oid::NUMERIC);
    if !numeric && to.oid != Oid::BOOL {
        return Ok(None);
    }
    let value: Value = serde_json::from_str(text).map_err(|error| SqlError::internal(error.to_string()))?;
    let kind = match &value {
        Value::Number(number) if numeric => {
            let number = Datum::Numeric(Numeric::parse(number.as_str())?);
            return cast(&number, SqlType::new(Oid::NUMERIC), to, context, env).map(Some);
        }
        Value::Bool(value) if to.oid == Oid::BOOL => return Ok(Some(Datum::Bool(*value))),
        Value::Number(_) => "numeric",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let target = to.oid.type_info().map_or("", |info| info.sql_name);
    let message = format!("cannot cast jsonb {kind} to type {target}");
    Err(SqlError::new(SqlState::InvalidParameterValue, message))
}

/// 0A000 as PostgreSQL words it here.
fn feature(message: String) -> SqlError {
    SqlError::new(SqlState::FeatureNotSupported, message)
}

fn out_of_range(kind: &str) -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, format!("{kind} out of range"))
}

fn mismatch(value: &Datum, to: SqlType) -> SqlError {
    SqlError::internal(format!("a cast to an array of {:?} got {value:?}", to.oid))
}

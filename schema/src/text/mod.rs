//! Values as text: PostgreSQL's input and output functions for every built-in type.
//!
//! [`parse_datum`] is what a literal or a text parameter goes through, [`write_text`] what a client sees. Messages and
//! SQLSTATEs are PostgreSQL's.

mod array;
mod bytes;
mod character;
mod json;
mod number;
mod output;
#[cfg(test)]
mod tests;

pub use array::{parse_array, write_array};
pub(crate) use bytes::{parse as parse_bytea, parse_escaped as parse_bytea_escaped};
pub(crate) use character::truncate_name;
pub use character::{fit_length, pad_bpchar};
pub(crate) use json::write as write_jsonb;
pub use json::{check_json, normalize_jsonb};
pub(crate) use number::fit_numeric;
pub use number::{write_float4, write_float8};
pub use output::write_text;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use crate::{Datum, FormatSettings, Oid, SqlType, datetime, datetime::Now, functions::CastContext};

/// Reads a value of a type from text and applies the type's modifier: too long strings fail when assigned and are cut
/// when cast explicitly.
pub fn parse_datum(
    sql_type: SqlType,
    text: &str,
    settings: &FormatSettings,
    now: Now,
    context: CastContext,
) -> SqlResult<Datum> {
    if let Some(element) = sql_type.oid.element_type() {
        let element = SqlType::with_modifier(element, sql_type.modifier);
        return parse_array(element, text, settings, now, context);
    }
    Ok(match sql_type.oid {
        Oid::BOOL => Datum::Bool(number::parse_bool(text)?),
        Oid::INT2 => Datum::Int2(number::parse_int(text, "smallint")?),
        Oid::INT4 => Datum::Int4(number::parse_int(text, "integer")?),
        Oid::INT8 => Datum::Int8(number::parse_int(text, "bigint")?),
        Oid::FLOAT4 => Datum::Float4(number::parse_float4(text)?),
        Oid::FLOAT8 => Datum::Float8(number::parse_float8(text)?),
        Oid::NUMERIC => Datum::Numeric(number::fit_numeric(crate::Numeric::parse(text)?, sql_type.modifier)?),
        Oid::TEXT | Oid::UNKNOWN => Datum::text(text),
        Oid::NAME => Datum::text(character::truncate_name(text)),
        Oid::VARCHAR | Oid::BPCHAR => Datum::text(fit_length(text, sql_type, context)?),
        Oid::CHAR => Datum::Char(character::parse_char(text)),
        Oid::BYTEA => Datum::Bytes(bytes::parse(text)?.into()),
        Oid::UUID => Datum::Uuid(bytes::parse_uuid(text)?),
        Oid::JSON => {
            check_json(text, "json")?;
            Datum::Json(text.into())
        }
        Oid::JSONB => Datum::Jsonb(normalize_jsonb(text)?.into()),
        oid if oid.is_unsigned() => Datum::Oid(number::parse_oid(text)?),
        Oid::DATE => Datum::Date(datetime::parse_date(text, settings, now)?),
        Oid::TIME => Datum::Time(fit_time(datetime::parse_time(text, settings, now)?, sql_type.modifier)),
        Oid::TIMETZ => {
            let (micros, west) = datetime::parse_timetz(text, settings, now)?;
            Datum::TimeTz(fit_time(micros, sql_type.modifier), west)
        }
        Oid::TIMESTAMP => {
            Datum::Timestamp(fit_timestamp(datetime::parse_timestamp(text, settings, now)?, sql_type.modifier))
        }
        Oid::TIMESTAMPTZ => {
            Datum::TimestampTz(fit_timestamp(datetime::parse_timestamptz(text, settings, now)?, sql_type.modifier))
        }
        Oid::INTERVAL => Datum::Interval(fit_interval(datetime::parse_interval(text, settings)?, sql_type.modifier)),
        other => {
            let name =
                other.type_info().map_or_else(|| format!("type {other}"), |info| format!("type {}", info.sql_name));
            return Err(SqlError::unsupported(format!("input of a value of {name}")));
        }
    })
}

/// 22P02.
pub(crate) fn invalid_input(kind: &str, text: &str) -> SqlError {
    SqlError::new(SqlState::InvalidTextRepresentation, format!("invalid input syntax for type {kind}: \"{text}\""))
}

/// Rounds microseconds to a precision of 0 to 6 digits; -1 leaves them.
pub(crate) fn fit_time(micros: i64, precision: i32) -> i64 {
    if !(0..6).contains(&precision) {
        return micros;
    }
    let unit = 10_i64.pow(6 - precision as u32);
    let (base, rest) = (micros - micros.rem_euclid(unit), micros.rem_euclid(unit));
    if rest * 2 >= unit { base.saturating_add(unit) } else { base }
}

/// Rounds a timestamp; infinities stay.
pub(crate) fn fit_timestamp(micros: i64, precision: i32) -> i64 {
    if micros == i64::MAX || micros == i64::MIN { micros } else { fit_time(micros, precision) }
}

/// Rounds an interval's microseconds by the precision in the lower half of its modifier.
pub(crate) fn fit_interval(interval: crate::Interval, modifier: i32) -> crate::Interval {
    let precision = if modifier < 0 { -1 } else { modifier & 0xffff };
    // Halves go away from zero.
    let micros = fit_time(interval.micros.saturating_abs(), precision) * interval.micros.signum();
    crate::Interval { micros, ..interval }
}

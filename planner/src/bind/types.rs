//! Type names to types.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Oid, SqlType, all_types};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, TimezoneInfo};

use super::fold;

/// Longest varchar and char that PostgreSQL allows.
const MAX_CHARACTERS: u64 = 10_485_760;
/// Most digits of a numeric.
const MAX_PRECISION: u64 = 1000;
/// Bits that hold the precision of a time in an interval's modifier when none is given.
const INTERVAL_FULL: i32 = 0x7FFF_FFFF;

/// The type a name stands for.
///
/// # Errors
/// 42704 for an unknown type, 0A000 for one of PostgreSQL's that is not built yet, 22023 for a bad length.
pub(crate) fn sql_type(data_type: &DataType) -> SqlResult<SqlType> {
    use DataType as T;
    let plain = |oid| Ok(SqlType::new(oid));
    match data_type {
        T::Bool | T::Boolean => plain(Oid::BOOL),
        T::SmallInt(None) | T::Int2(None) => plain(Oid::INT2),
        T::Int(None) | T::Integer(None) | T::Int4(None) => plain(Oid::INT4),
        T::BigInt(None) | T::Int8(None) => plain(Oid::INT8),
        T::Real | T::Float4 => plain(Oid::FLOAT4),
        T::Float8 | T::DoublePrecision | T::Double(ExactNumberInfo::None) => plain(Oid::FLOAT8),
        T::Float(info) => float(info).map(SqlType::new),
        T::Numeric(info) | T::Decimal(info) | T::Dec(info) => numeric(info),
        T::Text => plain(Oid::TEXT),
        T::Varchar(length) | T::CharacterVarying(length) | T::CharVarying(length) => {
            characters(Oid::VARCHAR, length.as_ref(), "varchar")
        }
        T::Char(length) | T::Character(length) => {
            let one = CharacterLength::IntegerLength { length: 1, unit: None };
            characters(Oid::BPCHAR, Some(length.as_ref().unwrap_or(&one)), "char")
        }
        T::Bytea => plain(Oid::BYTEA),
        T::Date => plain(Oid::DATE),
        T::Time(precision, zone) => {
            Ok(with_precision(if has_zone(zone) { Oid::TIMETZ } else { Oid::TIME }, *precision))
        }
        T::Timestamp(precision, zone) => {
            Ok(with_precision(if has_zone(zone) { Oid::TIMESTAMPTZ } else { Oid::TIMESTAMP }, *precision))
        }
        T::Interval { fields, precision } => interval(fields.as_ref(), *precision),
        T::Uuid => plain(Oid::UUID),
        T::JSON => plain(Oid::JSON),
        T::JSONB => plain(Oid::JSONB),
        T::Regclass => plain(Oid::REGCLASS),
        T::Array(element) => array(element),
        T::Custom(name, modifiers) => custom(name, modifiers),
        T::Bit(_) | T::BitVarying(_) | T::VarBit(_) => Err(SqlError::unsupported("bit string types")),
        T::TsVector | T::TsQuery => Err(SqlError::unsupported("full text search types")),
        T::GeometricType(_) => Err(SqlError::unsupported("geometric types")),
        other => Err(unknown(&other.to_string().to_lowercase())),
    }
}

fn unknown(name: &str) -> SqlError {
    SqlError::new(SqlState::UndefinedObject, format!("type \"{name}\" does not exist"))
}

fn has_zone(zone: &TimezoneInfo) -> bool {
    matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz)
}

/// Precisions above six digits are six, as in PostgreSQL.
fn with_precision(oid: Oid, precision: Option<u64>) -> SqlType {
    match precision {
        Some(precision) => SqlType::with_modifier(oid, i32::try_from(precision.min(6)).unwrap_or(6)),
        None => SqlType::new(oid),
    }
}

fn float(info: &ExactNumberInfo) -> SqlResult<Oid> {
    match info {
        ExactNumberInfo::None => Ok(Oid::FLOAT8),
        ExactNumberInfo::Precision(1..=24) => Ok(Oid::FLOAT4),
        ExactNumberInfo::Precision(25..=53) => Ok(Oid::FLOAT8),
        ExactNumberInfo::Precision(0) => {
            Err(SqlError::new(SqlState::InvalidParameterValue, "precision for type float must be at least 1 bit"))
        }
        _ => Err(SqlError::new(SqlState::InvalidParameterValue, "precision for type float must be less than 54 bits")),
    }
}

fn numeric(info: &ExactNumberInfo) -> SqlResult<SqlType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(SqlType::new(Oid::NUMERIC)),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    numeric_modifier(precision, scale).map(|modifier| SqlType::with_modifier(Oid::NUMERIC, modifier))
}

fn numeric_modifier(precision: u64, scale: i64) -> SqlResult<i32> {
    let limit = i64::try_from(MAX_PRECISION).unwrap_or(i64::MAX);
    if !(1..=MAX_PRECISION).contains(&precision) {
        let message = format!("NUMERIC precision {precision} must be between 1 and {MAX_PRECISION}");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    if !(-limit..=limit).contains(&scale) {
        let message = format!("NUMERIC scale {scale} must be between -{limit} and {limit}");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    // PostgreSQL keeps the scale in the low eleven bits, as two's complement.
    let scale = i32::try_from(scale).unwrap_or_default() & 0x7FF;
    let precision = i32::try_from(precision).unwrap_or_default();
    Ok(((precision << 16) | scale) + 4)
}

fn characters(oid: Oid, length: Option<&CharacterLength>, name: &str) -> SqlResult<SqlType> {
    let length = match length {
        None => return Ok(SqlType::new(oid)),
        Some(CharacterLength::Max) => return Err(unknown("max")),
        Some(CharacterLength::IntegerLength { length, .. }) => *length,
    };
    if length == 0 {
        let message = format!("length for type {name} must be at least 1");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    if length > MAX_CHARACTERS {
        let message = format!("length for type {name} cannot exceed {MAX_CHARACTERS}");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    Ok(SqlType::with_modifier(oid, i32::try_from(length).unwrap_or_default() + 4))
}

fn interval(fields: Option<&ast::IntervalFields>, precision: Option<u64>) -> SqlResult<SqlType> {
    match (fields, precision) {
        (None, None) => Ok(SqlType::new(Oid::INTERVAL)),
        (None, Some(precision)) => {
            let precision = i32::try_from(precision.min(6)).unwrap_or(6);
            // PostgreSQL keeps the fields in the high half (0x7FFF: all) and the precision in the low half.
            Ok(SqlType::with_modifier(Oid::INTERVAL, (INTERVAL_FULL & !0xFFFF) | precision))
        }
        (Some(_), _) => Err(SqlError::unsupported("interval types limited to some fields")),
    }
}

fn array(element: &ArrayElemTypeDef) -> SqlResult<SqlType> {
    let element = match element {
        ArrayElemTypeDef::SquareBracket(element, _) => sql_type(element)?,
        ArrayElemTypeDef::AngleBracket(element) | ArrayElemTypeDef::Parenthesis(element) => sql_type(element)?,
        ArrayElemTypeDef::None => return Err(unknown("array")),
    };
    array_of(element)
}

/// The array type over a type; an array's own type, since dimensions are no part of it.
pub(crate) fn array_of(element: SqlType) -> SqlResult<SqlType> {
    if element.oid.element_type().is_some() {
        return Ok(element);
    }
    match element.oid.array_type() {
        Some(oid) => Ok(SqlType::with_modifier(oid, element.modifier)),
        None => {
            let message = format!("could not find array type for data type {}", type_name(element));
            Err(SqlError::new(SqlState::UndefinedObject, message))
        }
    }
}

fn custom(name: &ast::ObjectName, modifiers: &[String]) -> SqlResult<SqlType> {
    let mut parts = Vec::new();
    for part in &name.0 {
        let ident = part.as_ident().ok_or_else(|| unknown(&name.to_string()))?;
        parts.push((fold(ident), ident.quote_style.is_some()));
    }
    let (name, quoted) = match parts.as_slice() {
        [name] => name.clone(),
        [(schema, _), name] if schema == "pg_catalog" => name.clone(),
        _ => return Err(unknown(&name.to_string().to_lowercase())),
    };
    let numbers: Vec<u64> = modifiers.iter().filter_map(|modifier| modifier.trim().parse().ok()).collect();
    let length = numbers.first().map(|length| CharacterLength::IntegerLength { length: *length, unit: None });
    match name.as_str() {
        "char" if !quoted => return characters(Oid::BPCHAR, length.as_ref(), "char"),
        "bpchar" => return characters(Oid::BPCHAR, length.as_ref(), "char"),
        "varchar" => return characters(Oid::VARCHAR, length.as_ref(), "varchar"),
        "numeric" | "decimal" => {
            return match (numbers.first(), numbers.get(1)) {
                (None, _) => Ok(SqlType::new(Oid::NUMERIC)),
                (Some(precision), scale) => {
                    let scale = i64::try_from(scale.copied().unwrap_or_default()).unwrap_or(i64::MAX);
                    Ok(SqlType::with_modifier(Oid::NUMERIC, numeric_modifier(*precision, scale)?))
                }
            };
        }
        "integer" | "int" if !quoted => return Ok(SqlType::new(Oid::INT4)),
        "bigint" if !quoted => return Ok(SqlType::new(Oid::INT8)),
        "smallint" if !quoted => return Ok(SqlType::new(Oid::INT2)),
        "boolean" if !quoted => return Ok(SqlType::new(Oid::BOOL)),
        "real" if !quoted => return Ok(SqlType::new(Oid::FLOAT4)),
        _ => {}
    }
    match all_types().find(|info| info.name == name) {
        Some(info) if numbers.is_empty() => Ok(SqlType::new(info.oid)),
        Some(info) if matches!(info.oid, Oid::TIME | Oid::TIMETZ | Oid::TIMESTAMP | Oid::TIMESTAMPTZ) => {
            Ok(with_precision(info.oid, numbers.first().copied()))
        }
        Some(_) => {
            let message = format!("type modifier is not allowed for type \"{name}\"");
            Err(SqlError::new(SqlState::SyntaxError, message))
        }
        None if NOT_BUILT.contains(&name.as_str()) => Err(SqlError::unsupported(format!("type {name}"))),
        None => Err(unknown(&name)),
    }
}

/// PostgreSQL's types that are not built yet.
const NOT_BUILT: [&str; 27] = [
    "money",
    "bit",
    "varbit",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "tsvector",
    "tsquery",
    "xml",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "jsonpath",
    "pg_lsn",
    "tid",
    "pg_snapshot",
];

/// A type as error messages name it: without a modifier.
pub(crate) fn type_name(sql_type: SqlType) -> String {
    sql_type.oid.type_info().map_or_else(|| "???".to_owned(), |info| info.sql_name.to_owned())
}

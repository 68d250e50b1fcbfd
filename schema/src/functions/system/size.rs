//! Sizes: of relations by the catalog's statistics, of values, and in words.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::host;
use crate::{
    Datum, Descriptor, Numeric, Oid,
    functions::{
        EvalContext, Function,
        table::function,
        value::{ObjectId, mismatch, one, two},
    },
    row::encode_payload,
};

const C: Oid = Oid::REGCLASS;
const N: Oid = Oid::INT8;
const T: Oid = Oid::TEXT;

/// Bytes of a table's rows as ANALYZE found them; NULL if there is no such relation.
fn relation_size(env: &EvalContext, oid: u32) -> SqlResult<Option<i64>> {
    let catalog = host(env)?.catalog();
    if let Some(table) = catalog.table(Oid(oid)) {
        return Ok(Some(table.statistics.as_ref().map_or(0, |found| found.bytes as i64)));
    }
    Ok(super::names::relation_parts(env, Oid(oid)).map(|_| 0))
}

/// Bytes of the rows of a database as ANALYZE found them. Of other databases only the present one's session knows:
/// NULL.
fn database_size(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let catalog = host(env)?.catalog();
    let database = catalog.objects().find_map(|object| match (object, args) {
        (Descriptor::Database(found), [Datum::Text(name)]) if *found.name == **name => Some(found),
        (Descriptor::Database(found), [Datum::Oid(oid)]) if found.oid == Oid(*oid) => Some(found),
        _ => None,
    });
    match (database, args) {
        (Some(found), _) if *found.name == *env.database => tables_size(env).map(Datum::Int8),
        (None, [Datum::Text(name)]) => {
            Err(SqlError::new(SqlState::InvalidCatalogName, format!("database \"{name}\" does not exist")))
        }
        _ => Ok(Datum::Null),
    }
}

/// Bytes of the rows of all tables.
fn tables_size(env: &EvalContext) -> SqlResult<i64> {
    let catalog = host(env)?.catalog();
    let bytes = catalog.objects().map(|object| match object {
        Descriptor::Table(table) => table.statistics.as_ref().map_or(0, |found| found.bytes),
        _ => 0,
    });
    Ok(bytes.sum::<u64>() as i64)
}

/// Bytes of a value as it is stored.
fn value_size(value: &Datum) -> i32 {
    match value {
        Datum::Bool(_) | Datum::Char(_) => 1,
        Datum::Int2(_) => 2,
        Datum::Int4(_) | Datum::Float4(_) | Datum::Date(_) | Datum::Oid(_) => 4,
        Datum::Int8(_) | Datum::Float8(_) | Datum::Time(_) | Datum::Timestamp(_) | Datum::TimestampTz(_) => 8,
        Datum::TimeTz(..) => 12,
        Datum::Interval(_) | Datum::Uuid(_) => 16,
        Datum::Text(text) | Datum::Json(text) | Datum::Jsonb(text) => text.len() as i32 + 1,
        Datum::Bytes(bytes) => bytes.len() as i32 + 1,
        other => {
            let mut bytes = Vec::new();
            encode_payload(other, &mut bytes);
            bytes.len() as i32
        }
    }
}

/// A unit, the size from which the next one is taken, and bits by which the next one is greater.
const UNITS: &[(&str, i64, u32)] = &[
    ("bytes", 10 * 1024, 0),
    ("kB", 20 * 1024 - 1, 9),
    ("MB", 20 * 1024 - 1, 10),
    ("GB", 20 * 1024 - 1, 10),
    ("TB", 20 * 1024 - 1, 10),
    ("PB", 20 * 1024 - 1, 10),
];

/// Half of a unit and more is rounded up: sizes are halved last.
fn pretty(size: i64) -> String {
    let mut value = size;
    for (at, (unit, limit, _)) in UNITS.iter().enumerate() {
        if value.unsigned_abs() < *limit as u64 || at + 1 == UNITS.len() {
            let rounded = if at == 0 { value } else { half_rounded(value) };
            return format!("{rounded} {unit}");
        }
        value /= 1 << UNITS[at + 1].2;
    }
    String::new()
}

fn half_rounded(value: i64) -> i64 {
    (value + value.signum()) / 2
}

fn pretty_numeric(size: &Numeric) -> SqlResult<String> {
    if matches!(size, Numeric::NaN | Numeric::Infinity | Numeric::NegInfinity) {
        return Err(SqlError::new(SqlState::InvalidParameterValue, format!("invalid size: \"{size}\"")));
    }
    let mut value = size.clone();
    for (at, (unit, limit, _)) in UNITS.iter().enumerate() {
        if value.abs().compare(&Numeric::from(*limit)).is_lt() || at + 1 == UNITS.len() {
            if at == 0 {
                return Ok(format!("{value} {unit}"));
            }
            let sign = Numeric::from(i64::from(value.signum()));
            return Ok(format!("{} {unit}", value.add(&sign)?.div_to_scale(&Numeric::from(2), 10)?.trunc(0)));
        }
        let divisor = Numeric::from(1_i64 << UNITS[at + 1].2);
        value = value.trunc(0).sub(&value.trunc(0).rem(&divisor)?)?.div_to_scale(&divisor, 0)?;
    }
    Ok(String::new())
}

fn size_bytes(text: &str) -> SqlResult<i64> {
    let invalid = || SqlError::new(SqlState::InvalidParameterValue, format!("invalid size: \"{text}\""));
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(trimmed.len());
    let number = Numeric::parse(&trimmed[..end]).map_err(|_| invalid())?;
    let unit = trimmed[end..].trim();
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "bytes" | "b" => 0,
        "kb" => 10,
        "mb" => 20,
        "gb" => 30,
        "tb" => 40,
        "pb" => 50,
        _ => {
            return Err(invalid()
                .with_detail(format!("Invalid size unit: \"{unit}\"."))
                .with_hint("Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\"."));
        }
    };
    let bytes = number.mul(&Numeric::from(1_i64 << shift))?;
    bytes.to_i64().ok_or_else(|| crate::functions::number::out_of_range("bigint"))
}

macro_rules! relations {
    ($($name:literal)*) => { &[
        $(function($name, &[C], N, |env, args| one(args, |oid: ObjectId| relation_size(env, oid.0))).volatile(),)*
        function("pg_relation_size", &[C, T], N, |env, args| {
            two(args, |oid: ObjectId, _: &str| relation_size(env, oid.0))
        })
        .volatile(),
        // ANALYZE does not count the entries of indexes.
        function("pg_indexes_size", &[C], N, |_, _| Ok(Datum::Int8(0))).volatile(),
        function("pg_database_size", &[Oid::NAME], N, database_size).volatile(),
        function("pg_database_size", &[Oid::OID], N, database_size).volatile(),
        function("pg_tablespace_size", &[Oid::NAME], N, |env, _| tables_size(env).map(Datum::Int8)).volatile(),
        function("pg_tablespace_size", &[Oid::OID], N, |env, _| tables_size(env).map(Datum::Int8)).volatile(),
        function("pg_column_size", &[Oid::ANY], Oid::INT4, |_, args| match args {
            [value] => Ok(Datum::Int4(value_size(value))),
            _ => Err(mismatch(args)),
        })
        .stable(),
        function("pg_size_pretty", &[N], T, |_, args| one(args, pretty)),
        function("pg_size_pretty", &[Oid::NUMERIC], T, |_, args| one(args, pretty_numeric)),
        function("pg_size_bytes", &[T], N, |_, args| one(args, size_bytes)),
    ] };
}

/// Sizes.
pub(in crate::functions) static SIZES: &[Function] = relations! {
    "pg_relation_size" "pg_table_size" "pg_total_relation_size"
};

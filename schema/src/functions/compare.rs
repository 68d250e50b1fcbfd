//! Comparison operators of every type, over the one order of `crate::compare`.

use std::cmp::Ordering;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{
    EvalContext, Function,
    resolve::type_name,
    table::{function, operator},
    value::{mismatch, two},
};
use crate::{Datum, Oid, compare};

/// Six operators from one order.
macro_rules! six {
    ([$left:expr, $right:expr], $order:expr; $eq:expr, $ne:expr, $lt:expr, $le:expr, $gt:expr, $ge:expr) => {
        [
            operator($eq, "=", &[$left, $right], Oid::BOOL, |env, args| answer($order(env, args), Ordering::is_eq)),
            operator($ne, "<>", &[$left, $right], Oid::BOOL, |env, args| answer($order(env, args), Ordering::is_ne)),
            operator($lt, "<", &[$left, $right], Oid::BOOL, |env, args| answer($order(env, args), Ordering::is_lt)),
            operator($le, "<=", &[$left, $right], Oid::BOOL, |env, args| answer($order(env, args), Ordering::is_le)),
            operator($gt, ">", &[$left, $right], Oid::BOOL, |env, args| answer($order(env, args), Ordering::is_gt)),
            operator($ge, ">=", &[$left, $right], Oid::BOOL, |env, args| answer($order(env, args), Ordering::is_ge)),
        ]
    };
}
pub(super) use six;

#[inline]
pub(super) fn answer(order: SqlResult<Ordering>, holds: fn(Ordering) -> bool) -> SqlResult<Datum> {
    Ok(Datum::Bool(holds(order?)))
}

/// Values of one type.
#[inline]
fn same(_: &EvalContext, args: &[Datum]) -> SqlResult<Ordering> {
    match args {
        [a, b] if std::mem::discriminant(a) == std::mem::discriminant(b) => Ok(compare::compare(a, b)),
        _ => Err(mismatch(args)),
    }
}

/// char(n): padding does not count.
fn padded(_: &EvalContext, args: &[Datum]) -> SqlResult<Ordering> {
    match args {
        [Datum::Text(a), Datum::Text(b)] => Ok(a.trim_end_matches(' ').cmp(b.trim_end_matches(' '))),
        _ => Err(mismatch(args)),
    }
}

/// Whether values of two columns have an order: they are of one type, or of types with the same values.
fn comparable(left: Oid, x: &Datum, right: Oid, y: &Datum) -> bool {
    let nested = matches!(x, Datum::Array(_) | Datum::Record(_));
    left == right || (!nested && std::mem::discriminant(x) == std::mem::discriminant(y))
}

/// Rows: column by column, NULL last; columns must be of equal types.
fn records(_: &EvalContext, args: &[Datum]) -> SqlResult<Ordering> {
    let [Datum::Record(a), Datum::Record(b)] = args else { return Err(mismatch(args)) };
    for (at, ((left, x), (right, y))) in a.iter().zip(b.iter()).enumerate() {
        let order = match (x.is_null(), y.is_null()) {
            (false, false) if !comparable(*left, x, *right, y) => {
                let message = format!(
                    "cannot compare dissimilar column types {} and {} at record column {}",
                    type_name(*left),
                    type_name(*right),
                    at + 1
                );
                return Err(SqlError::new(SqlState::DatatypeMismatch, message));
            }
            _ => compare::compare(x, y),
        };
        if order != Ordering::Equal {
            return Ok(order);
        }
    }
    if a.len() != b.len() {
        let message = "cannot compare record types with different numbers of columns";
        return Err(SqlError::new(SqlState::DatatypeMismatch, message));
    }
    Ok(Ordering::Equal)
}

/// Arrays of one element type.
fn arrays(_: &EvalContext, args: &[Datum]) -> SqlResult<Ordering> {
    let [Datum::Array(a), Datum::Array(b)] = args else { return Err(mismatch(args)) };
    if matches!(a.element, Oid::JSON) {
        let message = format!("could not identify a comparison function for type {}", type_name(a.element));
        return Err(SqlError::new(SqlState::UndefinedFunction, message));
    }
    let kind = |values: &[Datum]| values.iter().find(|value| !value.is_null()).map(std::mem::discriminant);
    match (kind(&a.values), kind(&b.values)) {
        (Some(x), Some(y)) if x != y => Err(mismatch(args)),
        _ => Ok(compare::compare(&args[0], &args[1])),
    }
}

macro_rules! int_order {
    ($left:ty, $right:ty) => {
        |_: &EvalContext, args: &[Datum]| integers::<$left, $right>(args)
    };
}

#[inline]
fn integers<'a, A: super::value::Arg<'a> + Into<i64>, B: super::value::Arg<'a> + Into<i64>>(
    args: &'a [Datum],
) -> SqlResult<Ordering> {
    let [a, b] = args else { return Err(mismatch(args)) };
    match (A::get(a), B::get(b)) {
        (Some(a), Some(b)) => Ok(a.into().cmp(&b.into())),
        _ => Err(mismatch(args)),
    }
}

fn floats(_: &EvalContext, args: &[Datum]) -> SqlResult<Ordering> {
    let wide = |value: &Datum| match value {
        Datum::Float4(value) => Some(f64::from(*value)),
        Datum::Float8(value) => Some(*value),
        _ => None,
    };
    match args {
        [a, b] => match (wide(a), wide(b)) {
            (Some(a), Some(b)) => Ok(compare::compare_floats(a, b)),
            _ => Err(mismatch(args)),
        },
        _ => Err(mismatch(args)),
    }
}

macro_rules! integer_types {
    ($($digits:literal ($a:ident $left:ty, $b:ident $right:ty);)*) => { &[$(six!([Oid::$a, Oid::$b], int_order!($left, $right);
        concat!("int", $digits, "eq"), concat!("int", $digits, "ne"), concat!("int", $digits, "lt"),
        concat!("int", $digits, "le"), concat!("int", $digits, "gt"), concat!("int", $digits, "ge"))),*] };
}

/// Integers with integers.
pub(super) static INTEGERS: &[[Function; 6]] = integer_types! {
    "2" (INT2 i16, INT2 i16);
    "24" (INT2 i16, INT4 i32);
    "28" (INT2 i16, INT8 i64);
    "42" (INT4 i32, INT2 i16);
    "4" (INT4 i32, INT4 i32);
    "48" (INT4 i32, INT8 i64);
    "82" (INT8 i64, INT2 i16);
    "84" (INT8 i64, INT4 i32);
    "8" (INT8 i64, INT8 i64);
};

macro_rules! types {
    ($($prefix:literal $suffix:literal [$a:ident, $b:ident] $order:ident;)*) => { &[$(six!([Oid::$a, Oid::$b], $order;
        concat!($prefix, "eq", $suffix), concat!($prefix, "ne", $suffix), concat!($prefix, "lt", $suffix),
        concat!($prefix, "le", $suffix), concat!($prefix, "gt", $suffix), concat!($prefix, "ge", $suffix))),*] };
}

/// The other types.
pub(super) static ORDERED: &[[Function; 6]] = types! {
    "float4" "" [FLOAT4, FLOAT4] same;
    "float48" "" [FLOAT4, FLOAT8] floats;
    "float84" "" [FLOAT8, FLOAT4] floats;
    "float8" "" [FLOAT8, FLOAT8] same;
    "numeric_" "" [NUMERIC, NUMERIC] same;
    "bool" "" [BOOL, BOOL] same;
    "char" "" [CHAR, CHAR] same;
    "name" "" [NAME, NAME] same;
    "name" "text" [NAME, TEXT] same;
    "text" "name" [TEXT, NAME] same;
    "bpchar" "" [BPCHAR, BPCHAR] padded;
    "bytea" "" [BYTEA, BYTEA] same;
    "date_" "" [DATE, DATE] same;
    "time_" "" [TIME, TIME] same;
    "timetz_" "" [TIMETZ, TIMETZ] same;
    "timestamp_" "" [TIMESTAMP, TIMESTAMP] same;
    "timestamptz_" "" [TIMESTAMPTZ, TIMESTAMPTZ] same;
    "interval_" "" [INTERVAL, INTERVAL] same;
    "uuid_" "" [UUID, UUID] same;
    "oid" "" [OID, OID] same;
    "oidvector" "" [OIDVECTOR, OIDVECTOR] arrays;
    "jsonb_" "" [JSONB, JSONB] same;
    "array_" "" [ANYARRAY, ANYARRAY] arrays;
    "record_" "" [RECORD, RECORD] records;
};

/// text, whose names are uneven.
pub(super) static TEXT: &[[Function; 6]] =
    &[six!([Oid::TEXT, Oid::TEXT], same; "texteq", "textne", "text_lt", "text_le", "text_gt", "text_ge")];

/// Operators without a whole order, and the comparison functions of btree operator classes.
pub(super) static SINGLE: &[Function] = &[
    operator("xideq", "=", &[Oid::XID, Oid::XID], Oid::BOOL, |env, args| answer(same(env, args), Ordering::is_eq)),
    operator("xidneq", "<>", &[Oid::XID, Oid::XID], Oid::BOOL, |env, args| answer(same(env, args), Ordering::is_ne)),
    operator("xideqint4", "=", &[Oid::XID, Oid::INT4], Oid::BOOL, |_, args| {
        two(args, |a: super::value::ObjectId, b: i32| a.0 == b as u32)
    }),
    operator("xidneqint4", "<>", &[Oid::XID, Oid::INT4], Oid::BOOL, |_, args| {
        two(args, |a: super::value::ObjectId, b: i32| a.0 != b as u32)
    }),
    operator("text_pattern_lt", "~<~", &[Oid::TEXT; 2], Oid::BOOL, |env, args| {
        answer(same(env, args), Ordering::is_lt)
    }),
    operator("text_pattern_le", "~<=~", &[Oid::TEXT; 2], Oid::BOOL, |env, args| {
        answer(same(env, args), Ordering::is_le)
    }),
    operator("text_pattern_gt", "~>~", &[Oid::TEXT; 2], Oid::BOOL, |env, args| {
        answer(same(env, args), Ordering::is_gt)
    }),
    operator("text_pattern_ge", "~>=~", &[Oid::TEXT; 2], Oid::BOOL, |env, args| {
        answer(same(env, args), Ordering::is_ge)
    }),
    function("btint4cmp", &[Oid::INT4; 2], Oid::INT4, |_, args| two(args, |a: i32, b: i32| a.cmp(&b) as i32)),
    function("btint8cmp", &[Oid::INT8; 2], Oid::INT4, |_, args| two(args, |a: i64, b: i64| a.cmp(&b) as i32)),
    function("bttextcmp", &[Oid::TEXT; 2], Oid::INT4, |env, args| Ok(Datum::Int4(same(env, args)? as i32))),
];

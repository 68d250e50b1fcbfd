//! Column-wise arithmetic and comparison of numerics, and dates compared with timestamps.

use std::{cmp::Ordering, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanBuilder, Int64Array, PrimitiveArray},
    datatypes::{ArrowPrimitiveType, Date32Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::ColumnarValue,
};
use proto::SqlResult;
use sharddb_proto as proto;

use super::kernels::Kernel;
use crate::{
    error::to_datafusion,
    numeric::{Value, append_small, value_at},
};

/// A column or a constant of numerics.
enum Side<'a> {
    Column(&'a BinaryArray),
    Constant(Option<Value>),
}

impl Side<'_> {
    fn of(value: &ColumnarValue) -> Option<Result<Side<'_>>> {
        match value {
            ColumnarValue::Array(array) => Some(Ok(Side::Column(array.as_binary_opt::<i32>()?))),
            ColumnarValue::Scalar(ScalarValue::Binary(None)) => Some(Ok(Side::Constant(None))),
            ColumnarValue::Scalar(ScalarValue::Binary(Some(bytes))) => {
                Some(Value::read(bytes).map(|value| Side::Constant(Some(value))).map_err(to_datafusion))
            }
            ColumnarValue::Scalar(_) => None,
        }
    }

    fn rows(&self) -> Option<usize> {
        match self {
            Self::Column(array) => Some(array.len()),
            Self::Constant(_) => None,
        }
    }

    /// Hands the value of a row on; `None` for NULL.
    #[inline]
    fn with<T>(&self, row: usize, then: impl FnOnce(&Value) -> SqlResult<T>) -> SqlResult<Option<T>> {
        match self {
            Self::Column(array) => match value_at(array, row)? {
                Some(value) => then(&value).map(Some),
                None => Ok(None),
            },
            Self::Constant(Some(value)) => then(value).map(Some),
            Self::Constant(None) => Ok(None),
        }
    }
}

/// Both sides and the number of rows; `None` if there is no column.
fn sides(args: &[ColumnarValue]) -> Option<Result<(Side<'_>, Side<'_>, usize)>> {
    let [left, right] = args else { return None };
    let (left, right) = (Side::of(left)?, Side::of(right)?);
    let (left, right) = match (left, right) {
        (Ok(left), Ok(right)) => (left, right),
        (Err(error), _) | (_, Err(error)) => return Some(Err(error)),
    };
    let rows = left.rows().or(right.rows())?;
    Some(Ok((left, right, rows)))
}

fn arithmetic(
    args: &[ColumnarValue],
    op: impl Fn(&Value, &Value) -> SqlResult<Value>,
) -> Option<Result<ColumnarValue>> {
    let computed = sides(args)?.and_then(|(left, right, rows)| {
        let mut builder = BinaryBuilder::with_capacity(rows, rows * 12);
        for row in 0..rows {
            let value = left.with(row, |a| right.with(row, |b| op(a, b))).map_err(to_datafusion)?;
            match value.flatten() {
                Some(value) => value.append(&mut builder),
                None => builder.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    });
    Some(computed)
}

fn comparison(args: &[ColumnarValue], holds: impl Fn(Ordering) -> bool) -> Option<Result<ColumnarValue>> {
    let computed = sides(args)?.and_then(|(left, right, rows)| {
        let mut builder = BooleanBuilder::with_capacity(rows);
        for row in 0..rows {
            let order = left.with(row, |a| right.with(row, |b| Ok(a.compare(b)))).map_err(to_datafusion)?;
            builder.append_option(order.flatten().map(&holds));
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    });
    Some(computed)
}

/// The kernel of a function on numerics.
pub(super) fn numeric(name: &str) -> Option<Kernel> {
    Some(match name {
        "numeric_add" => |args| arithmetic(args, Value::add),
        "numeric_sub" => |args| arithmetic(args, Value::sub),
        "numeric_mul" => |args| arithmetic(args, Value::mul),
        "numeric_eq" => |args| comparison(args, Ordering::is_eq),
        "numeric_ne" => |args| comparison(args, Ordering::is_ne),
        "numeric_lt" => |args| comparison(args, Ordering::is_lt),
        "numeric_le" => |args| comparison(args, Ordering::is_le),
        "numeric_gt" => |args| comparison(args, Ordering::is_gt),
        "numeric_ge" => |args| comparison(args, Ordering::is_ge),
        _ => return None,
    })
}

fn widen<T>(args: &[ColumnarValue]) -> Option<Result<ColumnarValue>>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128>,
{
    let [ColumnarValue::Array(array)] = args else { return None };
    let values: &PrimitiveArray<T> = array.as_primitive_opt()?;
    let mut builder = BinaryBuilder::with_capacity(values.len(), values.len() * 8);
    for row in 0..values.len() {
        if values.is_null(row) {
            builder.append_null();
        } else {
            append_small(values.value(row).into(), 0, &mut builder);
        }
    }
    Some(Ok(ColumnarValue::Array(Arc::new(builder.finish()) as ArrayRef)))
}

/// The kernel of the cast of an integer to numeric.
pub(super) fn integer_to_numeric(bytes: usize) -> Kernel {
    match bytes {
        2 => widen::<Int16Type>,
        4 => widen::<Int32Type>,
        _ => widen::<Int64Type>,
    }
}

const DAY_MICROS: i64 = 86_400_000_000;

/// Midnight of a day; infinities stay so, and days beyond the timestamps compare as if they were infinite.
fn midnight(day: i32) -> i64 {
    match day {
        i32::MAX => i64::MAX,
        i32::MIN => i64::MIN,
        day => i64::from(day).saturating_mul(DAY_MICROS),
    }
}

/// Dates or timestamps as microseconds: a column or a constant.
fn micros(value: &ColumnarValue) -> Option<(Option<Int64Array>, Option<i64>)> {
    Some(match value {
        ColumnarValue::Array(array) => {
            if let Some(days) = array.as_primitive_opt::<Date32Type>() {
                (Some(days.unary::<_, Int64Type>(midnight)), None)
            } else {
                let at = array.as_primitive_opt::<TimestampMicrosecondType>()?;
                (Some(Int64Array::new(at.values().clone(), at.nulls().cloned())), None)
            }
        }
        ColumnarValue::Scalar(ScalarValue::Date32(Some(day))) => (None, Some(midnight(*day))),
        ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(Some(at), None)) => (None, Some(*at)),
        ColumnarValue::Scalar(_) => return None,
    })
}

fn compare_times(args: &[ColumnarValue], holds: fn(Ordering) -> bool) -> Option<Result<ColumnarValue>> {
    let [left, right] = args else { return None };
    let (left, right) = (micros(left)?, micros(right)?);
    let compared = match (left, right) {
        ((Some(a), _), (Some(b), _)) => (0..a.len())
            .map(|row| (a.is_valid(row) && b.is_valid(row)).then(|| holds(a.value(row).cmp(&b.value(row)))))
            .collect::<arrow::array::BooleanArray>(),
        ((Some(a), _), (_, Some(b))) => a.iter().map(|a| a.map(|a| holds(a.cmp(&b)))).collect(),
        ((_, Some(a)), (Some(b), _)) => b.iter().map(|b| b.map(|b| holds(a.cmp(&b)))).collect(),
        _ => return None,
    };
    Some(Ok(ColumnarValue::Array(Arc::new(compared))))
}

/// The kernel of a comparison of a date with a timestamp.
pub(super) fn times(name: &str) -> Option<Kernel> {
    let operator = name.strip_prefix("date_").and_then(|rest| rest.strip_suffix("_timestamp"));
    let operator = operator.or_else(|| name.strip_prefix("timestamp_").and_then(|rest| rest.strip_suffix("_date")));
    Some(match operator? {
        "eq" => |args| compare_times(args, Ordering::is_eq),
        "ne" => |args| compare_times(args, Ordering::is_ne),
        "lt" => |args| compare_times(args, Ordering::is_lt),
        "le" => |args| compare_times(args, Ordering::is_le),
        "gt" => |args| compare_times(args, Ordering::is_gt),
        "ge" => |args| compare_times(args, Ordering::is_ge),
        _ => return None,
    })
}

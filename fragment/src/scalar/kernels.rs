//! Column-wise implementations of hot functions. Each computes exactly what the function's row form does.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, Scalar},
    compute::{
        self,
        kernels::{cmp, comparison},
    },
    datatypes::{Float32Type, Float64Type, Int16Type, Int32Type, Int64Type},
    error::ArrowError,
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::ColumnarValue,
};
use proto::{SqlError, SqlState};
use schema::{Oid, SqlType};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    Operation,
    numeric_kernels::{integer_to_numeric, numeric, times},
};

/// Computes a result column, or declines (for example when all arguments are constants).
pub(super) type Kernel = fn(&[ColumnarValue]) -> Option<Result<ColumnarValue>>;

/// The kernel of an operation, if it has one.
pub(super) fn find(operation: &Operation, args: &[SqlType], result: SqlType) -> Option<Kernel> {
    match (operation, args) {
        (Operation::Call(function), _) => {
            let name = function.name;
            integer(name)
                .or_else(|| float(name))
                .or_else(|| text(name))
                .or_else(|| numeric(name))
                .or_else(|| times(name))
        }
        (Operation::Cast(_), [from]) if result.oid == Oid::NUMERIC && result.modifier == -1 => match from.oid {
            Oid::INT2 => Some(integer_to_numeric(2)),
            Oid::INT4 => Some(integer_to_numeric(4)),
            Oid::INT8 => Some(integer_to_numeric(8)),
            _ => None,
        },
        _ => None,
    }
}

/// Two columns, or a column and a constant, of one primitive type.
enum Operands<'a, T: ArrowPrimitiveType> {
    Both(&'a PrimitiveArray<T>, &'a PrimitiveArray<T>),
    Left(&'a PrimitiveArray<T>, T::Native),
    Right(T::Native, &'a PrimitiveArray<T>),
    /// A constant is NULL: so is every result.
    Null(usize),
}

fn constant<T: ArrowPrimitiveType>(value: &ScalarValue) -> Option<Option<T::Native>> {
    let array = value.to_array().ok()?;
    let array = array.as_primitive_opt::<T>()?;
    Some((!array.is_null(0)).then(|| array.value(0)))
}

fn operands<T: ArrowPrimitiveType>(args: &[ColumnarValue]) -> Option<Operands<'_, T>> {
    match args {
        [ColumnarValue::Array(a), ColumnarValue::Array(b)] => {
            Some(Operands::Both(a.as_primitive_opt()?, b.as_primitive_opt()?))
        }
        [ColumnarValue::Array(a), ColumnarValue::Scalar(b)] => Some(match constant::<T>(b)? {
            Some(b) => Operands::Left(a.as_primitive_opt()?, b),
            None => Operands::Null(a.len()),
        }),
        [ColumnarValue::Scalar(a), ColumnarValue::Array(b)] => Some(match constant::<T>(a)? {
            Some(a) => Operands::Right(a, b.as_primitive_opt()?),
            None => Operands::Null(b.len()),
        }),
        _ => None,
    }
}

fn binary<T: ArrowPrimitiveType>(
    args: &[ColumnarValue],
    op: impl Fn(T::Native, T::Native) -> std::result::Result<T::Native, ArrowError>,
) -> Option<Result<ColumnarValue>> {
    let result: std::result::Result<PrimitiveArray<T>, ArrowError> = match operands::<T>(args)? {
        Operands::Both(a, b) => compute::try_binary(a, b, op),
        Operands::Left(a, b) => a.try_unary(|a| op(a, b)),
        Operands::Right(a, b) => b.try_unary(|b| op(a, b)),
        Operands::Null(rows) => Ok(PrimitiveArray::new_null(rows)),
    };
    Some(result.map(|array| ColumnarValue::Array(Arc::new(array) as ArrayRef)).map_err(Into::into))
}

#[cold]
fn fail(state: SqlState, message: &str) -> ArrowError {
    ArrowError::ExternalError(Box::new(SqlError::new(state, message)))
}

#[cold]
fn out_of_range(name: &str) -> ArrowError {
    fail(SqlState::NumericValueOutOfRange, &format!("{name} out of range"))
}

#[cold]
fn division_by_zero() -> ArrowError {
    fail(SqlState::DivisionByZero, "division by zero")
}

macro_rules! integer_kernels {
    ($name:expr, $($arrow:ty, $range:literal, $add:literal, $sub:literal, $mul:literal, $div:literal, $rem:literal;)*) => {
        match $name {
            $(
                $add => Some(|args| binary::<$arrow>(args, |a, b| a.checked_add(b).ok_or_else(|| out_of_range($range)))),
                $sub => Some(|args| binary::<$arrow>(args, |a, b| a.checked_sub(b).ok_or_else(|| out_of_range($range)))),
                $mul => Some(|args| binary::<$arrow>(args, |a, b| a.checked_mul(b).ok_or_else(|| out_of_range($range)))),
                $div => Some(|args| binary::<$arrow>(args, |a, b| {
                    if b == 0 { return Err(division_by_zero()); }
                    a.checked_div(b).ok_or_else(|| out_of_range($range))
                })),
                $rem => Some(|args| binary::<$arrow>(args, |a, b| {
                    if b == 0 { return Err(division_by_zero()); }
                    Ok(a.wrapping_rem(b))
                })),
            )*
            _ => None,
        }
    };
}

fn integer(name: &str) -> Option<Kernel> {
    integer_kernels! { name,
        Int16Type, "smallint", "int2pl", "int2mi", "int2mul", "int2div", "int2mod";
        Int32Type, "integer", "int4pl", "int4mi", "int4mul", "int4div", "int4mod";
        Int64Type, "bigint", "int8pl", "int8mi", "int8mul", "int8div", "int8mod";
    }
}

macro_rules! float_kernels {
    ($name:expr, $($arrow:ty, $add:literal, $sub:literal, $mul:literal, $div:literal;)*) => {
        match $name {
            $(
                $add => Some(|args| binary::<$arrow>(args, |a, b| {
                    let result = a + b;
                    if result.is_infinite() && a.is_finite() && b.is_finite() { return Err(overflow()); }
                    Ok(result)
                })),
                $sub => Some(|args| binary::<$arrow>(args, |a, b| {
                    let result = a - b;
                    if result.is_infinite() && a.is_finite() && b.is_finite() { return Err(overflow()); }
                    Ok(result)
                })),
                $mul => Some(|args| binary::<$arrow>(args, |a, b| {
                    let result = a * b;
                    if result.is_infinite() && a.is_finite() && b.is_finite() { return Err(overflow()); }
                    if result == 0.0 && a != 0.0 && b != 0.0 { return Err(underflow()); }
                    Ok(result)
                })),
                $div => Some(|args| binary::<$arrow>(args, |a, b| {
                    if b == 0.0 && !a.is_nan() { return Err(division_by_zero()); }
                    let result = a / b;
                    if result.is_infinite() && a.is_finite() { return Err(overflow()); }
                    if result == 0.0 && a != 0.0 && b.is_finite() { return Err(underflow()); }
                    Ok(result)
                })),
            )*
            _ => None,
        }
    };
}

#[cold]
fn overflow() -> ArrowError {
    fail(SqlState::NumericValueOutOfRange, "value out of range: overflow")
}

#[cold]
fn underflow() -> ArrowError {
    fail(SqlState::NumericValueOutOfRange, "value out of range: underflow")
}

fn float(name: &str) -> Option<Kernel> {
    float_kernels! { name,
        Float32Type, "float4pl", "float4mi", "float4mul", "float4div";
        Float64Type, "float8pl", "float8mi", "float8mul", "float8div";
    }
}

type Compare = fn(&dyn arrow::array::Datum, &dyn arrow::array::Datum) -> std::result::Result<BooleanArray, ArrowError>;

fn compare(args: &[ColumnarValue], op: Compare) -> Option<Result<ColumnarValue>> {
    let constant = |value: &ScalarValue| value.to_array().ok().map(Scalar::new);
    let result = match args {
        [ColumnarValue::Array(a), ColumnarValue::Array(b)] => op(a, b),
        [ColumnarValue::Array(a), ColumnarValue::Scalar(b)] => op(a, &constant(b)?),
        [ColumnarValue::Scalar(a), ColumnarValue::Array(b)] => op(&constant(a)?, b),
        _ => return None,
    };
    Some(result.map(|array| ColumnarValue::Array(Arc::new(array) as ArrayRef)).map_err(Into::into))
}

fn text(name: &str) -> Option<Kernel> {
    Some(match name {
        "texteq" => |args| compare(args, cmp::eq),
        "textne" => |args| compare(args, cmp::neq),
        "textlike" => |args| compare(args, comparison::like),
        "textnlike" => |args| compare(args, comparison::nlike),
        "starts_with" => |args| compare(args, comparison::starts_with),
        _ => return None,
    })
}

//! Sums and averages over integers and floats, in typed vectors.
//!
//! A group's state is a number of rows and a sum; integers sum in 128 bits, which no table can overflow.

use std::{fmt, marker::PhantomData, ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray},
    datatypes::{
        DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    },
};
use datafusion::common::Result;
use proto::{SqlError, SqlResult, SqlState};
use schema::{Datum, Numeric, Oid};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{AggregateSpec, Groups};
use crate::{builder::ColumnBuilder, error::to_datafusion};

/// What a sum adds up and how the result is made of it.
trait Total: Copy + Default + Send + Sync + fmt::Debug + 'static {
    /// Arrow type of the sum in a state.
    type State: ArrowPrimitiveType<Native = Self>;
    /// The field's type.
    fn state_type() -> DataType;
    /// Adds.
    fn add(self, other: Self) -> Self;
    /// The result of a group with rows.
    fn finish(self, count: i64, outcome: Outcome) -> SqlResult<Datum>;
}

/// What is asked of count and sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The sum as int8.
    Int8,
    /// The sum as numeric.
    Numeric,
    /// The average as numeric.
    NumericAverage,
    /// The sum as float4.
    Float4,
    /// The sum as float8.
    Float8,
    /// The average as float8.
    Float8Average,
}

impl Total for i128 {
    type State = Decimal128Type;

    fn state_type() -> DataType {
        DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0)
    }

    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn finish(self, count: i64, outcome: Outcome) -> SqlResult<Datum> {
        let sum = Numeric::Small { digits: self, scale: 0 };
        match outcome {
            Outcome::Int8 => {
                let out_of_range = |_| SqlError::new(SqlState::NumericValueOutOfRange, "bigint out of range");
                Ok(Datum::Int8(i64::try_from(self).map_err(out_of_range)?))
            }
            Outcome::NumericAverage => {
                let count = Numeric::Small { digits: count.into(), scale: 0 };
                Ok(Datum::Numeric(crate::registry::numeric_div(&sum, &count)?))
            }
            _ => Ok(Datum::Numeric(sum)),
        }
    }
}

impl Total for f64 {
    type State = Float64Type;

    fn state_type() -> DataType {
        DataType::Float64
    }

    fn add(self, other: Self) -> Self {
        self + other
    }

    fn finish(self, count: i64, outcome: Outcome) -> SqlResult<Datum> {
        Ok(match outcome {
            Outcome::Float8Average => Datum::Float8(self / count as f64),
            _ => Datum::Float8(self),
        })
    }
}

impl Total for f32 {
    type State = Float32Type;

    fn state_type() -> DataType {
        DataType::Float32
    }

    fn add(self, other: Self) -> Self {
        self + other
    }

    fn finish(self, _: i64, _: Outcome) -> SqlResult<Datum> {
        Ok(Datum::Float4(self))
    }
}

/// Count and sum for each group over inputs of one type.
#[derive(Debug)]
struct Sums<I, T> {
    totals: Vec<(i64, T)>,
    outcome: Outcome,
    result: Oid,
    input: PhantomData<fn() -> I>,
}

impl<I, T> Sums<I, T>
where
    I: ArrowPrimitiveType + fmt::Debug,
    I::Native: Into<T>,
    T: Total,
{
    fn boxed(outcome: Outcome, result: Oid) -> Box<dyn Groups> {
        Box::new(Self { totals: Vec::new(), outcome, result, input: PhantomData })
    }

    fn add(&mut self, group: usize, count: i64, value: T) {
        let (rows, total) = &mut self.totals[group];
        *rows += count;
        *total = total.add(value);
    }

    fn try_result(&self, range: Range<usize>) -> SqlResult<ArrayRef> {
        let mut builder = ColumnBuilder::new(self.result, range.len());
        for (count, total) in &self.totals[range] {
            match count {
                0 => builder.append_null(),
                count => builder.append(&total.finish(*count, self.outcome)?)?,
            }
        }
        Ok(builder.finish())
    }
}

impl<I, T> Groups for Sums<I, T>
where
    I: ArrowPrimitiveType + fmt::Debug,
    I::Native: Into<T>,
    T: Total,
{
    fn resize(&mut self, groups: usize) {
        self.totals.resize(groups.max(self.totals.len()), (0, T::default()));
    }

    fn update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> Result<()> {
        let values = values[0].as_primitive::<I>();
        if values.null_count() == 0 && filter.is_none() {
            for (value, group) in values.values().iter().zip(groups) {
                self.add(*group, 1, (*value).into());
            }
            return Ok(());
        }
        for (row, group) in groups.iter().enumerate() {
            if values.is_valid(row) && super::rowwise::passes(filter, row) {
                self.add(*group, 1, values.value(row).into());
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let counts = states[0].as_primitive::<Int64Type>();
        let totals = states[1].as_primitive::<T::State>();
        for (row, group) in groups.iter().enumerate() {
            if counts.is_valid(row) && totals.is_valid(row) {
                self.add(*group, counts.value(row), totals.value(row));
            }
        }
        Ok(())
    }

    fn state(&self, range: Range<usize>) -> Result<Vec<ArrayRef>> {
        let totals = &self.totals[range];
        let counts = PrimitiveArray::<Int64Type>::from_iter_values(totals.iter().map(|total| total.0));
        let sums = PrimitiveArray::<T::State>::from_iter_values(totals.iter().map(|total| total.1));
        Ok(vec![Arc::new(counts), Arc::new(sums.with_data_type(T::state_type()))])
    }

    fn result(&self, range: Range<usize>) -> Result<ArrayRef> {
        self.try_result(range).map_err(to_datafusion)
    }

    fn drop_first(&mut self, groups: usize) {
        self.totals.drain(..groups);
    }

    fn groups(&self) -> usize {
        self.totals.len()
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<(i64, T)>()
    }

    fn fresh(&self) -> Box<dyn Groups> {
        Self::boxed(self.outcome, self.result)
    }
}

/// Input type and what is asked, for calls this module implements.
fn classify(spec: &AggregateSpec) -> Option<(Oid, Outcome)> {
    let [input] = spec.args[..] else { return None };
    let outcome = match (spec.function.name, input.oid, spec.result.oid) {
        ("sum", Oid::INT2 | Oid::INT4, Oid::INT8) => Outcome::Int8,
        ("sum", Oid::INT8, Oid::NUMERIC) => Outcome::Numeric,
        ("avg", Oid::INT2 | Oid::INT4 | Oid::INT8, Oid::NUMERIC) => Outcome::NumericAverage,
        ("sum", Oid::FLOAT4, Oid::FLOAT4) => Outcome::Float4,
        ("sum", Oid::FLOAT8, Oid::FLOAT8) => Outcome::Float8,
        ("avg", Oid::FLOAT4 | Oid::FLOAT8, Oid::FLOAT8) => Outcome::Float8Average,
        _ => return None,
    };
    Some((input.oid, outcome))
}

/// The typed implementation of a call, if there is one.
pub(super) fn find(spec: &AggregateSpec) -> Option<Box<dyn Groups>> {
    let result = spec.result.oid;
    let (input, outcome) = classify(spec)?;
    Some(match (input, outcome) {
        (Oid::INT2, _) => Sums::<Int16Type, i128>::boxed(outcome, result),
        (Oid::INT4, _) => Sums::<Int32Type, i128>::boxed(outcome, result),
        (Oid::INT8, _) => Sums::<Int64Type, i128>::boxed(outcome, result),
        (Oid::FLOAT4, Outcome::Float4) => Sums::<Float32Type, f32>::boxed(outcome, result),
        (Oid::FLOAT4, _) => Sums::<Float32Type, f64>::boxed(outcome, result),
        _ => Sums::<Float64Type, f64>::boxed(outcome, result),
    })
}

/// Arrow types of its state.
pub(super) fn state_types(spec: &AggregateSpec) -> Option<Vec<DataType>> {
    let total = match classify(spec)? {
        (Oid::INT2 | Oid::INT4 | Oid::INT8, _) => i128::state_type(),
        (_, Outcome::Float4) => f32::state_type(),
        _ => f64::state_type(),
    };
    Some(vec![DataType::Int64, total])
}

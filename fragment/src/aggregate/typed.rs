//! count, min and max, and sums of numerics, in typed vectors.

use std::{fmt, ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryBuilder, BooleanArray, Int64Array, PrimitiveArray},
    datatypes::{DataType, Date32Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType},
};
use datafusion::common::Result;
use proto::{SqlError, SqlResult};
use schema::{Numeric, Oid};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{AggregateSpec, Groups, rowwise::passes};
use crate::{
    error::to_datafusion,
    numeric::{Value, value_at},
    types::arrow_type,
};

/// The typed implementation of a call, if there is one.
pub(super) fn find(spec: &AggregateSpec) -> Option<Box<dyn Groups>> {
    let result = spec.result.oid;
    match (spec.function.name, &spec.args[..]) {
        ("count", args) if args.len() <= 1 => Some(Box::new(Counts { counts: Vec::new(), argument: !args.is_empty() })),
        ("sum" | "avg", [only]) if only.oid == Oid::NUMERIC && result == Oid::NUMERIC => {
            Some(Box::new(NumericSums { totals: Vec::new(), average: spec.function.name == "avg" }))
        }
        (name @ ("min" | "max"), [only]) if only.oid == result => extreme(name == "max", result),
        _ => None,
    }
}

/// Arrow types of its state.
pub(super) fn state_types(spec: &AggregateSpec) -> Option<Vec<DataType>> {
    find(spec)?;
    Some(match spec.function.name {
        "count" => vec![DataType::Int64],
        "sum" | "avg" => vec![DataType::Int64, DataType::Binary],
        _ => vec![arrow_type(spec.result.oid)],
    })
}

fn extreme(max: bool, oid: Oid) -> Option<Box<dyn Groups>> {
    Some(match oid {
        Oid::INT2 => Extremes::<Int16Type>::boxed(max, oid),
        Oid::INT4 => Extremes::<Int32Type>::boxed(max, oid),
        Oid::INT8 => Extremes::<Int64Type>::boxed(max, oid),
        Oid::DATE => Extremes::<Date32Type>::boxed(max, oid),
        Oid::TIMESTAMP | Oid::TIMESTAMPTZ => Extremes::<TimestampMicrosecondType>::boxed(max, oid),
        Oid::NUMERIC => Box::new(NumericExtremes { values: Vec::new(), max }),
        _ => return None,
    })
}

/// Number of rows, or of rows whose argument is not NULL.
#[derive(Debug)]
struct Counts {
    counts: Vec<i64>,
    argument: bool,
}

impl Groups for Counts {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups.max(self.counts.len()), 0);
    }

    fn update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> Result<()> {
        let nulls = values.first().filter(|array| self.argument && array.null_count() > 0);
        if nulls.is_none() && filter.is_none() {
            groups.iter().for_each(|group| self.counts[*group] += 1);
            return Ok(());
        }
        for (row, group) in groups.iter().enumerate() {
            let counts = nulls.is_none_or(|array| array.is_valid(row)) && passes(filter, row);
            self.counts[*group] += i64::from(counts);
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let counts = states[0].as_primitive::<Int64Type>();
        for (count, group) in counts.values().iter().zip(groups) {
            self.counts[*group] += count;
        }
        Ok(())
    }

    fn state(&self, range: Range<usize>) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.result(range)?])
    }

    fn result(&self, range: Range<usize>) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(self.counts[range].to_vec())))
    }

    fn drop_first(&mut self, groups: usize) {
        self.counts.drain(..groups);
    }

    fn groups(&self) -> usize {
        self.counts.len()
    }

    fn size(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
    }

    fn fresh(&self) -> Box<dyn Groups> {
        Box::new(Self { counts: Vec::new(), argument: self.argument })
    }
}

/// Count and sum of numerics.
#[derive(Debug)]
struct NumericSums {
    totals: Vec<(i64, Value)>,
    average: bool,
}

impl NumericSums {
    fn add(&mut self, group: usize, count: i64, value: &Value) -> SqlResult<()> {
        let (rows, total) = &mut self.totals[group];
        *rows += count;
        *total = total.add(value)?;
        Ok(())
    }

    fn try_update(&mut self, values: &ArrayRef, groups: &[usize], filter: Option<&BooleanArray>) -> SqlResult<()> {
        let values = values.as_binary::<i32>();
        for (row, group) in groups.iter().enumerate() {
            if passes(filter, row)
                && let Some(value) = value_at(values, row)?
            {
                self.add(*group, 1, &value)?;
            }
        }
        Ok(())
    }

    fn try_merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> SqlResult<()> {
        let counts = states[0].as_primitive::<Int64Type>();
        let sums = states[1].as_binary::<i32>();
        for (row, group) in groups.iter().enumerate() {
            if let Some(value) = value_at(sums, row)? {
                self.add(*group, counts.value(row), &value)?;
            }
        }
        Ok(())
    }

    fn try_result(&self, range: Range<usize>) -> SqlResult<ArrayRef> {
        let mut builder = BinaryBuilder::with_capacity(range.len(), range.len() * 16);
        for (count, total) in &self.totals[range] {
            match (count, self.average) {
                (0, _) => builder.append_null(),
                (_, false) => total.append(&mut builder),
                (count, true) => {
                    let count = Numeric::Small { digits: (*count).into(), scale: 0 };
                    Value::from(total.to_numeric().div(&count)?).append(&mut builder);
                }
            }
        }
        Ok(Arc::new(builder.finish()))
    }
}

impl Groups for NumericSums {
    fn resize(&mut self, groups: usize) {
        self.totals.resize(groups.max(self.totals.len()), (0, Value::Small(0, 0)));
    }

    fn update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> Result<()> {
        self.try_update(&values[0], groups, filter).map_err(to_datafusion)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        if states.len() != 2 {
            return Err(to_datafusion(SqlError::internal("aggregate state is malformed")));
        }
        self.try_merge(states, groups).map_err(to_datafusion)
    }

    fn state(&self, range: Range<usize>) -> Result<Vec<ArrayRef>> {
        let totals = &self.totals[range];
        let mut sums = BinaryBuilder::with_capacity(totals.len(), totals.len() * 16);
        totals.iter().for_each(|(_, total)| total.append(&mut sums));
        let counts = Int64Array::from_iter_values(totals.iter().map(|(count, _)| *count));
        Ok(vec![Arc::new(counts), Arc::new(sums.finish())])
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
        self.totals.capacity() * size_of::<(i64, Value)>()
    }

    fn fresh(&self) -> Box<dyn Groups> {
        Box::new(Self { totals: Vec::new(), average: self.average })
    }
}

/// Smallest or greatest value of a type whose Arrow values order as the type does.
#[derive(Debug)]
struct Extremes<T: ArrowPrimitiveType> {
    values: Vec<Option<T::Native>>,
    max: bool,
    oid: Oid,
}

impl<T: ArrowPrimitiveType + fmt::Debug> Extremes<T>
where
    T::Native: Ord,
{
    fn boxed(max: bool, oid: Oid) -> Box<dyn Groups> {
        Box::new(Self { values: Vec::new(), max, oid })
    }
}

impl<T: ArrowPrimitiveType + fmt::Debug> Groups for Extremes<T>
where
    T::Native: Ord,
{
    fn resize(&mut self, groups: usize) {
        self.values.resize(groups.max(self.values.len()), None);
    }

    fn update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        for (row, group) in groups.iter().enumerate() {
            if values.is_null(row) || !passes(filter, row) {
                continue;
            }
            let value = values.value(row);
            let best = &mut self.values[*group];
            if best.is_none_or(|best| if self.max { value > best } else { value < best }) {
                *best = Some(value);
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.update(states, groups, None)
    }

    fn state(&self, range: Range<usize>) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.result(range)?])
    }

    fn result(&self, range: Range<usize>) -> Result<ArrayRef> {
        let values: PrimitiveArray<T> = self.values[range].iter().copied().collect();
        Ok(Arc::new(values.with_data_type(arrow_type(self.oid))))
    }

    fn drop_first(&mut self, groups: usize) {
        self.values.drain(..groups);
    }

    fn groups(&self) -> usize {
        self.values.len()
    }

    fn size(&self) -> usize {
        self.values.capacity() * size_of::<Option<T::Native>>()
    }

    fn fresh(&self) -> Box<dyn Groups> {
        Self::boxed(self.max, self.oid)
    }
}

/// Smallest or greatest numeric.
#[derive(Debug)]
struct NumericExtremes {
    values: Vec<Option<Value>>,
    max: bool,
}

impl NumericExtremes {
    fn try_update(&mut self, values: &ArrayRef, groups: &[usize], filter: Option<&BooleanArray>) -> SqlResult<()> {
        let values = values.as_binary::<i32>();
        for (row, group) in groups.iter().enumerate() {
            if !passes(filter, row) {
                continue;
            }
            let Some(value) = value_at(values, row)? else { continue };
            let best = &mut self.values[*group];
            let better = best.as_ref().is_none_or(|best| {
                let order = value.compare(best);
                if self.max { order.is_gt() } else { order.is_lt() }
            });
            if better {
                *best = Some(value);
            }
        }
        Ok(())
    }
}

impl Groups for NumericExtremes {
    fn resize(&mut self, groups: usize) {
        self.values.resize(groups.max(self.values.len()), None);
    }

    fn update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> Result<()> {
        self.try_update(&values[0], groups, filter).map_err(to_datafusion)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.update(states, groups, None)
    }

    fn state(&self, range: Range<usize>) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.result(range)?])
    }

    fn result(&self, range: Range<usize>) -> Result<ArrayRef> {
        let mut builder = BinaryBuilder::with_capacity(range.len(), range.len() * 16);
        for value in &self.values[range] {
            match value {
                Some(value) => value.append(&mut builder),
                None => builder.append_null(),
            }
        }
        Ok(Arc::new(builder.finish()))
    }

    fn drop_first(&mut self, groups: usize) {
        self.values.drain(..groups);
    }

    fn groups(&self) -> usize {
        self.values.len()
    }

    fn size(&self) -> usize {
        self.values.capacity() * size_of::<Option<Value>>()
    }

    fn fresh(&self) -> Box<dyn Groups> {
        Box::new(Self { values: Vec::new(), max: self.max })
    }
}

//! Aggregates without a typed implementation: one built-in accumulator a group, fed with datums.

use std::{ops::Range, sync::Arc};

use arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::common::Result;
use proto::SqlResult;
use schema::{Datum, Oid, functions::Accumulator};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{AggregateSpec, Groups};
use crate::{builder::ColumnBuilder, column::Column, error::to_datafusion};

/// Estimated bytes of one accumulator; they do not tell.
const ACCUMULATOR_BYTES: usize = 128;

#[derive(Debug)]
pub(super) struct Rowwise {
    spec: AggregateSpec,
    groups: Vec<Box<dyn Accumulator>>,
}

/// Whether a row of a filtered update counts.
pub(super) fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

pub(super) fn columns<'a>(types: &[Oid], values: &'a [ArrayRef]) -> SqlResult<Vec<Column<'a>>> {
    types.iter().zip(values).map(|(oid, array)| Column::new(*oid, array.as_ref())).collect()
}

impl Rowwise {
    pub(super) fn new(spec: AggregateSpec) -> Self {
        Self { spec, groups: Vec::new() }
    }

    fn try_update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> SqlResult<()> {
        let types: Vec<Oid> = self.spec.args.iter().map(|arg| arg.oid).collect();
        let columns = columns(&types, values)?;
        let mut args = vec![Datum::Null; columns.len()];
        for (row, group) in groups.iter().enumerate() {
            if !passes(filter, row) || (self.spec.function.strict && columns.iter().any(|column| column.is_null(row))) {
                continue;
            }
            for (arg, column) in args.iter_mut().zip(&columns) {
                *arg = column.datum(row)?;
            }
            self.groups[*group].update(&args)?;
        }
        Ok(())
    }

    fn try_merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> SqlResult<()> {
        let columns = columns(self.spec.function.state, states)?;
        let mut state = vec![Datum::Null; columns.len()];
        for (row, group) in groups.iter().enumerate() {
            for (value, column) in state.iter_mut().zip(&columns) {
                *value = column.datum(row)?;
            }
            self.groups[*group].merge(&state)?;
        }
        Ok(())
    }

    fn try_state(&self, range: Range<usize>) -> SqlResult<Vec<ArrayRef>> {
        let types = self.spec.function.state;
        let mut builders: Vec<_> = types.iter().map(|oid| ColumnBuilder::new(*oid, range.len())).collect();
        for group in &self.groups[range] {
            for (builder, value) in builders.iter_mut().zip(group.state()?) {
                builder.append(&value)?;
            }
        }
        Ok(builders.iter_mut().map(ColumnBuilder::finish).collect())
    }

    fn try_result(&self, range: Range<usize>) -> SqlResult<ArrayRef> {
        let mut builder = ColumnBuilder::new(self.spec.result.oid, range.len());
        for group in &self.groups[range] {
            builder.append(&group.finish()?)?;
        }
        Ok(builder.finish())
    }
}

impl Groups for Rowwise {
    fn resize(&mut self, groups: usize) {
        let spec = &self.spec;
        self.groups.resize_with(groups.max(self.groups.len()), || (spec.function.accumulator)(&spec.args));
    }

    fn update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> Result<()> {
        self.try_update(values, groups, filter).map_err(to_datafusion)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.try_merge(states, groups).map_err(to_datafusion)
    }

    fn state(&self, range: Range<usize>) -> Result<Vec<ArrayRef>> {
        self.try_state(range).map_err(to_datafusion)
    }

    fn result(&self, range: Range<usize>) -> Result<ArrayRef> {
        self.try_result(range).map_err(to_datafusion)
    }

    fn drop_first(&mut self, groups: usize) {
        self.groups.drain(..groups);
    }

    fn groups(&self) -> usize {
        self.groups.len()
    }

    fn size(&self) -> usize {
        self.groups.len() * ACCUMULATOR_BYTES
    }

    fn fresh(&self) -> Box<dyn Groups> {
        Box::new(Self::new(self.spec.clone()))
    }
}

/// Builds a Binary array of one blob a group.
pub(super) fn blobs(values: impl ExactSizeIterator<Item = Vec<u8>>) -> ArrayRef {
    let mut builder = arrow::array::BinaryBuilder::with_capacity(values.len(), values.len() * 64);
    values.for_each(|value| builder.append_value(value));
    Arc::new(builder.finish())
}

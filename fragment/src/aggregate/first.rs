//! The value of a group's first row: what a group expression shows when rows are grouped by its key.

use std::{ops::Range, sync::Arc};

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, new_null_array};
use arrow::compute::concat;
use datafusion::common::Result;
use proto::{SqlError, SqlResult};
use schema::{
    Datum, Oid, SqlType,
    functions::{Accumulator, Aggregate},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Groups, rowwise::passes};
use crate::{error::to_datafusion, types::arrow_type};

/// Key of the aggregate in serialized fragments.
pub(crate) const FIRST_KEY: &str = "first_row";

/// The aggregate. It is no SQL function: only lowering makes calls of it.
pub static FIRST: Aggregate = Aggregate {
    name: FIRST_KEY,
    args: &[Oid::ANYELEMENT],
    variadic: None,
    result: Oid::ANYELEMENT,
    state: &[Oid::ANYELEMENT],
    strict: false,
    accumulator: |_: &[SqlType]| Box::new(Unused),
};

/// `FIRST` always runs column-wise.
#[derive(Debug)]
struct Unused;

fn unused<T>() -> SqlResult<T> {
    Err(SqlError::internal("first_row runs column-wise"))
}

impl Accumulator for Unused {
    fn update(&mut self, _: &[Datum]) -> SqlResult<()> {
        unused()
    }
    fn state(&self) -> SqlResult<Vec<Datum>> {
        unused()
    }
    fn merge(&mut self, _: &[Datum]) -> SqlResult<()> {
        unused()
    }
    fn finish(&self) -> SqlResult<Datum> {
        unused()
    }
}

/// One slice of one row for each group.
#[derive(Debug)]
pub(super) struct First {
    oid: Oid,
    /// Variable-length values are copied, so that a group does not keep its whole batch alive.
    values: Vec<Option<ArrayRef>>,
    bytes: Vec<Option<Option<Box<[u8]>>>>,
    binary: bool,
}

impl First {
    pub(super) fn new(oid: Oid) -> Self {
        let binary = arrow_type(oid) == arrow::datatypes::DataType::Binary;
        Self { oid, values: Vec::new(), bytes: Vec::new(), binary }
    }

    fn take(&mut self, values: &ArrayRef, row: usize, group: usize) {
        if self.binary {
            let values = values.as_binary::<i32>();
            self.bytes[group] = Some(values.is_valid(row).then(|| values.value(row).into()));
        } else {
            // A copy of one row: `slice` alone would share the batch.
            let one = values.slice(row, 1);
            let copied = concat(&[one.as_ref()]).ok();
            self.values[group] = copied.or(Some(one));
        }
    }

    fn is_set(&self, group: usize) -> bool {
        if self.binary { self.bytes[group].is_some() } else { self.values[group].is_some() }
    }

    fn collect(&self, range: Range<usize>) -> Result<ArrayRef> {
        if self.binary {
            let mut builder = BinaryBuilder::with_capacity(range.len(), range.len() * 16);
            for value in &self.bytes[range] {
                builder.append_option(value.as_ref().and_then(Option::as_deref));
            }
            return Ok(Arc::new(builder.finish()));
        }
        let null = new_null_array(&arrow_type(self.oid), 1);
        let parts: Vec<&dyn Array> =
            self.values[range].iter().map(|value| value.as_ref().unwrap_or(&null).as_ref()).collect();
        if parts.is_empty() {
            return Ok(null.slice(0, 0));
        }
        concat(&parts).map_err(|error| to_datafusion(crate::error::from_arrow(&error)))
    }
}

impl Groups for First {
    fn resize(&mut self, groups: usize) {
        if self.binary {
            self.bytes.resize(groups.max(self.bytes.len()), None);
        } else {
            self.values.resize(groups.max(self.values.len()), None);
        }
    }

    fn update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> Result<()> {
        for (row, group) in groups.iter().enumerate() {
            if !self.is_set(*group) && passes(filter, row) {
                self.take(&values[0], row, *group);
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.update(states, groups, None)
    }

    fn state(&self, range: Range<usize>) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.collect(range)?])
    }

    fn result(&self, range: Range<usize>) -> Result<ArrayRef> {
        self.collect(range)
    }

    fn drop_first(&mut self, groups: usize) {
        if self.binary {
            self.bytes.drain(..groups);
        } else {
            self.values.drain(..groups);
        }
    }

    fn groups(&self) -> usize {
        if self.binary { self.bytes.len() } else { self.values.len() }
    }

    fn size(&self) -> usize {
        self.bytes.iter().flatten().flatten().map(|bytes| bytes.len() + 32).sum::<usize>() + self.values.len() * 128
    }

    fn fresh(&self) -> Box<dyn Groups> {
        Box::new(Self::new(self.oid))
    }
}

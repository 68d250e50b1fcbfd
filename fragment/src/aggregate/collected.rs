//! DISTINCT and ORDER BY inside an aggregate call: rows are collected by sort key and fed in order at the end.
//!
//! DISTINCT without ORDER BY feeds in order of the arguments, as PostgreSQL's sort does.

use std::{collections::BTreeMap, ops::Range};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::common::Result;
use proto::{SqlError, SqlResult};
use schema::{
    Datum, Oid,
    row::{decode_payload, encode_payload},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    AggregateSpec, CallOrder, Groups,
    rowwise::{blobs, columns, passes},
};
use crate::{builder::ColumnBuilder, error::to_datafusion, registry};

/// Estimated bytes of one collected row beside its key.
const ROW_BYTES: usize = 96;

#[derive(Debug)]
pub(super) struct Collected {
    spec: AggregateSpec,
    groups: Vec<Group>,
    bytes: usize,
}

/// Rows by sort key; equal keys keep the order in which they came.
type Group = BTreeMap<Vec<u8>, Vec<Vec<Datum>>>;

/// Appends a sort key: a marker for NULL, then canonical bytes, inverted for DESC.
fn write_key(oid: Oid, order: CallOrder, value: &Datum, out: &mut Vec<u8>) -> SqlResult<()> {
    if value.is_null() {
        out.push(if order.nulls_first { 0 } else { 2 });
        return Ok(());
    }
    out.push(1);
    let start = out.len();
    registry::canonical_key(oid, value, out)?;
    if order.descending {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(())
}

impl Collected {
    pub(super) fn new(spec: AggregateSpec) -> Self {
        Self { spec, groups: Vec::new(), bytes: 0 }
    }

    fn insert(&mut self, group: usize, row: Vec<Datum>) -> SqlResult<()> {
        let arity = self.spec.arity();
        let mut key = Vec::with_capacity(16);
        for (at, order) in self.spec.order.iter().enumerate() {
            write_key(self.spec.args[arity + at].oid, *order, &row[arity + at], &mut key)?;
        }
        if self.spec.distinct {
            let ascending = CallOrder { descending: false, nulls_first: false };
            for (sql_type, value) in self.spec.args[..arity].iter().zip(&row) {
                write_key(sql_type.oid, ascending, value, &mut key)?;
            }
        }
        self.bytes += key.len() + ROW_BYTES;
        let rows = self.groups[group].entry(key).or_default();
        if !self.spec.distinct || rows.is_empty() {
            rows.push(row);
        }
        Ok(())
    }

    fn try_update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> SqlResult<()> {
        let types: Vec<Oid> = self.spec.args.iter().map(|arg| arg.oid).collect();
        let columns = columns(&types, values)?;
        let arity = self.spec.arity();
        for (row, group) in groups.iter().enumerate() {
            let skip = self.spec.function.strict && columns[..arity].iter().any(|column| column.is_null(row));
            if skip || !passes(filter, row) {
                continue;
            }
            self.insert(*group, columns.iter().map(|column| column.datum(row)).collect::<SqlResult<_>>()?)?;
        }
        Ok(())
    }

    /// A group's rows as one record of records.
    fn encode(group: &Group) -> Vec<u8> {
        let record = |row: &Vec<Datum>| {
            (Oid::RECORD, Datum::Record(row.iter().map(|value| (Oid::INVALID, value.clone())).collect()))
        };
        let rows = group.values().flatten().map(record).collect();
        let mut bytes = Vec::new();
        encode_payload(&Datum::Record(rows), &mut bytes);
        bytes
    }

    fn try_merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> SqlResult<()> {
        let malformed = || SqlError::internal("aggregate state is malformed");
        let blobs = states.first().and_then(|array| array.as_binary_opt::<i32>()).ok_or_else(malformed)?;
        for (row, group) in groups.iter().enumerate() {
            if blobs.is_null(row) {
                continue;
            }
            let Datum::Record(rows) = decode_payload(blobs.value(row))? else { return Err(malformed()) };
            for (_, row) in rows.iter() {
                let Datum::Record(values) = row else { return Err(malformed()) };
                if values.len() != self.spec.args.len() {
                    return Err(malformed());
                }
                self.insert(*group, values.iter().map(|(_, value)| value.clone()).collect())?;
            }
        }
        Ok(())
    }

    fn try_result(&self, range: Range<usize>) -> SqlResult<ArrayRef> {
        let arity = self.spec.arity();
        let mut builder = ColumnBuilder::new(self.spec.result.oid, range.len());
        for group in &self.groups[range] {
            let mut accumulator = (self.spec.function.accumulator)(&self.spec.args[..arity]);
            for row in group.values().flatten() {
                accumulator.update(&row[..arity])?;
            }
            builder.append(&accumulator.finish()?)?;
        }
        Ok(builder.finish())
    }
}

impl Groups for Collected {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups.max(self.groups.len()), Group::new);
    }

    fn update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> Result<()> {
        self.try_update(values, groups, filter).map_err(to_datafusion)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.try_merge(states, groups).map_err(to_datafusion)
    }

    fn state(&self, range: Range<usize>) -> Result<Vec<ArrayRef>> {
        Ok(vec![blobs(self.groups[range].iter().map(Self::encode))])
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
        self.bytes
    }

    fn fresh(&self) -> Box<dyn Groups> {
        Box::new(Self::new(self.spec.clone()))
    }
}

//! DISTINCT ON, and DISTINCT over sorted rows: the first row of each key, in input order.

use std::sync::Arc;

use ahash::AHashSet;
use arrow::{
    array::{ArrayRef, BooleanArray},
    compute::filter_record_batch,
    record_batch::RecordBatch,
    row::{RowConverter, SortField},
};
use datafusion::{
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    physical_expr::PhysicalExprRef,
};
use fragment::from_arrow;
use futures::StreamExt;
use proto::SqlResult;
use sharddb_fragment as fragment;
use sharddb_proto as proto;

use super::{Inputs, Operator};
use crate::general::context::failed;

/// Bytes that a kept key needs besides its own.
pub(super) const KEY_OVERHEAD: usize = 48;

/// Keeps the first row of each key.
#[derive(Debug)]
pub(in crate::general) struct Dedup {
    /// The key.
    pub(in crate::general) keys: Vec<PhysicalExprRef>,
}

impl Operator for Dedup {
    fn name(&self) -> &'static str {
        "Unique"
    }

    fn open(&self, mut inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let input = inputs.single();
        let mut seen = SeenKeys::new(self.keys.clone(), inputs.reservation());
        let batches = input.map(move |batch| seen.keep_new(&batch.map_err(failed)?));
        Ok(inputs.answer(batches))
    }
}

/// Keys of rows seen so far.
pub(super) struct SeenKeys {
    keys: Vec<PhysicalExprRef>,
    converter: Option<RowConverter>,
    seen: AHashSet<Box<[u8]>>,
    memory: MemoryReservation,
}

impl SeenKeys {
    pub(super) fn new(keys: Vec<PhysicalExprRef>, memory: MemoryReservation) -> Self {
        Self { keys, converter: None, seen: AHashSet::new(), memory }
    }

    /// The rows of a batch whose keys are new.
    pub(super) fn keep_new(&mut self, batch: &RecordBatch) -> SqlResult<RecordBatch> {
        let keys = row_keys(&self.keys, batch, &mut self.converter)?;
        let mut kept = Vec::with_capacity(batch.num_rows());
        let mut bytes = 0;
        for row in 0..batch.num_rows() {
            let key = keys.row(row);
            let new = !self.seen.contains(key);
            if new {
                bytes += key.len() + KEY_OVERHEAD;
                self.seen.insert(key.into());
            }
            kept.push(new);
        }
        self.memory.try_grow(bytes).map_err(failed)?;
        filter_record_batch(batch, &BooleanArray::from(kept)).map_err(|error| from_arrow(&error))
    }
}

/// Keys of a batch's rows as bytes that are equal exactly for equal keys; NULLs equal each other.
pub(super) enum RowKeys {
    Rows(arrow::row::Rows),
    /// Without key columns every row has the same key.
    Nothing,
}

impl RowKeys {
    pub(super) fn row(&self, row: usize) -> &[u8] {
        match self {
            Self::Rows(rows) => rows.row(row).data(),
            Self::Nothing => &[],
        }
    }
}

/// Evaluates the keys of a batch.
pub(super) fn row_keys(
    keys: &[PhysicalExprRef],
    batch: &RecordBatch,
    converter: &mut Option<RowConverter>,
) -> SqlResult<RowKeys> {
    if keys.is_empty() {
        return Ok(RowKeys::Nothing);
    }
    let columns = evaluate(keys, batch)?;
    let converter = match converter {
        Some(converter) => converter,
        empty => {
            let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
            empty.insert(RowConverter::new(fields).map_err(|error| from_arrow(&error))?)
        }
    };
    converter.convert_columns(&columns).map(RowKeys::Rows).map_err(|error| from_arrow(&error))
}

/// Values of expressions over a batch.
pub(super) fn evaluate(exprs: &[PhysicalExprRef], batch: &RecordBatch) -> SqlResult<Vec<ArrayRef>> {
    let rows = batch.num_rows();
    let value = |expr: &PhysicalExprRef| expr.evaluate(batch).and_then(|value| value.into_array(rows)).map_err(failed);
    exprs.iter().map(value).collect()
}

/// A batch under another schema of the same types.
pub(super) fn relabel(batch: RecordBatch, schema: &arrow::datatypes::SchemaRef) -> SqlResult<RecordBatch> {
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)
        .map_err(|error| from_arrow(&error))
}

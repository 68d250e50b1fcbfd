//! INTERSECT and EXCEPT, with and without ALL.
//!
//! The right side is counted by row; then each left row decides by the count that is left.

use ahash::AHashMap;
use arrow::{array::BooleanArray, compute::filter_record_batch, record_batch::RecordBatch, row::RowConverter};
use datafusion::{
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    physical_expr::PhysicalExprRef,
};
use fragment::from_arrow;
use futures::StreamExt;
use proto::SqlResult;
use sharddb_fragment as fragment;
use sharddb_proto as proto;

use super::{
    Inputs, Operator,
    dedup::{KEY_OVERHEAD, relabel, row_keys},
};
use crate::general::context::failed;

/// INTERSECT or EXCEPT of two inputs of the same types.
#[derive(Debug)]
pub(in crate::general) struct SetOperation {
    pub(in crate::general) except: bool,
    pub(in crate::general) all: bool,
    /// Keys of all columns, on either side.
    pub(in crate::general) left_keys: Vec<PhysicalExprRef>,
    pub(in crate::general) right_keys: Vec<PhysicalExprRef>,
}

/// Rows of the right side that stand against left rows.
struct Counts {
    except: bool,
    all: bool,
    counts: AHashMap<Box<[u8]>, u64>,
    memory: MemoryReservation,
    converter: Option<RowConverter>,
}

struct State {
    left: SendableRecordBatchStream,
    /// Taken when it has been counted.
    right: Option<SendableRecordBatchStream>,
    left_keys: Vec<PhysicalExprRef>,
    right_keys: Vec<PhysicalExprRef>,
    schema: arrow::datatypes::SchemaRef,
    counts: Counts,
}

impl Operator for SetOperation {
    fn name(&self) -> &'static str {
        if self.except { "Except" } else { "Intersect" }
    }

    fn open(&self, mut inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let right = inputs.streams.pop();
        let counts = Counts {
            except: self.except,
            all: self.all,
            counts: AHashMap::new(),
            memory: inputs.reservation(),
            converter: None,
        };
        let state = State {
            left: inputs.single(),
            right,
            left_keys: self.left_keys.clone(),
            right_keys: self.right_keys.clone(),
            schema: inputs.schema.clone(),
            counts,
        };
        let batches = futures::stream::try_unfold(state, |mut state| async move {
            let batch = state.next().await?;
            Ok(batch.map(|batch| (batch, state)))
        });
        Ok(inputs.answer(batches))
    }
}

impl State {
    async fn next(&mut self) -> SqlResult<Option<RecordBatch>> {
        if let Some(mut right) = self.right.take() {
            while let Some(batch) = right.next().await {
                self.counts.add(&self.right_keys, &batch.map_err(failed)?)?;
            }
        }
        let Some(batch) = self.left.next().await else { return Ok(None) };
        let batch = self.counts.pass(&self.left_keys, &batch.map_err(failed)?)?;
        relabel(batch, &self.schema).map(Some)
    }
}

impl Counts {
    fn add(&mut self, keys: &[PhysicalExprRef], batch: &RecordBatch) -> SqlResult<()> {
        let keys = row_keys(keys, batch, &mut self.converter)?;
        let mut bytes = 0;
        for row in 0..batch.num_rows() {
            let key = keys.row(row);
            match self.counts.get_mut(key) {
                Some(count) => *count += 1,
                None => {
                    bytes += key.len() + KEY_OVERHEAD;
                    self.counts.insert(key.into(), 1);
                }
            }
        }
        self.memory.try_grow(bytes).map_err(failed)
    }

    /// The left rows that are in the result.
    fn pass(&mut self, keys: &[PhysicalExprRef], batch: &RecordBatch) -> SqlResult<RecordBatch> {
        let keys = row_keys(keys, batch, &mut self.converter)?;
        let mut bytes = 0;
        let mut kept = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            kept.push(self.passes(keys.row(row), &mut bytes));
        }
        self.memory.try_grow(bytes).map_err(failed)?;
        filter_record_batch(batch, &BooleanArray::from(kept)).map_err(|error| from_arrow(&error))
    }

    fn passes(&mut self, key: &[u8], bytes: &mut usize) -> bool {
        match (self.except, self.all, self.counts.get_mut(key)) {
            // Every right row takes one left row away.
            (true, true, Some(count)) if *count > 0 => {
                *count -= 1;
                false
            }
            (true, true, _) => true,
            // A row that was given out once counts as present from then on.
            (true, false, Some(_)) => false,
            (true, false, None) => {
                *bytes += key.len() + KEY_OVERHEAD;
                self.counts.insert(key.into(), 1);
                true
            }
            (false, all, Some(count)) if *count > 0 => {
                *count = if all { *count - 1 } else { 0 };
                true
            }
            (false, _, _) => false,
        }
    }
}

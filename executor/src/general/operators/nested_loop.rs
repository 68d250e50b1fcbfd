//! Joins without an equality to hash by: every pair of rows is looked at.
//!
//! One side is kept, the other streams past it. Pairs are made in portions, and between portions the operator gives way,
//! so that a statement of any size can be cancelled.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, UInt32Array},
    compute::{concat_batches, filter_record_batch, take},
    datatypes::SchemaRef,
    record_batch::RecordBatch,
};
use datafusion::{
    common::JoinSide,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    physical_plan::joins::utils::JoinFilter,
};
use fragment::from_arrow;
use futures::StreamExt;
use proto::SqlResult;
use sharddb_fragment as fragment;
use sharddb_proto as proto;

use super::{Inputs, Operator, rows::batch};
use crate::general::{context::failed, ir::Join};

/// Pairs looked at between two chances to cancel: some milliseconds at most.
const PORTION: usize = 1 << 16;

/// A join by comparing each pair. Inputs: left, right.
#[derive(Debug)]
pub(in crate::general) struct NestedLoop {
    pub(in crate::general) kind: Join,
    /// The right side is kept and the left one streams; otherwise the other way round.
    pub(in crate::general) keep_right: bool,
    pub(in crate::general) filter: Option<Arc<JoinFilter>>,
}

struct Run {
    kind: Join,
    keep_right: bool,
    filter: Option<Arc<JoinFilter>>,
    schema: SchemaRef,
    memory: MemoryReservation,
    kept_input: Option<SendableRecordBatchStream>,
    kept_schema: SchemaRef,
    stream: SendableRecordBatchStream,
    kept: RecordBatch,
    kept_matched: BooleanBufferBuilder,
    /// The streamed batch, which of its rows have matched, and the next pairs to look at.
    present: Option<Present>,
    ended: bool,
}

struct Present {
    batch: RecordBatch,
    matched: BooleanBufferBuilder,
    row: usize,
    kept_row: usize,
}

impl Operator for NestedLoop {
    fn name(&self) -> &'static str {
        "Nested Loop"
    }

    fn open(&self, mut inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let memory = inputs.reservation();
        let mut streams = std::mem::take(&mut inputs.streams).into_iter();
        let (Some(left), Some(right)) = (streams.next(), streams.next()) else {
            return Err(proto::SqlError::internal("a join has two inputs"));
        };
        let (kept, stream) = if self.keep_right { (right, left) } else { (left, right) };
        let run = Run {
            kind: self.kind,
            keep_right: self.keep_right,
            filter: self.filter.clone(),
            schema: Arc::clone(&inputs.schema),
            memory,
            kept_schema: kept.schema(),
            kept: RecordBatch::new_empty(kept.schema()),
            kept_input: Some(kept),
            stream,
            kept_matched: BooleanBufferBuilder::new(0),
            present: None,
            ended: false,
        };
        let batches = futures::stream::try_unfold(run, |mut run| async move {
            let batch = run.next().await?;
            Ok(batch.map(|batch| (batch, run)))
        });
        Ok(inputs.answer(batches))
    }
}

impl Run {
    async fn next(&mut self) -> SqlResult<Option<RecordBatch>> {
        if let Some(input) = self.kept_input.take() {
            self.keep(input).await?;
        }
        while !self.ended {
            tokio::task::consume_budget().await;
            let output = match self.present.take() {
                Some(present) => self.portion(present)?,
                None => match self.stream.next().await {
                    Some(batch) => {
                        let batch = batch.map_err(failed)?;
                        let matched = unmatched(batch.num_rows());
                        self.present = Some(Present { batch, matched, row: 0, kept_row: 0 });
                        None
                    }
                    None => {
                        self.ended = true;
                        self.finish_kept()?
                    }
                },
            };
            if let Some(output) = output.filter(|output| output.num_rows() > 0) {
                return Ok(Some(output));
            }
        }
        Ok(None)
    }

    async fn keep(&mut self, mut input: SendableRecordBatchStream) -> SqlResult<()> {
        let mut batches = Vec::new();
        while let Some(batch) = input.next().await {
            let batch = batch.map_err(failed)?;
            // Once as it came and once joined into one.
            self.memory.try_grow(2 * batch.get_array_memory_size()).map_err(failed)?;
            batches.push(batch);
        }
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        self.kept = if self.kept_schema.fields().is_empty() {
            batch(&self.kept_schema, Vec::new(), rows)?
        } else {
            concat_batches(&self.kept_schema, &batches).map_err(|error| from_arrow(&error))?
        };
        self.kept_matched = unmatched(rows);
        Ok(())
    }

    /// Looks at the next pairs of the present batch.
    fn portion(&mut self, mut present: Present) -> SqlResult<Option<RecordBatch>> {
        let (rows, kept_rows) = (present.batch.num_rows(), self.kept.num_rows());
        if present.row >= rows || kept_rows == 0 {
            return self.finish_streamed(present);
        }
        let kept_end = kept_rows.min(present.kept_row + PORTION);
        let whole = present.kept_row == 0 && kept_end == kept_rows;
        let row_end = if whole { rows.min(present.row + (PORTION / kept_rows).max(1)) } else { present.row + 1 };
        let (streamed, kept) = pairs(present.row..row_end, present.kept_row..kept_end);
        if kept_end == kept_rows {
            (present.row, present.kept_row) = (row_end, 0);
        } else {
            present.kept_row = kept_end;
        }
        let (streamed, kept) = self.matching(&present.batch, streamed, kept)?;
        streamed.values().iter().for_each(|row| present.matched.set_bit(*row as usize, true));
        kept.values().iter().for_each(|row| self.kept_matched.set_bit(*row as usize, true));
        let joined = match self.kind {
            Join::Semi | Join::Anti => None,
            _ => Some(self.joined(&present.batch, &streamed, &kept)?),
        };
        self.present = Some(present);
        Ok(joined)
    }

    /// The pairs that pass the filter.
    fn matching(
        &self,
        streamed_batch: &RecordBatch,
        streamed: UInt32Array,
        kept: UInt32Array,
    ) -> SqlResult<(UInt32Array, UInt32Array)> {
        let Some(filter) = &self.filter else { return Ok((streamed, kept)) };
        let column = |at: &datafusion::physical_plan::joins::utils::ColumnIndex| {
            let from_kept = (at.side == JoinSide::Right) == self.keep_right;
            match from_kept {
                true => gather(self.kept.column(at.index), &kept),
                false => gather(streamed_batch.column(at.index), &streamed),
            }
        };
        let columns = filter.column_indices().iter().map(column).collect::<SqlResult<Vec<_>>>()?;
        let rows = batch(filter.schema(), columns, streamed.len())?;
        let passes = filter.expression().evaluate(&rows).and_then(|value| value.into_array(rows.num_rows()));
        let passes = passes.map_err(failed)?;
        let passes = passes.as_boolean();
        let keep = |indexes: &UInt32Array| -> SqlResult<UInt32Array> {
            let kept = arrow::compute::filter(indexes, passes).map_err(|error| from_arrow(&error))?;
            Ok(kept.as_primitive().clone())
        };
        Ok((keep(&streamed)?, keep(&kept)?))
    }

    /// Columns of pairs, left before right.
    fn joined(
        &self,
        streamed_batch: &RecordBatch,
        streamed: &UInt32Array,
        kept: &UInt32Array,
    ) -> SqlResult<RecordBatch> {
        let of = |batch: &RecordBatch, indexes: &UInt32Array| {
            batch.columns().iter().map(|column| gather(column, indexes)).collect::<SqlResult<Vec<_>>>()
        };
        let (streamed_columns, kept_columns) = (of(streamed_batch, streamed)?, of(&self.kept, kept)?);
        batch(&self.schema, self.in_order(streamed_columns, kept_columns), streamed.len())
    }

    fn in_order(&self, mut streamed: Vec<ArrayRef>, mut kept: Vec<ArrayRef>) -> Vec<ArrayRef> {
        if self.keep_right {
            streamed.append(&mut kept);
            streamed
        } else {
            kept.append(&mut streamed);
            kept
        }
    }

    /// What the rows of a streamed batch give that have met every kept row.
    fn finish_streamed(&mut self, mut present: Present) -> SqlResult<Option<RecordBatch>> {
        let is_left = self.keep_right;
        let matched = BooleanArray::new(present.matched.finish(), None);
        self.finish_side(&present.batch, &matched, is_left, false)
    }

    /// What the kept rows give that have met every streamed row.
    fn finish_kept(&mut self) -> SqlResult<Option<RecordBatch>> {
        let is_left = !self.keep_right;
        let matched = BooleanArray::new(self.kept_matched.finish(), None);
        let kept = self.kept.clone();
        self.finish_side(&kept, &matched, is_left, true)
    }

    fn finish_side(
        &self,
        rows: &RecordBatch,
        matched: &BooleanArray,
        is_left: bool,
        is_kept: bool,
    ) -> SqlResult<Option<RecordBatch>> {
        let wanted = match (self.kind, is_left) {
            (Join::Semi, true) => matched.clone(),
            (Join::Anti | Join::Left | Join::Full, true) | (Join::Right | Join::Full, false) => {
                arrow::compute::not(matched).map_err(|error| from_arrow(&error))?
            }
            _ => return Ok(None),
        };
        let rows = filter_record_batch(rows, &wanted).map_err(|error| from_arrow(&error))?;
        let count = rows.num_rows();
        let own: Vec<ArrayRef> = rows.columns().to_vec();
        if matches!(self.kind, Join::Semi | Join::Anti) {
            return batch(&self.schema, own, count).map(Some);
        }
        let others = self.schema.fields().len() - own.len();
        let fields = self.schema.fields();
        let other_fields = if is_left { &fields[own.len()..] } else { &fields[..others] };
        let nulls = other_fields.iter().map(|field| arrow::array::new_null_array(field.data_type(), count)).collect();
        let columns = if is_kept { self.in_order(nulls, own) } else { self.in_order(own, nulls) };
        batch(&self.schema, columns, count).map(Some)
    }
}

fn unmatched(rows: usize) -> BooleanBufferBuilder {
    let mut builder = BooleanBufferBuilder::new(rows);
    builder.append_n(rows, false);
    builder
}

/// Row numbers of every pair.
fn pairs(streamed: Range<usize>, kept: Range<usize>) -> (UInt32Array, UInt32Array) {
    let count = streamed.len() * kept.len();
    let (mut a, mut b) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for row in streamed {
        a.extend(std::iter::repeat_n(row as u32, kept.len()));
        b.extend(kept.clone().map(|row| row as u32));
    }
    (UInt32Array::from(a), UInt32Array::from(b))
}

fn gather(column: &ArrayRef, indexes: &UInt32Array) -> SqlResult<ArrayRef> {
    take(column.as_ref(), indexes, None).map_err(|error| from_arrow(&error))
}

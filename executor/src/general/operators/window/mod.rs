//! Window functions over rows that come sorted by partition and order.
//!
//! A partition is collected, each call is computed over it, and its rows go on with one more column for each call.
//! Memory for a partition is accounted; beyond the limit the statement fails with 53200.

mod builtin;
mod frame;
mod partition;

use std::sync::Arc;

use arrow::{
    array::ArrayRef, compute::concat_batches, datatypes::SchemaRef, record_batch::RecordBatch, row::RowConverter,
};
use datafusion::{
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    physical_expr::PhysicalExprRef,
};
use fragment::from_arrow;
use futures::StreamExt;
use planner::plan::{FrameUnit, WindowFunction};
use proto::SqlResult;
use schema::{Datum, SqlType};
use sharddb_fragment as fragment;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use self::partition::Partition;
use super::{
    Inputs, Operator,
    dedup::{evaluate, row_keys},
    rows::batch,
};
use crate::general::context::{Statement, failed};

/// Window calls that share partitioning and order.
#[derive(Debug)]
pub(in crate::general) struct Window {
    pub(in crate::general) statement: Arc<Statement>,
    /// Keys of PARTITION BY.
    pub(in crate::general) partition_by: Vec<PhysicalExprRef>,
    /// Keys of ORDER BY.
    pub(in crate::general) order_by: Vec<PhysicalExprRef>,
    pub(in crate::general) calls: Arc<Vec<WindowColumn>>,
}

/// One call, lowered.
#[derive(Debug)]
pub(in crate::general) struct WindowColumn {
    pub(in crate::general) function: WindowFunction,
    pub(in crate::general) args: Vec<PhysicalExprRef>,
    pub(in crate::general) arg_types: Vec<SqlType>,
    pub(in crate::general) filter: Option<PhysicalExprRef>,
    pub(in crate::general) frame: Frame,
    pub(in crate::general) sql_type: SqlType,
}

/// A frame with its offsets evaluated.
#[derive(Debug)]
pub(in crate::general) struct Frame {
    pub(in crate::general) unit: FrameUnit,
    pub(in crate::general) start: Bound,
    pub(in crate::general) end: Bound,
    /// For RANGE with an offset: the order column, its type and direction.
    pub(in crate::general) range: Option<RangeOrder>,
}

/// One end of a frame.
#[derive(Clone, Debug)]
pub(in crate::general) enum Bound {
    UnboundedPreceding,
    Preceding(Datum, SqlType),
    CurrentRow,
    Following(Datum, SqlType),
    UnboundedFollowing,
}

/// The column that RANGE offsets are counted in.
#[derive(Debug)]
pub(in crate::general) struct RangeOrder {
    pub(in crate::general) value: PhysicalExprRef,
    pub(in crate::general) sql_type: SqlType,
    pub(in crate::general) descending: bool,
}

struct Run {
    input: SendableRecordBatchStream,
    statement: Arc<Statement>,
    partition_by: Vec<PhysicalExprRef>,
    order_by: Vec<PhysicalExprRef>,
    calls: Arc<Vec<WindowColumn>>,
    schema: SchemaRef,
    size: usize,
    memory: MemoryReservation,
    converter: Option<RowConverter>,
    /// Rows of the partition being collected, and its key.
    collected: Vec<RecordBatch>,
    key: Vec<u8>,
    /// Finished output.
    ready: std::collections::VecDeque<RecordBatch>,
    ended: bool,
}

impl Operator for Window {
    fn name(&self) -> &'static str {
        "WindowAgg"
    }

    fn open(&self, mut inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let run = Run {
            input: inputs.single(),
            statement: Arc::clone(&self.statement),
            partition_by: self.partition_by.clone(),
            order_by: self.order_by.clone(),
            calls: Arc::clone(&self.calls),
            schema: Arc::clone(&inputs.schema),
            size: inputs.batch_rows(),
            memory: inputs.reservation(),
            converter: None,
            collected: Vec::new(),
            key: Vec::new(),
            ready: Default::default(),
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
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            match self.input.next().await {
                Some(batch) => self.take(&batch.map_err(failed)?)?,
                None => {
                    self.ended = true;
                    self.finish()?;
                }
            }
        }
    }

    /// Divides a batch by partition.
    fn take(&mut self, batch: &RecordBatch) -> SqlResult<()> {
        let keys = row_keys(&self.partition_by, batch, &mut self.converter)?;
        let mut start = 0;
        for row in 0..batch.num_rows() {
            let key = keys.row(row);
            if self.collected.is_empty() && row == start {
                self.key = key.to_vec();
            } else if *key != self.key {
                self.collect(batch.slice(start, row - start))?;
                self.finish()?;
                start = row;
                self.key = key.to_vec();
            }
        }
        self.collect(batch.slice(start, batch.num_rows() - start))
    }

    fn collect(&mut self, rows: RecordBatch) -> SqlResult<()> {
        if rows.num_rows() > 0 {
            // Slices share their batch: what counts is the part they show.
            self.memory.try_grow(slice_bytes(&rows)).map_err(failed)?;
            self.collected.push(rows);
        }
        Ok(())
    }

    /// Computes the collected partition.
    fn finish(&mut self) -> SqlResult<()> {
        let Some(first) = self.collected.first() else { return Ok(()) };
        let rows = concat_batches(&first.schema(), &self.collected).map_err(|error| from_arrow(&error))?;
        self.collected.clear();
        let partition = Partition::new(&rows, &self.order_by)?;
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for call in self.calls.iter() {
            let args = evaluate(&call.args, &rows)?;
            let filter =
                call.filter.as_ref().map(|filter| evaluate(std::slice::from_ref(filter), &rows)).transpose()?;
            columns.push(partition.compute(
                &self.statement.eval,
                call,
                &args,
                filter.as_ref().map(|f| &f[0]),
                &rows,
            )?);
        }
        let whole = batch(&self.schema, columns, rows.num_rows())?;
        for start in (0..whole.num_rows()).step_by(self.size) {
            self.ready.push_back(whole.slice(start, self.size.min(whole.num_rows() - start)));
        }
        self.memory.free();
        Ok(())
    }
}

fn slice_bytes(rows: &RecordBatch) -> usize {
    let bytes = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or_default();
    rows.columns().iter().map(bytes).sum()
}

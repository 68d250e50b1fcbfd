//! Rows that are not stored: VALUES, system catalog tables, LATERAL.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, UInt32Array},
    compute::{concat_batches, take},
    datatypes::SchemaRef,
    record_batch::{RecordBatch, RecordBatchOptions},
};
use datafusion::{execution::SendableRecordBatchStream, physical_expr::PhysicalExprRef};
use fragment::{ColumnBuilder, from_arrow, null_array};
use futures::{StreamExt, TryStreamExt, stream};
use proto::SqlResult;
use schema::{Datum, Oid};
use sharddb_fragment as fragment;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    Inputs, Operator, Subplan,
    dedup::{evaluate, relabel},
};
use crate::general::context::{Statement, failed};

/// Rows of expressions without columns.
#[derive(Debug)]
pub(in crate::general) struct ValuesRows {
    pub(in crate::general) rows: Arc<Vec<Vec<PhysicalExprRef>>>,
}

impl Operator for ValuesRows {
    fn name(&self) -> &'static str {
        "Values Scan"
    }

    fn open(&self, inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let schema = Arc::clone(&inputs.schema);
        let unit = unit_batch()?;
        let chunks: Vec<Vec<usize>> =
            (0..self.rows.len()).collect::<Vec<_>>().chunks(inputs.batch_rows()).map(<[usize]>::to_vec).collect();
        let rows = Arc::clone(&self.rows);
        let batches = stream::iter(chunks).map(move |chunk| {
            let one = |at: usize| -> SqlResult<RecordBatch> { batch(&schema, evaluate(&rows[at], &unit)?, 1) };
            let ones = chunk.into_iter().map(one).collect::<SqlResult<Vec<_>>>()?;
            concat_batches(&schema, &ones).map_err(|error| from_arrow(&error))
        });
        Ok(inputs.answer(batches))
    }
}

/// A batch of one row without columns.
pub(super) fn unit_batch() -> SqlResult<RecordBatch> {
    batch(&Arc::new(arrow::datatypes::Schema::empty()), Vec::new(), 1)
}

/// A batch of columns.
pub(super) fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> SqlResult<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|error| from_arrow(&error))
}

/// Arrays of rows of datums.
pub(in crate::general) fn batch_of(schema: &SchemaRef, types: &[Oid], rows: &[Vec<Datum>]) -> SqlResult<RecordBatch> {
    let mut columns = Vec::with_capacity(types.len());
    for (at, oid) in types.iter().enumerate() {
        let mut builder = ColumnBuilder::new(*oid, rows.len());
        for row in rows {
            builder.append(&row[at])?;
        }
        columns.push(builder.finish());
    }
    batch(schema, columns, rows.len())
}

/// Rows of a system catalog table.
#[derive(Debug)]
pub(in crate::general) struct VirtualRows {
    pub(in crate::general) statement: Arc<Statement>,
    pub(in crate::general) schema: String,
    pub(in crate::general) name: String,
    /// Positions of the columns read and the types of all of them.
    pub(in crate::general) columns: Vec<usize>,
    pub(in crate::general) types: Vec<Oid>,
}

impl Operator for VirtualRows {
    fn name(&self) -> &'static str {
        "Catalog Scan"
    }

    fn open(&self, inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let (statement, arrow) = (Arc::clone(&self.statement), Arc::clone(&inputs.schema));
        let (schema, name, types) = (self.schema.clone(), self.name.clone(), self.types.clone());
        let columns = self.columns.clone();
        let size = inputs.batch_rows();
        let batches = stream::once(async move {
            let rows = statement.virtuals.rows(&schema, &name).await?;
            let chunk = |rows: &[Vec<Datum>]| {
                let rows: Vec<Vec<Datum>> =
                    rows.iter().map(|row| columns.iter().map(|at| row[*at].clone()).collect()).collect();
                batch_of(&arrow, &types, &rows)
            };
            SqlResult::Ok(stream::iter(rows.chunks(size).map(chunk).collect::<Vec<_>>()))
        });
        Ok(inputs.answer(batches.try_flatten()))
    }
}

/// The rows of several inputs, one input after the other.
#[derive(Debug)]
pub(in crate::general) struct Append;

impl Operator for Append {
    fn name(&self) -> &'static str {
        "Append"
    }

    fn open(&self, mut inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let schema = Arc::clone(&inputs.schema);
        let rows = stream::iter(std::mem::take(&mut inputs.streams)).flatten();
        Ok(inputs.answer(rows.map(move |batch| relabel(batch.map_err(failed)?, &schema))))
    }
}

/// Joins each left row with the rows that a subplan gives for it.
#[derive(Debug)]
pub(in crate::general) struct Lateral {
    pub(in crate::general) plan: Arc<Subplan>,
    /// Keeps left rows without a match.
    pub(in crate::general) outer: bool,
    /// The condition over both sides' columns.
    pub(in crate::general) filter: Option<PhysicalExprRef>,
    pub(in crate::general) right_types: Vec<Oid>,
}

struct LateralRun {
    left: SendableRecordBatchStream,
    plan: Arc<Subplan>,
    outer: bool,
    filter: Option<PhysicalExprRef>,
    right_types: Vec<Oid>,
    schema: SchemaRef,
    /// The present left batch, its outer values and the present row.
    batch: Option<(RecordBatch, Vec<super::apply::OuterRow>, usize)>,
    right: Option<SendableRecordBatchStream>,
    matched: bool,
}

impl Operator for Lateral {
    fn name(&self) -> &'static str {
        "Nested Loop"
    }

    fn open(&self, mut inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let run = LateralRun {
            left: inputs.single(),
            plan: Arc::clone(&self.plan),
            outer: self.outer,
            filter: self.filter.clone(),
            right_types: self.right_types.clone(),
            schema: Arc::clone(&inputs.schema),
            batch: None,
            right: None,
            matched: false,
        };
        let batches = stream::try_unfold(run, |mut run| async move {
            let batch = run.next().await?;
            Ok(batch.map(|batch| (batch, run)))
        });
        Ok(inputs.answer(batches))
    }
}

impl LateralRun {
    async fn next(&mut self) -> SqlResult<Option<RecordBatch>> {
        loop {
            if let Some(right) = &mut self.right {
                match right.next().await {
                    Some(batch) => {
                        let joined = self.joined(&batch.map_err(failed)?)?;
                        if joined.num_rows() > 0 {
                            self.matched = true;
                            return Ok(Some(joined));
                        }
                    }
                    None => {
                        self.right = None;
                        let unmatched = self.outer && !self.matched;
                        let alone = unmatched.then(|| self.alone()).transpose()?;
                        self.advance();
                        if alone.is_some() {
                            return Ok(alone);
                        }
                    }
                }
                continue;
            }
            let Some((_, outer, row)) = &self.batch else {
                let Some(batch) = self.left.next().await else { return Ok(None) };
                let batch = batch.map_err(failed)?;
                if batch.num_rows() > 0 {
                    let outer = self.plan.outer_rows(&batch)?;
                    self.batch = Some((batch, outer, 0));
                }
                continue;
            };
            self.right = Some(self.plan.start(&outer[*row])?);
            self.matched = false;
        }
    }

    fn advance(&mut self) {
        if let Some((batch, _, row)) = &mut self.batch {
            *row += 1;
            if *row == batch.num_rows() {
                self.batch = None;
            }
        }
    }

    /// The present left row's columns, repeated.
    fn left_columns(&self, times: usize) -> SqlResult<Vec<ArrayRef>> {
        let Some((batch, _, row)) = &self.batch else { return Ok(Vec::new()) };
        let indexes = UInt32Array::from(vec![*row as u32; times]);
        let repeat = |column: &ArrayRef| take(column.as_ref(), &indexes, None).map_err(|error| from_arrow(&error));
        batch.columns().iter().map(repeat).collect()
    }

    fn joined(&self, right: &RecordBatch) -> SqlResult<RecordBatch> {
        let mut columns = self.left_columns(right.num_rows())?;
        columns.extend(right.columns().iter().cloned());
        let joined = batch(&self.schema, columns, right.num_rows())?;
        let Some(filter) = &self.filter else { return Ok(joined) };
        let kept = datafusion::physical_plan::filter::batch_filter(&joined, filter).map_err(failed)?;
        relabel(kept, &self.schema)
    }

    fn alone(&self) -> SqlResult<RecordBatch> {
        let mut columns = self.left_columns(1)?;
        columns.extend(self.right_types.iter().map(|oid| null_array(*oid, 1)));
        batch(&self.schema, columns, 1)
    }
}

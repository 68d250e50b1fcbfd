//! Set-returning functions, called for each input row; several in a select list advance in step.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, UInt32Array},
    compute::take,
    datatypes::SchemaRef,
    record_batch::RecordBatch,
};
use datafusion::{execution::SendableRecordBatchStream, physical_expr::PhysicalExprRef};
use fragment::{Column, ColumnBuilder, from_arrow};
use futures::StreamExt;
use proto::SqlResult;
use schema::{
    Datum, Oid, SqlType,
    functions::{SetFunction, SetRows},
};
use sharddb_fragment as fragment;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Inputs, Operator, dedup::evaluate, rows::batch};
use crate::general::context::{Statement, failed};

/// A function call, lowered.
#[derive(Debug)]
pub(in crate::general) struct SetFunctionCall {
    pub(in crate::general) function: &'static SetFunction,
    pub(in crate::general) args: Vec<PhysicalExprRef>,
    pub(in crate::general) arg_types: Vec<Oid>,
    /// Types of its result columns.
    pub(in crate::general) result: Vec<Oid>,
}

impl SetFunctionCall {
    /// Several columns where one is wanted are one row value.
    fn shaped(&self, row: Vec<Datum>) -> Vec<Datum> {
        if self.result[..] != [Oid::RECORD] || row.len() == 1 {
            return row;
        }
        let args: Vec<SqlType> = self.arg_types.iter().map(|oid| SqlType::new(*oid)).collect();
        let types = (self.function.columns)(&args).into_iter().map(|(_, sql_type)| sql_type.oid);
        vec![Datum::Record(types.zip(row).collect())]
    }
}

/// Calls set-returning functions.
#[derive(Debug)]
pub(in crate::general) struct ProjectSet {
    pub(in crate::general) statement: Arc<Statement>,
    pub(in crate::general) calls: Arc<Vec<SetFunctionCall>>,
    /// Adds the number of the row within its function call.
    pub(in crate::general) ordinality: bool,
}

struct Run {
    statement: Arc<Statement>,
    input: SendableRecordBatchStream,
    calls: Arc<Vec<SetFunctionCall>>,
    ordinality: bool,
    schema: SchemaRef,
    size: usize,
    /// The present input batch, the arguments of each call and the next row to call for.
    batch: Option<(RecordBatch, Vec<Vec<ArrayRef>>, usize)>,
    /// Calls of the present row and how many rows they have given.
    running: Option<(Vec<Option<SetRows>>, i64)>,
}

/// Output rows being collected.
struct Output {
    /// Input row of each output row.
    origin: Vec<u32>,
    columns: Vec<ColumnBuilder>,
    numbers: Vec<i64>,
}

impl Operator for ProjectSet {
    fn name(&self) -> &'static str {
        "ProjectSet"
    }

    fn open(&self, mut inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let run = Run {
            statement: Arc::clone(&self.statement),
            input: inputs.single(),
            calls: Arc::clone(&self.calls),
            ordinality: self.ordinality,
            schema: Arc::clone(&inputs.schema),
            size: inputs.batch_rows(),
            batch: None,
            running: None,
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
            if self.batch.is_none() {
                let Some(batch) = self.input.next().await else { return Ok(None) };
                let batch = batch.map_err(failed)?;
                let args = self.calls.iter().map(|call| evaluate(&call.args, &batch)).collect::<SqlResult<_>>()?;
                self.batch = Some((batch, args, 0));
            }
            let output = self.fill()?;
            if let Some(batch) = output {
                return Ok(Some(batch));
            }
        }
    }

    /// Collects rows until the output is full or the input batch used up.
    fn fill(&mut self) -> SqlResult<Option<RecordBatch>> {
        let Some((input, args, mut row)) = self.batch.take() else { return Ok(None) };
        let types = self.calls.iter().flat_map(|call| &call.result);
        let columns = types.map(|oid| ColumnBuilder::new(*oid, self.size.min(1024))).collect();
        let mut output = Output { origin: Vec::new(), columns, numbers: Vec::new() };
        while row < input.num_rows() && output.origin.len() < self.size {
            if self.running.is_none() {
                self.running = Some((self.start(&args, row)?, 0));
            }
            if !self.step(&mut output, row as u32)? {
                self.running = None;
                row += 1;
            }
        }
        let batch = self.finish(output, &input)?;
        if row < input.num_rows() {
            self.batch = Some((input, args, row));
        }
        Ok((batch.num_rows() > 0).then_some(batch))
    }

    /// Calls the functions for a row.
    fn start(&self, args: &[Vec<ArrayRef>], row: usize) -> SqlResult<Vec<Option<SetRows>>> {
        let call = |(call, args): (&SetFunctionCall, &Vec<ArrayRef>)| {
            let value = |(oid, array): (&Oid, &ArrayRef)| Column::new(*oid, array.as_ref())?.datum(row);
            let values = call.arg_types.iter().zip(args).map(value).collect::<SqlResult<Vec<Datum>>>()?;
            if call.function.strict && values.iter().any(Datum::is_null) {
                return Ok(None);
            }
            (call.function.eval)(&self.statement.eval, &values).map(Some)
        };
        self.calls.iter().zip(args).map(call).collect()
    }

    /// One more row of the running calls; those that have ended give NULLs while another goes on.
    fn step(&mut self, output: &mut Output, origin: u32) -> SqlResult<bool> {
        let Some((calls, number)) = &mut self.running else { return Ok(false) };
        let mut rows = Vec::with_capacity(calls.len());
        for call in calls.iter_mut() {
            let next = call.as_mut().and_then(|rows| rows.next()).transpose()?;
            if next.is_none() {
                *call = None;
            }
            rows.push(next);
        }
        if rows.iter().all(Option::is_none) {
            return Ok(false);
        }
        *number += 1;
        output.numbers.push(*number);
        output.origin.push(origin);
        let mut columns = output.columns.iter_mut();
        for (call, row) in self.calls.iter().zip(rows) {
            let row = row.map(|row| call.shaped(row));
            for at in 0..call.result.len() {
                let Some(builder) = columns.next() else { break };
                match row.as_ref().and_then(|row| row.get(at)) {
                    Some(value) => builder.append(value)?,
                    None => builder.append_null(),
                }
            }
        }
        Ok(true)
    }

    fn finish(&self, mut output: Output, input: &RecordBatch) -> SqlResult<RecordBatch> {
        let rows = output.origin.len();
        let origin = UInt32Array::from(output.origin);
        let repeat = |column: &ArrayRef| take(column.as_ref(), &origin, None).map_err(|error| from_arrow(&error));
        let mut columns = input.columns().iter().map(repeat).collect::<SqlResult<Vec<_>>>()?;
        columns.extend(output.columns.iter_mut().map(ColumnBuilder::finish));
        if self.ordinality {
            columns.push(Arc::new(Int64Array::from(output.numbers)));
        }
        batch(&self.schema, columns, rows)
    }
}

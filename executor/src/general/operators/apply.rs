//! Subqueries in expressions, evaluated for each input row.
//!
//! A subquery is planned anew for each combination of the outer values it reads, with those values as constants, so that
//! it finds keys and indexes as a query of its own would. Answers are remembered, which also makes an uncorrelated
//! subquery run once, and only if there is a row to ask for it.

use std::sync::Arc;

use ahash::AHashMap;
use arrow::{
    array::{Array, ArrayRef, AsArray},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use datafusion::{
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    physical_expr::PhysicalExprRef,
};
use fragment::{Column, ColumnBuilder, batch_rows, from_arrow};
use futures::{StreamExt, TryStreamExt};
use proto::{SqlError, SqlResult, SqlState};
use schema::{ArrayValue, Datum, Oid, SqlType, functions::Function, row::encode_payload};
use sharddb_fragment as fragment;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Comparison, Inputs, Operator};
use crate::general::{
    context::{Statement, failed},
    expr::{bind_outer, outer_columns},
    ir::Rel,
    lower::{self, Scope},
};

/// Answers remembered for one subquery. Beyond it, they are forgotten and begun anew.
const ANSWERS_MAX: usize = 1 << 16;

/// A relation that is planned and run for an outer row.
#[derive(Debug)]
pub(in crate::general) struct Subplan {
    statement: Arc<Statement>,
    rel: Rel,
    scope: Scope,
    /// Outer columns that it reads, with their types.
    outer: Vec<(usize, Oid)>,
    arity: usize,
}

impl Subplan {
    /// `outer` are the types of the outer row's columns.
    pub(in crate::general) fn new(statement: Arc<Statement>, mut rel: Rel, scope: Scope, outer: &[Oid]) -> Self {
        let columns = outer_columns(&mut rel);
        let columns = columns.into_iter().map(|at| (at, outer[at])).collect();
        Self { statement, rel, scope, outer: columns, arity: outer.len() }
    }

    pub(in crate::general) fn types(&self) -> Vec<Oid> {
        self.rel.columns.iter().map(|column| column.sql_type.oid).collect()
    }

    /// Starts it for an outer row.
    pub(in crate::general) fn start(&self, outer: &OuterRow) -> SqlResult<SendableRecordBatchStream> {
        let mut row = vec![Datum::Null; self.arity];
        for ((at, _), value) in self.outer.iter().zip(&outer.values) {
            row[*at] = value.clone();
        }
        let mut rel = self.rel.clone();
        bind_outer(&mut rel, &row);
        lower::start(&self.statement, &self.scope, rel)
    }

    /// The outer values of each row of a batch.
    pub(in crate::general) fn outer_rows(&self, batch: &RecordBatch) -> SqlResult<Vec<OuterRow>> {
        let columns = self.outer.iter().map(|(at, oid)| Column::new(*oid, batch.column(*at).as_ref()));
        let columns = columns.collect::<SqlResult<Vec<_>>>()?;
        let row = |row| Ok(OuterRow { values: columns.iter().map(|c| c.datum(row)).collect::<SqlResult<_>>()? });
        (0..batch.num_rows()).map(row).collect()
    }
}

/// Values of the outer columns that a subquery reads.
pub(in crate::general) struct OuterRow {
    values: Vec<Datum>,
}

impl OuterRow {
    /// Bytes that tell rows apart.
    fn identity(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.values.len() * 12);
        for value in &self.values {
            let start = bytes.len();
            encode_payload(value, &mut bytes);
            bytes.extend_from_slice(&((bytes.len() - start) as u32).to_be_bytes());
        }
        bytes
    }
}

/// What is asked of a subquery, with expressions lowered.
#[derive(Debug)]
pub(in crate::general) enum Ask {
    Scalar,
    Array,
    Exists,
    Compare { inputs: Vec<PhysicalExprRef>, input_types: Vec<Oid>, operators: Vec<&'static Function>, all: bool },
}

/// One subquery column.
#[derive(Debug)]
pub(in crate::general) struct SubqueryColumn {
    pub(in crate::general) ask: Ask,
    pub(in crate::general) plan: Subplan,
    pub(in crate::general) sql_type: SqlType,
    pub(in crate::general) guard: Option<PhysicalExprRef>,
}

/// Adds subquery columns to its input.
#[derive(Debug)]
pub(in crate::general) struct Apply {
    pub(in crate::general) statement: Arc<Statement>,
    pub(in crate::general) columns: Arc<Vec<SubqueryColumn>>,
}

/// An answered subquery.
enum Answer {
    Value(Datum),
    Rows(Comparison),
}

struct Run {
    input: SendableRecordBatchStream,
    columns: Arc<Vec<SubqueryColumn>>,
    answers: Vec<AHashMap<Vec<u8>, Answer>>,
    schema: arrow::datatypes::SchemaRef,
    statement: Arc<Statement>,
    memory: MemoryReservation,
}

impl Operator for Apply {
    fn name(&self) -> &'static str {
        "Subquery"
    }

    fn open(&self, mut inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let run = Run {
            input: inputs.single(),
            columns: Arc::clone(&self.columns),
            answers: self.columns.iter().map(|_| AHashMap::new()).collect(),
            schema: inputs.schema.clone(),
            statement: Arc::clone(&self.statement),
            memory: inputs.reservation(),
        };
        let batches = futures::stream::try_unfold(run, |mut run| async move {
            let Some(batch) = run.input.next().await else { return Ok(None) };
            let batch = run.extend(batch.map_err(failed)?).await?;
            Ok(Some((batch, run)))
        });
        Ok(inputs.answer(batches))
    }
}

impl Run {
    /// Adds every subquery column to a batch.
    async fn extend(&mut self, mut batch: RecordBatch) -> SqlResult<RecordBatch> {
        let columns = Arc::clone(&self.columns);
        for (at, column) in columns.iter().enumerate() {
            let values = self.column(at, column, &batch).await?;
            let arity = batch.num_columns();
            let fields: Vec<_> = self.schema.fields()[..=arity].to_vec();
            let mut arrays = batch.columns().to_vec();
            arrays.push(values);
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let schema = Arc::new(arrow::datatypes::Schema::new(fields));
            batch = RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|e| from_arrow(&e))?;
        }
        super::dedup::relabel(batch, &self.schema)
    }

    async fn column(&mut self, at: usize, column: &SubqueryColumn, batch: &RecordBatch) -> SqlResult<ArrayRef> {
        let rows = batch.num_rows();
        let guard = column.guard.as_ref().map(|guard| guard.evaluate(batch).and_then(|value| value.into_array(rows)));
        let guard = guard.transpose().map_err(failed)?;
        let asked =
            |row: usize| guard.as_ref().is_none_or(|guard| guard.is_valid(row) && guard.as_boolean().value(row));
        let inputs = column.ask.inputs(batch)?;
        let outer = column.plan.outer_rows(batch)?;
        let mut builder = ColumnBuilder::new(column.sql_type.oid, rows);
        for (row, outer) in outer.iter().enumerate() {
            if !asked(row) {
                builder.append_null();
                continue;
            }
            let statement = Arc::clone(&self.statement);
            let value = match self.answer(at, column, outer).await? {
                Answer::Value(value) => value.clone(),
                Answer::Rows(comparison) => comparison.answer(&statement.eval, &inputs[row])?,
            };
            builder.append(&value)?;
        }
        Ok(builder.finish())
    }

    /// The remembered answer for an outer row, or a new one.
    async fn answer(&mut self, at: usize, column: &SubqueryColumn, outer: &OuterRow) -> SqlResult<&Answer> {
        let identity = outer.identity();
        if !self.answers[at].contains_key(&identity) {
            let answer = column.run(outer).await?;
            let bytes = identity.len() + answer.bytes();
            if self.answers[at].len() >= ANSWERS_MAX || self.memory.try_grow(bytes).is_err() {
                self.answers.iter_mut().for_each(|answers| answers.clear());
                self.memory.free();
                self.memory.try_grow(bytes).map_err(failed)?;
            }
            self.answers[at].insert(identity.clone(), answer);
        }
        self.answers[at].get(&identity).ok_or_else(|| SqlError::internal("an answer was lost"))
    }
}

impl Answer {
    fn bytes(&self) -> usize {
        64 + match self {
            Self::Value(Datum::Text(text)) => text.len(),
            Self::Value(Datum::Array(array)) => array.values.len() * 48,
            Self::Value(_) => 0,
            Self::Rows(comparison) => comparison.bytes(),
        }
    }
}

impl Ask {
    /// Values compared with the subquery's rows, for each row of a batch.
    fn inputs(&self, batch: &RecordBatch) -> SqlResult<Vec<Vec<Datum>>> {
        let Self::Compare { inputs, input_types, .. } = self else { return Ok(Vec::new()) };
        let arrays = super::dedup::evaluate(inputs, batch)?;
        let columns = input_types.iter().zip(&arrays).map(|(oid, array)| Column::new(*oid, array.as_ref()));
        let columns = columns.collect::<SqlResult<Vec<_>>>()?;
        let row = |row| columns.iter().map(|column| column.datum(row)).collect::<SqlResult<Vec<_>>>();
        (0..batch.num_rows()).map(row).collect()
    }
}

impl SubqueryColumn {
    /// Runs the subquery for an outer row.
    async fn run(&self, outer: &OuterRow) -> SqlResult<Answer> {
        let types = self.plan.types();
        let mut rows = self.plan.start(outer)?;
        Ok(match &self.ask {
            Ask::Exists => Answer::Value(Datum::Bool(has_row(&mut rows).await?)),
            Ask::Scalar => Answer::Value(single_value(&mut rows, &types).await?),
            Ask::Array => {
                let values = collect(rows, &types).await?;
                Answer::Value(array_of(self.sql_type, values))
            }
            Ask::Compare { operators, all, .. } => {
                let values = collect(rows, &types).await?;
                Answer::Rows(Comparison::new(operators.clone(), *all, types, values)?)
            }
        })
    }
}

async fn has_row(rows: &mut SendableRecordBatchStream) -> SqlResult<bool> {
    while let Some(batch) = rows.next().await {
        if batch.map_err(failed)?.num_rows() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The one value of the one row; NULL for none.
pub(in crate::general) async fn single_value(rows: &mut SendableRecordBatchStream, types: &[Oid]) -> SqlResult<Datum> {
    let mut value = None;
    while let Some(batch) = rows.next().await {
        for mut row in batch_rows(types, &batch.map_err(failed)?)? {
            if value.is_some() {
                let message = "more than one row returned by a subquery used as an expression";
                return Err(SqlError::new(SqlState::CardinalityViolation, message));
            }
            value = Some(row.swap_remove(0));
        }
    }
    Ok(value.unwrap_or(Datum::Null))
}

async fn collect(rows: SendableRecordBatchStream, types: &[Oid]) -> SqlResult<Vec<Vec<Datum>>> {
    let batches: Vec<RecordBatch> = rows.try_collect().await.map_err(failed)?;
    let mut values = Vec::new();
    for batch in &batches {
        values.extend(batch_rows(types, batch)?);
    }
    Ok(values)
}

/// `ARRAY(SELECT …)` of rows on their way.
pub(in crate::general) async fn array_value(
    sql_type: SqlType,
    rows: SendableRecordBatchStream,
    types: &[Oid],
) -> SqlResult<Datum> {
    Ok(array_of(sql_type, collect(rows, types).await?))
}

/// `ARRAY(SELECT …)`.
fn array_of(sql_type: SqlType, rows: Vec<Vec<Datum>>) -> Datum {
    let element = sql_type.oid.element_type().unwrap_or(Oid::UNKNOWN);
    let values: Vec<Datum> = rows.into_iter().filter_map(|row| row.into_iter().next()).collect();
    let dims = if values.is_empty() { Vec::new() } else { vec![(values.len() as i32, 1)] };
    Datum::Array(Arc::new(ArrayValue { element, dims, values }))
}

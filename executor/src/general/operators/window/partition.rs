//! One partition: its peers, and the value of a call for each of its rows.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    record_batch::RecordBatch,
};
use datafusion::physical_expr::PhysicalExprRef;
use fragment::{Column, ColumnBuilder};
use planner::plan::WindowFunction;
use proto::SqlResult;
use schema::{
    Datum, SqlType,
    functions::{Aggregate, EvalContext},
};
use sharddb_fragment as fragment;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{WindowColumn, frame::Frames};
use crate::general::operators::dedup::row_keys;

/// Rows of a partition by peer group: rows that are equal in ORDER BY.
pub(super) struct Partition {
    pub(super) rows: usize,
    /// First row of each peer group, then the number of rows.
    pub(super) starts: Vec<usize>,
    /// Peer group of each row.
    pub(super) groups: Vec<usize>,
}

impl Partition {
    pub(super) fn new(batch: &RecordBatch, order_by: &[PhysicalExprRef]) -> SqlResult<Self> {
        let rows = batch.num_rows();
        let keys = row_keys(order_by, batch, &mut None)?;
        let (mut starts, mut groups) = (Vec::new(), Vec::with_capacity(rows));
        for row in 0..rows {
            if row == 0 || keys.row(row) != keys.row(row - 1) {
                starts.push(row);
            }
            groups.push(starts.len() - 1);
        }
        starts.push(rows);
        Ok(Self { rows, starts, groups })
    }

    /// The column of a call.
    pub(super) fn compute(
        &self,
        eval: &EvalContext,
        call: &WindowColumn,
        args: &[ArrayRef],
        filter: Option<&ArrayRef>,
        rows: &RecordBatch,
    ) -> SqlResult<ArrayRef> {
        let columns = call.arg_types.iter().zip(args).map(|(arg, array)| Column::new(arg.oid, array.as_ref()));
        let columns = columns.collect::<SqlResult<Vec<_>>>()?;
        let frames = Frames::new(self, &call.frame, eval, rows)?;
        let mut builder = ColumnBuilder::new(call.sql_type.oid, self.rows);
        match &call.function {
            WindowFunction::Aggregate(function) => {
                let input = Input { columns: &columns, filter, function };
                self.aggregate(&input, &call.arg_types, &frames, &mut builder)?;
            }
            WindowFunction::Builtin(name) => {
                for row in 0..self.rows {
                    builder.append(&self.builtin(name, &columns, &frames, row)?)?;
                }
            }
        }
        Ok(builder.finish())
    }

    fn aggregate(
        &self,
        input: &Input<'_>,
        types: &[SqlType],
        frames: &Frames<'_>,
        builder: &mut ColumnBuilder,
    ) -> SqlResult<()> {
        let mut accumulator = (input.function.accumulator)(types);
        let mut done = 0..0;
        let mut value = accumulator.finish()?;
        for row in 0..self.rows {
            let frame = frames.of(row)?;
            if frame != done || row == 0 {
                // A frame that only grew at its end goes on from where it was.
                if frame.start != done.start || frame.end < done.end || row == 0 {
                    accumulator = (input.function.accumulator)(types);
                    done = frame.start..frame.start;
                }
                for at in done.end..frame.end {
                    if let Some(args) = input.row(at)? {
                        accumulator.update(&args)?;
                    }
                }
                value = accumulator.finish()?;
                done = frame;
            }
            builder.append(&value)?;
        }
        Ok(())
    }
}

/// Rows as an aggregate takes them.
struct Input<'a> {
    columns: &'a [Column<'a>],
    filter: Option<&'a ArrayRef>,
    function: &'static Aggregate,
}

impl Input<'_> {
    /// A row's arguments, unless the row does not count.
    fn row(&self, row: usize) -> SqlResult<Option<Vec<Datum>>> {
        let passes = self.filter.is_none_or(|filter| filter.is_valid(row) && filter.as_boolean().value(row));
        let null = self.function.strict && self.columns.iter().any(|column| column.is_null(row));
        if !passes || null {
            return Ok(None);
        }
        self.columns.iter().map(|column| column.datum(row)).collect::<SqlResult<_>>().map(Some)
    }
}

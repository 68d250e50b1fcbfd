//! Which rows of a partition are in a row's frame.

use std::{cmp::Ordering, ops::Range};

use arrow::record_batch::RecordBatch;
use fragment::Column;
use planner::plan::FrameUnit;
use proto::{SqlError, SqlResult, SqlState};
use schema::{
    Datum, SqlType, compare,
    functions::{EvalContext, Function, resolve_operator},
};
use sharddb_fragment as fragment;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Bound, Frame, RangeOrder, partition::Partition};
use crate::general::operators::dedup::evaluate;

/// Frames of a partition's rows.
pub(super) struct Frames<'a> {
    partition: &'a Partition,
    frame: &'a Frame,
    eval: &'a EvalContext,
    range: Option<Values<'a>>,
}

/// The order column for RANGE with offsets.
struct Values<'a> {
    order: &'a RangeOrder,
    values: Vec<Datum>,
    /// Rows whose value is not NULL: they are contiguous.
    known: Range<usize>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(
        partition: &'a Partition,
        frame: &'a Frame,
        eval: &'a EvalContext,
        rows: &RecordBatch,
    ) -> SqlResult<Self> {
        let range = match &frame.range {
            None => None,
            Some(order) => {
                let array = evaluate(std::slice::from_ref(&order.value), rows)?.swap_remove(0);
                let column = Column::new(order.sql_type.oid, array.as_ref())?;
                let values = (0..partition.rows).map(|row| column.datum(row)).collect::<SqlResult<Vec<_>>>()?;
                let first = values.iter().position(|value| !value.is_null()).unwrap_or(values.len());
                let count = values[first..].iter().take_while(|value| !value.is_null()).count();
                Some(Values { order, values, known: first..first + count })
            }
        };
        Ok(Self { partition, frame, eval, range })
    }

    /// The frame of a row; empty ones start and end at the same row.
    pub(super) fn of(&self, row: usize) -> SqlResult<Range<usize>> {
        let start = self.bound(&self.frame.start, row, true)?;
        let end = self.bound(&self.frame.end, row, false)?;
        Ok(start..end.max(start))
    }

    fn bound(&self, bound: &Bound, row: usize, start: bool) -> SqlResult<usize> {
        let partition = self.partition;
        match bound {
            Bound::UnboundedPreceding => Ok(0),
            Bound::UnboundedFollowing => Ok(partition.rows),
            Bound::CurrentRow if self.frame.unit == FrameUnit::Rows => Ok(if start { row } else { row + 1 }),
            Bound::CurrentRow => {
                let group = partition.groups[row];
                Ok(if start { partition.starts[group] } else { partition.starts[group + 1] })
            }
            Bound::Preceding(offset, sql_type) => self.offset(row, offset, *sql_type, true, start),
            Bound::Following(offset, sql_type) => self.offset(row, offset, *sql_type, false, start),
        }
    }

    fn offset(&self, row: usize, offset: &Datum, sql_type: SqlType, preceding: bool, start: bool) -> SqlResult<usize> {
        let partition = self.partition;
        if let Some(values) = &self.range {
            return values.offset(self, row, offset, sql_type, preceding, start);
        }
        let offset = count(offset)?;
        let moved = |at: usize, limit: usize| {
            if preceding { at.checked_sub(offset) } else { Some(at.saturating_add(offset).min(limit)) }
        };
        Ok(match self.frame.unit {
            FrameUnit::Groups => {
                let groups = partition.starts.len() - 1;
                match moved(partition.groups[row], groups) {
                    None => 0,
                    Some(group) if start || group == groups => partition.starts[group],
                    Some(group) => partition.starts[group + 1],
                }
            }
            _ => match moved(row, partition.rows) {
                None => 0,
                Some(at) if start || at == partition.rows => at,
                Some(at) => at + 1,
            },
        })
    }
}

impl Values<'_> {
    fn offset(
        &self,
        frames: &Frames<'_>,
        row: usize,
        offset: &Datum,
        offset_type: SqlType,
        preceding: bool,
        start: bool,
    ) -> SqlResult<usize> {
        let partition = frames.partition;
        if self.values[row].is_null() {
            // NULLs are peers of each other and within no distance of anything else.
            let group = partition.groups[row];
            return Ok(if start { partition.starts[group] } else { partition.starts[group + 1] });
        }
        // Towards smaller values: preceding in ascending order, following in descending order.
        let smaller = preceding != self.order.descending;
        let symbol = if smaller { "-" } else { "+" };
        let function = resolve_operator(symbol, Some(self.order.sql_type), offset_type)?.function;
        let limit = match apply(function, frames.eval, &self.values[row], offset) {
            Ok(limit) => limit,
            // Beyond the type's range: beyond every value.
            Err(error) if out_of_range(error.state()) => {
                return Ok(if preceding { self.known.start } else { self.known.end });
            }
            Err(error) => return Err(error),
        };
        let known = &self.values[self.known.clone()];
        let before = |value: &Datum| {
            let order = ordering(value, &limit);
            let order = if self.order.descending { order.reverse() } else { order };
            if start { order == Ordering::Less } else { order != Ordering::Greater }
        };
        Ok(self.known.start + known.partition_point(before))
    }
}

fn apply(function: &Function, eval: &EvalContext, value: &Datum, offset: &Datum) -> SqlResult<Datum> {
    (function.eval)(eval, &[value.clone(), offset.clone()])
}

fn out_of_range(state: SqlState) -> bool {
    matches!(
        state,
        SqlState::NumericValueOutOfRange | SqlState::DatetimeFieldOverflow | SqlState::IntervalFieldOverflow
    )
}

/// Order of a value and a limit, which may be of a wider type.
fn ordering(value: &Datum, limit: &Datum) -> Ordering {
    let integer = |datum: &Datum| match datum {
        Datum::Int2(v) => Some(i64::from(*v)),
        Datum::Int4(v) => Some(i64::from(*v)),
        Datum::Int8(v) => Some(*v),
        _ => None,
    };
    let micros = |datum: &Datum| match datum {
        Datum::Date(days) => Some(i64::from(*days).saturating_mul(86_400_000_000)),
        Datum::Timestamp(at) => Some(*at),
        _ => None,
    };
    let float = |datum: &Datum| match datum {
        Datum::Float4(v) => Some(Datum::Float8(f64::from(*v))),
        Datum::Float8(v) => Some(Datum::Float8(*v)),
        _ => None,
    };
    if let (Some(a), Some(b)) = (integer(value), integer(limit)) {
        return a.cmp(&b);
    }
    if let (Some(a), Some(b)) = (micros(value), micros(limit)) {
        return a.cmp(&b);
    }
    match (float(value), float(limit)) {
        (Some(a), Some(b)) => compare::compare(&a, &b),
        _ => compare::compare(value, limit),
    }
}

fn count(offset: &Datum) -> SqlResult<usize> {
    let value = match offset {
        Datum::Int2(v) => i64::from(*v),
        Datum::Int4(v) => i64::from(*v),
        Datum::Int8(v) => *v,
        _ => return Err(SqlError::internal("a frame offset is no integer")),
    };
    usize::try_from(value).map_err(|_| SqlError::internal("a frame offset is negative"))
}

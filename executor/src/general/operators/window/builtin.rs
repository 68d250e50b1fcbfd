//! row_number, rank, lag and the like.

use fragment::Column;
use proto::{SqlError, SqlResult, SqlState};
use schema::Datum;
use sharddb_fragment as fragment;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{frame::Frames, partition::Partition};

impl Partition {
    pub(super) fn builtin(&self, name: &str, args: &[Column<'_>], frames: &Frames<'_>, row: usize) -> SqlResult<Datum> {
        let group = self.groups[row];
        let (first, end) = (self.starts[group], self.starts[group + 1]);
        Ok(match name {
            "row_number" => Datum::Int8(row as i64 + 1),
            "rank" => Datum::Int8(first as i64 + 1),
            "dense_rank" => Datum::Int8(group as i64 + 1),
            "percent_rank" if self.rows == 1 => Datum::Float8(0.0),
            "percent_rank" => Datum::Float8(first as f64 / (self.rows - 1) as f64),
            "cume_dist" => Datum::Float8(end as f64 / self.rows as f64),
            "ntile" => self.ntile(args, row)?,
            "lag" => self.neighbour(args, row, -1)?,
            "lead" => self.neighbour(args, row, 1)?,
            "first_value" | "last_value" | "nth_value" => nth(name, args, frames, row)?,
            _ => return Err(SqlError::unsupported(format!("window function {name}"))),
        })
    }

    /// Number of the bucket when the rows are dealt into equal ones; the first ones hold one row more.
    fn ntile(&self, args: &[Column<'_>], row: usize) -> SqlResult<Datum> {
        // The first row's argument counts for the whole partition.
        let Some(buckets) = integer(args.first(), 0)? else { return Ok(Datum::Null) };
        if buckets <= 0 {
            let message = "argument of ntile must be greater than zero";
            return Err(SqlError::new(SqlState::InvalidArgumentForNtileFunction, message));
        }
        let buckets = usize::try_from(buckets).unwrap_or(usize::MAX);
        let (size, larger) = (self.rows / buckets, self.rows % buckets);
        let in_larger = larger * (size + 1);
        let bucket = if row < in_larger { row / (size + 1) } else { larger + (row - in_larger) / size.max(1) };
        Ok(Datum::Int4(bucket as i32 + 1))
    }

    /// lag and lead.
    fn neighbour(&self, args: &[Column<'_>], row: usize, direction: i64) -> SqlResult<Datum> {
        let offset = if args.len() > 1 { integer(args.get(1), row)? } else { Some(1) };
        let Some(offset) = offset else { return Ok(Datum::Null) };
        let at = (row as i64).checked_add(direction.saturating_mul(offset));
        match at.and_then(|at| usize::try_from(at).ok()).filter(|at| *at < self.rows) {
            Some(at) => args[0].datum(at),
            None => args.get(2).map_or(Ok(Datum::Null), |default| default.datum(row)),
        }
    }
}

fn nth(name: &str, args: &[Column<'_>], frames: &Frames<'_>, row: usize) -> SqlResult<Datum> {
    let frame = frames.of(row)?;
    let at = match name {
        "first_value" => Some(frame.start),
        "last_value" => frame.end.checked_sub(1),
        _ => match integer(args.get(1), row)? {
            None => return Ok(Datum::Null),
            Some(n) if n <= 0 => {
                let message = "argument of nth_value must be greater than zero";
                return Err(SqlError::new(SqlState::InvalidArgumentForNthValueFunction, message));
            }
            Some(n) => frame.start.checked_add(usize::try_from(n - 1).unwrap_or(usize::MAX)),
        },
    };
    match at.filter(|at| frame.contains(at)) {
        Some(at) => args[0].datum(at),
        None => Ok(Datum::Null),
    }
}

fn integer(column: Option<&Column<'_>>, row: usize) -> SqlResult<Option<i64>> {
    let column = column.ok_or_else(|| SqlError::internal("a window function without its argument"))?;
    Ok(match column.datum(row)? {
        Datum::Null => None,
        Datum::Int2(value) => Some(value.into()),
        Datum::Int4(value) => Some(value.into()),
        Datum::Int8(value) => Some(value),
        _ => return Err(SqlError::internal("a window function's argument is no integer")),
    })
}

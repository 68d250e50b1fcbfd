//! From a statement's outcome to messages.

use std::{fmt::Write, pin::pin};

use bytes::{BufMut, BytesMut};
use executor::{CommandTag, Outcome, RowBatch};
use planner::plan::Field;
use proto::SqlResult;
use sharddb_executor as executor;
use sharddb_planner as planner;
use sharddb_proto as proto;

use super::{Connection, Stop, portal::Rows, wait::watch};
use crate::{
    metrics::metrics,
    rows::{ArrowRows, Formats, RowWriter},
    socket::OUTPUT_BYTES,
    wire,
};

/// How a stream of rows has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All rows are answered; how many in this run.
    Complete(u64),
    /// The limit was reached.
    Suspended,
}

/// Rows written between two looks at the size of the output. A row is mostly far below a kilobyte.
const ROWS_AT_ONCE: usize = 64;

impl Connection {
    /// Answers the outcome of a simple query's statement, all but the CommandComplete; `None` for an empty statement.
    pub(super) async fn answer(&mut self, outcome: Outcome) -> Result<Option<CommandTag>, Stop> {
        match outcome {
            Outcome::Rows { fields, rows: stream } => {
                wire::row_description(&mut self.socket.output, &fields, |_| 0);
                let mut rows = Rows { fields, stream, partial: None };
                self.rows(&mut rows, &Formats::default(), None).await?;
                Ok(Some(rows.stream.tag()))
            }
            Outcome::Command(tag) => Ok(Some(tag)),
            Outcome::CopyIn(copy) => self.copy_in(copy).await.map(Some),
            Outcome::CopyOut(copy) => self.copy_out(*copy).await.map(Some),
            Outcome::Empty => Ok(None),
        }
    }

    /// Writes rows up to a limit, sending the output whenever it is long.
    pub(super) async fn rows(
        &mut self,
        rows: &mut Rows,
        formats: &Formats,
        limit: Option<u64>,
    ) -> Result<Progress, Stop> {
        let mut sent = 0;
        loop {
            let (batch, mut from) = match rows.partial.take() {
                Some(partial) => partial,
                None => match watch(&mut self.socket, &self.control, pin!(rows.stream.next())).await?? {
                    Some(batch) => (batch, 0),
                    None => return Ok(Progress::Complete(sent)),
                },
            };
            while from < batch.rows() {
                let left = limit.map_or(u64::MAX, |limit| limit - sent);
                if left == 0 {
                    rows.partial = Some((batch, from));
                    return Ok(Progress::Suspended);
                }
                let until = batch.rows().min(from.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)));
                let written = self.write_batch(&rows.fields, formats, &batch, from..until)?;
                from += written;
                sent += written as u64;
                metrics().rows_sent.add(written as u64);
                self.bound_output().await?;
            }
            if limit == Some(sent) {
                return Ok(Progress::Suspended);
            }
        }
    }

    /// Writes rows of a batch until the output is long; answers how many.
    fn write_batch(
        &mut self,
        fields: &[Field],
        formats: &Formats,
        batch: &RowBatch,
        range: std::ops::Range<usize>,
    ) -> SqlResult<usize> {
        let out = &mut self.socket.output;
        let mut writer = RowWriter { fields, formats, settings: self.session.format(), scratch: &mut self.scratch };
        match batch {
            RowBatch::Datums(rows) => write_rows(range, out, |row, out| writer.datums(&rows[row], out)),
            RowBatch::Arrow(batch) => {
                let rows = ArrowRows::new(fields, batch)?;
                write_rows(range, out, |row, out| writer.arrow(&rows, row, out))
            }
        }
    }

    /// CommandComplete.
    #[inline]
    pub(super) fn complete(&mut self, tag: CommandTag) {
        self.write_notices();
        let at = wire::start_message(&mut self.socket.output, b'C');
        // Writing to a buffer cannot fail.
        let _ = write!(self.socket.output, "{tag}");
        self.socket.output.put_u8(0);
        wire::finish_message(&mut self.socket.output, at);
    }
}

fn write_rows(
    range: std::ops::Range<usize>,
    out: &mut BytesMut,
    mut write: impl FnMut(usize, &mut BytesMut) -> SqlResult<()>,
) -> SqlResult<usize> {
    let start = range.start;
    for row in range.clone() {
        write(row, out)?;
        if (row - start) % ROWS_AT_ONCE == ROWS_AT_ONCE - 1 && out.len() >= OUTPUT_BYTES {
            return Ok(row + 1 - start);
        }
    }
    Ok(range.end - start)
}

//! Rows of answers as DataRow messages.
//!
//! Values go straight into the output buffer: numbers and text without any intermediate copy, everything else through
//! one reused string. Arrow columns are downcast once for a batch.

mod arrow;
mod datum;
#[cfg(test)]
mod tests;

pub(crate) use arrow::ArrowRows;

use bytes::{BufMut, BytesMut};
use planner::plan::Field;
use proto::{SqlError, SqlResult, SqlState};
use schema::{Datum, FormatSettings};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;
use smallvec::SmallVec;

use crate::wire::{self, Codes, MESSAGE_BYTES_MAX};

/// Format codes of a portal's result columns: none for text, one for all, or one for each. True is binary.
#[derive(Clone, Debug, Default)]
pub(crate) struct Formats(SmallVec<[bool; 8]>);

impl Formats {
    /// Checks the codes of a Bind message against the number of columns.
    pub(crate) fn new(codes: Codes<'_>, columns: usize) -> SqlResult<Self> {
        if codes.count() > 1 && codes.count() != columns {
            let message = format!("bind message has {} result formats but query has {columns} columns", codes.count());
            return Err(SqlError::new(SqlState::ProtocolViolation, message));
        }
        codes.iter().map(is_binary).collect::<SqlResult<_>>().map(Self)
    }

    /// Whether the column at this position is binary.
    #[inline]
    pub(crate) fn binary(&self, position: usize) -> bool {
        match self.0.as_slice() {
            [] => false,
            [all] => *all,
            each => each.get(position).copied().unwrap_or(false),
        }
    }
}

/// The meaning of a format code.
#[inline]
pub(crate) fn is_binary(code: u16) -> SqlResult<bool> {
    match code {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(SqlError::new(SqlState::InvalidParameterValue, format!("unsupported format code: {code}"))),
    }
}

/// Writes rows of known columns.
pub(crate) struct RowWriter<'a> {
    pub(crate) fields: &'a [Field],
    pub(crate) formats: &'a Formats,
    pub(crate) settings: &'a FormatSettings,
    pub(crate) scratch: &'a mut String,
}

impl RowWriter<'_> {
    /// Writes one row of datums.
    pub(crate) fn datums(&mut self, row: &[Datum], out: &mut BytesMut) -> SqlResult<()> {
        self.row(out, row.len(), |writer, out| {
            for (position, value) in row.iter().enumerate() {
                if value.is_null() {
                    out.put_i32(-1);
                } else {
                    sized(out, |out| writer.value(position, value, out))?;
                }
            }
            Ok(())
        })
    }

    /// Writes one row of an Arrow batch.
    pub(crate) fn arrow(&mut self, rows: &ArrowRows<'_>, row: usize, out: &mut BytesMut) -> SqlResult<()> {
        self.row(out, rows.columns(), |writer, out| rows.write(writer, row, out))
    }

    /// Writes a DataRow with what `columns` writes; leaves no trace of one that fails.
    #[inline]
    fn row(
        &mut self,
        out: &mut BytesMut,
        count: usize,
        columns: impl FnOnce(&mut Self, &mut BytesMut) -> SqlResult<()>,
    ) -> SqlResult<()> {
        let start = out.len();
        let at = wire::start_message(out, wire::DATA_ROW);
        out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
        let written = match columns(self, out) {
            Ok(()) if out.len() - at > MESSAGE_BYTES_MAX => Err(too_long()),
            written => written,
        };
        match written {
            Ok(()) => wire::finish_message(out, at),
            Err(_) => out.truncate(start),
        }
        written
    }

    #[inline]
    fn value(&mut self, position: usize, value: &Datum, out: &mut BytesMut) -> SqlResult<()> {
        let Some(field) = self.fields.get(position) else {
            return Err(SqlError::internal("a row has more values than columns"));
        };
        if self.formats.binary(position) {
            datum::binary(value, field.sql_type, out)
        } else {
            datum::text(value, field.sql_type, self.settings, self.scratch, out);
            Ok(())
        }
    }
}

/// Writes a value with its length in front.
#[inline]
fn sized(out: &mut BytesMut, value: impl FnOnce(&mut BytesMut) -> SqlResult<()>) -> SqlResult<()> {
    let at = out.len();
    out.put_i32(0);
    value(out)?;
    let length = i32::try_from(out.len() - at - 4).map_err(|_| too_long())?;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn too_long() -> SqlError {
    SqlError::new(SqlState::ProgramLimitExceeded, "row is too long for a message")
        .with_detail(format!("A row can have at most {MESSAGE_BYTES_MAX} bytes as sent to the client."))
}

//! COPY: the data formats, read and written incrementally.
//!
//! Does not: know transactions or the protocol; `session::copy_streams` joins these to both.

mod binary;
mod csv;
mod text;
mod write;

use bytes::BytesMut;
use planner::plan::{CopyFormat, CopyOptions};
use proto::{SqlError, SqlResult, SqlState};
use sharddb_planner as planner;
use sharddb_proto as proto;

pub(crate) use write::{Writer, binary_header, binary_trailer};

/// Longest row: PostgreSQL's bound on a line buffer.
const ROW_BYTES_MAX: usize = (1 << 30) - 1;

/// A field as it was read: `None` is NULL.
pub(crate) enum Field {
    /// In text form.
    Text(Option<String>),
    /// In binary form.
    Binary(Option<Vec<u8>>),
}

/// Reads rows from data that comes in pieces.
pub(crate) struct Reader {
    options: CopyOptions,
    columns: usize,
    buffer: BytesMut,
    /// How much of the buffer was looked at already for the end of its first row.
    scanned: csv::Scanned,
    /// The header line, or the binary header, is still to come.
    header: bool,
    /// The end-of-data mark was read; what follows is ignored.
    ended: bool,
    line: u64,
}

impl Reader {
    pub(crate) fn new(options: CopyOptions, columns: usize) -> Self {
        let header = options.header || options.format == CopyFormat::Binary;
        let (buffer, scanned) = Default::default();
        Self { options, columns, buffer, scanned, header, ended: false, line: 0 }
    }

    /// Adds data.
    pub(crate) fn feed(&mut self, data: &[u8]) -> SqlResult<()> {
        if self.ended {
            return Ok(());
        }
        self.buffer.extend_from_slice(data);
        if self.buffer.len() > ROW_BYTES_MAX + data.len() {
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, "a row of COPY data is too long"));
        }
        Ok(())
    }

    /// Number of the line that was read last, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The next complete row; `None` when more data is needed. With `last`, no more will come.
    pub(crate) fn next_row(&mut self, last: bool) -> SqlResult<Option<Vec<Field>>> {
        loop {
            if self.ended {
                return Ok(None);
            }
            if self.options.format == CopyFormat::Binary {
                return self.next_binary(last);
            }
            let Some(line) = self.next_line(last)? else { return Ok(None) };
            self.line += 1;
            if std::mem::take(&mut self.header) {
                continue;
            }
            let text = std::str::from_utf8(&line).map_err(|error| invalid_utf8(&line, error.valid_up_to()))?;
            if text == "\\." {
                self.ended = true;
                return Ok(None);
            }
            let fields = match self.options.format {
                CopyFormat::Csv => csv::fields(text, &self.options)?,
                CopyFormat::Text | CopyFormat::Binary => text::fields(text, &self.options)?,
            };
            return Ok(Some(fields.into_iter().map(Field::Text).collect()));
        }
    }

    /// The next line without its end.
    fn next_line(&mut self, last: bool) -> SqlResult<Option<BytesMut>> {
        let end = match self.options.format {
            CopyFormat::Csv => csv::line_end(&self.buffer, &mut self.scanned, &self.options),
            CopyFormat::Text | CopyFormat::Binary => text::line_end(&self.buffer, &mut self.scanned),
        };
        let (length, line_break) = match end {
            Some(found) => found,
            None if !last || self.buffer.is_empty() => return Ok(None),
            None if self.scanned.quoted => {
                return Err(SqlError::new(SqlState::BadCopyFileFormat, "unterminated CSV quoted field"));
            }
            None => (self.buffer.len(), 0),
        };
        self.scanned = csv::Scanned::default();
        let mut line = self.buffer.split_to(length + line_break);
        line.truncate(length);
        if line.last() == Some(&b'\r') {
            line.truncate(length - 1);
        }
        Ok(Some(line))
    }

    fn next_binary(&mut self, last: bool) -> SqlResult<Option<Vec<Field>>> {
        if self.header {
            if !binary::take_header(&mut self.buffer)? {
                return if last { Err(binary::cut_off()) } else { Ok(None) };
            }
            self.header = false;
        }
        match binary::take_row(&mut self.buffer, self.columns)? {
            binary::Taken::Row(fields) => {
                self.line += 1;
                Ok(Some(fields.into_iter().map(Field::Binary).collect()))
            }
            binary::Taken::End => {
                self.ended = true;
                Ok(None)
            }
            binary::Taken::More if last => Err(binary::cut_off()),
            binary::Taken::More => Ok(None),
        }
    }
}

fn invalid_utf8(bytes: &[u8], at: usize) -> SqlError {
    let shown: Vec<String> = bytes[at..].iter().take(1).map(|byte| format!("0x{byte:02x}")).collect();
    let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
    SqlError::new(SqlState::CharacterNotInRepertoire, message)
}

//! Rows to COPY data.

use bytes::{BufMut, BytesMut};
use planner::plan::{CopyFormat, CopyOptions, Field};
use proto::SqlResult;
use schema::{Datum, FormatSettings, text, wire};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::binary::SIGNATURE;

/// Writes rows in one of the formats.
pub(crate) struct Writer {
    pub(crate) options: CopyOptions,
    format: FormatSettings,
    value: String,
}

impl Writer {
    pub(crate) fn new(options: CopyOptions, format: FormatSettings) -> Self {
        Self { options, format, value: String::new() }
    }

    /// The line of column names.
    pub(crate) fn header(&mut self, fields: &[Field], out: &mut BytesMut) {
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                out.put_u8(self.options.delimiter);
            }
            self.value.clone_from(&field.name);
            self.put_value(at, false, out);
        }
        out.put_u8(b'\n');
    }

    /// One row.
    pub(crate) fn row(&mut self, fields: &[Field], row: &[Datum], out: &mut BytesMut) -> SqlResult<()> {
        if self.options.format == CopyFormat::Binary {
            return binary_row(fields, row, out);
        }
        for (at, (field, value)) in fields.iter().zip(row).enumerate() {
            if at > 0 {
                out.put_u8(self.options.delimiter);
            }
            if value.is_null() {
                out.put_slice(self.options.null.as_bytes());
                continue;
            }
            self.value.clear();
            text::write_text(value, field.sql_type, &self.format, &mut self.value);
            self.put_value(at, fields.len() == 1, out);
        }
        out.put_u8(b'\n');
        Ok(())
    }

    fn put_value(&self, column: usize, only: bool, out: &mut BytesMut) {
        match self.options.format {
            CopyFormat::Csv => self.put_csv(column, only, out),
            CopyFormat::Text | CopyFormat::Binary => self.put_text(out),
        }
    }

    fn put_text(&self, out: &mut BytesMut) {
        for byte in self.value.bytes() {
            let escape = match byte {
                b'\\' => b'\\',
                8 => b'b',
                12 => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                11 => b'v',
                byte if byte == self.options.delimiter => byte,
                byte => {
                    out.put_u8(byte);
                    continue;
                }
            };
            out.put_u8(b'\\');
            out.put_u8(escape);
        }
    }

    fn put_csv(&self, column: usize, only: bool, out: &mut BytesMut) {
        let CopyOptions { delimiter, quote, escape, .. } = self.options;
        let special = |byte: u8| byte == delimiter || byte == quote || matches!(byte, b'\n' | b'\r');
        let quoted = self.options.force_quote.contains(&column)
            || self.value == self.options.null
            || (only && self.value == "\\.")
            || self.value.bytes().any(special);
        if !quoted {
            out.put_slice(self.value.as_bytes());
            return;
        }
        out.put_u8(quote);
        for byte in self.value.bytes() {
            if byte == quote || byte == escape {
                out.put_u8(escape);
            }
            out.put_u8(byte);
        }
        out.put_u8(quote);
    }
}

fn binary_row(fields: &[Field], row: &[Datum], out: &mut BytesMut) -> SqlResult<()> {
    out.put_i16(i16::try_from(fields.len()).unwrap_or(i16::MAX));
    for (field, value) in fields.iter().zip(row) {
        if value.is_null() {
            out.put_i32(-1);
            continue;
        }
        let start = out.len();
        out.put_i32(0);
        wire::encode_binary(value, field.sql_type, out)?;
        let length = i32::try_from(out.len() - start - 4).unwrap_or(i32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// What a binary file begins with.
pub(crate) fn binary_header(out: &mut BytesMut) {
    out.put_slice(SIGNATURE);
    out.put_u64(0);
}

/// What a binary file ends with.
pub(crate) fn binary_trailer(out: &mut BytesMut) {
    out.put_i16(-1);
}

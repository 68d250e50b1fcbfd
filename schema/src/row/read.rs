//! Decoding of row values: a walk over raw fields, and datums on top of it.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{FORMAT, Kind, LONG_DISTANCE, payload};
use crate::{ColumnDescriptor, ColumnId, Datum, Oid, SqlType, TableDescriptor};

#[cold]
fn corrupted() -> SqlError {
    SqlError::new(SqlState::DataCorrupted, "row value is corrupted")
}

/// One stored field of a row: a column's number and its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawField<'a> {
    /// Number of the column.
    pub column: ColumnId,
    /// Form of the payload.
    pub kind: Kind,
    /// The payload; empty for NULL.
    pub bytes: &'a [u8],
}

impl<'a> RawField<'a> {
    /// Whether this is a stored NULL.
    #[inline]
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// A boolean.
    pub fn bool(&self) -> SqlResult<bool> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(corrupted()),
        }
    }

    /// An integer of any width up to 8 bytes: a column that was widened still reads its old rows.
    pub fn int(&self) -> SqlResult<i64> {
        match self.kind {
            Kind::Fixed4 => Ok(i32::from_le_bytes(self.array()?).into()),
            Kind::Fixed8 => Ok(i64::from_le_bytes(self.array()?)),
            Kind::Fixed2 => Ok(i16::from_le_bytes(self.array()?).into()),
            _ => Err(corrupted()),
        }
    }

    /// A fixed number of bytes.
    pub fn array<const N: usize>(&self) -> SqlResult<[u8; N]> {
        self.bytes.try_into().map_err(|_| corrupted())
    }

    /// Bytes of any length.
    pub fn variable(&self) -> SqlResult<&'a [u8]> {
        if self.kind == Kind::Variable { Ok(self.bytes) } else { Err(corrupted()) }
    }

    /// Text.
    pub fn text(&self) -> SqlResult<&'a str> {
        std::str::from_utf8(self.variable()?).map_err(|_| corrupted())
    }
}

/// Walks the fields of a row in ascending order of column numbers, without allocating.
#[derive(Clone, Debug)]
pub struct RowReader<'a> {
    rest: &'a [u8],
    /// Number of the last column read.
    last: u16,
    /// Read by `seek` but beyond what it was asked for.
    pending: Option<RawField<'a>>,
}

impl<'a> RowReader<'a> {
    /// Reads a row value.
    #[inline]
    pub fn new(value: &'a [u8]) -> SqlResult<Self> {
        match value.split_first() {
            Some((&FORMAT, rest)) => Ok(Self { rest, last: 0, pending: None }),
            _ => Err(corrupted()),
        }
    }

    /// The next field.
    #[inline]
    pub fn next_field(&mut self) -> SqlResult<Option<RawField<'a>>> {
        match self.pending.take() {
            Some(field) => Ok(Some(field)),
            None => self.read(),
        }
    }

    /// The field of this column, skipping those before it; `None` when the row has none. Calls must ask for
    /// ascending columns.
    #[inline]
    pub fn seek(&mut self, column: ColumnId) -> SqlResult<Option<RawField<'a>>> {
        while let Some(field) = self.next_field()? {
            if field.column >= column {
                if field.column == column {
                    return Ok(Some(field));
                }
                self.pending = Some(field);
                return Ok(None);
            }
        }
        Ok(None)
    }

    #[inline]
    fn read(&mut self) -> SqlResult<Option<RawField<'a>>> {
        let Some((tag, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let mut distance = u16::from(tag >> 3);
        if distance == LONG_DISTANCE {
            distance = u16::try_from(self.varint()?).map_err(|_| corrupted())?;
        }
        if distance == 0 {
            return Err(corrupted());
        }
        self.last = self.last.checked_add(distance).ok_or_else(corrupted)?;
        let (kind, length) = match tag & 7 {
            0 => (Kind::Variable, usize::try_from(self.varint()?).map_err(|_| corrupted())?),
            1 => (Kind::Null, 0),
            2 => (Kind::Fixed1, 1),
            3 => (Kind::Fixed2, 2),
            4 => (Kind::Fixed4, 4),
            5 => (Kind::Fixed8, 8),
            6 => (Kind::Fixed16, 16),
            _ => return Err(corrupted()),
        };
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(corrupted)?;
        self.rest = rest;
        Ok(Some(RawField { column: ColumnId(self.last), kind, bytes }))
    }

    #[inline]
    fn varint(&mut self) -> SqlResult<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or_else(corrupted)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(corrupted())
    }
}

/// The datum of a stored field in a column of this type.
pub fn decode_value(sql_type: SqlType, field: &RawField<'_>) -> SqlResult<Datum> {
    if field.is_null() {
        return Ok(Datum::Null);
    }
    let narrow = |_| corrupted();
    Ok(match sql_type.oid {
        Oid::BOOL => Datum::Bool(field.bool()?),
        Oid::INT2 => Datum::Int2(i16::try_from(field.int()?).map_err(narrow)?),
        Oid::INT4 => Datum::Int4(i32::try_from(field.int()?).map_err(narrow)?),
        Oid::INT8 => Datum::Int8(field.int()?),
        Oid::FLOAT4 => Datum::Float4(f32::from_le_bytes(field.array()?)),
        Oid::FLOAT8 => Datum::Float8(f64::from_le_bytes(field.array()?)),
        Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR | Oid::NAME | Oid::UNKNOWN => Datum::Text(Arc::from(field.text()?)),
        Oid::CHAR => Datum::Char(field.array::<1>()?[0]),
        Oid::BYTEA => Datum::Bytes(Arc::from(field.variable()?)),
        Oid::DATE => Datum::Date(i32::from_le_bytes(field.array()?)),
        Oid::TIME => Datum::Time(i64::from_le_bytes(field.array()?)),
        Oid::TIMESTAMP => Datum::Timestamp(i64::from_le_bytes(field.array()?)),
        Oid::TIMESTAMPTZ => Datum::TimestampTz(i64::from_le_bytes(field.array()?)),
        Oid::UUID => Datum::Uuid(field.array()?),
        Oid::JSON => Datum::Json(Arc::from(field.text()?)),
        Oid::JSONB => Datum::Jsonb(Arc::from(field.text()?)),
        oid if oid.is_unsigned() => Datum::Oid(u32::from_le_bytes(field.array()?)),
        _ => payload::decode_payload(field.variable()?)?,
    })
}

/// What a row without this column reads as.
pub fn missing_value(column: &ColumnDescriptor) -> SqlResult<Datum> {
    match &column.missing {
        None => Ok(Datum::Null),
        Some(text) => payload::parse_missing(column.sql_type, text),
    }
}

/// Decodes rows of one table into datums of chosen columns; made once, used for many rows.
#[derive(Clone, Debug)]
pub struct RowDecoder {
    /// Ascending by column number: number, type, place in the output.
    columns: Vec<(ColumnId, SqlType, usize)>,
    /// What rows without the column read as, in output order.
    missing: Vec<Datum>,
}

impl RowDecoder {
    /// A decoder of these positions in the table's columns; output is in the order given.
    pub fn new(table: &TableDescriptor, positions: impl IntoIterator<Item = usize>) -> SqlResult<Self> {
        let mut columns = Vec::new();
        let mut missing = Vec::new();
        for (place, position) in positions.into_iter().enumerate() {
            let column = table.columns.get(position).ok_or_else(|| SqlError::internal("no such column"))?;
            columns.push((column.id, column.sql_type, place));
            missing.push(missing_value(column)?);
        }
        columns.sort_unstable_by_key(|column| column.0);
        Ok(Self { columns, missing })
    }

    /// A decoder of all live columns in table order.
    pub fn all(table: &TableDescriptor) -> SqlResult<Self> {
        Self::new(table, 0..table.columns.len())
    }

    /// The chosen columns of a row.
    pub fn decode(&self, value: &[u8]) -> SqlResult<Vec<Datum>> {
        let mut row = self.missing.clone();
        let mut reader = RowReader::new(value)?;
        let mut field = reader.next_field()?;
        for (id, sql_type, place) in &self.columns {
            while field.is_some_and(|field| field.column < *id) {
                field = reader.next_field()?;
            }
            match &field {
                Some(found) if found.column == *id => row[*place] = decode_value(*sql_type, found)?,
                Some(_) => {}
                None => break,
            }
        }
        Ok(row)
    }
}

/// All live columns of a row in table order.
pub fn decode_row(table: &TableDescriptor, value: &[u8]) -> SqlResult<Vec<Datum>> {
    RowDecoder::all(table)?.decode(value)
}

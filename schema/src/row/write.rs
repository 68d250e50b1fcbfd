//! Encoding of row values.

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;

use super::payload::encode_payload;
use super::{FORMAT, Kind, LONG_DISTANCE};
use crate::{ColumnDescriptor, ColumnId, Datum, TableDescriptor};

/// The value of a row: one datum for each live column of the table, in table order.
pub fn encode_row(table: &TableDescriptor, row: &[Datum]) -> SqlResult<Vec<u8>> {
    if row.len() != table.columns.len() {
        return Err(SqlError::internal("row has another number of columns than its table"));
    }
    let mut writer = Writer { out: Vec::with_capacity(16 + row.len() * 12), last: 0 };
    writer.out.push(FORMAT);
    if table.columns.is_sorted_by_key(|column| column.id) {
        for (column, value) in table.columns.iter().zip(row) {
            writer.field(column, value)?;
        }
    } else {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_unstable_by_key(|at| table.columns[*at].id);
        for at in order {
            writer.field(&table.columns[at], &row[at])?;
        }
    }
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
    /// Number of the last column written.
    last: u16,
}

impl Writer {
    fn field(&mut self, descriptor: &ColumnDescriptor, value: &Datum) -> SqlResult<()> {
        let column = descriptor.id;
        match value {
            Datum::Null if descriptor.missing.is_some() => self.tag(column, Kind::Null)?,
            Datum::Null => {}
            Datum::Bool(v) => self.fixed(column, Kind::Fixed1, &[u8::from(*v)])?,
            Datum::Int2(v) => self.fixed(column, Kind::Fixed2, &v.to_le_bytes())?,
            Datum::Int4(v) | Datum::Date(v) => self.fixed(column, Kind::Fixed4, &v.to_le_bytes())?,
            Datum::Int8(v) | Datum::Time(v) | Datum::Timestamp(v) | Datum::TimestampTz(v) => {
                self.fixed(column, Kind::Fixed8, &v.to_le_bytes())?;
            }
            Datum::Float4(v) => self.fixed(column, Kind::Fixed4, &v.to_le_bytes())?,
            Datum::Float8(v) => self.fixed(column, Kind::Fixed8, &v.to_le_bytes())?,
            Datum::Char(v) => self.fixed(column, Kind::Fixed1, &[*v])?,
            Datum::Oid(v) => self.fixed(column, Kind::Fixed4, &v.to_le_bytes())?,
            Datum::Uuid(v) => self.fixed(column, Kind::Fixed16, v)?,
            Datum::Text(v) | Datum::Json(v) | Datum::Jsonb(v) => self.variable(column, v.as_bytes())?,
            Datum::Bytes(v) => self.variable(column, v)?,
            Datum::Numeric(_) | Datum::Interval(_) | Datum::TimeTz(..) | Datum::Array(_) | Datum::Record(_) => {
                let mut bytes = Vec::with_capacity(24);
                encode_payload(value, &mut bytes);
                self.variable(column, &bytes)?;
            }
        }
        Ok(())
    }

    fn fixed(&mut self, column: ColumnId, kind: Kind, payload: &[u8]) -> SqlResult<()> {
        self.tag(column, kind)?;
        self.out.extend_from_slice(payload);
        Ok(())
    }

    fn variable(&mut self, column: ColumnId, payload: &[u8]) -> SqlResult<()> {
        self.tag(column, Kind::Variable)?;
        self.varint(payload.len() as u64);
        self.out.extend_from_slice(payload);
        Ok(())
    }

    fn tag(&mut self, column: ColumnId, kind: Kind) -> SqlResult<()> {
        let distance = column.0.checked_sub(self.last).filter(|distance| *distance > 0);
        let distance = distance.ok_or_else(|| SqlError::internal("column numbers are not ascending"))?;
        self.last = column.0;
        self.out.push((distance.min(LONG_DISTANCE) << 3) as u8 | kind as u8);
        if distance >= LONG_DISTANCE {
            self.varint(distance.into());
        }
        Ok(())
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}

//! Rows of an Arrow batch.

use arrow::{
    array::{ArrowPrimitiveType, PrimitiveArray},
    record_batch::RecordBatch,
};
use bytes::{BufMut, BytesMut};
use fragment::Column;
use planner::plan::Field;
use proto::SqlResult;
use schema::Oid;
use sharddb_fragment as fragment;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;
use smallvec::SmallVec;

use super::{RowWriter, datum, sized};

/// The columns of a batch, ready to be read row by row.
pub(crate) struct ArrowRows<'a> {
    columns: SmallVec<[Column<'a>; 16]>,
}

impl<'a> ArrowRows<'a> {
    /// Looks at a batch as rows of these fields.
    pub(crate) fn new(fields: &[Field], batch: &'a RecordBatch) -> SqlResult<Self> {
        let columns = fields.iter().zip(batch.columns());
        let columns = columns.map(|(field, array)| Column::new(field.sql_type.oid, array.as_ref()));
        Ok(Self { columns: columns.collect::<SqlResult<_>>()? })
    }

    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Writes the values of one row.
    pub(super) fn write(&self, writer: &mut RowWriter<'_>, row: usize, out: &mut BytesMut) -> SqlResult<()> {
        for (position, column) in self.columns.iter().enumerate() {
            if column.is_null(row) {
                out.put_i32(-1);
                continue;
            }
            let binary = writer.formats.binary(position);
            sized(out, |out| match column {
                Column::Int2(array) => number(array, row, binary, out, BytesMut::put_i16),
                Column::Int4(array) => number(array, row, binary, out, BytesMut::put_i32),
                Column::Int8(array) => number(array, row, binary, out, BytesMut::put_i64),
                // The binary form of jsonb starts with a version.
                Column::Text(array, oid) if !(binary && *oid == Oid::JSONB) => {
                    out.put_slice(array.value(row).as_bytes());
                    Ok(())
                }
                Column::Bytes(array) if binary => {
                    out.put_slice(array.value(row));
                    Ok(())
                }
                other => writer.value(position, &other.datum(row)?, out),
            })?;
        }
        Ok(())
    }
}

#[inline]
fn number<T: ArrowPrimitiveType<Native: itoa::Integer>>(
    array: &PrimitiveArray<T>,
    row: usize,
    binary: bool,
    out: &mut BytesMut,
    put: impl FnOnce(&mut BytesMut, T::Native),
) -> SqlResult<()> {
    let value = array.value(row);
    if binary {
        put(out, value);
    } else {
        datum::integer(value, out);
    }
    Ok(())
}

//! From stored rows to record batches, projected columns only.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BinaryBuilder},
    datatypes::SchemaRef,
    record_batch::{RecordBatch, RecordBatchOptions},
};
use proto::SqlResult;
use schema::{ColumnId, Datum, Oid, row::RowReader};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::{builder::ColumnBuilder, error::from_arrow};

/// A column a scan produces.
#[derive(Clone, Debug)]
pub struct ScanColumn {
    /// Its number in the table.
    pub id: ColumnId,
    /// Its type.
    pub oid: Oid,
    /// What rows without it read as.
    pub missing: Datum,
}

/// Decodes rows into batches.
#[derive(Debug)]
pub struct RowsBuilder {
    schema: SchemaRef,
    /// Ascending by column number, each with its place among `builders`.
    columns: Vec<(ColumnId, usize)>,
    missing: Vec<Datum>,
    builders: Vec<ColumnBuilder>,
    /// Set when the last column is the row's key.
    keys: Option<BinaryBuilder>,
    rows: usize,
}

impl RowsBuilder {
    /// A builder of batches of about `rows` rows. `schema` has the columns in order, then the key if asked for.
    pub fn new(schema: SchemaRef, columns: &[ScanColumn], with_key: bool, rows: usize) -> Self {
        let mut order: Vec<(ColumnId, usize)> =
            columns.iter().enumerate().map(|(at, column)| (column.id, at)).collect();
        order.sort_unstable();
        Self {
            schema,
            columns: order,
            missing: columns.iter().map(|column| column.missing.clone()).collect(),
            builders: columns.iter().map(|column| ColumnBuilder::new(column.oid, rows)).collect(),
            keys: with_key.then(BinaryBuilder::new),
            rows: 0,
        }
    }

    /// Rows since the last batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row. After an error the builder is of no further use.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> SqlResult<()> {
        let mut reader = RowReader::new(value)?;
        for (id, place) in &self.columns {
            let builder = &mut self.builders[*place];
            match reader.seek(*id)? {
                Some(field) => builder.append_raw(&field)?,
                None => builder.append(&self.missing[*place])?,
            }
        }
        if let Some(keys) = &mut self.keys {
            keys.append_value(key);
        }
        self.rows += 1;
        Ok(())
    }

    /// The batch of the rows added since the last one.
    pub fn finish(&mut self) -> SqlResult<RecordBatch> {
        let mut arrays: Vec<ArrayRef> = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        arrays.extend(self.keys.as_mut().map(|keys| Arc::new(keys.finish()) as ArrayRef));
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options).map_err(|e| from_arrow(&e))
    }
}

//! ANALYZE: what a table's columns look like.
//!
//! Reads every row. Distinct values are estimated from the smallest hashes (k minimum values): exact up to
//! [`HASHES_MAX`], then within a few percent.

use std::{cmp::Ordering, collections::BTreeSet, hash::BuildHasher};

use ahash::RandomState;
use proto::SqlResult;
use schema::{ColumnStatistics, Datum, FormatSettings, TableDescriptor, TableStatistics, compare, row::RowDecoder};
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::{rows::TableScanner, session::CancelHandle, text::datum_text};

/// Hashes kept for each column: the estimate's error is about one in the root of this.
const HASHES_MAX: usize = 1024;
/// Longest value kept as a bound, in characters.
const BOUND_CHARS_MAX: usize = 256;

#[derive(Default)]
struct Column {
    nulls: u64,
    hashes: BTreeSet<u64>,
    min: Option<Datum>,
    max: Option<Datum>,
}

impl Column {
    fn add(&mut self, value: &Datum, state: &RandomState) {
        if value.is_null() {
            self.nulls += 1;
            return;
        }
        let mut hasher = state.build_hasher();
        compare::hash(value, &mut hasher);
        self.hashes.insert(std::hash::Hasher::finish(&hasher));
        if self.hashes.len() > HASHES_MAX {
            self.hashes.pop_last();
        }
        if self.min.as_ref().is_none_or(|min| compare::compare(value, min) == Ordering::Less) {
            self.min = Some(value.clone());
        }
        if self.max.as_ref().is_none_or(|max| compare::compare(value, max) == Ordering::Greater) {
            self.max = Some(value.clone());
        }
    }

    fn distinct(&self) -> u64 {
        match self.hashes.last() {
            Some(last) if self.hashes.len() == HASHES_MAX => {
                let fraction = *last as f64 / u64::MAX as f64;
                ((HASHES_MAX - 1) as f64 / fraction) as u64
            }
            _ => self.hashes.len() as u64,
        }
    }
}

/// Reads a table as the transaction sees it.
pub(crate) async fn collect(
    txn: &mut kv::Txn,
    table: &TableDescriptor,
    format: &FormatSettings,
    cancel: &CancelHandle,
) -> SqlResult<TableStatistics> {
    let decoder = RowDecoder::all(table)?;
    let state = RandomState::with_seeds(1, 2, 3, 4);
    let mut columns: Vec<Column> = std::iter::repeat_with(Column::default).take(table.columns.len()).collect();
    let (mut rows, mut bytes) = (0u64, 0u64);
    let mut scanner = TableScanner::new(txn, table).await?;
    while let Some(batch) = scanner.next(txn).await? {
        cancel.check()?;
        for (_, value) in batch {
            rows += 1;
            bytes += value.len() as u64;
            for (column, value) in columns.iter_mut().zip(decoder.decode(&value)?) {
                column.add(&value, &state);
            }
        }
    }
    let bound = |value: &Option<Datum>, sql_type| {
        let text = datum_text(value.as_ref()?, sql_type, format);
        (text.chars().count() <= BOUND_CHARS_MAX).then_some(text)
    };
    let columns = columns.iter().zip(&table.columns).map(|(found, column)| ColumnStatistics {
        column: column.id,
        null_fraction: if rows == 0 { 0.0 } else { found.nulls as f64 / rows as f64 },
        distinct: found.distinct(),
        min: bound(&found.min, column.sql_type),
        max: bound(&found.max, column.sql_type),
    });
    Ok(TableStatistics { rows, bytes, columns: columns.collect() })
}

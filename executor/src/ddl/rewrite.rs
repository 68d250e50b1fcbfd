//! Changes that give a table a new storage id: TRUNCATE, a new primary key, a new column type.
//!
//! Rows are written under a storage id that nobody else knows before this transaction commits, so they need no locks.
//! The old rows stay for older snapshots until the cleaner removes them.

use bytes::Bytes;
use planner::plan::Expr;
use proto::{SqlError, SqlResult};
use schema::{Datum, TableDescriptor, key, row};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, indexes::Seen};
use crate::{
    bind,
    rows::{IndexPlan, TableScanner, new_row_id},
};

/// What becomes of a row in a rewrite.
pub(super) enum Change {
    /// Its columns stay; only its key changes.
    None,
    /// A column gets a new value, computed over the old row.
    Column(usize, Box<Expr>),
}

impl Changes<'_> {
    /// Gives `table` (with a new layout) a new storage id and moves the rows of `old` there. Nobody else can write
    /// the table meanwhile.
    pub(super) async fn rewrite(
        &mut self,
        old: &TableDescriptor,
        table: &mut TableDescriptor,
        change: &Change,
    ) -> SqlResult<()> {
        table.storage_id = self.new_storage().await?;
        self.split(table).await?;
        let plans = self.rewrite_plans(table)?;
        let decoder = row::RowDecoder::all(old)?;
        let mut seen: Vec<Seen> = std::iter::repeat_with(Seen::default).take(plans.len() + 1).collect();
        self.txn.kv.refresh_snapshot().await?;
        let mut scanner = TableScanner::new(&mut self.txn.kv, old).await?;
        while let Some(batch) = scanner.next(&self.txn.kv).await? {
            for (old_key, value) in batch {
                let mut row = decoder.decode(&value)?;
                if let Change::Column(at, expr) = change {
                    row[*at] = self.eval_context().value(expr, &row)?;
                }
                let row_key = self.rewritten_key(old, table, &row, &old_key).await?;
                if !table.has_hidden_row_id() && !seen[0].insert(&row_key) {
                    return Err(self.duplicated(table, table.primary(), &row));
                }
                for (plan, seen) in plans.iter().zip(&mut seen[1..]) {
                    let Some(entry) = plan.entry(table, &row, &row_key, &self.eval_context())? else { continue };
                    if entry.unique && !seen.insert(&entry.key) {
                        return Err(self.duplicated(table, &plan.index, &row));
                    }
                    self.txn.kv.put(entry.key, row_key.clone());
                }
                let value = match change {
                    Change::None => value,
                    Change::Column(..) => row::encode_row(table, &row)?.into(),
                };
                self.txn.kv.put(row_key, value);
            }
            self.txn.kv.relieve().await?;
        }
        self.drop_storage(old.storage_id).await
    }

    fn rewrite_plans(&self, table: &TableDescriptor) -> SqlResult<Vec<IndexPlan>> {
        crate::rows::index_plans(table, |text| bind::row_expression(&self.catalog, &self.eval, table, text))
    }

    async fn rewritten_key(
        &self,
        old: &TableDescriptor,
        table: &TableDescriptor,
        row: &[Datum],
        old_key: &Bytes,
    ) -> SqlResult<Bytes> {
        let row_id = match (table.has_hidden_row_id(), old.has_hidden_row_id()) {
            (true, true) => Some(row_id_of(old_key)?),
            (true, false) => Some(new_row_id(self.engine.client()).await?),
            (false, _) => None,
        };
        Ok(key::primary_key(table, row, row_id)?.into())
    }

    /// Gives a table an empty storage.
    pub(super) async fn empty(&mut self, table: &mut TableDescriptor) -> SqlResult<()> {
        let old = table.storage_id;
        table.storage_id = self.new_storage().await?;
        self.split(table).await?;
        self.drop_storage(old).await
    }
}

/// The hidden row id at the end of a row's key.
fn row_id_of(key: &[u8]) -> SqlResult<i64> {
    let bytes = key.last_chunk::<8>().ok_or_else(|| SqlError::internal("a row's key is too short for a row id"))?;
    Ok((u64::from_be_bytes(*bytes) ^ (1 << 63)) as i64)
}

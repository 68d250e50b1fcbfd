//! Changing rows that a query has found.

use bytes::Bytes;
use planner::plan::Returning;
use proto::{SqlResult, kv::LockMode};
use schema::Datum;
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{BATCH_ROWS, Dml, TablePlan, Written};

/// A row found: its key, the target's columns, those of FROM, and assigned values.
#[derive(Clone, Debug)]
pub(crate) struct JoinedRow {
    pub(crate) key: Bytes,
    pub(crate) values: Vec<Datum>,
}

/// What becomes of the rows.
pub(crate) enum JoinedChange<'p> {
    /// The last values go to these columns.
    Update { columns: Vec<usize>, returning: Option<&'p Returning> },
    /// They are removed.
    Delete { returning: Option<&'p Returning> },
}

impl Dml<'_> {
    /// Locks rows; answers whether one of them is not any more what the query saw.
    pub(crate) async fn lock_joined(
        &mut self,
        table: &TablePlan,
        rows: &[JoinedRow],
        change: &JoinedChange<'_>,
    ) -> SqlResult<bool> {
        let keys: Vec<Bytes> = rows.iter().map(|row| row.key.clone()).collect();
        let mode = match change {
            JoinedChange::Update { columns, .. } if !touches_unique_key(table, columns) => LockMode::NoKeyUpdate,
            _ => LockMode::Update,
        };
        let locked = self.write_env().lock(&keys, mode).await?;
        let mut changed = false;
        for found in locked {
            self.check_serializable(found.newer_than_snapshot, found.value.is_none())?;
            changed |= found.newer_than_snapshot;
        }
        Ok(changed && self.txn.isolation() == kv::Isolation::ReadCommitted)
    }

    /// Changes rows that are locked and known in their newest version.
    pub(crate) async fn change_joined(
        &mut self,
        table: &TablePlan,
        rows: Vec<JoinedRow>,
        change: &JoinedChange<'_>,
    ) -> SqlResult<Written> {
        let mut written = Written::default();
        let width = table.table().columns.len();
        let mut rows = rows.into_iter();
        loop {
            let batch: Vec<JoinedRow> = rows.by_ref().take(BATCH_ROWS).collect();
            if batch.is_empty() {
                break;
            }
            self.cancel.check()?;
            written.count += batch.len() as u64;
            match change {
                JoinedChange::Update { columns, returning } => {
                    let mut changes = Vec::with_capacity(batch.len());
                    let mut answers = Vec::new();
                    for JoinedRow { key, mut values } in batch {
                        let assigned = values.split_off(values.len() - columns.len());
                        let old = values[..width].to_vec();
                        let mut new = old.clone();
                        for (column, value) in columns.iter().zip(assigned) {
                            new[*column] = value;
                        }
                        table.generate(&mut new, &self.context())?;
                        if returning.is_some() {
                            answers.push(new.iter().chain(&values[width..]).cloned().collect::<Vec<_>>());
                        }
                        changes.push((key, old, new));
                    }
                    self.update_rows(table, changes).await?;
                    for row in answers {
                        self.returned(*returning, &row, &mut written)?;
                    }
                }
                JoinedChange::Delete { returning } => {
                    for row in &batch {
                        self.returned(*returning, &row.values, &mut written)?;
                    }
                    let rows = batch.into_iter().map(|JoinedRow { key, mut values }| {
                        values.truncate(width);
                        (key, values)
                    });
                    self.delete_rows(table, rows.collect()).await?;
                }
            }
            self.txn.relieve().await?;
        }
        self.run_deferred().await?;
        Ok(written)
    }
}

fn touches_unique_key(table: &TablePlan, columns: &[usize]) -> bool {
    let descriptor = table.table();
    let touched = |column: &schema::IndexColumn| {
        descriptor.position(column.column).is_some_and(|position| columns.contains(&position))
    };
    descriptor.indexes.iter().any(|index| index.unique && index.columns.iter().any(touched))
}

//! Writing rows of one table: NOT NULL, CHECK, unique keys, index entries.
//!
//! # Invariants
//! * A row's key is locked before it is written; keys of unique index entries too. Entries that are not unique hold the
//!   row's key and are protected by its lock.
//! * The index entries of a table are exactly those of its rows, at every snapshot.
//!
//! Does not: foreign keys (see `dml::references`), choose rows, evaluate assignments.

use std::sync::Arc;

use ahash::AHashSet;
use bytes::Bytes;
use planner::plan::Expr;
use proto::{SqlError, SqlResult};
use schema::{ConstraintDescriptor, Datum, IndexId, TableDescriptor, key, row};
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Entry, IndexPlan, messages};
use crate::eval;

/// What writing needs besides the rows.
pub(crate) struct WriteEnv<'a> {
    pub(crate) txn: &'a mut kv::Txn,
    pub(crate) client: &'a kv::Client,
    pub(crate) context: eval::Context<'a>,
    pub(crate) lock_timeout_ms: u32,
}

impl WriteEnv<'_> {
    /// Locks keys for writing and answers the newest values.
    pub(crate) async fn lock(&mut self, keys: &[Bytes], mode: proto::kv::LockMode) -> SqlResult<Vec<kv::LockedRow>> {
        let wait = proto::kv::WaitPolicy::Block;
        Ok(self.txn.lock(keys, kv::RowLock { mode, wait, timeout_ms: self.lock_timeout_ms }).await?)
    }
}

/// A row that is replaced.
#[derive(Clone, Debug)]
pub(crate) struct RowChange {
    pub(crate) key: Bytes,
    pub(crate) old: Vec<Datum>,
    pub(crate) new: Vec<Datum>,
}

/// A row in the way of a new one.
#[derive(Clone, Debug)]
pub(crate) struct Conflict {
    /// Whose uniqueness it is.
    pub(crate) index: IndexId,
    /// Key of the row that is there.
    pub(crate) row_key: Bytes,
}

/// Writes rows of one table. Made once for a plan.
#[derive(Clone, Debug)]
pub(crate) struct TableWriter {
    pub(crate) table: Arc<TableDescriptor>,
    /// Name of the table's schema, for errors.
    pub(crate) schema: Arc<str>,
    indexes: Vec<IndexPlan>,
    checks: Vec<(ConstraintDescriptor, Expr)>,
}

/// A new row with its keys.
pub(crate) struct NewRow {
    pub(crate) row: Vec<Datum>,
    pub(crate) key: Bytes,
    pub(crate) entries: Vec<Entry>,
}

impl TableWriter {
    pub(crate) fn new(
        table: Arc<TableDescriptor>,
        schema: Arc<str>,
        indexes: Vec<IndexPlan>,
        checks: Vec<(ConstraintDescriptor, Expr)>,
    ) -> Self {
        Self { table, schema, indexes, checks }
    }

    /// NOT NULL and CHECK.
    pub(crate) fn check(&self, row: &[Datum], context: &eval::Context<'_>) -> SqlResult<()> {
        let format = &context.session.format;
        for (at, column) in self.table.columns.iter().enumerate() {
            if column.not_null && row[at].is_null() {
                return Err(messages::null_value(&self.table, &self.schema, at, row, format));
            }
        }
        for (constraint, condition) in &self.checks {
            if matches!(context.value(condition, row)?, Datum::Bool(false)) {
                return Err(messages::check_violation(&self.table, &self.schema, &constraint.name, row, format));
            }
        }
        Ok(())
    }

    /// A new row with its keys. Tables without a primary key take a fresh row id.
    pub(crate) async fn prepare(&self, row: Vec<Datum>, env: &WriteEnv<'_>) -> SqlResult<NewRow> {
        self.check(&row, &env.context)?;
        let id = match self.table.has_hidden_row_id() {
            true => Some(new_row_id(env.client).await?),
            false => None,
        };
        let key = Bytes::from(key::primary_key(&self.table, &row, id)?);
        let entries = self.entries(&row, &key, &env.context)?;
        Ok(NewRow { row, key, entries })
    }

    /// Inserts rows; the first that is there already is 23505.
    pub(crate) async fn insert(&self, rows: &[NewRow], env: &mut WriteEnv<'_>) -> SqlResult<()> {
        let locks = self.lock_new(rows, env).await?;
        let mut answers = locks.iter();
        let mut seen = AHashSet::new();
        for new in rows {
            for (index, key) in self.unique_keys(new) {
                let taken = answers.next().is_some_and(|locked| locked.value.is_some());
                if taken || (rows.len() > 1 && !seen.insert(key)) {
                    let format = &env.context.session.format;
                    return Err(messages::duplicate_key(&self.table, &self.schema, index, &new.row, format));
                }
            }
            self.put_new(new, env.txn)?;
        }
        Ok(())
    }

    /// Locks the keys that a new row must be alone with, and answers the row in the way if there is one. With
    /// `arbiters`, other indexes are only checked when the row is inserted.
    pub(crate) async fn find_conflict(
        &self,
        new: &NewRow,
        arbiters: Option<&[IndexId]>,
        env: &mut WriteEnv<'_>,
    ) -> SqlResult<Option<Conflict>> {
        let locks = self.lock_new(std::slice::from_ref(new), env).await?;
        let mut found = None;
        for ((index, key), locked) in self.unique_keys(new).zip(locks) {
            let Some(value) = locked.value else { continue };
            if arbiters.is_none_or(|arbiters| arbiters.contains(&index)) {
                let row_key = if index == key::PRIMARY_INDEX { key.clone() } else { value };
                found.get_or_insert(Conflict { index, row_key });
            }
        }
        Ok(found)
    }

    /// Replaces rows whose keys are locked.
    pub(crate) async fn update(&self, changes: &[RowChange], env: &mut WriteEnv<'_>) -> SqlResult<()> {
        for change in changes {
            self.update_one(change, env).await?;
        }
        Ok(())
    }

    async fn update_one(&self, change: &RowChange, env: &mut WriteEnv<'_>) -> SqlResult<()> {
        let new_key = self.key_after(change)?;
        let moved = new_key != change.key;
        let old_entries = self.entries(&change.old, &change.key, &env.context)?;
        let new_entries = self.entries(&change.new, &new_key, &env.context)?;
        let fresh: Vec<&Entry> = new_entries.iter().filter(|entry| moved || !old_entries.contains(entry)).collect();
        let mut claimed: Vec<(IndexId, Bytes)> = Vec::new();
        if moved {
            claimed.push((key::PRIMARY_INDEX, new_key.clone()));
        }
        let is_new_key = |entry: &&&Entry| entry.unique && !old_entries.iter().any(|old| old.key == entry.key);
        claimed.extend(fresh.iter().filter(is_new_key).map(|entry| (entry.index, entry.key.clone())));
        if !claimed.is_empty() {
            let keys: Vec<Bytes> = claimed.iter().map(|(_, key)| key.clone()).collect();
            let locks = env.lock(&keys, proto::kv::LockMode::Update).await?;
            if let Some(((index, _), _)) = claimed.iter().zip(&locks).find(|(_, locked)| locked.value.is_some()) {
                let format = &env.context.session.format;
                return Err(messages::duplicate_key(&self.table, &self.schema, *index, &change.new, format));
            }
        }
        let value = Bytes::from(row::encode_row(&self.table, &change.new)?);
        for entry in old_entries.iter().filter(|entry| moved || !new_entries.contains(entry)) {
            env.txn.delete_guarded(entry.key.clone());
        }
        if moved {
            env.txn.delete(change.key.clone());
        }
        env.txn.put(new_key.clone(), value);
        for entry in fresh {
            env.txn.put_guarded(entry.key.clone(), new_key.clone());
        }
        Ok(())
    }

    /// Removes rows whose keys are locked.
    pub(crate) fn delete(&self, key: &Bytes, old: &[Datum], env: &mut WriteEnv<'_>) -> SqlResult<()> {
        for entry in self.entries(old, key, &env.context)? {
            env.txn.delete_guarded(entry.key);
        }
        env.txn.delete(key.clone());
        Ok(())
    }

    /// The key of a changed row.
    fn key_after(&self, change: &RowChange) -> SqlResult<Bytes> {
        if self.table.has_hidden_row_id() {
            return Ok(change.key.clone());
        }
        Ok(key::primary_key(&self.table, &change.new, None)?.into())
    }

    fn entries(&self, row: &[Datum], row_key: &[u8], context: &eval::Context<'_>) -> SqlResult<Vec<Entry>> {
        let mut entries = Vec::with_capacity(self.indexes.len());
        for index in &self.indexes {
            entries.extend(index.entry(&self.table, row, row_key, context)?);
        }
        Ok(entries)
    }

    /// The keys a new row must be alone with: its own, unless made up, and those of unique entries.
    fn unique_keys<'n>(&self, new: &'n NewRow) -> impl Iterator<Item = (IndexId, &'n Bytes)> {
        let own = (!self.table.has_hidden_row_id()).then_some((key::PRIMARY_INDEX, &new.key));
        let entries = new.entries.iter().filter(|entry| entry.unique).map(|entry| (entry.index, &entry.key));
        own.into_iter().chain(entries)
    }

    async fn lock_new(&self, rows: &[NewRow], env: &mut WriteEnv<'_>) -> SqlResult<Vec<kv::LockedRow>> {
        let keys: Vec<Bytes> = rows.iter().flat_map(|new| self.unique_keys(new)).map(|(_, key)| key.clone()).collect();
        if keys.is_empty() {
            self.lock_shared(env).await?;
            return Ok(Vec::new());
        }
        env.lock(&keys, proto::kv::LockMode::Update).await
    }

    /// Keeps the table's layout as it is, where no row lock does.
    pub(crate) async fn lock_shared(&self, env: &mut WriteEnv<'_>) -> SqlResult<()> {
        let (start, end) = key::table_span(self.table.storage_id);
        let span = proto::kv::Span { start: start.into(), end: end.into() };
        let wait = proto::kv::WaitPolicy::Block;
        env.txn.lock_table(span, false, wait, env.lock_timeout_ms).await?;
        Ok(())
    }

    /// Writes a new row whose keys are locked and free.
    pub(crate) fn put_new(&self, new: &NewRow, txn: &mut kv::Txn) -> SqlResult<()> {
        for entry in &new.entries {
            txn.put_guarded(entry.key.clone(), new.key.clone());
        }
        txn.put(new.key.clone(), row::encode_row(&self.table, &new.row)?.into());
        Ok(())
    }
}

/// A row id for a table without a primary key: a timestamp of the cluster, unique and ascending.
pub(crate) async fn new_row_id(client: &kv::Client) -> SqlResult<i64> {
    let timestamp = client.timestamp().await?;
    i64::try_from(timestamp.0).map_err(|_| SqlError::internal("timestamps no longer fit a row id"))
}

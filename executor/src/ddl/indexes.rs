//! CREATE INDEX, and filling an index from rows that exist.

use ahash::AHashSet;
use bytes::Bytes;
use planner::plan::CreateIndex;
use proto::{SqlError, SqlResult, SqlState};
use schema::{IndexColumn, IndexDescriptor, IndexId, IndexState, TableDescriptor, row};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, constraints, names};
use crate::{
    bind,
    rows::{IndexPlan, TableScanner, describe_key},
};

/// PostgreSQL's bound on the columns of an index.
const INDEX_COLUMNS_MAX: usize = 32;

impl Changes<'_> {
    /// CREATE INDEX.
    pub(super) async fn create_index(&mut self, definition: &CreateIndex) -> SqlResult<()> {
        let Some(table) = self.find_table(&definition.table, false)? else { return Ok(()) };
        if let Some(name) = &definition.name
            && self.relation_exists(table.schema, name)
        {
            return self.exists_already("relation", name, SqlState::DuplicateTable, definition.if_not_exists);
        }
        self.lock_table(&table).await?;
        let mut table = TableDescriptor::clone(&table);
        let columns = index_columns(&table, definition)?;
        let joined = names::join_columns(definition.columns.iter().map(|(name, _, _)| name.as_str()));
        let name = match &definition.name {
            Some(name) => name.clone(),
            None => self.choose_relation_name(table.schema, &table.name, Some(&joined), "idx"),
        };
        if let Some(text) = &definition.predicate {
            let condition = (text.as_str(), schema::SqlType::new(schema::Oid::BOOL));
            let purpose = planner::RowUse::IndexPredicate;
            bind::check_row_expression(&self.catalog, &self.eval, &table, condition, purpose)?;
        }
        let id = IndexId(table.next_index);
        table.next_index += 1;
        table.indexes.push(IndexDescriptor {
            id,
            oid: self.new_oid().await?,
            name,
            columns,
            unique: definition.unique,
            nulls_not_distinct: definition.nulls_not_distinct,
            state: IndexState::Ready,
            constraint: None,
            predicate: definition.predicate.clone(),
        });
        self.build_index(&table, id).await?;
        self.put_table(table)
    }

    /// Writes an entry for every row of a table that nobody else can write.
    pub(super) async fn build_index(&mut self, table: &TableDescriptor, id: IndexId) -> SqlResult<()> {
        let index = table.index(id).ok_or_else(|| SqlError::internal("the index to build is missing"))?.clone();
        let predicate = match &index.predicate {
            Some(text) => Some(bind::row_expression(&self.catalog, &self.eval, table, text)?),
            None => None,
        };
        let plan = IndexPlan { index, predicate };
        let decoder = row::RowDecoder::all(table)?;
        let mut seen = Seen::default();
        self.txn.kv.refresh_snapshot().await?;
        let mut scanner = TableScanner::new(&mut self.txn.kv, table).await?;
        while let Some(batch) = scanner.next(&self.txn.kv).await? {
            for (row_key, value) in batch {
                let row = decoder.decode(&value)?;
                let entry = plan.entry(table, &row, &row_key, &self.eval_context())?;
                let Some(entry) = entry else { continue };
                if entry.unique && !seen.insert(&entry.key) {
                    return Err(self.duplicated(table, &plan.index, &row));
                }
                self.txn.kv.put_guarded(entry.key, row_key);
            }
            self.txn.kv.relieve().await?;
        }
        Ok(())
    }

    /// 23505 for values that rows share already.
    pub(super) fn duplicated(
        &self,
        table: &TableDescriptor,
        index: &IndexDescriptor,
        row: &[schema::Datum],
    ) -> SqlError {
        let columns = index.columns.iter().map(|column| column.column);
        let key = describe_key(table, columns, row, &self.eval.format);
        let schema = self.catalog.schema_name(table.schema).unwrap_or_default();
        SqlError::new(SqlState::UniqueViolation, format!("could not create unique index \"{}\"", index.name))
            .with_detail(format!("Key {key} is duplicated."))
            .with_table(schema, &table.name)
            .with_constraint(&index.name)
    }
}

fn index_columns(table: &TableDescriptor, definition: &CreateIndex) -> SqlResult<Vec<IndexColumn>> {
    if definition.columns.len() > INDEX_COLUMNS_MAX {
        let message = format!("cannot use more than {INDEX_COLUMNS_MAX} columns in an index");
        return Err(SqlError::new(SqlState::TooManyColumns, message));
    }
    let find = |(name, descending, nulls_first): &(String, bool, bool)| {
        let at = table
            .position_by_name(name)
            .ok_or_else(|| SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" does not exist")))?;
        let column = &table.columns[at];
        constraints::check_key_type(column)?;
        Ok(IndexColumn { column: column.id, descending: *descending, nulls_first: *nulls_first })
    };
    definition.columns.iter().map(find).collect()
}

/// Keys seen so far, by fingerprint: 128 bits make an accidental match as unlikely as a broken disk.
#[derive(Default)]
pub(super) struct Seen {
    fingerprints: AHashSet<u128>,
}

impl Seen {
    /// Whether the key is new.
    pub(super) fn insert(&mut self, key: &Bytes) -> bool {
        use std::hash::{BuildHasher, RandomState};
        static STATES: std::sync::OnceLock<(RandomState, RandomState)> = std::sync::OnceLock::new();
        let (first, second) = STATES.get_or_init(Default::default);
        let fingerprint = u128::from(first.hash_one(key)) << 64 | u128::from(second.hash_one(key));
        self.fingerprints.insert(fingerprint)
    }
}

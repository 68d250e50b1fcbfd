//! CREATE TABLE.

use std::{collections::HashSet, sync::Arc};

use planner::plan::{ColumnDefinition, CreateTable, SequenceOptions};
use proto::{SqlError, SqlResult, SqlState};
use schema::{
    ColumnDescriptor, ColumnId, IndexDescriptor, IndexId, IndexState, SequenceDescriptor, Sharding, TableDescriptor,
};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, names};

/// PostgreSQL's bound on columns.
const COLUMNS_MAX: usize = 1600;
/// The range map is read as a whole; more shards than this for one table help nobody.
const SHARDS_MAX: u16 = 4096;

impl Changes<'_> {
    /// CREATE TABLE. Answers the table, or `None` when it exists and may.
    pub(super) async fn create_table(&mut self, definition: &CreateTable) -> SqlResult<Option<Arc<TableDescriptor>>> {
        let name = &definition.name;
        let schema = self.schema_for_new(&name.schema, &name.name).await?;
        if self.relation_exists(schema.oid, &name.name) {
            self.exists_already("relation", &name.name, SqlState::DuplicateTable, definition.if_not_exists)?;
            return Ok(None);
        }
        check_columns(definition)?;
        let mut table = self.empty_table(definition, schema.oid).await?;
        for column in &definition.columns {
            self.add_column_to(&mut table, column).await?;
        }
        self.check_generated(&table)?;
        let keys_first = |constraint: &&planner::plan::ConstraintDefinition| is_primary_key(constraint);
        for constraint in definition.constraints.iter().filter(keys_first) {
            self.add_constraint_to(&mut table, constraint, true).await?;
        }
        table.sharding = sharding(definition, &table, self.actor.default_shards)?;
        for constraint in definition.constraints.iter().filter(|constraint| !is_primary_key(constraint)) {
            self.add_constraint_to(&mut table, constraint, true).await?;
        }
        let oid = table.oid;
        self.put_table(table)?;
        let table = self.table(oid)?;
        self.split(&table).await?;
        for index in &definition.indexes {
            self.create_index(index).await?;
        }
        Ok(Some(self.table(oid)?))
    }

    async fn empty_table(&self, definition: &CreateTable, schema: schema::Oid) -> SqlResult<TableDescriptor> {
        let row_ids = IndexDescriptor {
            id: IndexId(1),
            oid: schema::Oid::INVALID,
            name: String::new(),
            columns: Vec::new(),
            unique: true,
            nulls_not_distinct: false,
            state: IndexState::Ready,
            constraint: None,
            predicate: None,
        };
        Ok(TableDescriptor {
            oid: self.new_oid().await?,
            storage_id: self.new_storage().await?,
            version: 0,
            schema,
            name: definition.name.name.clone(),
            owner: self.actor.role,
            columns: Vec::with_capacity(definition.columns.len()),
            next_column: 1,
            indexes: vec![row_ids],
            next_index: 2,
            constraints: Vec::new(),
            referenced_by: Vec::new(),
            sharding: Sharding::Range { shards: 1 },
            replication_factor: definition.replication_factor,
            statistics: None,
            comment: None,
        })
    }

    /// Adds a column, with its sequence if it has one, to a table that is being made or altered.
    pub(super) async fn add_column_to(
        &mut self,
        table: &mut TableDescriptor,
        definition: &ColumnDefinition,
    ) -> SqlResult<()> {
        if table.columns.len() >= COLUMNS_MAX {
            let message = format!("tables can have at most {COLUMNS_MAX} columns");
            return Err(SqlError::new(SqlState::TooManyColumns, message));
        }
        let id = ColumnId(table.next_column);
        table.next_column += 1;
        let mut column = ColumnDescriptor {
            id,
            name: definition.name.clone(),
            sql_type: definition.sql_type,
            not_null: definition.not_null || definition.serial || definition.identity.is_some(),
            default: definition.default.clone(),
            identity: definition.identity.as_ref().map(|(identity, _)| identity.clone()),
            missing: None,
            generated: definition.generated.clone(),
            comment: None,
        };
        let no_options = SequenceOptions::default();
        let options = match &definition.identity {
            Some((_, options)) => Some(options),
            None if definition.serial => Some(&no_options),
            None => None,
        };
        if let Some(options) = options {
            let owner = (definition.name.as_str(), id, definition.sql_type.oid);
            let sequence = self.sequence_for_column(table, owner, options).await?;
            column.default = Some(self.nextval_text(&sequence));
        }
        table.columns.push(column);
        Ok(())
    }

    /// Checks the expressions of generated columns, which may read columns that come later.
    pub(super) fn check_generated(&self, table: &TableDescriptor) -> SqlResult<()> {
        for column in &table.columns {
            let Some(text) = &column.generated else { continue };
            let value = (text.as_str(), column.sql_type);
            crate::bind::check_row_expression(&self.catalog, &self.eval, table, value, planner::RowUse::Generated)?;
        }
        Ok(())
    }

    /// The default of a column fed by a sequence. The name is always qualified, so that it means the same whatever the
    /// search path.
    pub(super) fn nextval_text(&self, sequence: &SequenceDescriptor) -> String {
        let schema = self.catalog.schema_name(sequence.schema).unwrap_or_default();
        let name = format!("{}.{}", names::quote(schema), names::quote(&sequence.name));
        format!("nextval({}::regclass)", names::quote_literal(&name))
    }
}

fn is_primary_key(constraint: &planner::plan::ConstraintDefinition) -> bool {
    matches!(constraint.kind, planner::plan::ConstraintDefinitionKind::PrimaryKey { .. })
}

fn check_columns(definition: &CreateTable) -> SqlResult<()> {
    let mut seen = HashSet::new();
    for column in &definition.columns {
        if !seen.insert(&column.name) {
            let message = format!("column \"{}\" specified more than once", column.name);
            return Err(SqlError::new(SqlState::DuplicateColumn, message));
        }
        check_column_name(&column.name)?;
    }
    Ok(())
}

/// Names of PostgreSQL's system columns cannot be used.
pub(super) fn check_column_name(name: &str) -> SqlResult<()> {
    if ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"].contains(&name) {
        let message = format!("column name \"{name}\" conflicts with a system column name");
        return Err(SqlError::new(SqlState::DuplicateColumn, message));
    }
    Ok(())
}

/// How the table is spread: by hash of its primary key when it asks for several shards and does not say otherwise.
/// A table spread by range begins as one shard.
fn sharding(definition: &CreateTable, table: &TableDescriptor, default_shards: u16) -> SqlResult<Sharding> {
    let by_range = definition.shard_by_hash == Some(false);
    let shards = definition.shards.unwrap_or(if by_range { 1 } else { default_shards });
    if shards == 0 || shards > SHARDS_MAX {
        let message = format!("value {shards} out of bounds for option \"shards\"");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message)
            .with_detail(format!("Valid values are between \"1\" and \"{SHARDS_MAX}\".")));
    }
    let by_hash = definition.shard_by_hash.unwrap_or(shards > 1 || !definition.shard_key.is_empty());
    if !by_hash {
        if !definition.shard_key.is_empty() {
            let message = "shard_key can only be used with shard_by = 'hash'";
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        }
        return Ok(Sharding::Range { shards });
    }
    let key: Vec<ColumnId> = table.primary().columns.iter().map(|column| column.column).collect();
    if definition.shard_key.is_empty() {
        return Ok(Sharding::Hash { shards, columns: key });
    }
    let mut columns = Vec::with_capacity(definition.shard_key.len());
    for name in &definition.shard_key {
        let at = table.position_by_name(name).ok_or_else(|| {
            SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" named in key does not exist"))
        })?;
        columns.push(table.columns[at].id);
    }
    if !key.starts_with(&columns) {
        let message = "shard_key must be the primary key or its first columns";
        return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
    }
    Ok(Sharding::Hash { shards, columns })
}

//! Adding constraints to a table that is being made or altered.

use std::collections::HashSet;

use planner::plan::{ConstraintDefinition, ConstraintDefinitionKind};
use proto::{SqlError, SqlResult, SqlState};
use schema::{
    ColumnId, ConstraintDescriptor, ConstraintKind, IndexColumn, IndexDescriptor, IndexId, IndexState, Oid,
    TableDescriptor,
};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, names};
use crate::bind;

/// What an added constraint still asks of rows that exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Nothing.
    None,
    /// Fill this index.
    BuildIndex(IndexId),
    /// Give every row its new primary key.
    Rekey,
    /// Look for rows that break this constraint.
    Validate(Oid),
}

impl Changes<'_> {
    /// Adds a constraint to the descriptor. `fresh`: the table has no rows yet.
    pub(super) async fn add_constraint_to(
        &mut self,
        table: &mut TableDescriptor,
        definition: &ConstraintDefinition,
        fresh: bool,
    ) -> SqlResult<Work> {
        if let Some(name) = &definition.name
            && names::has_constraint(table, name)
        {
            let message = format!("constraint \"{name}\" for relation \"{}\" already exists", table.name);
            return Err(SqlError::new(SqlState::DuplicateObject, message));
        }
        let given = definition.name.clone();
        match &definition.kind {
            ConstraintDefinitionKind::PrimaryKey { columns } => {
                let columns = key_columns(table, columns, "primary key")?;
                self.add_primary_key(table, given, columns, fresh).await
            }
            ConstraintDefinitionKind::Unique { columns, nulls_not_distinct } => {
                let columns = key_columns(table, columns, "unique")?;
                self.add_unique(table, given, columns, (*nulls_not_distinct, fresh)).await
            }
            ConstraintDefinitionKind::UsingIndex { primary, index } => {
                self.adopt_index(table, given, index, *primary, fresh).await
            }
            ConstraintDefinitionKind::Check { expression, columns, .. } => {
                self.add_check(table, given, (expression, columns), definition.not_valid, fresh).await
            }
            ConstraintDefinitionKind::ForeignKey { .. } => self.add_foreign_key(table, definition, fresh).await,
        }
    }

    async fn add_primary_key(
        &mut self,
        table: &mut TableDescriptor,
        name: Option<String>,
        columns: Vec<ColumnId>,
        fresh: bool,
    ) -> SqlResult<Work> {
        if !table.has_hidden_row_id() {
            let message = format!("multiple primary keys for table \"{}\" are not allowed", table.name);
            return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
        }
        let name = self.key_name(table, name, None, "pkey")?;
        let constraint = self.new_oid().await?;
        let index = &mut table.indexes[0];
        index.oid = Oid(self.engine.new_object_id().await?);
        index.name.clone_from(&name);
        index.columns = ascending(&columns);
        index.constraint = Some(constraint);
        for column in &mut table.columns {
            column.not_null |= columns.contains(&column.id);
        }
        let kind = ConstraintKind::PrimaryKey { columns };
        table.constraints.push(ConstraintDescriptor { oid: constraint, name, kind, validated: true });
        Ok(if fresh { Work::None } else { Work::Rekey })
    }

    async fn add_unique(
        &mut self,
        table: &mut TableDescriptor,
        name: Option<String>,
        columns: Vec<ColumnId>,
        (nulls_not_distinct, fresh): (bool, bool),
    ) -> SqlResult<Work> {
        let joined = names::join_columns(column_names(table, &columns));
        let name = self.key_name(table, name, Some(&joined), "key")?;
        let constraint = self.new_oid().await?;
        let id = IndexId(table.next_index);
        table.next_index += 1;
        table.indexes.push(IndexDescriptor {
            id,
            oid: self.new_oid().await?,
            name: name.clone(),
            columns: ascending(&columns),
            unique: true,
            nulls_not_distinct,
            state: IndexState::Ready,
            constraint: Some(constraint),
            predicate: None,
        });
        let kind = ConstraintKind::Unique { index: id, columns };
        table.constraints.push(ConstraintDescriptor { oid: constraint, name, kind, validated: true });
        Ok(if fresh { Work::None } else { Work::BuildIndex(id) })
    }

    /// The name of a key constraint and its index: given and free, or made up.
    fn key_name(
        &self,
        table: &TableDescriptor,
        given: Option<String>,
        columns: Option<&str>,
        label: &str,
    ) -> SqlResult<String> {
        match given {
            None => Ok(self.choose_key_name(table, columns, label)),
            Some(name) if self.relation_exists(table.schema, &name) || names::has_index(table, &name) => {
                let message = format!("relation \"{name}\" already exists");
                Err(SqlError::new(SqlState::DuplicateTable, message))
            }
            Some(name) => Ok(name),
        }
    }

    /// ADD PRIMARY KEY / UNIQUE USING INDEX.
    async fn adopt_index(
        &mut self,
        table: &mut TableDescriptor,
        given: Option<String>,
        index_name: &str,
        primary: bool,
        fresh: bool,
    ) -> SqlResult<Work> {
        let Some(at) = table.indexes.iter().position(|index| index.name == index_name && !index.columns.is_empty())
        else {
            let message = format!("index \"{index_name}\" does not exist");
            return Err(SqlError::new(SqlState::UndefinedObject, message));
        };
        let index = table.indexes[at].clone();
        check_adoptable(&index)?;
        let columns: Vec<ColumnId> = index.columns.iter().map(|column| column.column).collect();
        let name = given.unwrap_or_else(|| index_name.to_owned());
        if name != index_name {
            self.notice(format!(
                "ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index \"{index_name}\" to \"{name}\""
            ));
        }
        if primary {
            table.indexes.remove(at);
            return self.add_primary_key(table, Some(name), columns, fresh).await;
        }
        let constraint = self.new_oid().await?;
        table.indexes[at].name.clone_from(&name);
        table.indexes[at].constraint = Some(constraint);
        let kind = ConstraintKind::Unique { index: index.id, columns };
        table.constraints.push(ConstraintDescriptor { oid: constraint, name, kind, validated: true });
        Ok(Work::None)
    }

    async fn add_check(
        &mut self,
        table: &mut TableDescriptor,
        given: Option<String>,
        (expression, columns): (&str, &[String]),
        not_valid: bool,
        fresh: bool,
    ) -> SqlResult<Work> {
        let only = match columns {
            [column] => Some(column.as_str()),
            _ => None,
        };
        let name = given.unwrap_or_else(|| names::choose_constraint_name(table, only, "check"));
        let condition = (expression, schema::SqlType::new(Oid::BOOL));
        bind::check_row_expression(&self.catalog, &self.eval, table, condition, planner::RowUse::Check)?;
        let ids = columns.iter().filter_map(|name| table.position_by_name(name));
        let columns = ids.map(|at| table.columns[at].id).collect();
        let kind = ConstraintKind::Check { expression: expression.to_owned(), columns };
        let oid = self.new_oid().await?;
        let validated = fresh || !not_valid;
        table.constraints.push(ConstraintDescriptor { oid, name, kind, validated });
        Ok(if fresh || not_valid { Work::None } else { Work::Validate(oid) })
    }
}

fn check_adoptable(index: &IndexDescriptor) -> SqlResult<()> {
    let wrong = |message: String| Err(SqlError::new(SqlState::WrongObjectType, message));
    if index.constraint.is_some() {
        let message = format!("index \"{}\" is already associated with a constraint", index.name);
        return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message));
    }
    if !index.unique {
        return wrong(format!("\"{}\" is not a unique index", index.name));
    }
    if index.predicate.is_some() {
        return wrong(format!("\"{}\" is a partial index", index.name));
    }
    if index.columns.iter().any(|column| column.descending || column.nulls_first) {
        return wrong(format!("index \"{}\" column number 1 does not have default sorting behavior", index.name));
    }
    Ok(())
}

/// The columns a key names.
fn key_columns(table: &TableDescriptor, columns: &[String], what: &str) -> SqlResult<Vec<ColumnId>> {
    let mut seen = HashSet::new();
    let mut ids = Vec::with_capacity(columns.len());
    for name in columns {
        let at = table.position_by_name(name).ok_or_else(|| {
            SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" named in key does not exist"))
        })?;
        if !seen.insert(name) {
            let message = format!("column \"{name}\" appears twice in {what} constraint");
            return Err(SqlError::new(SqlState::DuplicateColumn, message));
        }
        check_key_type(&table.columns[at])?;
        ids.push(table.columns[at].id);
    }
    Ok(ids)
}

/// Types without an order cannot be in a key.
pub(super) fn check_key_type(column: &schema::ColumnDescriptor) -> SqlResult<()> {
    if column.sql_type.oid == Oid::JSON {
        let message = "data type json has no default operator class for access method \"btree\"";
        return Err(SqlError::new(SqlState::UndefinedObject, message).with_hint(
            "You must specify an operator class for the index or define a default operator class for the data type.",
        ));
    }
    Ok(())
}

/// Key columns in their default order.
fn ascending(columns: &[ColumnId]) -> Vec<IndexColumn> {
    columns.iter().map(|column| IndexColumn { column: *column, descending: false, nulls_first: false }).collect()
}

/// Names of these columns.
pub(super) fn column_names<'t>(table: &'t TableDescriptor, columns: &[ColumnId]) -> Vec<&'t str> {
    columns.iter().filter_map(|id| table.column(*id)).map(|column| column.name.as_str()).collect()
}

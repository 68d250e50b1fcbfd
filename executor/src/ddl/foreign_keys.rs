//! Adding and removing FOREIGN KEY constraints.

use std::sync::Arc;

use planner::plan::{ConstraintDefinition, ConstraintDefinitionKind, QualifiedName};
use proto::{SqlError, SqlResult, SqlState};
use schema::{Category, ColumnId, ConstraintDescriptor, ConstraintKind, Oid, SqlType, TableDescriptor};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    Changes,
    constraints::{Work, column_names},
    names,
};

impl Changes<'_> {
    pub(super) async fn add_foreign_key(
        &mut self,
        table: &mut TableDescriptor,
        definition: &ConstraintDefinition,
        fresh: bool,
    ) -> SqlResult<Work> {
        let ConstraintDefinitionKind::ForeignKey {
            columns,
            table: parent_name,
            referenced,
            on_delete,
            on_update,
            deferrable,
        } = &definition.kind
        else {
            return Err(SqlError::internal("not a foreign key"));
        };
        let parent = self.parent(table, parent_name)?;
        self.check_same_persistence(table, &parent)?;
        let columns = foreign_columns(table, columns)?;
        let referenced = referenced_columns(&parent, referenced, columns.len())?;
        let joined = names::join_columns(column_names(table, &columns));
        let name =
            definition.name.clone().unwrap_or_else(|| names::choose_constraint_name(table, Some(&joined), "fkey"));
        check_types(table, &columns, &parent, &referenced, &name)?;
        let oid = self.new_oid().await?;
        let kind = ConstraintKind::ForeignKey {
            columns,
            table: parent.oid,
            referenced,
            on_delete: *on_delete,
            on_update: *on_update,
            deferrable: *deferrable,
        };
        let validated = fresh || !definition.not_valid;
        table.constraints.push(ConstraintDescriptor { oid, name, kind, validated });
        self.note_reference(table, parent.oid)?;
        Ok(if fresh || definition.not_valid { Work::None } else { Work::Validate(oid) })
    }

    fn parent(&self, table: &TableDescriptor, name: &QualifiedName) -> SqlResult<Arc<TableDescriptor>> {
        let own_schema = self.catalog.schema_name(table.schema).unwrap_or_default();
        if name.name == table.name && name.schema == own_schema {
            return Ok(Arc::new(table.clone()));
        }
        match self.find_relation(name) {
            Some(super::lookup::Found::Table(parent)) => Ok(parent),
            Some(_) => {
                let message = format!("referenced relation \"{}\" is not a table", name.name);
                Err(SqlError::new(SqlState::WrongObjectType, message))
            }
            None => Err(self.undefined_relation(name)),
        }
    }

    /// Enters the table in its parent's list of references.
    fn note_reference(&mut self, table: &mut TableDescriptor, parent: Oid) -> SqlResult<()> {
        if parent == table.oid {
            if !table.referenced_by.contains(&parent) {
                table.referenced_by.push(parent);
            }
            return Ok(());
        }
        let mut parent = TableDescriptor::clone(self.table(parent)?.as_ref());
        if parent.referenced_by.contains(&table.oid) {
            return Ok(());
        }
        parent.referenced_by.push(table.oid);
        self.put_table(parent)
    }

    /// Removes the table from its parent's list once it has no foreign key to it any more.
    pub(super) fn forget_reference(&mut self, table: &mut TableDescriptor, parent: Oid) -> SqlResult<()> {
        let still = table
            .constraints
            .iter()
            .any(|constraint| matches!(&constraint.kind, ConstraintKind::ForeignKey { table, .. } if *table == parent));
        if still {
            return Ok(());
        }
        if parent == table.oid {
            table.referenced_by.retain(|oid| *oid != parent);
            return Ok(());
        }
        let Some(found) = self.catalog.table(parent) else { return Ok(()) };
        let mut parent = TableDescriptor::clone(found);
        parent.referenced_by.retain(|oid| *oid != table.oid);
        self.put_table(parent)
    }
}

fn foreign_columns(table: &TableDescriptor, columns: &[String]) -> SqlResult<Vec<ColumnId>> {
    let find = |name: &String| {
        table.position_by_name(name).map(|at| table.columns[at].id).ok_or_else(|| {
            let message = format!("column \"{name}\" referenced in foreign key constraint does not exist");
            SqlError::new(SqlState::UndefinedColumn, message)
        })
    };
    columns.iter().map(find).collect()
}

/// The referenced columns: those named, which must be a key, or the primary key.
fn referenced_columns(parent: &TableDescriptor, names: &[String], count: usize) -> SqlResult<Vec<ColumnId>> {
    let columns = if names.is_empty() {
        if parent.has_hidden_row_id() {
            let message = format!("there is no primary key for referenced table \"{}\"", parent.name);
            return Err(SqlError::new(SqlState::UndefinedObject, message));
        }
        parent.primary().columns.iter().map(|column| column.column).collect()
    } else {
        foreign_columns(parent, names)?
    };
    if columns.len() != count {
        let message = "number of referencing and referenced columns for foreign key disagree";
        return Err(SqlError::new(SqlState::InvalidForeignKey, message));
    }
    let is_key = parent.indexes.iter().any(|index| {
        index.unique
            && index.predicate.is_none()
            && index.columns.len() == columns.len()
            && index.columns.iter().all(|column| columns.contains(&column.column))
    });
    if !is_key {
        let message =
            format!("there is no unique constraint matching given keys for referenced table \"{}\"", parent.name);
        return Err(SqlError::new(SqlState::InvalidForeignKey, message));
    }
    Ok(columns)
}

fn check_types(
    table: &TableDescriptor,
    columns: &[ColumnId],
    parent: &TableDescriptor,
    referenced: &[ColumnId],
    name: &str,
) -> SqlResult<()> {
    for (column, referenced) in columns.iter().zip(referenced) {
        let (Some(column), Some(referenced)) = (table.column(*column), parent.column(*referenced)) else { continue };
        if !comparable(column.sql_type, referenced.sql_type) {
            let message = format!("foreign key constraint \"{name}\" cannot be implemented");
            let type_name = |sql_type: SqlType| sql_type.oid.type_info().map_or("unknown", |info| info.sql_name);
            let detail = format!(
                "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                column.name,
                referenced.name,
                type_name(column.sql_type),
                type_name(referenced.sql_type)
            );
            return Err(SqlError::new(SqlState::DatatypeMismatch, message).with_detail(detail));
        }
    }
    Ok(())
}

/// Whether a referencing value can be looked up among referenced ones.
fn comparable(from: SqlType, to: SqlType) -> bool {
    let is_integer = |oid| matches!(oid, Oid::INT2 | Oid::INT4 | Oid::INT8);
    let category = |oid: Oid| oid.type_info().map(|info| info.category);
    from.oid == to.oid
        || (is_integer(from.oid) && (is_integer(to.oid) || matches!(to.oid, Oid::NUMERIC | Oid::FLOAT8)))
        || (category(from.oid) == Some(Category::String) && category(to.oid) == Some(Category::String))
        || (from.oid == Oid::FLOAT4 && to.oid == Oid::FLOAT8)
        || (from.oid == Oid::NUMERIC && to.oid == Oid::FLOAT8)
}

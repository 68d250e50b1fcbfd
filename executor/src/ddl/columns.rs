//! ALTER TABLE RENAME COLUMN and SET SCHEMA.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use schema::{ConstraintKind, Descriptor, SequenceDescriptor, TableDescriptor};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, create_table::check_column_name};

impl Changes<'_> {
    /// Renames a column, also where expressions of the table name it.
    pub(super) fn rename_column(&mut self, table: &mut TableDescriptor, name: &str, new_name: &str) -> SqlResult<()> {
        let at = self.column_position(table, name)?;
        check_column_name(new_name)?;
        if table.position_by_name(new_name).is_some() {
            let message = format!("column \"{new_name}\" of relation \"{}\" already exists", table.name);
            return Err(SqlError::new(SqlState::DuplicateColumn, message));
        }
        if let Some(view) =
            self.views().find(|view| view.depends_on.contains(&table.oid) && self.view_uses(view, table, name))
        {
            return Err(SqlError::unsupported("renaming a column that a view refers to")
                .with_detail(format!("View {} refers to it.", self.shown_name(view.schema, &view.name))));
        }
        new_name.clone_into(&mut table.columns[at].name);
        let renamed = |text: &mut String| -> SqlResult<()> {
            *text = planner::rename_in_expression(text, name, new_name)?;
            Ok(())
        };
        for constraint in &mut table.constraints {
            if let ConstraintKind::Check { expression, .. } = &mut constraint.kind {
                renamed(expression)?;
            }
        }
        for text in table.indexes.iter_mut().filter_map(|index| index.predicate.as_mut()) {
            renamed(text)?;
        }
        for text in table.columns.iter_mut().filter_map(|column| column.generated.as_mut()) {
            renamed(text)?;
        }
        Ok(())
    }

    /// Moves a table with its sequences to another schema.
    pub(super) fn set_schema(&mut self, table: &mut TableDescriptor, name: &str) -> SqlResult<()> {
        self.check_not_temporary(table, name)?;
        let target = self.permanent_schema(name, &table.name)?;
        if target.oid == table.schema {
            return Ok(());
        }
        if self.relation_exists(target.oid, &table.name) {
            let message = format!("relation \"{}\" already exists in schema \"{name}\"", table.name);
            return Err(SqlError::new(SqlState::DuplicateTable, message));
        }
        if self.views().any(|view| view.depends_on.contains(&table.oid)) {
            return Err(SqlError::unsupported("moving a relation that a view refers to"));
        }
        let owned: Vec<Arc<SequenceDescriptor>> = self
            .sequences()
            .filter(|sequence| sequence.owned_by.is_some_and(|(owner, _)| owner == table.oid))
            .cloned()
            .collect();
        for sequence in owned {
            let moved = SequenceDescriptor { schema: target.oid, ..SequenceDescriptor::clone(&sequence) };
            let (before, after) = (self.nextval_text(&sequence), self.nextval_text(&moved));
            for column in table.columns.iter_mut().filter(|column| column.default.as_ref() == Some(&before)) {
                column.default = Some(after.clone());
            }
            self.put(Descriptor::Sequence(Arc::new(moved)))?;
        }
        table.schema = target.oid;
        Ok(())
    }
}

//! ALTER … RENAME TO.

use std::sync::Arc;

use planner::plan::{QualifiedName, RelationKind};
use proto::{SqlError, SqlResult, SqlState};
use schema::{Descriptor, SequenceDescriptor, TableDescriptor, ViewDescriptor};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, lookup::Found};

impl Changes<'_> {
    pub(super) fn rename(
        &mut self,
        kind: RelationKind,
        name: &QualifiedName,
        new_name: &str,
        if_exists: bool,
    ) -> SqlResult<()> {
        // ALTER TABLE renames every kind of relation.
        let kind = match (kind, self.find_relation(name)) {
            (RelationKind::Table, Some(found)) => found.kind(),
            (kind, _) => kind,
        };
        let Some(found) = self.find(kind, name, if_exists)? else { return Ok(()) };
        let schema = self.schema(&name.schema)?.oid;
        if self.relation_exists(schema, new_name) {
            return self.exists_already("relation", new_name, SqlState::DuplicateTable, false);
        }
        match found {
            Found::Table(table) => self.rename_table(&table, new_name),
            Found::View(view) => {
                self.refuse_dependent_views(view.oid)?;
                let renamed = ViewDescriptor { name: new_name.to_owned(), ..ViewDescriptor::clone(&view) };
                self.put(Descriptor::View(Arc::new(renamed)))
            }
            Found::Sequence(sequence) => self.rename_sequence(&sequence, new_name),
            Found::Index(table, id) => {
                let mut table = TableDescriptor::clone(&table);
                let constraint = table.index(id).and_then(|index| index.constraint);
                for index in table.indexes.iter_mut().filter(|index| index.id == id) {
                    new_name.clone_into(&mut index.name);
                }
                // A key constraint and its index have one name.
                for found in table.constraints.iter_mut().filter(|found| Some(found.oid) == constraint) {
                    new_name.clone_into(&mut found.name);
                }
                self.put_table(table)
            }
        }
    }

    fn rename_table(&mut self, table: &TableDescriptor, new_name: &str) -> SqlResult<()> {
        self.refuse_dependent_views(table.oid)?;
        self.put_table(TableDescriptor { name: new_name.to_owned(), ..table.clone() })
    }

    /// Views keep their query as text, in which the old name stands.
    fn refuse_dependent_views(&self, relation: schema::Oid) -> SqlResult<()> {
        match self.views().find(|view| view.depends_on.contains(&relation)) {
            None => Ok(()),
            Some(view) => Err(SqlError::unsupported("renaming a relation that a view refers to")
                .with_detail(format!("View {} refers to it.", self.shown_name(view.schema, &view.name)))),
        }
    }

    /// Defaults name the sequence they take values from.
    fn rename_sequence(&mut self, sequence: &SequenceDescriptor, new_name: &str) -> SqlResult<()> {
        let renamed = SequenceDescriptor { name: new_name.to_owned(), ..sequence.clone() };
        let (before, after) = (self.nextval_text(sequence), self.nextval_text(&renamed));
        let users: Vec<Arc<TableDescriptor>> = self
            .tables()
            .filter(|table| table.columns.iter().any(|column| column.default.as_ref() == Some(&before)))
            .cloned()
            .collect();
        for table in users {
            let mut table = TableDescriptor::clone(&table);
            for column in table.columns.iter_mut().filter(|column| column.default.as_ref() == Some(&before)) {
                column.default = Some(after.clone());
            }
            self.put_table(table)?;
        }
        self.put(Descriptor::Sequence(Arc::new(renamed)))
    }
}

//! Finding the objects that DDL statements name.

use std::sync::Arc;

use planner::plan::{QualifiedName, RelationKind};
use proto::{SqlError, SqlResult, SqlState};
use schema::{Descriptor, IndexId, SequenceDescriptor, TableDescriptor};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, errors};

/// A relation by kind.
pub(super) enum Found {
    Table(Arc<TableDescriptor>),
    View(Arc<schema::ViewDescriptor>),
    Sequence(Arc<SequenceDescriptor>),
    Index(Arc<TableDescriptor>, IndexId),
}

impl Found {
    pub(super) fn kind(&self) -> RelationKind {
        match self {
            Self::Table(_) => RelationKind::Table,
            Self::View(_) => RelationKind::View,
            Self::Sequence(_) => RelationKind::Sequence,
            Self::Index(..) => RelationKind::Index,
        }
    }
}

impl Changes<'_> {
    /// The relation or index of this name, of whatever kind.
    pub(super) fn find_relation(&self, name: &QualifiedName) -> Option<Found> {
        match self.catalog.relation(&name.schema, &name.name) {
            Some(Descriptor::Table(table)) => return Some(Found::Table(Arc::clone(table))),
            Some(Descriptor::View(view)) => return Some(Found::View(Arc::clone(view))),
            Some(Descriptor::Sequence(sequence)) => return Some(Found::Sequence(Arc::clone(sequence))),
            Some(Descriptor::Database(_) | Descriptor::Schema(_) | Descriptor::Role(_)) | None => {}
        }
        let table = self.catalog.index_owner(&name.schema, &name.name)?;
        let index = table.indexes.iter().find(|index| index.name == name.name && !index.columns.is_empty())?;
        Some(Found::Index(Arc::clone(table), index.id))
    }

    /// The relation of this name and kind; `None` after a notice when it is missing and may be.
    pub(super) fn find(
        &mut self,
        kind: RelationKind,
        name: &QualifiedName,
        if_exists: bool,
    ) -> SqlResult<Option<Found>> {
        if self.catalog.schema(&name.schema).is_none() {
            if !if_exists {
                let message = format!("schema \"{}\" does not exist", name.schema);
                return Err(SqlError::new(SqlState::InvalidSchemaName, message));
            }
            self.notice(format!("schema \"{}\" does not exist, skipping", name.schema));
            return Ok(None);
        }
        match self.find_relation(name) {
            Some(found) if found.kind() == kind => Ok(Some(found)),
            Some(found) => Err(errors::wrong_kind(kind, found.kind(), &name.name)),
            None if if_exists => {
                self.notice(format!("{} \"{}\" does not exist, skipping", errors::kind_word(kind), name.name));
                Ok(None)
            }
            None => Err(errors::undefined(kind, name)),
        }
    }

    /// The table that ALTER TABLE and the like name: they call it a relation.
    pub(super) fn find_table(&self, name: &QualifiedName, if_exists: bool) -> SqlResult<Option<Arc<TableDescriptor>>> {
        match self.find_relation(name) {
            Some(Found::Table(table)) => Ok(Some(table)),
            Some(_) => {
                let message = format!("\"{}\" is not a table", name.name);
                Err(SqlError::new(SqlState::WrongObjectType, message))
            }
            None if if_exists => Ok(None),
            None => Err(self.undefined_relation(name)),
        }
    }

    /// The sequence that ALTER SEQUENCE names.
    pub(super) fn find_sequence(
        &mut self,
        name: &QualifiedName,
        if_exists: bool,
    ) -> SqlResult<Option<Arc<SequenceDescriptor>>> {
        match self.find_relation(name) {
            Some(Found::Sequence(sequence)) => Ok(Some(sequence)),
            Some(_) => {
                let message = format!("\"{}\" is not a sequence", name.name);
                Err(SqlError::new(SqlState::WrongObjectType, message))
            }
            None if if_exists => {
                self.notice(format!("relation \"{}\" does not exist, skipping", name.name));
                Ok(None)
            }
            None => Err(self.undefined_relation(name)),
        }
    }

    /// 42P01, with the schema where it is not on the search path.
    pub(super) fn undefined_relation(&self, name: &QualifiedName) -> SqlError {
        if self.catalog.schema(&name.schema).is_none() {
            let message = format!("schema \"{}\" does not exist", name.schema);
            return SqlError::new(SqlState::InvalidSchemaName, message);
        }
        let on_path = self.actor.search_path.contains(&name.schema);
        let shown = if on_path { name.name.clone() } else { format!("{}.{}", name.schema, name.name) };
        SqlError::new(SqlState::UndefinedTable, format!("relation \"{shown}\" does not exist"))
    }
}

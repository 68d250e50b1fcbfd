//! DROP of relations, columns and constraints.

use planner::plan::{QualifiedName, RelationKind};
use proto::{SqlError, SqlResult, SqlState};
use schema::{ColumnId, ConstraintKind, Descriptor, Oid, SequenceDescriptor, TableDescriptor};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, depend::Target, errors, lookup::Found, names};
use crate::{bind, catalog};

impl Changes<'_> {
    /// DROP TABLE / VIEW / SEQUENCE / INDEX.
    pub(super) async fn drop_relations(
        &mut self,
        kind: RelationKind,
        names: &[QualifiedName],
        if_exists: bool,
        cascade: bool,
    ) -> SqlResult<()> {
        let mut roots = Vec::with_capacity(names.len());
        for name in names {
            let Some(found) = self.find(kind, name, if_exists)? else { continue };
            if is_system_schema_name(&name.schema) {
                let message = format!("permission denied: \"{}\" is a system catalog", name.name);
                return Err(SqlError::new(SqlState::InsufficientPrivilege, message));
            }
            roots.push(self.drop_target(found)?);
        }
        let all = self.closure(&roots, cascade)?;
        self.drop_all(&all).await
    }

    fn drop_target(&self, found: Found) -> SqlResult<Target> {
        Ok(match found {
            Found::Table(table) => Target::Table(table.oid),
            Found::View(view) => Target::View(view.oid),
            Found::Sequence(sequence) => {
                self.check_no_identity(&sequence)?;
                Target::Sequence(sequence.oid)
            }
            Found::Index(table, index) => {
                let constraint = table.index(index).and_then(|index| index.constraint);
                if let Some(oid) = constraint {
                    return Err(self.index_of_constraint(&table, index, oid));
                }
                Target::Index(table.oid, index)
            }
        })
    }

    fn index_of_constraint(&self, table: &TableDescriptor, index: schema::IndexId, constraint: Oid) -> SqlError {
        let index = table.index(index).map_or("", |index| index.name.as_str());
        let shown = self.shown_name(table.schema, index);
        let constraint = self.describe(Target::Constraint(table.oid, constraint));
        let message = format!("cannot drop index {shown} because {constraint} requires it");
        SqlError::new(SqlState::DependentObjectsStillExist, message)
            .with_hint(format!("You can drop {constraint} instead."))
    }

    fn check_no_identity(&self, sequence: &SequenceDescriptor) -> SqlResult<()> {
        let Some((table, column)) = sequence.owned_by else { return Ok(()) };
        let owner = self.catalog.table(table).and_then(|table| table.column(column));
        if owner.is_none_or(|column| column.identity.is_none()) {
            return Ok(());
        }
        let column = self.describe(Target::Column(table, column));
        let shown = self.shown_name(sequence.schema, &sequence.name);
        let message = format!("cannot drop sequence {shown} because {column} requires it");
        Err(SqlError::new(SqlState::DependentObjectsStillExist, message)
            .with_hint(format!("You can drop {column} instead.")))
    }

    /// Drops what `closure` answered. Parts before wholes, so that each still exists.
    pub(super) async fn drop_all(&mut self, all: &[Target]) -> SqlResult<()> {
        for target in all.iter().rev() {
            match *target {
                Target::Table(oid) => self.drop_table(oid).await?,
                Target::View(oid) | Target::Schema(oid) => self.remove(oid),
                Target::Sequence(oid) => self.drop_sequence(oid),
                Target::Default(table, column) => self.drop_default(table, column)?,
                Target::Constraint(table, constraint) => self.drop_constraint_of(table, constraint).await?,
                Target::Index(table, index) => self.drop_index(table, index).await?,
                Target::Column(table, column) => self.drop_column_of(table, column).await?,
            }
        }
        Ok(())
    }

    async fn drop_table(&mut self, oid: Oid) -> SqlResult<()> {
        let table = self.table(oid)?;
        self.lock_table(&table).await?;
        let mut doomed = TableDescriptor::clone(&table);
        let parents: Vec<Oid> = doomed.constraints.iter().filter_map(referenced_table).collect();
        doomed.constraints.clear();
        for parent in parents.into_iter().filter(|parent| *parent != oid) {
            self.forget_reference(&mut doomed, parent)?;
        }
        self.drop_storage(table.storage_id).await?;
        self.remove(oid);
        Ok(())
    }

    fn drop_sequence(&mut self, oid: Oid) {
        self.txn.kv.delete_guarded(catalog::sequence_key(oid));
        self.engine.sequences().forget(oid);
        self.remove(oid);
    }

    fn drop_default(&mut self, table: Oid, column: ColumnId) -> SqlResult<()> {
        let Some(found) = self.catalog.table(table) else { return Ok(()) };
        let mut table = TableDescriptor::clone(found);
        for column in table.columns.iter_mut().filter(|found| found.id == column) {
            column.default = None;
        }
        self.put_table(table)
    }

    async fn drop_index(&mut self, table: Oid, index: schema::IndexId) -> SqlResult<()> {
        let Some(found) = self.catalog.table(table).cloned() else { return Ok(()) };
        self.lock_table(&found).await?;
        let mut table = TableDescriptor::clone(&found);
        table.indexes.retain(|found| found.id != index);
        self.put_table(table)
    }

    async fn drop_constraint_of(&mut self, table: Oid, constraint: Oid) -> SqlResult<()> {
        let Some(found) = self.catalog.table(table).cloned() else { return Ok(()) };
        self.lock_table(&found).await?;
        let mut changed = TableDescriptor::clone(&found);
        let Some(at) = changed.constraints.iter().position(|found| found.oid == constraint) else { return Ok(()) };
        let removed = changed.constraints.remove(at);
        match removed.kind {
            ConstraintKind::PrimaryKey { .. } => self.unkey(&found, &mut changed).await?,
            ConstraintKind::Unique { index, .. } => changed.indexes.retain(|found| found.id != index),
            ConstraintKind::Check { .. } => {}
            ConstraintKind::ForeignKey { table: parent, .. } => self.forget_reference(&mut changed, parent)?,
        }
        self.put_table(changed)
    }

    /// Rows go back to hidden row ids.
    async fn unkey(&mut self, old: &TableDescriptor, table: &mut TableDescriptor) -> SqlResult<()> {
        let index = &mut table.indexes[0];
        index.columns.clear();
        index.name.clear();
        index.constraint = None;
        if let schema::Sharding::Hash { columns, .. } = &mut table.sharding {
            columns.clear();
        }
        self.rewrite(old, table, &super::rewrite::Change::None).await
    }

    async fn drop_column_of(&mut self, table: Oid, column: ColumnId) -> SqlResult<()> {
        let Some(found) = self.catalog.table(table).cloned() else { return Ok(()) };
        self.lock_table(&found).await?;
        let mut table = TableDescriptor::clone(&found);
        table.columns.retain(|found| found.id != column);
        self.put_table(table)
    }

    /// ALTER TABLE … DROP COLUMN.
    pub(super) async fn drop_column(
        &mut self,
        table: &mut TableDescriptor,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> SqlResult<()> {
        let Some(at) = table.position_by_name(name) else {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            if !if_exists {
                return Err(SqlError::new(SqlState::UndefinedColumn, message));
            }
            self.notice(format!("{message}, skipping"));
            return Ok(());
        };
        let target = Target::Column(table.oid, table.columns[at].id);
        let all = self.closure(&[target], cascade)?;
        self.drop_all(&all).await?;
        *table = TableDescriptor::clone(self.table(table.oid)?.as_ref());
        Ok(())
    }

    /// ALTER TABLE … DROP CONSTRAINT.
    pub(super) async fn drop_constraint(
        &mut self,
        table: &mut TableDescriptor,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> SqlResult<()> {
        let Some(constraint) = table.constraints.iter().find(|constraint| constraint.name == name) else {
            let error = errors::undefined_constraint(name, &table.name);
            if !if_exists {
                return Err(error);
            }
            self.notice(format!("{}, skipping", error.message()));
            return Ok(());
        };
        let all = self.closure(&[Target::Constraint(table.oid, constraint.oid)], cascade)?;
        self.drop_all(&all).await?;
        *table = TableDescriptor::clone(self.table(table.oid)?.as_ref());
        Ok(())
    }

    /// Whether a view no longer works once the table lacks a column.
    pub(super) fn view_uses(&self, view: &schema::ViewDescriptor, table: &TableDescriptor, column: &str) -> bool {
        let mut without = table.clone();
        without.columns.retain(|found| found.name != column);
        let mut catalog = self.catalog.clone();
        catalog.put(Descriptor::Table(std::sync::Arc::new(without)));
        bind::check_view(&catalog, &self.eval, &view.query).is_err()
    }

    /// DROP SCHEMA.
    pub(super) async fn drop_schemas(&mut self, names: &[String], if_exists: bool, cascade: bool) -> SqlResult<()> {
        let mut roots = Vec::with_capacity(names.len());
        for name in names {
            match self.catalog.schema(name) {
                Some(schema) if super::changes::is_system_schema(schema.oid) => {
                    let message = format!(
                        "cannot drop schema {} because it is required by the database system",
                        names::quote(name)
                    );
                    return Err(SqlError::new(SqlState::DependentObjectsStillExist, message));
                }
                Some(schema) => roots.push(Target::Schema(schema.oid)),
                None if if_exists => self.notice(format!("schema \"{name}\" does not exist, skipping")),
                None => {
                    let message = format!("schema \"{name}\" does not exist");
                    return Err(SqlError::new(SqlState::InvalidSchemaName, message));
                }
            }
        }
        let all = self.closure(&roots, cascade)?;
        self.drop_all(&all).await
    }
}

fn referenced_table(constraint: &schema::ConstraintDescriptor) -> Option<Oid> {
    match &constraint.kind {
        ConstraintKind::ForeignKey { table, .. } => Some(*table),
        ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } | ConstraintKind::Check { .. } => None,
    }
}

fn is_system_schema_name(name: &str) -> bool {
    matches!(name, "pg_catalog" | "information_schema" | "sharddb")
}

//! DDL: changes of the catalog and of the storage behind it, inside the transaction.
//!
//! Called with bound statements; works on a [`Changes`], which holds the catalog as changed so far. Everything commits
//! with the transaction: descriptors are rows, new storage is written under ids nobody else knows.

mod alter_table;
mod alter_type;
mod changes;
mod columns;
mod comments;
mod constraints;
mod create_table;
mod databases;
mod depend;
mod drop;
mod errors;
mod foreign_keys;
mod identity;
mod indexes;
mod lookup;
pub(crate) mod names;
mod rename;
mod rewrite;
mod roles;
mod schemas;
mod sequences;
pub(crate) mod temporary;
mod truncate;
mod validate;
mod views;

use planner::plan::{Ddl, RelationKind};
use proto::SqlResult;
use sharddb_planner as planner;
use sharddb_proto as proto;

pub(crate) use changes::{Actor, Changes};

impl Changes<'_> {
    /// Runs one statement; CREATE TABLE AS only makes the table.
    pub(crate) async fn run(&mut self, ddl: &Ddl) -> SqlResult<()> {
        match ddl {
            Ddl::CreateSchema { name, if_not_exists } => self.create_schema(name, *if_not_exists).await,
            Ddl::DropSchema { names, if_exists, cascade } => self.drop_schemas(names, *if_exists, *cascade).await,
            Ddl::RenameSchema { name, new_name } => self.rename_schema(name, new_name),
            Ddl::CreateTable(table) => self.create_table(table).await.map(drop),
            Ddl::CreateTableAs { table, .. } => self.create_table(table).await.map(drop),
            Ddl::Drop { kind, names, if_exists, cascade } => {
                self.drop_relations(*kind, names, *if_exists, *cascade).await
            }
            Ddl::AlterTable { table, if_exists, actions } => self.alter_table(table, *if_exists, actions).await,
            Ddl::Rename { kind, name, new_name, if_exists } => self.rename(*kind, name, new_name, *if_exists),
            Ddl::CreateIndex(index) => self.create_index(index).await,
            Ddl::CreateView { .. } => self.create_view(ddl).await,
            Ddl::CreateSequence { name, options, if_not_exists } => {
                self.create_sequence(name, options, *if_not_exists).await
            }
            Ddl::AlterSequence { name, options, if_exists } => self.alter_sequence(name, options, *if_exists).await,
            Ddl::Truncate { tables, restart_identity, cascade } => {
                self.truncate(tables, *restart_identity, *cascade).await
            }
            Ddl::Comment { table, column, text } => self.comment(table, column.as_deref(), text.clone()),
            Ddl::CreateRole { name, options } => self.create_role(name, options).await,
            Ddl::AlterRole { name, options } => self.alter_role(name, options),
            Ddl::DropRole { names, if_exists } => self.drop_roles(names, *if_exists),
            Ddl::CreateDatabase { name } => self.create_database(name).await,
            Ddl::DropDatabase { name, if_exists } => self.drop_database(name, *if_exists),
        }
    }
}

/// Command tag of a statement.
pub(crate) fn tag(ddl: &Ddl) -> &'static str {
    match ddl {
        Ddl::CreateSchema { .. } => "CREATE SCHEMA",
        Ddl::DropSchema { .. } => "DROP SCHEMA",
        Ddl::RenameSchema { .. } => "ALTER SCHEMA",
        Ddl::CreateTable(_) | Ddl::CreateTableAs { .. } => "CREATE TABLE",
        Ddl::Drop { kind, .. } => match kind {
            RelationKind::Table => "DROP TABLE",
            RelationKind::View => "DROP VIEW",
            RelationKind::Sequence => "DROP SEQUENCE",
            RelationKind::Index => "DROP INDEX",
        },
        Ddl::AlterTable { .. } => "ALTER TABLE",
        Ddl::Rename { kind, .. } => match kind {
            RelationKind::Table => "ALTER TABLE",
            RelationKind::View => "ALTER VIEW",
            RelationKind::Sequence => "ALTER SEQUENCE",
            RelationKind::Index => "ALTER INDEX",
        },
        Ddl::CreateIndex(_) => "CREATE INDEX",
        Ddl::CreateView { .. } => "CREATE VIEW",
        Ddl::CreateSequence { .. } => "CREATE SEQUENCE",
        Ddl::AlterSequence { .. } => "ALTER SEQUENCE",
        Ddl::Truncate { .. } => "TRUNCATE TABLE",
        Ddl::Comment { .. } => "COMMENT",
        Ddl::CreateRole { .. } => "CREATE ROLE",
        Ddl::AlterRole { .. } => "ALTER ROLE",
        Ddl::DropRole { .. } => "DROP ROLE",
        Ddl::CreateDatabase { .. } => "CREATE DATABASE",
        Ddl::DropDatabase { .. } => "DROP DATABASE",
    }
}

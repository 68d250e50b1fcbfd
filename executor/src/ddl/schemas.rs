//! CREATE SCHEMA and its renaming.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use schema::{Descriptor, SchemaDescriptor};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::Changes;

impl Changes<'_> {
    pub(super) async fn create_schema(&mut self, name: &str, if_not_exists: bool) -> SqlResult<()> {
        check_name(name)?;
        if self.catalog.schema(name).is_some() {
            return self.exists_already("schema", name, SqlState::DuplicateSchema, if_not_exists);
        }
        let schema = SchemaDescriptor { oid: self.new_oid().await?, name: name.to_owned(), owner: self.actor.role };
        self.put(Descriptor::Schema(Arc::new(schema)))
    }

    pub(super) fn rename_schema(&mut self, name: &str, new_name: &str) -> SqlResult<()> {
        let schema = self.schema(name)?;
        check_name(name)?;
        check_name(new_name)?;
        if self.catalog.schema(new_name).is_some() {
            return self.exists_already("schema", new_name, SqlState::DuplicateSchema, false);
        }
        if self.views().any(|view| view.query.contains(&format!("\"{name}\"."))) {
            return Err(SqlError::unsupported("renaming a schema that views refer to"));
        }
        let renamed = SchemaDescriptor { name: new_name.to_owned(), ..SchemaDescriptor::clone(&schema) };
        self.remove(schema.oid);
        self.put(Descriptor::Schema(Arc::new(renamed)))
    }
}

/// Names that begin with `pg_` are the system's.
fn check_name(name: &str) -> SqlResult<()> {
    if name.starts_with("pg_") || matches!(name, "information_schema" | "sharddb") {
        return Err(SqlError::new(SqlState::ReservedName, format!("unacceptable schema name \"{name}\""))
            .with_detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    Ok(())
}

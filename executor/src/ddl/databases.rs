//! CREATE and DROP DATABASE.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use schema::{DatabaseDescriptor, Descriptor, SchemaDescriptor};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::Changes;
use crate::catalog;

impl Changes<'_> {
    pub(super) async fn create_database(&mut self, name: &str) -> SqlResult<()> {
        if self.database(name).is_some() {
            let message = format!("database \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DuplicateDatabase, message));
        }
        let oid = self.new_oid().await?;
        let database = DatabaseDescriptor { oid, name: name.to_owned(), owner: self.actor.role };
        let public =
            SchemaDescriptor { oid: self.new_oid().await?, name: "public".to_owned(), owner: catalog::BOOTSTRAP_ROLE };
        // The schema belongs to the new database, whose catalog this session does not see.
        let key = catalog::descriptor_key(oid, public.oid);
        self.txn.kv.put(key, catalog::encode(&Descriptor::Schema(Arc::new(public)))?);
        self.put(Descriptor::Database(Arc::new(database)))
    }

    pub(super) fn drop_database(&mut self, name: &str, if_exists: bool) -> SqlResult<()> {
        let Some(database) = self.database(name) else {
            let message = format!("database \"{name}\" does not exist");
            if if_exists {
                self.notice(format!("{message}, skipping"));
                return Ok(());
            }
            return Err(SqlError::new(SqlState::InvalidCatalogName, message));
        };
        if database.oid == self.actor.database {
            return Err(SqlError::new(SqlState::ObjectInUse, "cannot drop the currently open database"));
        }
        if matches!(name, "template0" | "template1" | "postgres") {
            return Err(SqlError::new(SqlState::WrongObjectType, "cannot drop a template database"));
        }
        Err(SqlError::unsupported("DROP DATABASE"))
    }

    fn database(&self, name: &str) -> Option<Arc<DatabaseDescriptor>> {
        self.catalog.objects().find_map(|object| match object {
            Descriptor::Database(database) if database.name == name => Some(database.clone()),
            _ => None,
        })
    }
}

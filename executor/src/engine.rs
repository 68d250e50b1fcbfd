//! What all sessions of a process share: the transactional client, the catalog, cached plans.

use std::sync::Arc;

use proto::SqlResult;
use schema::RoleDescriptor;
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::catalog;

/// How an engine is set up.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// On a fresh cluster: a superuser besides `postgres`, with a database of the same name.
    pub owner: Option<String>,
}

/// Shared by all sessions of a process. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    client: kv::Client,
    catalog: catalog::Cache,
}

impl Engine {
    /// Opens the catalog, which a fresh cluster gets now.
    pub async fn open(client: kv::Client, options: EngineOptions) -> SqlResult<Self> {
        catalog::bootstrap(&client, options.owner.as_deref()).await?;
        let catalog = catalog::Cache::open(client.clone()).await?;
        Ok(Self { inner: Arc::new(Inner { client, catalog }) })
    }

    /// The transactional client.
    pub fn client(&self) -> &kv::Client {
        &self.inner.client
    }

    /// The role of this name, for authentication.
    pub async fn role(&self, name: &str) -> SqlResult<Option<Arc<RoleDescriptor>>> {
        Ok(self.catalog().roles().await?.into_iter().find(|role| role.name == name))
    }

    /// Whether any role has a password, so that connections must prove who they are.
    pub async fn has_passwords(&self) -> SqlResult<bool> {
        Ok(self.catalog().roles().await?.iter().any(|role| role.password.is_some()))
    }

    pub(crate) fn catalog(&self) -> &catalog::Cache {
        &self.inner.catalog
    }
}

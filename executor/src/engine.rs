//! What all sessions of a process share: the transactional client, the catalog, cached plans.

use std::sync::Arc;

use proto::SqlResult;
use schema::RoleDescriptor;
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

/// How an engine is set up.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {}

/// Shared by all sessions of a process. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    client: kv::Client,
}

impl Engine {
    /// Opens the catalog, which a fresh cluster gets now.
    pub async fn open(client: kv::Client, _options: EngineOptions) -> SqlResult<Self> {
        Ok(Self { inner: Arc::new(Inner { client }) })
    }

    /// The transactional client.
    pub fn client(&self) -> &kv::Client {
        &self.inner.client
    }

    /// The role of this name, for authentication.
    pub async fn role(&self, _name: &str) -> SqlResult<Option<Arc<RoleDescriptor>>> {
        Ok(None)
    }

    /// Whether any role has a password, so that connections must prove who they are.
    pub async fn has_passwords(&self) -> SqlResult<bool> {
        Ok(false)
    }
}

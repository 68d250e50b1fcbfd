//! What all sessions of a process share: the transactional client, the catalog, cached plans.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use fragment::FragmentTransport;
use proto::{SqlError, SqlResult, SqlState};
use schema::RoleDescriptor;
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::{
    General, GeneralOptions, activity::Sessions, catalog, ddl::temporary::drop_left_behind, plan_cache::PlanCache,
    sequence::Sequences, session::micros_now,
};

/// How an engine is set up.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// On a fresh cluster: a superuser besides `postgres`, with a database of the same name.
    pub owner: Option<String>,
    /// Limits of the general path.
    pub general: GeneralOptions,
}

/// Shared by all sessions of a process. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    client: kv::Client,
    catalog: catalog::Cache,
    general: Arc<General>,
    plans: PlanCache,
    sequences: Sequences,
    /// Object ids taken from meta and not used yet: next and end.
    object_ids: tokio::sync::Mutex<(u64, u64)>,
    signals: OnceLock<Box<Signals>>,
    sessions: Arc<Sessions>,
    /// When the process began: microseconds since 1970.
    began: i64,
    /// Transactions committed, and those rolled back or refused at their commit.
    ended: (AtomicU64, AtomicU64),
}

/// Cancels (false) or ends (true) the session with this process id; answers whether there is one.
pub type Signals = dyn Fn(i32, bool) -> bool + Send + Sync;

/// Object ids taken from meta at once: a table needs a few, and taking them is a consensus round.
const OBJECT_IDS: u64 = 64;

impl Engine {
    /// Opens the catalog, which a fresh cluster gets now.
    pub async fn open(
        client: kv::Client,
        fragments: Arc<dyn FragmentTransport>,
        options: EngineOptions,
    ) -> SqlResult<Self> {
        catalog::bootstrap(&client, options.owner.as_deref()).await?;
        let catalog = catalog::Cache::open(client.clone()).await?;
        let general = Arc::new(General::new(client.clone(), fragments, &options.general)?);
        let (plans, sequences, object_ids, signals, sessions, ended) = Default::default();
        let began = micros_now();
        let inner = Inner { client, catalog, general, plans, sequences, object_ids, signals, sessions, began, ended };
        let engine = Self { inner: Arc::new(inner) };
        drop_left_behind(&engine).await?;
        Ok(engine)
    }

    /// The transactional client.
    pub fn client(&self) -> &kv::Client {
        &self.inner.client
    }

    /// Says how sessions reach each other (`pg_cancel_backend`, `pg_terminate_backend`). The first word counts.
    pub fn set_signals(&self, signals: Box<Signals>) {
        let _ = self.inner.signals.set(signals);
    }

    /// Transactions committed since the start, point reads that need none left out.
    pub fn commits(&self) -> u64 {
        self.inner.ended.0.load(Ordering::Relaxed)
    }

    /// Transactions rolled back since the start.
    pub fn rollbacks(&self) -> u64 {
        self.inner.ended.1.load(Ordering::Relaxed)
    }

    /// Who is connected.
    pub(crate) fn sessions(&self) -> &Arc<Sessions> {
        &self.inner.sessions
    }

    /// When the process began: microseconds since 1970.
    pub(crate) fn began(&self) -> i64 {
        self.inner.began
    }

    pub(crate) fn count_commit(&self) {
        self.inner.ended.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_rollback(&self) {
        self.inner.ended.1.fetch_add(1, Ordering::Relaxed);
    }

    /// Cancels or ends the session with this process id; answers whether there is one.
    pub(crate) fn signal(&self, backend_pid: i32, terminate: bool) -> bool {
        self.inner.signals.get().is_some_and(|signals| signals(backend_pid, terminate))
    }

    /// The role of this name, for authentication.
    pub async fn role(&self, name: &str) -> SqlResult<Option<Arc<RoleDescriptor>>> {
        Ok(self.catalog().roles().await?.into_iter().find(|role| role.name == name))
    }

    /// Whether any role has a password, so that connections must prove who they are.
    pub async fn has_passwords(&self) -> SqlResult<bool> {
        Ok(self.catalog().roles().await?.iter().any(|role| role.password.is_some()))
    }

    /// The general path, for its counters.
    pub fn general(&self) -> &Arc<General> {
        &self.inner.general
    }

    pub(crate) fn plans(&self) -> &PlanCache {
        &self.inner.plans
    }

    pub(crate) fn sequences(&self) -> &Sequences {
        &self.inner.sequences
    }

    /// An OID or storage id that was never used before.
    pub(crate) async fn new_object_id(&self) -> SqlResult<u32> {
        let mut ids = self.inner.object_ids.lock().await;
        if ids.0 == ids.1 {
            let first = self.client().meta().allocate_object_ids(OBJECT_IDS).await?;
            *ids = (first, first + OBJECT_IDS);
        }
        let id = u32::try_from(ids.0)
            .map_err(|_| SqlError::new(SqlState::ProgramLimitExceeded, "the cluster has used up its object ids"))?;
        ids.0 += 1;
        Ok(id)
    }

    pub(crate) fn catalog(&self) -> &catalog::Cache {
        &self.inner.catalog
    }
}

//! The meta group as the node uses it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use proto::{
    CatalogVersion, SqlState, Timestamp,
    meta::{Bootstrap, Command, Node, PutRanges, RangeDescriptor, Setting, Snapshot, command},
};
use raft::{Fatal, Group, RaftHost, log::GroupId};
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage::Engine;
use tokio::sync::Notify;

use crate::{
    machine::{Machine, OK},
    oracle::{Oracle, WINDOW_MS},
    pace::Pace,
};

/// The group's id in the shared log.
const GROUP: GroupId = GroupId(0);
/// How often the oracle's window is looked at.
const WINDOW_CHECK: Duration = Duration::from_millis(WINDOW_MS / 8);

/// The only clock that timestamps follow.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch. May be set back.
    fn now_ms(&self) -> u64;

    /// Milliseconds since some moment. Never goes back.
    fn uptime_ms(&self) -> u64;
}

/// Why the meta group did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The proposal was not carried out.
    #[error(transparent)]
    Raft(#[from] raft::Error),
    /// The state could not be read.
    #[error(transparent)]
    Fatal(#[from] Fatal),
    /// The command makes no sense in the present state; nothing changed.
    #[error("the meta group refused to {0}")]
    Refused(&'static str),
}

impl Error {
    /// The SQLSTATE a client sees.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Raft(error) => SqlState::from_code(error.sqlstate()).unwrap_or(SqlState::SystemError),
            Self::Fatal(_) => SqlState::SystemError,
            Self::Refused(_) => SqlState::InternalError,
        }
    }
}

/// The meta group on this node. Cheap to clone.
#[derive(Clone)]
pub struct Meta {
    inner: Arc<Inner>,
}

struct Inner {
    group: Group,
    state: Arc<RwLock<Snapshot>>,
    oracle: Oracle,
    pace: Pace,
    /// Wakes those who wait for a longer window, and the task that extends it.
    extended: Notify,
    exhausted: Notify,
}

impl Meta {
    /// Starts the group and the oracle.
    pub async fn start(host: &RaftHost, engine: Arc<dyn Engine>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let machine = Arc::new(Machine::open(engine)?);
        let state = machine.state();
        let group = host.start_group(GROUP, machine).await?;
        let oracle = Oracle::new(Timestamp(state.read().window));
        let pace = Pace::new(clock, oracle.last());
        let inner = Inner { group, state, oracle, pace, extended: Notify::new(), exhausted: Notify::new() };
        let meta = Self { inner: Arc::new(inner) };
        meta.extend_window().await?;
        tokio::spawn(keep_window(Arc::downgrade(&meta.inner)));
        Ok(meta)
    }

    /// Gives a new cluster its id, first node and first ranges. Refused for one that has them.
    pub async fn bootstrap(&self, cluster_id: String, node: Node, ranges: Vec<RangeDescriptor>) -> Result<(), Error> {
        let bootstrap = Bootstrap { cluster_id, node: Some(node), ranges };
        self.propose(command::Body::Bootstrap(bootstrap), "bootstrap a cluster twice").await.map(drop)
    }

    /// The cluster's id; empty before the bootstrap.
    pub fn cluster_id(&self) -> String {
        self.inner.state.read().cluster_id.clone()
    }

    /// The range map, sorted and without gaps.
    pub fn ranges(&self) -> Vec<RangeDescriptor> {
        self.inner.state.read().ranges.clone()
    }

    /// Every node.
    pub fn nodes(&self) -> Vec<Node> {
        self.inner.state.read().nodes.clone()
    }

    /// Value of a cluster setting.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.inner.state.read().settings.iter().find(|setting| setting.name == name)?.value.clone()
    }

    /// The oldest timestamp that a snapshot may still need.
    pub fn safe_point(&self) -> Timestamp {
        Timestamp(self.inner.state.read().safe_point)
    }

    /// The catalog's version.
    pub fn catalog_version(&self) -> CatalogVersion {
        CatalogVersion(self.inner.state.read().catalog_version)
    }

    /// A timestamp if the window allows one at once.
    pub fn try_timestamp(&self) -> Option<Timestamp> {
        self.inner.oracle.next(self.inner.pace.now_ms())
    }

    /// A timestamp above every one handed out before.
    pub async fn timestamp(&self) -> Result<Timestamp, Error> {
        loop {
            let extended = self.inner.extended.notified();
            if let Some(timestamp) = self.try_timestamp() {
                return Ok(timestamp);
            }
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            self.inner.exhausted.notify_one();
            // A window that is not extended in time has failed; the loop finds out why.
            let _elapsed = tokio::time::timeout(WINDOW_CHECK, extended).await;
        }
    }

    /// A timestamp without waiting. With the window used up it is the last one again: nothing can be committed then,
    /// because the log that the window could not be written to is the one commits go through.
    pub fn fresh(&self) -> Timestamp {
        self.try_timestamp().unwrap_or_else(|| {
            self.inner.exhausted.notify_one();
            self.inner.oracle.last()
        })
    }

    fn failure(&self) -> Option<Error> {
        self.inner.group.failure().map(|failure| Error::Raft(failure.into()))
    }

    /// Adds or replaces a node.
    pub async fn put_node(&self, node: Node) -> Result<(), Error> {
        self.propose(command::Body::PutNode(node), "put a node").await.map(drop)
    }

    /// Replaces the ranges that these cover. Refused if the map would get a gap.
    pub async fn put_ranges(&self, ranges: Vec<RangeDescriptor>) -> Result<(), Error> {
        let body = command::Body::PutRanges(PutRanges { ranges });
        self.propose(body, "leave a gap in the range map").await.map(drop)
    }

    /// Sets a cluster setting, or resets it.
    pub async fn put_setting(&self, name: String, value: Option<String>) -> Result<(), Error> {
        self.propose(command::Body::PutSetting(Setting { name, value }), "put a setting").await.map(drop)
    }

    /// Takes shard ids and answers the first.
    pub async fn allocate_shards(&self, count: u64) -> Result<u64, Error> {
        self.propose(command::Body::AllocateShards(count), "allocate so many shard ids").await
    }

    /// Takes object ids and answers the first.
    pub async fn allocate_object_ids(&self, count: u64) -> Result<u64, Error> {
        self.propose(command::Body::AllocateObjectIds(count), "allocate so many object ids").await
    }

    /// Raises the catalog's version and answers it.
    pub async fn bump_catalog(&self) -> Result<CatalogVersion, Error> {
        self.propose(command::Body::BumpCatalog(0), "raise the catalog version").await.map(CatalogVersion)
    }

    /// Raises the safe point.
    pub async fn raise_safe_point(&self, timestamp: Timestamp) -> Result<(), Error> {
        self.propose(command::Body::RaiseSafePoint(timestamp.0), "raise the safe point").await.map(drop)
    }

    async fn propose(&self, body: command::Body, what: &'static str) -> Result<u64, Error> {
        let command = Command { body: Some(body) };
        let outcome: Bytes = self.inner.group.propose(command.encode_to_vec().into()).await?;
        let number = outcome.get(1..9).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        match (outcome.first(), number) {
            (Some(&OK), Some(number)) => Ok(number),
            _ => Err(Error::Refused(what)),
        }
    }

    async fn extend_window(&self) -> Result<(), Error> {
        self.inner.pace.follow(self.inner.oracle.last());
        let Some(window) = self.inner.oracle.wanted(self.inner.pace.now_ms()) else { return Ok(()) };
        self.propose(command::Body::ExtendWindow(window.0), "extend the window").await?;
        self.inner.oracle.extend(window);
        self.inner.extended.notify_waiters();
        Ok(())
    }
}

/// Extends the window ahead of time for as long as the group is used.
async fn keep_window(inner: std::sync::Weak<Inner>) {
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let meta = Meta { inner: strong };
        if let Err(error) = meta.extend_window().await {
            tracing::warn!(%error, "could not extend the timestamp window");
        }
        // Whichever comes first.
        let _elapsed = tokio::time::timeout(WINDOW_CHECK, meta.inner.exhausted.notified()).await;
    }
}

//! The groups of a volume: starting, finding, stopping, removing.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::future::join_all;
use openraft::{Config, Raft, SnapshotPolicy};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use crate::{
    error::{Error, stopped},
    flush::FlushGate,
    group::Group,
    log::{GroupId, LogError, LogStatistics, SharedLog},
    network::NoPeers,
    state_machine::{Driver, StateMachine},
    store::GroupLog,
};

/// Proposals openraft appends together.
const APPEND_BATCH_ENTRIES: u64 = 1024;

/// The Raft groups of one volume.
pub struct RaftHost {
    node: u64,
    log: Arc<SharedLog>,
    groups: RwLock<HashMap<GroupId, Group>>,
    /// Groups that were started here, running or not.
    started: Mutex<HashSet<GroupId>>,
    /// Set when all machines keep their state in one engine.
    flushes: Option<Arc<FlushGate>>,
}

impl RaftHost {
    /// Hosts groups of node `node` on a log. No group runs yet.
    pub fn new(node: u64, log: Arc<SharedLog>) -> Self {
        Self { node, log, groups: RwLock::default(), started: Mutex::default(), flushes: None }
    }

    /// Promises that the machines of all groups keep their state in one engine, so that flushing one flushes all.
    #[must_use]
    pub fn with_one_engine(mut self) -> Self {
        self.flushes = Some(Arc::default());
        self
    }

    /// Groups that left something in the log, running or not.
    pub fn known_groups(&self) -> Vec<GroupId> {
        self.log.groups()
    }

    /// Starts a group whose only voter is this node, replaying what the log holds beyond the machine's position.
    /// Returns once it leads and has applied everything committed before.
    pub async fn start_group(&self, id: GroupId, machine: Arc<dyn StateMachine>) -> Result<Group, Error> {
        if let Some(failure) = self.log.failure() {
            return Err(failure.into());
        }
        let anew = {
            let groups = self.groups.read();
            let anew = self.started.lock().insert(id);
            if groups.contains_key(&id) {
                return Err(Error::Exists(id.0));
            }
            anew
        };
        let gate = self.flushes.clone().unwrap_or_default();
        let driver = Driver::new(machine, gate, Arc::clone(&self.log), anew).map_err(stopped)?;
        self.check_match(id, driver.applied_id().map(|id| id.index))?;
        let store = GroupLog::new(id, Arc::clone(&self.log));
        let raft = Raft::new(self.node, Arc::new(config(id)), NoPeers, store, driver.clone()).await.map_err(stopped)?;
        let group = Group::new(id, raft, driver, Arc::clone(&self.log));
        if let Err(error) = group.lead(self.node).await {
            group.stop().await;
            return Err(self.log.failure().map_or(error, Error::Log));
        }
        match self.groups.write().entry(id) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(group.clone());
            }
            std::collections::hash_map::Entry::Occupied(_) => return Err(Error::Exists(id.0)),
        }
        Ok(group)
    }

    /// A state without its log may lack acknowledged commands, and a log without their effects cannot bring them back.
    fn check_match(&self, id: GroupId, applied: Option<u64>) -> Result<(), Error> {
        let mismatch = |reason| Err(Error::Log(LogError::Mismatch { group: id.0, reason }));
        let purged = self.log.purged(id).map(|(index, _)| index);
        if applied.is_some() && self.log.vote(id).is_none() {
            return mismatch("is there, and its part of the Raft log is missing");
        }
        if purged > applied {
            return mismatch("is older than the beginning of its Raft log");
        }
        // An entry is applied only once it is durable, so the log holds everything that was.
        if self.log.last_index(id).max(purged) < applied {
            return mismatch("is newer than the end of its Raft log, which has lost acknowledged entries");
        }
        Ok(())
    }

    /// The running group of this id.
    pub fn group(&self, id: GroupId) -> Option<Group> {
        self.groups.read().get(&id).cloned()
    }

    /// Compacts every group's log, all at once so that they share flushes. Answers the first failure.
    pub async fn compact(&self) -> Result<(), Error> {
        let groups: Vec<Group> = self.groups.read().values().cloned().collect();
        join_all(groups.iter().map(Group::compact)).await.into_iter().collect()
    }

    /// Stops a group, if it runs, and forgets its log for good. Its machine's state is the caller's to remove, before or
    /// in the same step of recovery: a state without its log does not start again.
    pub async fn remove_group(&self, id: GroupId) -> Result<(), Error> {
        let group = self.groups.write().remove(&id);
        if let Some(group) = group {
            group.stop().await;
        }
        let (done, outcome) = oneshot::channel();
        // The receiver waits below; it is gone only if the caller gave up.
        self.log.drop_group(id, Box::new(move |result| drop(done.send(result))));
        outcome.await.map_err(stopped)?.map_err(Error::Log)
    }

    /// Stops every group and closes the log: nothing is written to it once this returns. Proposals in progress are answered
    /// or fail.
    pub async fn shutdown(&self) {
        let groups: Vec<Group> = self.groups.write().drain().map(|(_, group)| group).collect();
        join_all(groups.iter().map(Group::stop)).await;
        let log = Arc::clone(&self.log);
        if tokio::task::spawn_blocking(move || log.close()).await.is_err() {
            tracing::error!("the Raft log's writer has panicked");
        }
    }

    /// The failure that stopped the log, if one did.
    pub fn failure(&self) -> Option<LogError> {
        self.log.failure()
    }

    /// What the log has done since it was opened.
    pub fn log_statistics(&self) -> LogStatistics {
        self.log.statistics()
    }

    /// Returns when a failure stops the host, by the log, a state machine or a group that ended by itself. From then on
    /// every proposal is refused, and only a restart helps. Waits for ever if the host is shut down in order.
    pub async fn failed(&self) -> LogError {
        self.log.failed().await
    }
}

fn config(id: GroupId) -> Config {
    Config {
        cluster_name: format!("group-{}", id.0),
        // A group with one voter needs neither elections nor heartbeats: it costs nothing while idle.
        enable_tick: false,
        enable_heartbeat: false,
        enable_elect: false,
        max_append_entries: Some(APPEND_BATCH_ENTRIES),
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        ..Config::default()
    }
}

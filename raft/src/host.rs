//! The groups of a volume: starting, finding, stopping, removing.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use futures::future::join_all;
use openraft::{Config, Raft, SnapshotPolicy};
use parking_lot::{Mutex, RwLock};
use prost::Message as _;
use proto::raft::{FetchSnapshot, Message, Refused, SnapshotChunk, message, refused};
use sharddb_proto as proto;
use tokio::sync::oneshot;

use crate::{
    error::{Error, stopped},
    flush::FlushGate,
    group::Group,
    log::{Done, GroupId, LogError, LogStatistics, SharedLog},
    network::NoNetwork,
    state_machine::{Driver, StateMachine},
    store::GroupLog,
    surroundings::Surroundings,
    transport::TransportError,
    types::{birth, decode_applied, encode_id},
};

/// Proposals openraft appends together.
const APPEND_BATCH_ENTRIES: u64 = 1024;

/// The Raft groups of one volume.
pub struct RaftHost {
    node: u64,
    log: Arc<SharedLog>,
    surroundings: Surroundings,
    groups: RwLock<HashMap<GroupId, Group>>,
    /// Groups that were started here, running or not.
    started: Mutex<HashSet<GroupId>>,
    /// Set when all machines keep their state in one engine.
    flushes: Option<Arc<FlushGate>>,
}

impl RaftHost {
    /// Hosts groups of a node without peers on a log. No group runs yet.
    pub fn new(node: u64, log: Arc<SharedLog>) -> Self {
        Self::connected(node, log, Surroundings::alone())
    }

    /// Hosts groups of node `node` on a log. No group runs yet.
    pub fn connected(node: u64, log: Arc<SharedLog>, surroundings: Surroundings) -> Self {
        Self { node, log, surroundings, groups: RwLock::default(), started: Mutex::default(), flushes: None }
    }

    /// The node's id.
    pub fn node(&self) -> u64 {
        self.node
    }

    /// Takes a message that came from a node. Never blocks; what cannot be taken is lost or refused.
    pub fn receive(&self, from: u64, message: Message) {
        if let Some(answer) = refusal(&message) {
            self.surroundings.transport.send(from, answer);
        }
    }

    /// Answers a part of a snapshot that this host offered.
    pub fn serve_snapshot(
        &self,
        request: FetchSnapshot,
    ) -> impl Future<Output = Result<SnapshotChunk, TransportError>> + Send + use<> {
        let _wanted = request;
        std::future::ready(Err(TransportError::Gone))
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

    /// Starts a new group whose only voter is this node. Returns once it leads.
    pub async fn create_group(&self, id: GroupId, machine: Arc<dyn StateMachine>) -> Result<Group, Error> {
        self.start_group(id, machine).await
    }

    /// Starts an empty replica of a group of other nodes. It waits for a leader that has it as a member.
    pub async fn join_group(&self, id: GroupId, machine: Arc<dyn StateMachine>) -> Result<Group, Error> {
        let group = self.run(id, machine).await?;
        self.enter(id, group).await
    }

    /// Starts a replica of a group that was born here by the state of another one, as every replica of that one does.
    /// The machine's position is that of [`birth_position`](crate::birth_position).
    pub async fn spawn_group(&self, id: GroupId, machine: Arc<dyn StateMachine>) -> Result<Group, Error> {
        let born = decode_applied(machine.position().map_err(stopped)?).map_err(stopped)?.0;
        if let Some(born) = born.filter(|born| *born == birth()) {
            let id_bytes = encode_id(&born).encode_to_vec().into();
            self.durable(|log, done| log.purge(id, born.index, id_bytes, done)).await?;
        }
        self.start_group(id, machine).await
    }

    /// Starts a group that left something in the log, replaying what is beyond the machine's position. A group with one
    /// voter leads and has applied everything committed before once this returns; others find their leader later.
    pub async fn start_group(&self, id: GroupId, machine: Arc<dyn StateMachine>) -> Result<Group, Error> {
        let group = self.run(id, machine).await?;
        let voters = group.members().voters;
        let alone = voters.is_empty() || voters.iter().eq([&self.node]);
        if alone && let Err(error) = group.lead(self.node).await {
            group.stop().await;
            return Err(self.log.failure().map_or(error, Error::Log));
        }
        self.enter(id, group).await
    }

    async fn run(&self, id: GroupId, machine: Arc<dyn StateMachine>) -> Result<Group, Error> {
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
        let raft =
            Raft::new(self.node, Arc::new(config(id)), NoNetwork, store, driver.clone()).await.map_err(stopped)?;
        Ok(Group::new(id, raft, driver, Arc::clone(&self.log)))
    }

    async fn enter(&self, id: GroupId, group: Group) -> Result<Group, Error> {
        let entered = match self.groups.write().entry(id) {
            Entry::Vacant(vacant) => {
                vacant.insert(group.clone());
                true
            }
            Entry::Occupied(_) => false,
        };
        if entered {
            return Ok(group);
        }
        group.stop().await;
        Err(Error::Exists(id.0))
    }

    /// Starts a write to the log and waits until it is durable.
    async fn durable(&self, start: impl FnOnce(&SharedLog, Done)) -> Result<(), Error> {
        let (done, outcome) = oneshot::channel();
        // The receiver waits below; it is gone only if the caller gave up.
        start(&self.log, Box::new(move |result| drop(done.send(result))));
        outcome.await.map_err(stopped)?.map_err(Error::Log)
    }

    /// A state without its log may lack acknowledged commands, and a log without their effects cannot bring them back.
    fn check_match(&self, id: GroupId, applied: Option<u64>) -> Result<(), Error> {
        let mismatch = |reason| Err(Error::Log(LogError::Mismatch { group: id.0, reason }));
        let purged = self.log.purged(id).map(|(index, _)| index);
        if applied.is_some() && self.log.vote(id).is_none() && purged.is_none() {
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
        self.durable(|log, done| log.drop_group(id, done)).await
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

/// The answer to a request that nobody here can carry out.
fn refusal(request: &Message) -> Option<Message> {
    let refused = Refused { reason: refused::Reason::UnknownGroup as i32 };
    let body = Some(message::Body::Refused(refused));
    (request.id != 0).then_some(Message { group: request.group, id: request.id, body })
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

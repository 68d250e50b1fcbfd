//! The groups of a volume: starting, finding, stopping, removing.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, btree_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::join_all;
use openraft::{Config, Raft, SnapshotPolicy, StepDownPolicy};
use parking_lot::{Mutex, RwLock};
use proto::raft::{FetchSnapshot, Message, Refused, Resigned, SnapshotChunk, message::Body, refused::Reason};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use sharddb_proto as proto;
use tokio::{
    sync::{Notify, oneshot},
    task::AbortHandle,
};

use crate::{
    error::{Error, stopped},
    flush::FlushGate,
    group::Group,
    inbox::{Job, is_request},
    link::{Channel, Links},
    log::{Done, GroupId, LogError, LogStatistics, SharedLog},
    pulse::Pulse,
    snapshot::{Offers, clean},
    state_machine::{Driver, StateMachine},
    store::GroupLog,
    support::Support,
    surroundings::{Blocking, Surroundings},
    transport::TransportError,
};

/// Proposals openraft appends together.
const APPEND_BATCH_ENTRIES: u64 = 1024;
/// Milliseconds that stand for never: elections and leases are not openraft's business.
const NEVER_MS: u64 = 365 * 24 * 3600 * 1000;
/// Milliseconds an empty append may take.
const ASSERT_WAIT_MS: u64 = 1000;

/// What all groups of a host share.
pub(crate) struct Host {
    pub(crate) node: u64,
    pub(crate) log: Arc<SharedLog>,
    pub(crate) surroundings: Surroundings,
    pub(crate) support: Support,
    pub(crate) offers: Offers,
    random: Mutex<StdRng>,
    woken: Notify,
    /// Groups that the pulse is to look at.
    restless: Mutex<BTreeSet<GroupId>>,
    /// Messages that groups have sent.
    messages: AtomicU64,
}

impl Host {
    pub(crate) fn random(&self) -> u64 {
        self.random.lock().next_u64()
    }

    /// Tells the pulse that there may be more to do.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Has the pulse look at groups.
    pub(crate) fn stir(&self, groups: impl IntoIterator<Item = GroupId>) {
        self.restless.lock().extend(groups);
    }

    /// Takes the groups that are to be looked at.
    pub(crate) fn restless(&self) -> BTreeSet<GroupId> {
        std::mem::take(&mut *self.restless.lock())
    }

    /// Sends a message of a group.
    pub(crate) fn send(&self, node: u64, message: Message) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.surroundings.transport.send(node, message);
    }
}

/// The running groups, in order.
pub(crate) type Groups = RwLock<BTreeMap<GroupId, Group>>;

/// The Raft groups of one volume.
pub struct RaftHost {
    pub(crate) host: Arc<Host>,
    groups: Arc<Groups>,
    /// Groups that were started here, running or not.
    started: Mutex<HashSet<GroupId>>,
    /// Set when all machines keep their state in one engine.
    pub(crate) flushes: Option<Arc<FlushGate>>,
    /// The task that looks after all groups.
    pulse: Mutex<Option<AbortHandle>>,
}

impl RaftHost {
    /// Hosts groups of a node without peers on a log. No group runs yet.
    pub fn new(node: u64, log: Arc<SharedLog>) -> Self {
        Self::connected(node, log, Surroundings::alone())
    }

    /// Hosts groups of node `node` on a log. No group runs yet.
    pub fn connected(node: u64, log: Arc<SharedLog>, surroundings: Surroundings) -> Self {
        if let Err(error) = clean(&surroundings.snapshots) {
            tracing::warn!(%error, "could not remove snapshots that a former process left");
        }
        let mut random = StdRng::seed_from_u64(surroundings.seed);
        let support = Support::new(Arc::clone(&surroundings.clock), random.next_u64().max(1));
        let offers = Offers::default();
        let (random, woken) = (Mutex::new(random), Notify::new());
        let (restless, messages) = Default::default();
        let host = Arc::new(Host { node, log, surroundings, support, offers, random, woken, restless, messages });
        let (groups, started, pulse) = Default::default();
        Self { host, groups, started, flushes: None, pulse }
    }

    /// Promises that the machines of all groups keep their state in one engine, so that flushing one flushes all.
    #[must_use]
    pub fn with_one_engine(mut self) -> Self {
        self.flushes = Some(Arc::default());
        self
    }

    /// The node's id.
    pub fn node(&self) -> u64 {
        self.host.node
    }

    /// Where work is done that waits for a disk.
    pub fn blocking(&self) -> Blocking {
        self.host.surroundings.blocking
    }

    /// Groups that left something in the log, running or not.
    pub fn known_groups(&self) -> Vec<GroupId> {
        self.host.log.groups()
    }

    /// Takes a message that came from a node. Never blocks; what cannot be taken is refused or lost.
    pub fn receive(&self, from: u64, message: Message) {
        let send = |group, id, body| self.host.send(from, Message { group, id, body: Some(body) });
        let Message { group, id, .. } = message;
        match &message.body {
            Some(Body::Heartbeat(heartbeat)) => {
                let body = Some(Body::HeartbeatAnswer(self.host.support.promise(from, heartbeat)));
                return self.host.surroundings.transport.send(from, Message { group: 0, id, body });
            }
            Some(Body::HeartbeatAnswer(answer)) => return self.host.support.count(from, answer),
            _ => {}
        }
        let request = is_request(&message);
        let (Some(body), running) = (message.body, self.group(GroupId(group))) else { return };
        let refused = |reason: Reason| Body::Refused(Refused { reason: reason as i32 });
        match running {
            Some(running) if request => {
                if !running.replica().enqueue(Job::Request { from, id, body }) && id != 0 {
                    send(group, id, refused(Reason::Busy));
                }
            }
            Some(running) => running.replica().channel.exchange.answer(from, id, body),
            // A replica that does not run leads nothing, and in that term it never will.
            None => match body {
                Body::LeaderQuestion(question) => send(group, 0, Body::Resigned(Resigned { term: question.term })),
                _ if request && id != 0 => send(group, id, refused(Reason::UnknownGroup)),
                _ => {}
            },
        }
    }

    /// Answers a part of a snapshot that this host offered.
    pub fn serve_snapshot(
        &self,
        request: FetchSnapshot,
    ) -> impl Future<Output = Result<SnapshotChunk, TransportError>> + Send + use<> {
        let host = Arc::clone(&self.host);
        async move { host.offers.serve(&host.surroundings, request).await }
    }

    /// Starts a group that this node founds, as its only voter. Returns once it leads. What a former attempt left in the log
    /// counts, members that came later among it.
    pub async fn create_group(&self, id: GroupId, machine: Arc<dyn StateMachine>) -> Result<Group, Error> {
        self.open(id, machine, true).await
    }

    /// Starts an empty replica of a group of other nodes. It waits for a leader that has it as a member.
    pub async fn join_group(&self, id: GroupId, machine: Arc<dyn StateMachine>) -> Result<Group, Error> {
        let group = self.run(id, machine).await?;
        self.enter(id, group).await
    }

    /// Starts a group that left something in the log, replaying what is beyond the machine's position. A group with one
    /// voter leads and has applied everything committed before once this returns; others find their leader later.
    pub async fn start_group(&self, id: GroupId, machine: Arc<dyn StateMachine>) -> Result<Group, Error> {
        self.open(id, machine, false).await
    }

    /// A replica that knows of no voters waits for a leader, unless it founds the group.
    async fn open(&self, id: GroupId, machine: Arc<dyn StateMachine>, founds: bool) -> Result<Group, Error> {
        let group = self.run(id, machine).await?;
        let leads = group.is_only_voter().await? && (founds || !group.members().voters.is_empty());
        if leads && let Err(error) = group.lead(self.host.node).await {
            group.stop().await;
            return Err(self.failure().map_or(error, Error::Log));
        }
        self.enter(id, group).await
    }

    async fn run(&self, id: GroupId, machine: Arc<dyn StateMachine>) -> Result<Group, Error> {
        if let Some(failure) = self.failure() {
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
        let host = &self.host;
        let driver = Driver::new(machine, self.flushes.clone().unwrap_or_default(), Arc::clone(host), id, anew);
        let driver = driver.map_err(stopped)?;
        driver.finish_restore().await.map_err(stopped)?;
        self.check_match(id, driver.applied_id().map(|id| id.index))?;
        let mut restores = driver.is_alone(host.node);
        loop {
            let store = GroupLog::new(id, Arc::clone(&host.log), driver.flushed.clone());
            let channel = Channel::new(id, Arc::clone(host));
            let (config, links) = (Arc::new(config(id, restores)), Links(Arc::clone(&channel)));
            let raft = Raft::new(host.node, config, links, store, driver.clone()).await.map_err(stopped)?;
            let group = Group::new(raft, driver.clone(), channel);
            // The log may add members that the state does not know yet. Then nothing may go on in an old term.
            if restores && !group.is_only_voter().await? {
                group.stop().await;
                restores = false;
                continue;
            }
            self.beat();
            return Ok(group);
        }
    }

    /// Starts the pulse with the first group.
    fn beat(&self) {
        let start = || tokio::spawn(Pulse::new(Arc::clone(&self.host), Arc::clone(&self.groups)).run()).abort_handle();
        self.pulse.lock().get_or_insert_with(start);
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
            // What has happened to it before could not be looked at.
            group.replica().stir();
            return Ok(group);
        }
        group.stop().await;
        Err(Error::Exists(id.0))
    }

    pub(crate) fn take_group(&self, id: GroupId) -> Option<Group> {
        self.groups.write().remove(&id)
    }

    pub(crate) fn shared_log(&self) -> Arc<SharedLog> {
        Arc::clone(&self.host.log)
    }

    /// Starts a write to the log and waits until it is durable.
    pub(crate) async fn durable(&self, start: impl FnOnce(&SharedLog, Done)) -> Result<(), Error> {
        let (done, outcome) = oneshot::channel();
        // The receiver waits below; it is gone only if the caller gave up.
        start(&self.host.log, Box::new(move |result| drop(done.send(result))));
        outcome.await.map_err(stopped)?.map_err(Error::Log)
    }

    /// A state without its log may lack acknowledged commands, and a log without their effects cannot bring them back.
    fn check_match(&self, id: GroupId, applied: Option<u64>) -> Result<(), Error> {
        let log = &self.host.log;
        let mismatch = |reason| Err(Error::Log(LogError::Mismatch { group: id.0, reason }));
        let purged = log.purged(id).map(|(index, _)| index);
        if applied.is_some() && log.vote(id).is_none() && purged.is_none() {
            return mismatch("is there, and its part of the Raft log is missing");
        }
        if purged > applied {
            return mismatch("is older than the beginning of its Raft log");
        }
        // An entry is applied only once it is durable, so the log holds everything that was.
        if log.last_index(id).max(purged) < applied {
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

    /// Stops every group and closes the log: nothing is written to it once this returns. Proposals in progress are answered
    /// or fail.
    pub async fn shutdown(&self) {
        let groups: Vec<Group> = std::mem::take(&mut *self.groups.write()).into_values().collect();
        join_all(groups.iter().map(Group::stop)).await;
        let log = Arc::clone(&self.host.log);
        self.host.surroundings.blocking.run(move || log.close()).await;
    }

    /// The failure that stopped the log, if one did.
    pub fn failure(&self) -> Option<LogError> {
        self.host.log.failure()
    }

    /// Messages that groups have sent to other nodes. Heartbeats between nodes are not among them.
    pub fn messages(&self) -> u64 {
        self.host.messages.load(Ordering::Relaxed)
    }

    /// What the log has done since it was opened.
    pub fn log_statistics(&self) -> LogStatistics {
        self.host.log.statistics()
    }

    /// Returns when a failure stops the host, by the log, a state machine or a group that ended by itself. From then on
    /// every proposal is refused, and only a restart helps. Waits for ever if the host is shut down in order.
    pub async fn failed(&self) -> LogError {
        self.host.log.failed().await
    }
}

impl Drop for RaftHost {
    fn drop(&mut self) {
        if let Some(pulse) = self.pulse.lock().take() {
            pulse.abort();
        }
        self.groups.read().values().for_each(Group::abandon);
    }
}

/// `restores`: a group without other members goes on in the term it led in; with them, promises of others may have ended.
fn config(id: GroupId, restores: bool) -> Config {
    Config {
        cluster_name: format!("group-{}", id.0),
        enable_tick: false,
        enable_heartbeat: false,
        enable_elect: false,
        enable_leader_restore: Some(restores),
        removed_leader_step_down: StepDownPolicy::Never,
        election_timeout_min: NEVER_MS,
        election_timeout_max: NEVER_MS + 1,
        heartbeat_interval: ASSERT_WAIT_MS,
        broadcast_submitted_on_append: Some(true),
        max_append_entries: Some(APPEND_BATCH_ENTRIES),
        snapshot_policy: SnapshotPolicy::Never,
        // Nobody reads these statistics, and thousands of groups would keep them.
        log_stage_capacity: Some(1),
        // What goes is decided in `compact`.
        max_in_snapshot_log_to_keep: u64::MAX,
        ..Config::default()
    }
}

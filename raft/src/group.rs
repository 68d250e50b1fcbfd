//! A running group: proposals, leadership, compaction.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use openraft::{
    EmptyNode, Raft, ReadPolicy,
    async_runtime::watch::WatchReceiver,
    errors::{ClientWriteError, LinearizableReadError, RaftError},
    impls::ProgressResponder,
    metrics::{RaftServerMetrics, WaitError},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    error::{Error, stopped},
    log::{GroupId, LogError, SharedLog},
    state_machine::Driver,
    types::{Command, Leader, Types},
};

/// Largest proposal. One entry is written and applied as a whole, so a larger one would stall its neighbours.
pub const PROPOSAL_BYTES_MAX: usize = 64 << 20;
/// A group with one voter leads as soon as its vote is synced; this long means the disk has stopped.
const ELECTION_WAIT: Duration = Duration::from_secs(30);
/// A flush that takes longer than this has met a disk that stopped.
const COMPACTION_WAIT: Duration = Duration::from_secs(300);
/// Time after which a compaction is asked for again.
const COMPACTION_RETRY: Duration = Duration::from_millis(100);

/// A running group. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    inner: Arc<Inner>,
}

struct Inner {
    id: GroupId,
    raft: Raft<Types, Driver>,
    machine: Driver,
    log: Arc<SharedLog>,
    standing: Arc<Standing>,
    leadership: watch::Receiver<Leadership>,
}

/// Who leads a group, as one of its replicas knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The term.
    pub term: u64,
    /// The node that leads in it, if known.
    pub leader: Option<u64>,
    /// Whether this replica leads in it and has applied everything that was committed in terms before.
    pub ready: bool,
}

/// Who leads, as far as this replica knows. Read without locks on every request.
#[derive(Debug, Default)]
struct Standing {
    leads: AtomicBool,
    term: AtomicU64,
    /// Node ids start at 1; 0 is nobody.
    leader: AtomicU64,
    /// Set before the group is stopped on purpose.
    stopping: AtomicBool,
}

impl Standing {
    fn note(&self, metrics: &RaftServerMetrics<Types>) {
        self.term.store(metrics.vote.leader_id.term, Ordering::Release);
        self.leader.store(metrics.current_leader.unwrap_or(0), Ordering::Release);
        self.leads.store(metrics.current_leader == Some(metrics.id) && metrics.state.is_leader(), Ordering::Release);
    }
}

impl Group {
    pub(crate) fn new(id: GroupId, raft: Raft<Types, Driver>, machine: Driver, log: Arc<SharedLog>) -> Self {
        let standing = Arc::<Standing>::default();
        let (publish, leadership) = watch::channel(Leadership::default());
        let watched = Watched { id, log: Arc::clone(&log), standing: Arc::clone(&standing), publish };
        tokio::spawn(watched.follow(raft.clone(), machine.applied_term()));
        Self { inner: Arc::new(Inner { id, raft, machine, log, standing, leadership }) }
    }

    pub(crate) fn raft(&self) -> &Raft<Types, Driver> {
        &self.inner.raft
    }

    /// Its id.
    pub fn id(&self) -> GroupId {
        self.inner.id
    }

    /// Replicates a command; answers its outcome once it is durable on a quorum and applied here.
    pub async fn propose(&self, command: Bytes) -> Result<Bytes, Error> {
        self.propose_in(self.term(), command).await
    }

    /// As `propose`, but only if this replica leads in this term; refused otherwise.
    pub async fn propose_in(&self, term: u64, command: Bytes) -> Result<Bytes, Error> {
        if command.len() > PROPOSAL_BYTES_MAX {
            return Err(Error::TooLarge { bytes: command.len() });
        }
        if let Some(failure) = self.inner.log.failure() {
            return Err(failure.into());
        }
        self.check_lease()?;
        let leader = Leader { term, node_id: *self.inner.raft.node_id() };
        let (responder, outcome) = ProgressResponder::complete_only();
        let proposed = self.inner.raft.write(Command(command)).with_leader(leader).responder(responder).await;
        let answer = match proposed {
            Ok(()) => outcome.await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match answer {
            Ok(Ok(written)) => Ok(written.data),
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => Err(Error::NotLeader { leader: forward.leader_id }),
            // Whatever failed failed while the entry was on its way to the disk: it may be there after a restart.
            Ok(Err(error)) => Err(self.unknown(&error.to_string())),
            Err(error) => Err(self.unknown(&error)),
        }
    }

    fn unknown(&self, error: &str) -> Error {
        Error::Unknown(self.inner.log.failure().unwrap_or_else(|| ended(self.inner.id, error)))
    }

    /// Whether this replica leads, as far as it knows.
    pub fn is_leader(&self) -> bool {
        self.inner.standing.leads.load(Ordering::Acquire)
    }

    /// The term, as far as this replica knows.
    pub fn term(&self) -> u64 {
        self.inner.standing.term.load(Ordering::Acquire)
    }

    /// The node that leads, as far as this replica knows.
    pub fn leader_node(&self) -> Option<u64> {
        Some(self.inner.standing.leader.load(Ordering::Acquire)).filter(|node| *node != 0)
    }

    /// The term in which this replica holds the lease now: until it lapses no other replica leads, and none can have become
    /// leader since this one did.
    pub fn lease(&self) -> Option<u64> {
        self.is_leader().then(|| self.term())
    }

    /// Whether this replica holds the lease now.
    pub fn has_lease(&self) -> bool {
        self.lease().is_some()
    }

    pub(crate) fn check_lease(&self) -> Result<(), Error> {
        if self.has_lease() { Ok(()) } else { Err(Error::NotLeader { leader: self.leader_node() }) }
    }

    /// Who leads and whether this replica is ready to: to look at and to wait for changes.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    /// Hands the lead to another voter, and returns once it has it. This replica stops serving at once; after an error it
    /// leads on if it still can.
    pub async fn transfer_leader(&self, to: u64) -> Result<(), Error> {
        self.check_lease()?;
        if self.leader_node() == Some(to) {
            return Ok(());
        }
        Err(Error::Transfer { to, reason: "it does not vote" })
    }

    /// Returns once this replica still leads and has applied everything that was committed when the call began.
    pub async fn read_barrier(&self) -> Result<(), Error> {
        match self.inner.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Err(Error::NotLeader { leader: forward.leader_id })
            }
            Err(error) => Err(self.halted(error)),
        }
    }

    /// The failure that stopped the log, if one did.
    pub fn failure(&self) -> Option<LogError> {
        self.inner.log.failure()
    }

    /// Makes what was applied durable in the state machine, and drops the log entries up to there. Returns when that is
    /// done; at once if nothing was applied since the last time.
    pub async fn compact(&self) -> Result<(), Error> {
        if let Some(failure) = self.inner.log.failure() {
            return Err(failure.into());
        }
        let raft = &self.inner.raft;
        let applied = self.inner.machine.applied_id();
        let deadline = Instant::now() + COMPACTION_WAIT;
        while raft.metrics().borrow_watched().purged < applied {
            // Ignored while an older one is under way, so asked for until one reaches far enough.
            raft.trigger().snapshot().await.map_err(|error| self.halted(error))?;
            let purged = raft.wait(Some(COMPACTION_RETRY));
            match purged.metrics(|metrics| metrics.purged >= applied, "purge").await {
                Ok(_) => {}
                Err(WaitError::Timeout(..)) if Instant::now() < deadline => {}
                Err(error) => return Err(self.halted(error)),
            }
        }
        Ok(())
    }

    /// The error of a call that found the group stopped.
    fn halted(&self, error: impl std::fmt::Display) -> Error {
        self.inner.log.failure().map_or_else(|| stopped(error), Error::Log)
    }

    /// Index of the last applied entry.
    pub fn applied(&self) -> u64 {
        self.inner.machine.applied_id().map_or(0, |id| id.index)
    }

    /// Index up to which the log is known to be committed.
    pub fn committed(&self) -> u64 {
        let metrics = self.inner.raft.data_metrics();
        let committed = metrics.borrow_watched().local_committed;
        committed.map_or(0, |id| id.index).max(self.applied())
    }

    /// Becomes the leader of a group whose only voter is this node, and applies everything committed before.
    pub(crate) async fn lead(&self, node: u64) -> Result<(), Error> {
        let raft = &self.inner.raft;
        if !raft.is_initialized().await.map_err(stopped)? {
            let members = std::collections::BTreeMap::from([(node, EmptyNode {})]);
            raft.initialize(members).await.map_err(stopped)?;
        } else if !raft.with_raft_state(|state| state.vote_ref().committed).await.map_err(stopped)? {
            raft.trigger().elect(false).await.map_err(stopped)?;
        }
        let waiting = raft.wait(Some(ELECTION_WAIT)).current_leader(node, "lead").await;
        waiting.map_err(stopped)?;
        // A leader's own blank entry commits everything before it; once it answers, all of that is applied.
        let applied = timeout(ELECTION_WAIT, raft.write_blank()).await.map_err(stopped)?;
        applied.map_err(stopped)?;
        self.inner.standing.note(&raft.server_metrics().borrow_watched());
        Ok(())
    }

    /// Stops the group. Proposals in progress are answered or fail.
    pub(crate) async fn stop(&self) {
        self.inner.standing.stopping.store(true, Ordering::Release);
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(group = self.inner.id.0, %error, "a Raft group did not stop in order");
        }
        self.inner.standing.leads.store(false, Ordering::Release);
    }
}

/// What the task that follows a group's leadership needs.
struct Watched {
    id: GroupId,
    log: Arc<SharedLog>,
    standing: Arc<Standing>,
    publish: watch::Sender<Leadership>,
}

impl Watched {
    /// Follows a group's leadership until it ends. A group that ends by itself, by a failure or a panic, stops the host: what
    /// it was asked to do is undecided, and a restart replays it.
    async fn follow(self, raft: Raft<Types, Driver>, mut applied_term: watch::Receiver<u64>) {
        let mut changes = raft.server_metrics();
        let metrics = raft.metrics();
        drop(raft);
        loop {
            self.note(&changes.borrow_watched(), *applied_term.borrow_and_update());
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { break },
                changed = applied_term.changed() => if changed.is_err() { break },
            }
        }
        self.standing.leads.store(false, Ordering::Release);
        self.publish.send_modify(|leadership| leadership.ready = false);
        if self.standing.stopping.load(Ordering::Acquire) {
            return;
        }
        let reason = match &metrics.borrow_watched().running_state {
            Err(error) => error.to_string(),
            Ok(()) => "it panicked".to_owned(),
        };
        self.log.fail(ended(self.id, &reason));
    }

    /// An entry of the present term comes after every one of terms before: once one is applied, so are those.
    fn note(&self, metrics: &RaftServerMetrics<Types>, applied_term: u64) {
        self.standing.note(metrics);
        let term = metrics.vote.leader_id.term;
        let leads = self.standing.leads.load(Ordering::Acquire);
        let now = Leadership { term, leader: metrics.current_leader, ready: leads && applied_term == term };
        self.publish.send_if_modified(|known| std::mem::replace(known, now) != now);
    }
}

/// The failure of a group that ended by itself, and not by a failure of the log or a state machine: a bug.
fn ended(id: GroupId, reason: &str) -> LogError {
    LogError::Host { reason: format!("the Raft group {} has ended: {reason}", id.0), sqlstate: "58030" }
}

//! A running group: proposals, leadership, compaction.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use openraft::{
    EmptyNode, Raft, ReadPolicy,
    async_runtime::watch::WatchReceiver,
    errors::{ClientWriteError, LinearizableReadError, RaftError},
    impls::ProgressResponder,
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use crate::{
    compaction,
    election::view,
    error::{Error, stopped},
    inbox::{Inbox, JOBS_MAX},
    link::Channel,
    log::{GroupId, LogError},
    replica::{Leadership, Replica, ended},
    state_machine::Driver,
    types::{Command, Leader, Types},
};

/// Largest proposal. One entry is written and applied as a whole, so a larger one would stall its neighbours.
pub const PROPOSAL_BYTES_MAX: usize = 64 << 20;
/// A group with one voter leads as soon as its vote is synced; this long means the disk has stopped.
const ELECTION_WAIT: Duration = Duration::from_secs(30);
/// Between looks whether a proposal under way still has a leader.
const DEPOSED_CHECK: Duration = Duration::from_millis(500);
/// Looks in a row that found none before the proposal's outcome is called unknown: a new leader would have told by then.
const DEPOSED_CHECKS: u32 = 6;

/// A running group. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    replica: Arc<Replica>,
}

impl Group {
    pub(crate) fn new(raft: Raft<Types, Driver>, machine: Driver, channel: Arc<Channel>) -> Self {
        let (jobs, received) = mpsc::channel(JOBS_MAX);
        let (standing, leadership, incoming, bequest, tasks, asked_ns, due_ns) = Default::default();
        let replica =
            Replica { raft, machine, channel, standing, leadership, jobs, incoming, bequest, tasks, asked_ns, due_ns };
        let replica = Arc::new(replica);
        let follow = tokio::spawn(Arc::clone(&replica).follow()).abort_handle();
        let inbox = tokio::spawn(Inbox::new(Arc::clone(&replica), received).run()).abort_handle();
        replica.tasks.lock().extend([follow, inbox]);
        Self { replica }
    }

    pub(crate) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    pub(crate) fn raft(&self) -> &Raft<Types, Driver> {
        &self.replica.raft
    }

    /// Its id.
    pub fn id(&self) -> GroupId {
        self.replica.id()
    }

    /// Replicates a command; answers its outcome once it is durable on a quorum and applied here.
    pub async fn propose(&self, command: Bytes) -> Result<Bytes, Error> {
        let term = self.term();
        tokio::select! {
            biased;
            outcome = self.propose_in(term, command) => outcome,
            () = self.deposed(term) => Err(Error::Lost),
        }
    }

    /// As `propose`, but only if this replica leads in this term, refused otherwise; and waits for the outcome even while
    /// this replica has lost touch with the others.
    pub async fn propose_in(&self, term: u64, command: Bytes) -> Result<Bytes, Error> {
        if command.len() > PROPOSAL_BYTES_MAX {
            return Err(Error::TooLarge { bytes: command.len() });
        }
        if let Some(failure) = self.failure() {
            return Err(failure.into());
        }
        self.check_lease()?;
        let leader = Leader { term, node_id: self.replica.node() };
        let (responder, outcome) = ProgressResponder::complete_only();
        if let Err(error) = self.raft().write(Command(command)).with_leader(leader).responder(responder).await {
            return Err(self.unknown(&error.to_string()));
        }
        match outcome.await {
            Ok(Ok(written)) => Ok(written.data),
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => Err(Error::NotLeader { leader: forward.leader_id }),
            // It was dropped here with the lead, and may have been committed all the same.
            Ok(Err(_)) => Err(Error::Lost),
            // Whatever failed failed while the entry was on its way to the disk: it may be there after a restart.
            Err(error) => Err(self.unknown(&error.to_string())),
        }
    }

    fn unknown(&self, error: &str) -> Error {
        Error::Unknown(self.failure().unwrap_or_else(|| ended(self.id(), error)))
    }

    /// Returns once this replica has not led in a term, or not known it, for some time. It may be heard of again in the same
    /// term, and carry on with what was proposed.
    pub async fn deposed(&self, term: u64) {
        if self.replica.standing.alone.load(Ordering::Acquire) {
            return std::future::pending().await;
        }
        let mut missed = 0;
        while missed < DEPOSED_CHECKS {
            sleep(DEPOSED_CHECK).await;
            missed = if self.lease() == Some(term) { 0 } else { missed + 1 };
        }
    }

    /// Whether this replica leads, as far as it knows.
    pub fn is_leader(&self) -> bool {
        self.replica.leads()
    }

    /// The term, as far as this replica knows.
    pub fn term(&self) -> u64 {
        self.replica.term()
    }

    /// The node that leads, as far as this replica knows.
    pub fn leader_node(&self) -> Option<u64> {
        self.replica.leader()
    }

    /// The term in which this replica holds the lease now: it leads, and until the lease ends no other replica does.
    pub fn lease(&self) -> Option<u64> {
        let term = self.term();
        self.replica.holds_lease().then_some(term)
    }

    /// Whether this replica holds the lease now.
    pub fn has_lease(&self) -> bool {
        self.replica.holds_lease()
    }

    pub(crate) fn check_lease(&self) -> Result<u64, Error> {
        self.lease().ok_or_else(|| {
            let leader = self.leader_node().filter(|leader| *leader != self.replica.node());
            Error::NotLeader { leader }
        })
    }

    /// Who leads and whether this replica is ready to: to look at and to wait for changes.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.replica.leadership.subscribe()
    }

    /// Returns once this replica still leads and has applied everything that was committed when the call began.
    pub async fn read_barrier(&self) -> Result<(), Error> {
        match self.raft().ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Err(Error::NotLeader { leader: forward.leader_id })
            }
            Err(error) => Err(self.halted(error)),
        }
    }

    /// The failure that stopped the log, if one did.
    pub fn failure(&self) -> Option<LogError> {
        self.replica.host().log.failure()
    }

    /// Makes what was applied durable in the state machine, and drops the log entries up to there that no follower needs.
    /// Returns when that is done; at once if nothing was applied since the last time.
    pub async fn compact(&self) -> Result<(), Error> {
        if let Some(failure) = self.failure() {
            return Err(failure.into());
        }
        compaction::compact(&self.replica).await.map_err(|error| self.halted(error))
    }

    /// Whether the log still begins with the group's first entry, so that a member without anything would be given entries
    /// instead of a snapshot.
    pub fn has_beginning(&self) -> bool {
        self.raft().metrics().borrow_watched().purged.is_none()
    }

    /// The error of a call that found the group stopped.
    pub(crate) fn halted(&self, error: impl std::fmt::Display) -> Error {
        self.failure().map_or_else(|| stopped(error), Error::Log)
    }

    /// Index of the last applied entry.
    pub fn applied(&self) -> u64 {
        self.replica.machine.applied_id().map_or(0, |id| id.index)
    }

    /// Index up to which the log is known to be committed.
    pub fn committed(&self) -> u64 {
        let metrics = self.raft().data_metrics();
        let committed = metrics.borrow_watched().local_committed;
        committed.map_or(0, |id| id.index).max(self.applied())
    }

    /// Whether nobody else votes; also when nobody votes yet.
    pub(crate) async fn is_only_voter(&self) -> Result<bool, Error> {
        let view = view(&self.replica).await.map_err(stopped)?;
        Ok(view.configs.iter().flatten().all(|voter| *voter == self.replica.node()))
    }

    /// Becomes the leader of a group whose only voter is this node, and applies everything committed before.
    pub(crate) async fn lead(&self, node: u64) -> Result<(), Error> {
        let raft = self.raft();
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
        let mut leadership = self.leadership();
        let ready = timeout(ELECTION_WAIT, leadership.wait_for(|leadership| leadership.ready)).await;
        ready.map_err(stopped)?.map_err(stopped)?;
        Ok(())
    }

    /// Stops the group. Proposals in progress are answered or fail.
    pub(crate) async fn stop(&self) {
        self.replica.standing.stopping.store(true, Ordering::Release);
        self.replica.stand_down();
        if let Err(error) = self.raft().shutdown().await {
            tracing::warn!(group = self.id().0, %error, "a Raft group did not stop in order");
        }
        self.abandon();
    }

    /// Ends the group's tasks.
    pub(crate) fn abandon(&self) {
        self.replica.tasks.lock().drain(..).for_each(|task| task.abort());
    }
}

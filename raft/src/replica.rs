//! What a running group shares between its users, its inbox and the host's pulse.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use openraft::{Raft, async_runtime::watch::WatchReceiver, metrics::RaftServerMetrics};
use parking_lot::Mutex;
use proto::raft::{Resigned, message::Body};
use sharddb_proto as proto;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use crate::{
    host::Host,
    inbox::Job,
    lease::Lease,
    link::Channel,
    log::{GroupId, LogError},
    snapshot::Incoming,
    state_machine::Driver,
    types::{Members, Types},
};

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
pub(crate) struct Standing {
    pub(crate) leads: AtomicBool,
    pub(crate) term: AtomicU64,
    /// Node ids start at 1; 0 is nobody.
    pub(crate) leader: AtomicU64,
    /// Whether this node votes.
    pub(crate) votes: AtomicBool,
    /// Whether no other node is a member.
    pub(crate) alone: AtomicBool,
    /// The newest term whose leader is known to lead no more.
    pub(crate) resigned: AtomicU64,
    /// The leader's process when it last sent entries.
    pub(crate) leader_process: AtomicU64,
    /// Set before the group is stopped on purpose.
    pub(crate) stopping: AtomicBool,
}

/// One replica.
pub(crate) struct Replica {
    pub(crate) raft: Raft<Types, Driver>,
    pub(crate) machine: Driver,
    pub(crate) channel: Arc<Channel>,
    pub(crate) standing: Standing,
    pub(crate) leadership: watch::Sender<Leadership>,
    pub(crate) jobs: mpsc::Sender<Job>,
    /// The snapshot that is being fetched.
    pub(crate) incoming: Mutex<Option<Incoming>>,
    /// What a leader left to this replica, and in which term.
    pub(crate) bequest: Mutex<Option<(u64, Bytes)>>,
    pub(crate) tasks: Mutex<Vec<AbortHandle>>,
    /// When it last asked whether the leader still leads.
    pub(crate) asked_ns: AtomicU64,
    /// When the pulse acts next; 0 when nothing is due.
    pub(crate) due_ns: AtomicU64,
}

impl Replica {
    pub(crate) fn id(&self) -> GroupId {
        self.channel.group
    }

    pub(crate) fn host(&self) -> &Arc<Host> {
        &self.channel.host
    }

    pub(crate) fn node(&self) -> u64 {
        self.channel.host.node
    }

    fn lease(&self) -> &Lease {
        &self.channel.lease
    }

    /// The members, by the newest entry of the log.
    pub(crate) fn members(&self) -> Arc<Members> {
        self.raft.server_metrics().borrow_watched().membership_config.clone()
    }

    pub(crate) fn leads(&self) -> bool {
        self.standing.leads.load(Ordering::Acquire)
    }

    pub(crate) fn term(&self) -> u64 {
        self.standing.term.load(Ordering::Acquire)
    }

    pub(crate) fn leader(&self) -> Option<u64> {
        Some(self.standing.leader.load(Ordering::Acquire)).filter(|node| *node != 0)
    }

    /// Whether this replica leads and nobody else can.
    pub(crate) fn holds_lease(&self) -> bool {
        self.leads() && (self.lease().holds(&self.host().support) || self.renew_lease())
    }

    pub(crate) fn renew_lease(&self) -> bool {
        self.lease().renew(self.node(), &self.members(), &self.host().support)
    }

    /// Gives the inbox something to do. Answers whether it had room.
    pub(crate) fn enqueue(&self, job: Job) -> bool {
        self.jobs.try_send(job).is_ok()
    }

    /// Has the pulse look at this replica: something has happened that it may have to do something about.
    pub(crate) fn stir(&self) {
        self.host().stir([self.id()]);
    }

    /// Tells every other member that this node leads no more in a term it led in.
    pub(crate) fn tell_resigned(&self, term: u64) {
        let members = self.members();
        for (node, _) in members.membership().nodes().filter(|(node, _)| **node != self.node()) {
            self.channel.exchange.tell(*node, 0, Body::Resigned(Resigned { term }));
        }
    }

    /// Follows who leads until the group ends. One that ends by itself, by a failure or a panic, stops the host: what it was
    /// asked to do is undecided, and a restart replays it.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut changes = self.raft.server_metrics();
        let metrics = self.raft.metrics();
        let mut applied_term = self.machine.applied_term();
        let mut shared = BTreeSet::new();
        loop {
            let now = changes.borrow_and_update().clone();
            let term = *applied_term.borrow_and_update();
            self.note(&now, term);
            self.share(&mut shared, &now.membership_config);
            tokio::select! {
                biased;
                changed = changes.changed() => if changed.is_err() { break },
                changed = applied_term.changed() => if changed.is_err() { break },
            }
        }
        self.stand_down();
        self.share(&mut shared, &Members::default());
        if self.standing.stopping.load(Ordering::Acquire) {
            return;
        }
        let reason = match &metrics.borrow_watched().running_state {
            Err(error) => error.to_string(),
            Ok(()) => "it panicked".to_owned(),
        };
        self.host().log.fail(ended(self.id(), &reason));
    }

    /// Keeps the host asking for the support of the nodes this group has.
    fn share(&self, shared: &mut BTreeSet<u64>, members: &Members) {
        let now: BTreeSet<u64> = members.membership().nodes().map(|(node, _)| *node).collect();
        let now: BTreeSet<u64> = now.into_iter().filter(|node| *node != self.node()).collect();
        now.difference(shared).for_each(|node| self.host().support.share(*node, true));
        shared.difference(&now).for_each(|node| self.host().support.share(*node, false));
        *shared = now;
        self.host().wake();
    }

    /// Takes over what openraft says. An entry of the present term comes after every one of terms before: once one is
    /// applied, so are those.
    pub(crate) fn note(&self, metrics: &RaftServerMetrics<Types>, applied_term: u64) {
        let standing = &self.standing;
        let term = metrics.vote.leader_id.term;
        let leads = metrics.current_leader == Some(metrics.id) && metrics.state.is_leader();
        let led = standing.leads.load(Ordering::Acquire).then(|| standing.term.load(Ordering::Acquire));
        if led.is_some_and(|led| !leads || led != term) {
            self.stand_down();
        }
        let membership = metrics.membership_config.membership();
        standing.votes.store(membership.voter_ids().any(|voter| voter == metrics.id), Ordering::Release);
        standing.alone.store(membership.nodes().all(|(node, _)| *node == metrics.id), Ordering::Release);
        standing.term.store(term, Ordering::Release);
        standing.leader.store(metrics.current_leader.unwrap_or(0), Ordering::Release);
        if leads {
            self.lease().begin(term);
            standing.leads.store(true, Ordering::Release);
        }
        let now = Leadership { term, leader: metrics.current_leader, ready: leads && applied_term == term };
        self.leadership.send_if_modified(|known| std::mem::replace(known, now) != now);
        self.stir();
    }

    /// This replica leads no more.
    pub(crate) fn stand_down(&self) {
        if !self.standing.leads.swap(false, Ordering::AcqRel) {
            return;
        }
        let term = self.term();
        self.lease().end();
        self.lease().resign(term);
        self.tell_resigned(term);
        self.leadership.send_modify(|leadership| leadership.ready = false);
    }
}

/// The failure of a group that ended by itself, and not by a failure of the log or a state machine: a bug.
pub(crate) fn ended(id: GroupId, reason: &str) -> LogError {
    LogError::Host { reason: format!("the Raft group {} has ended: {reason}", id.0), sqlstate: "58030" }
}

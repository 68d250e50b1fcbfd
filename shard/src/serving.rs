//! Taking over the leadership of a shard, and giving it up.
//!
//! # What a new leader must not forget
//! Locks, marks, promises and the highest timestamp read live in the memory of the leader before. A new one makes up for
//! them: it serves once everything committed before its term is applied and it holds the lease, beginning with a timestamp
//! handed out after that. No reader before had a later one, so all commits from now on are above what was read. Locks are
//! gone, but for those that a leader has left which handed over the lead; commits check versions where they miss one, and for
//! all that were granted in another tenure.
//!
//! # Invariants
//! * A request is served in one term from its first check to its last, and proposes in that term only.
//! * Marks, locks and promises of a term are gone before another one begins to serve here, and stand as long as the term may
//!   go on.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use proto::{Epoch, ShardId, Timestamp, TxnId, kv};
use sharddb_proto as proto;
use sharddb_raft as raft;
use tokio::time::Instant;

use crate::replica::{Failure, Replica};

/// First pause before a new leader asks again for what it needs to begin: its lease, a timestamp. Doubles.
const TAKEOVER_PAUSE: Duration = Duration::from_millis(5);
/// Longest pause: thousands of new leaders may wait.
const TAKEOVER_PAUSE_MAX: Duration = Duration::from_millis(80);

/// A takeover that takes longer is worth a word in the log.
const TAKEOVER_PATIENCE: Duration = Duration::from_secs(3);

/// Time in which late takeovers are told of once.
const LATE_INTERVAL: Duration = Duration::from_secs(10);

/// The term of the first leader that a group born by a split can have.
const FIRST_TERM: u64 = 1;

/// Under which range and in which term a request is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) epoch: Epoch,
    pub(crate) term: u64,
}

impl At {
    /// Names the time that a shard is led by one replica without a break, and in which this node takes no locks away; those
    /// granted in it are held until they are released. Shards and terms are counted from 1, far below 2^24 and 2^20; a
    /// transaction would have to stay while locks are taken away a million times to come back in what looks the same.
    pub(crate) fn tenure(self, shard: ShardId, seizures: u64) -> u64 {
        let part = |number: u64| number & ((1 << 20) - 1);
        (shard.0 << 40) | (part(self.term) << 20) | part(seizures)
    }
}

impl Replica {
    /// The term in which this replica serves, which it holds the lease for.
    pub(crate) fn serving_term(&self) -> Result<u64, Failure> {
        let serving = self.serving.load(Ordering::Acquire);
        if serving != 0 && self.group.lease() == Some(serving) {
            return Ok(serving);
        }
        Err(self.not_leader())
    }

    pub(crate) fn not_leader(&self) -> Failure {
        let leader = self.group.leader_node().filter(|leader| *leader != self.environment.raft.node());
        Failure::NotLeader(kv::NotLeader { leader_node: leader.unwrap_or_default() })
    }

    fn begin(&self, term: u64, floor: Timestamp) {
        // Somebody else may have led before a later term: what is locked here was locked for the shard it was cut off, long ago.
        let inherits = self.inherits.swap(false, Ordering::AcqRel) && term == FIRST_TERM;
        // What was proposed in this term is still on its way, and its locks and marks stand.
        if self.begun.swap(term, Ordering::AcqRel) == term {
            self.serving.store(term, Ordering::Release);
            self.began.notify_waiters();
            return;
        }
        if !inherits {
            self.shared.locks.forget_rows(&self.shared.span());
            if let Some(bequest) = self.group.take_bequest(term) {
                self.shared.locks.inherit(&bequest);
            }
        }
        self.shared.marks.reset(floor);
        self.promises.reset(floor);
        self.serving.store(term, Ordering::Release);
        self.began.notify_waiters();
    }

    /// Sends away whoever waits here for a lock or a commit.
    fn end(&self) {
        if self.serving.swap(0, Ordering::AcqRel) == 0 {
            return;
        }
        self.shared.locks.dismiss(&self.shared.span());
        self.shared.marks.wake();
    }

    /// Whether it has taken over and has not been told of another leader since. What waits here for marks waits no longer
    /// otherwise.
    pub(crate) fn has_begun(&self) -> bool {
        self.serving.load(Ordering::Acquire) != 0
    }

    /// Whether a commit of a transaction is under way in a term that may go on.
    pub(crate) fn is_committing(&self, txn: TxnId) -> bool {
        self.begun.load(Ordering::Acquire) == self.group.term() && self.shared.marks.has(txn)
    }

    /// Returns once this replica serves.
    pub(crate) async fn served(&self) {
        loop {
            let began = self.began.notified();
            if self.serving_term().is_ok() {
                return;
            }
            began.await;
        }
    }
}

/// Takeovers of a node that have waited for their leases for long. A node that hears too few others may have thousands of
/// them, and tells of them together.
#[derive(Debug, Default)]
pub(crate) struct LateTakeovers {
    state: Mutex<(usize, Option<Instant>)>,
}

/// One of them, until it is dropped.
struct Late<'a>(&'a LateTakeovers);

impl LateTakeovers {
    fn enter(&self, shard: ShardId) -> Late<'_> {
        let mut state = self.state.lock();
        let (shards, told) = &mut *state;
        *shards += 1;
        if told.is_none_or(|told| told.elapsed() >= LATE_INTERVAL) {
            *told = Some(Instant::now());
            tracing::warn!(shards, like = %shard, "new leaders get no lease: too few voters can be heard, or support others");
        }
        Late(self)
    }
}

impl Drop for Late<'_> {
    fn drop(&mut self) {
        self.0.state.lock().0 -= 1;
    }
}

/// Follows a group's leadership for as long as its replica lives.
pub(crate) async fn follow(replica: Weak<Replica>) {
    let Some(strong) = replica.upgrade() else { return };
    let (mut leadership, node) = (strong.group.leadership(), strong.environment.raft.node());
    drop(strong);
    loop {
        let seen = *leadership.borrow_and_update();
        let Some(replica) = replica.upgrade() else { return };
        if replica.serving.load(Ordering::Acquire) != seen.term {
            replica.end();
        }
        if seen.leader == Some(node) && seen.ready {
            // Whatever changes meanwhile begins the takeover anew.
            tokio::select! {
                biased;
                () = take_over(&replica, seen.term) => {}
                changed = leadership.changed() => {
                    if changed.is_err() { return }
                    continue;
                }
            }
        } else {
            replica.end();
        }
        drop(replica);
        if leadership.changed().await.is_err() {
            return;
        }
    }
}

async fn take_over(replica: &Arc<Replica>, term: u64) {
    if replica.serving.load(Ordering::Acquire) == term {
        return;
    }
    let (shard, since) = (replica.shared.shard, Instant::now());
    let (mut late, mut pause) = (None, TAKEOVER_PAUSE);
    while replica.group.lease() != Some(term) {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(TAKEOVER_PAUSE_MAX);
        if late.is_none() && since.elapsed() >= TAKEOVER_PATIENCE {
            late = Some(replica.environment.late_takeovers.enter(shard));
        }
    }
    drop(late);
    // Asked for after the lease began: above every timestamp that anybody read at under an earlier one.
    let floor = loop {
        match replica.environment.oracle.timestamp().await {
            Ok(timestamp) => break timestamp,
            Err(reason) => tracing::debug!(%shard, reason, "no timestamp for a new leader yet"),
        }
        tokio::time::sleep(TAKEOVER_PAUSE).await;
    };
    replica.begin(term, floor);
}

/// What the client is told when a proposal was not carried out, or when nobody knows.
pub(crate) fn refusal(replica: &Replica, error: &raft::Error) -> Failure {
    let reason = || kv::Refused { sqlstate: error.sqlstate().to_owned(), message: error.to_string() };
    match error {
        raft::Error::NotLeader { .. } => replica.not_leader(),
        raft::Error::TooLarge { .. } | raft::Error::Log(_) => Failure::Refused(reason()),
        raft::Error::Unknown(_) if replica.group.failure().is_some() => Failure::Unknown(reason()),
        raft::Error::Unknown(_) | raft::Error::Lost => Failure::Ambiguous(error.to_string()),
        raft::Error::Stopped(_)
        | raft::Error::Exists(_)
        | raft::Error::Membership(_)
        | raft::Error::Transfer { .. } => Failure::Internal(error.to_string()),
    }
}

//! A replicated log without consensus: one list of entries, and a leader that the test names.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use kv::BoxFuture;
use meta::{Clock, Meta, Replicated};
use parking_lot::Mutex;
use raft::{Committed, Leadership, StateMachine, log::LogError};
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::{Engine, MemoryEngine};
use tokio::sync::watch;

type Trap = Box<dyn FnOnce(&Log) + Send>;

/// The log, and who leads.
#[derive(Default)]
pub(crate) struct Log {
    entries: Mutex<Vec<Bytes>>,
    /// Term and node; the lease goes with them. The node is 0 while nobody leads.
    leader: Mutex<(u64, u64)>,
    replicas: Mutex<Vec<Arc<Replica>>>,
    /// The voters, if not all replicas.
    pub(crate) voters: Mutex<Option<BTreeSet<u64>>>,
    /// Runs before the next answer about a lease.
    trap: Mutex<Option<Trap>>,
}

pub(crate) struct Replica {
    node: u64,
    machine: Arc<dyn StateMachine>,
    applied: Mutex<usize>,
    leadership: watch::Sender<Leadership>,
}

impl Replica {
    /// Applies the log up to its end; answers the outcome of the last entry.
    fn catch_up(&self, log: &Log) -> Bytes {
        let mut applied = self.applied.lock();
        let entries = log.entries.lock().clone();
        let mut outcome = Bytes::new();
        for (index, command) in entries.into_iter().enumerate().skip(*applied) {
            let position = Bytes::from((index + 1).to_string());
            let committed = Committed { index: index as u64 + 1, command };
            outcome = self.machine.apply(&[committed], position).expect("applied").swap_remove(0);
            *applied = index + 1;
        }
        outcome
    }
}

impl Log {
    /// Makes a node the leader of a new term, at once and with a lease. Others believe what they believed.
    pub(crate) fn elect(&self, node: u64) {
        let mut leader = self.leader.lock();
        *leader = (leader.0 + 1, node);
    }

    /// Tells a node who leads. A new leader applies everything before it is ready.
    pub(crate) fn inform(&self, node: u64) {
        let (term, leader) = *self.leader.lock();
        for replica in self.replicas.lock().iter().filter(|replica| replica.node == node) {
            if leader == node {
                replica.catch_up(self);
            }
            let leadership = Leadership { term, leader: Some(leader).filter(|node| *node != 0), ready: leader == node };
            replica.leadership.send_replace(leadership);
        }
    }

    /// Lets a node apply what it has not yet.
    pub(crate) fn catch_up(&self, node: u64) {
        for replica in self.replicas.lock().iter().filter(|replica| replica.node == node) {
            replica.catch_up(self);
        }
    }

    /// Does something right before the next lease is looked at.
    pub(crate) fn before_next_lease(&self, trap: impl FnOnce(&Self) + Send + 'static) {
        *self.trap.lock() = Some(Box::new(trap));
    }

    fn lease(&self, node: u64) -> Option<u64> {
        let trap = self.trap.lock().take();
        if let Some(trap) = trap {
            trap(self);
        }
        let (term, leader) = *self.leader.lock();
        (leader == node).then_some(term)
    }
}

/// A node's end of the log.
struct End {
    log: Arc<Log>,
    replica: Arc<Replica>,
}

impl Replicated for End {
    fn propose(&self, command: Bytes) -> BoxFuture<'_, Result<Bytes, raft::Error>> {
        Box::pin(async move {
            // The leader may change while the entry is on its way.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            let (_, leader) = *self.log.leader.lock();
            if leader != self.replica.node {
                return Err(raft::Error::NotLeader { leader: Some(leader).filter(|node| *node != 0) });
            }
            self.log.entries.lock().push(command);
            Ok(self.replica.catch_up(&self.log))
        })
    }

    fn lease(&self) -> Option<u64> {
        self.log.lease(self.replica.node)
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.replica.leadership.subscribe()
    }

    fn voters(&self) -> Vec<u64> {
        let all = || self.log.replicas.lock().iter().map(|replica| replica.node).collect();
        self.log.voters.lock().clone().unwrap_or_else(all).into_iter().collect()
    }

    fn learners(&self) -> Vec<u64> {
        Vec::new()
    }

    fn failure(&self) -> Option<LogError> {
        None
    }
}

/// A clock that the test sets; uptime is tokio's paused time.
pub(crate) struct TestClock {
    started: tokio::time::Instant,
    pub(crate) wall_ms: Mutex<u64>,
}

impl TestClock {
    pub(crate) fn new(wall_ms: u64) -> Arc<Self> {
        Arc::new(Self { started: tokio::time::Instant::now(), wall_ms: Mutex::new(wall_ms) })
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        *self.wall_ms.lock() + self.uptime_ms()
    }

    fn uptime_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

/// Starts or restarts a member over an engine.
pub(crate) fn member(log: &Arc<Log>, node: u64, engine: &Arc<MemoryEngine>, clock: &Arc<TestClock>) -> Meta {
    let engine = Arc::clone(engine) as Arc<dyn Engine>;
    let build = |machine: Arc<dyn StateMachine>| {
        let position = machine.position().expect("a position").unwrap_or_default();
        let applied = std::str::from_utf8(&position).expect("a number").parse().unwrap_or(0);
        let leadership = watch::Sender::new(Leadership::default());
        let replica = Arc::new(Replica { node, machine, applied: Mutex::new(applied), leadership });
        let mut replicas = log.replicas.lock();
        replicas.retain(|known| known.node != node);
        replicas.push(Arc::clone(&replica));
        replicas.sort_by_key(|replica| replica.node);
        End { log: Arc::clone(log), replica }
    };
    Meta::with_log(engine, Arc::clone(clock) as Arc<dyn Clock>, build).expect("a member")
}

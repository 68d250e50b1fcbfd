//! Carrying steps out, and what is known of those under way.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kv::BoxFuture;
use proto::meta::Job;
use sharddb_kv as kv;
use sharddb_proto as proto;

use super::Action;

/// Ended steps that are remembered, for whoever looks.
const ENDED_KEPT: usize = 200;

/// Carries steps out at the groups concerned. Group 0 is the meta group.
pub trait Mover: Send + Sync + 'static {
    /// Makes voters of the nodes in `add`, which have no voter yet, and nothing of those in `remove`, which are voters or
    /// learners and never the leader: replicas are created and brought up as learners, then the voters change all at once, and
    /// replicas that are out are deleted. Returns once the range map has the new replicas. After an error the group is as it
    /// was, but for learners.
    fn change_replicas(
        &self,
        shard: u64,
        add: Vec<u64>,
        remove: Vec<u64>,
        progress: Arc<Progress>,
    ) -> BoxFuture<'_, Result<(), String>>;

    /// Hands the lead from a node to a voter.
    fn transfer_leader(&self, shard: u64, from: u64, to: u64) -> BoxFuture<'_, Result<(), String>>;
}

/// How far a step is.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    total_bytes: AtomicU64,
}

impl Progress {
    /// Notes how much was copied, and of how much.
    pub fn note(&self, bytes: u64, total_bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Phase {
    Running,
    Done,
    Failed(String),
}

#[derive(Debug)]
struct Entry {
    id: u64,
    action: Action,
    phase: Phase,
    progress: Arc<Progress>,
    since_ms: u64,
}

/// Steps under way and ended ones.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    last_id: u64,
    entries: VecDeque<Entry>,
}

impl Jobs {
    /// Notes that a step begins.
    pub(crate) fn begin(&mut self, action: Action, now_ms: u64) -> (u64, Arc<Progress>) {
        self.last_id += 1;
        let progress = Arc::<Progress>::default();
        let entry = Entry {
            id: self.last_id,
            action,
            phase: Phase::Running,
            progress: Arc::clone(&progress),
            since_ms: now_ms,
        };
        self.entries.push_back(entry);
        (self.last_id, progress)
    }

    /// Notes how a step ended.
    pub(crate) fn end(&mut self, id: u64, outcome: Result<(), String>) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.phase = outcome.map_or_else(Phase::Failed, |()| Phase::Done);
        }
        let ended = |entry: &Entry| !matches!(entry.phase, Phase::Running);
        let surplus = self.entries.iter().filter(|entry| ended(entry)).count().saturating_sub(ENDED_KEPT);
        for _ in 0..surplus {
            let oldest = self.entries.iter().position(ended).expect("there are more than enough");
            self.entries.remove(oldest);
        }
    }

    /// Notes that nothing is under way any more.
    pub(crate) fn give_up(&mut self, reason: &str) {
        for entry in &mut self.entries {
            if matches!(entry.phase, Phase::Running) {
                entry.phase = Phase::Failed(reason.to_owned());
            }
        }
    }

    /// All of them for display, the oldest first.
    pub(crate) fn list(&self) -> Vec<Job> {
        self.entries.iter().map(describe).collect()
    }
}

fn describe(entry: &Entry) -> Job {
    let (from, to) = match &entry.action {
        Action::Change { add, remove, .. } => (remove.clone(), add.clone()),
        Action::MoveLeader { from, to, .. } => (vec![*from], vec![*to]),
    };
    let (state, error) = match &entry.phase {
        Phase::Running => ("running", ""),
        Phase::Done => ("done", ""),
        Phase::Failed(reason) => ("failed", &reason[..]),
    };
    Job {
        id: entry.id,
        what: entry.action.what().to_owned(),
        shard: entry.action.shard(),
        from,
        to,
        state: state.to_owned(),
        bytes: entry.progress.bytes.load(Ordering::Relaxed),
        total_bytes: entry.progress.total_bytes.load(Ordering::Relaxed),
        since_ms: entry.since_ms,
        error: error.to_owned(),
    }
}

//! The state machine of one shard.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use ahash::AHashMap;
use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use proto::{
    ShardId, Timestamp, TxnId,
    kv::{self, command, failure, response},
};
use raft::{Capture, Committed, Fatal, StateMachine};
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::{Batch, Cf, Engine, Span};
use tokio::sync::Notify;

use crate::{
    intent_keys::IntentKeys,
    local,
    locks::LockTable,
    marks::Marks,
    mvcc::{encode_put, encode_signed, encode_tombstone, version_key},
    node::Environment,
};

/// What the applying side and the serving side of a replica share.
pub(crate) struct Shared {
    pub(crate) shard: ShardId,
    pub(crate) engine: Arc<dyn Engine>,
    /// Present range and epoch.
    pub(crate) range: RwLock<kv::Range>,
    pub(crate) marks: Marks,
    pub(crate) locks: Arc<LockTable>,
    /// Keys with intents in the range.
    pub(crate) intents: IntentKeys,
    /// Oldest accepted layout version of tables that were altered.
    pub(crate) fences: RwLock<AHashMap<u32, u64>>,
    /// Milliseconds up to which records of aborted transactions were swept. Changed and asked by commands only.
    pub(crate) swept_ms: AtomicU64,
    /// Whether the range may hold records of aborted transactions. Without any, commits need not look for theirs.
    pub(crate) has_aborts: AtomicBool,
    /// Set once the replica is being removed; nothing is written for it any more. Held while the machine writes.
    retired: RwLock<bool>,
    /// Below this, versions were dropped that readers there would see.
    pub(crate) collected: AtomicU64,
    /// Counts beginnings and ends of replacing the whole state: odd while that is under way.
    restores: AtomicU64,
    /// Grows after every change of the state by commands or a snapshot.
    changes: AtomicU64,
    /// What `changes` was when no garbage was left, nor anything that time makes garbage of; 0 before.
    pub(crate) clean_at: AtomicU64,
    /// Told when a shard was cut off this one.
    pub(crate) births: Arc<Notify>,
    /// Of the node: grows with every change of the range.
    ranges_version: Arc<AtomicU64>,
}

/// Applies a shard's commands.
pub(crate) struct Machine {
    shared: Arc<Shared>,
}

/// The writes of one run of commands.
pub(super) struct Run<'a> {
    pub(super) shared: &'a Shared,
    /// Where the machine is once the run is written.
    pub(super) position: Bytes,
    batch: Batch,
    /// Once written: whose marks and locks go.
    effects: Vec<Effect>,
    /// Keys that get their first intent by the batch, and keys whose intent it removes.
    pub(super) intents_added: Vec<Bytes>,
    pub(super) intents_removed: Vec<Bytes>,
}

/// What follows once a command's writes can be read.
pub(super) enum Effect {
    /// A one-phase commit: marks and locks go.
    Committed(TxnId, Vec<kv::Write>),
    /// Intents stand: marks go, locks stay.
    Prepared(TxnId, Vec<kv::Write>),
    /// Shards were cut off: the node starts them.
    Cut,
    /// A record says how its transaction ended: those who wait for that look again.
    Decided,
    /// Intents are resolved: locks go, and those who waited look again.
    Resolved(TxnId),
}

impl Shared {
    /// Reads what there is of a shard.
    pub(crate) fn load(range: kv::Range, environment: &Environment, locks: Arc<LockTable>) -> Result<Self, Fatal> {
        let shard = ShardId(range.shard);
        let engine = Arc::clone(&environment.engine);
        let shared = Self {
            shard,
            fences: RwLock::new(range::read_fences(engine.as_ref(), shard)?),
            swept_ms: AtomicU64::new(range::read_swept(engine.as_ref(), shard)?),
            has_aborts: AtomicBool::new(true),
            engine,
            range: RwLock::new(range),
            marks: Marks::default(),
            locks,
            intents: IntentKeys::default(),
            retired: RwLock::new(false),
            restores: AtomicU64::new(0),
            collected: AtomicU64::new(0),
            changes: AtomicU64::new(1),
            clean_at: AtomicU64::new(0),
            births: Arc::clone(&environment.births),
            ranges_version: Arc::clone(&environment.ranges_version),
        };
        range::load_intents(&shared)?;
        range::load_aborts(&shared)?;
        Ok(shared)
    }

    /// Stops the machine for good. Answers the range whose data is to be removed.
    pub(crate) fn retire(&self) -> Span {
        *self.retired.write() = true;
        self.span()
    }

    /// Names the state that is built upon command by command; `None` while it is being replaced or removed.
    pub(crate) fn generation(&self) -> Option<u64> {
        let restores = self.restores.load(Ordering::SeqCst);
        let stands = restores.is_multiple_of(2) && self.retired.try_read().is_some_and(|retired| !*retired);
        stands.then_some(restores)
    }

    /// How far its state has changed. Read before the state is, it misses nothing that is not in there.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Takes over another range.
    pub(super) fn set_range(&self, range: kv::Range) {
        *self.range.write() = range;
        self.ranges_version.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn span(&self) -> Span {
        let range = self.range.read();
        let span = range.span.as_ref();
        Span::new(
            span.map(|span| span.start.to_vec()).unwrap_or_default(),
            span.map(|span| span.end.to_vec()).unwrap_or_default(),
        )
    }
}

impl Machine {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl<'a> Run<'a> {
    fn new(shared: &'a Shared, position: Bytes) -> Self {
        let (batch, effects, intents_added, intents_removed) = Default::default();
        Self { shared, position, batch, effects, intents_added, intents_removed }
    }

    /// The batch to add to.
    pub(super) fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Writes what there is, so that it can be read.
    pub(super) fn settle(&mut self) -> Result<(), Fatal> {
        if !self.intents_added.is_empty() {
            self.shared.intents.add(std::mem::take(&mut self.intents_added));
        }
        if !self.batch.is_empty() {
            self.shared.engine.write(&std::mem::take(&mut self.batch)).map_err(fatal)?;
        }
        if !self.intents_removed.is_empty() {
            self.shared.intents.remove(&std::mem::take(&mut self.intents_removed));
        }
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Committed(txn, writes) => {
                    self.shared.marks.leave(txn, writes.iter().map(|write| &write.key));
                    self.shared.locks.release_all(txn);
                }
                Effect::Prepared(txn, writes) => self.shared.marks.leave(txn, writes.iter().map(|write| &write.key)),
                Effect::Decided => self.shared.marks.wake(),
                Effect::Cut => self.shared.births.notify_one(),
                Effect::Resolved(txn) => {
                    self.shared.locks.release_all(txn);
                    self.shared.marks.wake();
                }
            }
        }
        Ok(())
    }

    pub(super) fn after(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Adds a committed version.
    pub(super) fn put_version(&mut self, key: &[u8], ts: Timestamp, value: Option<&[u8]>) {
        let stored = value.map_or_else(encode_tombstone, encode_put);
        self.batch.put(Cf::Data, version_key(key, ts), stored);
    }

    pub(super) fn put_fences(&mut self, fences: &[kv::Fence]) {
        for fence in fences {
            let key = local::fence(self.shared.shard, fence.table);
            self.batch.put(Cf::Local, key, fence.version.to_be_bytes());
            let mut known = self.shared.fences.write();
            let oldest = known.entry(fence.table).or_default();
            *oldest = (*oldest).max(fence.version);
        }
    }

    fn apply(&mut self, bytes: &Bytes) -> Result<response::Body, Fatal> {
        let command = kv::Command::decode(bytes.clone())
            .map_err(|error| Fatal::damaged(format!("a command is damaged: {error}")))?;
        let range = self.shared.range.read().clone();
        if command.epoch != range.epoch {
            return Ok(failed(failure::Kind::StaleEpoch(range)));
        }
        match command.body {
            Some(command::Body::Commit(commit)) => self.commit(commit),
            Some(command::Body::Intent(intent)) => self.intent(intent),
            Some(command::Body::Decide(decide)) => self.decide(decide),
            Some(command::Body::Resolve(resolve)) => self.resolve(resolve),
            Some(command::Body::Heartbeat(heartbeat)) => self.heartbeat(heartbeat),
            Some(command::Body::Split(split)) => self.split(split, range),
            Some(command::Body::DeleteRange(delete)) => self.delete_range(delete),
            Some(command::Body::SweepRecords(sweep)) => self.sweep_records(sweep),
            Some(command::Body::Bar(bar)) => self.bar(bar),
            None => Err(Fatal::damaged("a command of an unknown kind")),
        }
    }

    fn commit(&mut self, commit: kv::CommitCommand) -> Result<response::Body, Fatal> {
        let (txn, ts) = (TxnId(commit.txn), Timestamp(commit.commit_ts));
        self.shared.marks.note_applied(commit.commit_ts);
        if self.is_barred(txn, ts, &commit.writes)? {
            self.after(Effect::Committed(txn, commit.writes));
            return Ok(failed(failure::Kind::Aborted(kv::Done {})));
        }
        if let Some((first, others)) = commit.writes.split_first() {
            self.batch.put(Cf::Data, version_key(&first.key, ts), encode_signed(txn, first.value.as_deref()));
            for write in others {
                self.put_version(&write.key, ts, write.value.as_deref());
            }
        }
        self.put_fences(&commit.fences);
        self.after(Effect::Committed(txn, commit.writes));
        Ok(response::Body::Commit(kv::CommitResult { commit_ts: commit.commit_ts }))
    }

    /// Whether a one-phase commit comes too late: somebody asked for its outcome and was told that there is none.
    fn is_barred(&mut self, txn: TxnId, ts: Timestamp, writes: &[kv::Write]) -> Result<bool, Fatal> {
        let swept = self.shared.swept_ms.load(Ordering::SeqCst);
        if swept > 0 && ts.millis() <= swept {
            return Ok(true);
        }
        let Some(first) = writes.first() else { return Ok(false) };
        if !self.shared.has_aborts.load(Ordering::SeqCst) {
            return Ok(false);
        }
        self.settle()?;
        Ok(self.read_record(&local::record(&first.key, txn))?.is_some())
    }
}

impl StateMachine for Machine {
    fn position(&self) -> Result<Option<Bytes>, Fatal> {
        let stored = self.shared.engine.get(Cf::Local, &local::position(self.shared.shard)).map_err(fatal)?;
        Ok(stored.map(Bytes::from))
    }

    fn apply(&self, commands: &[Committed], position: Bytes) -> Result<Vec<Bytes>, Fatal> {
        let retired = self.shared.retired.read();
        if *retired {
            let gone = kv::Response {
                body: Some(failed(failure::Kind::UnknownShard(kv::Done {}))),
                ..kv::Response::default()
            };
            return Ok(vec![gone.encode_to_vec().into(); commands.len()]);
        }
        let mut run = Run::new(&self.shared, position.clone());
        let mut outcomes = Vec::with_capacity(commands.len());
        for committed in commands {
            let body = run.apply(&committed.command)?;
            outcomes.push(kv::Response { body: Some(body), ..kv::Response::default() }.encode_to_vec().into());
        }
        run.batch().put(Cf::Local, local::position(self.shared.shard), position);
        run.settle()?;
        if !commands.is_empty() {
            self.shared.changes.fetch_add(1, Ordering::SeqCst);
        }
        Ok(outcomes)
    }

    fn flush(&self) -> Result<(), Fatal> {
        self.shared.engine.flush().map_err(fatal)
    }

    fn snapshot(&self) -> Result<Capture, Fatal> {
        Ok(snapshot::capture(&self.shared))
    }

    fn restore(&self, directory: &Path, position: Bytes) -> Result<(), Fatal> {
        let retired = self.shared.retired.read();
        if *retired {
            return Ok(());
        }
        self.shared.restores.fetch_add(1, Ordering::SeqCst);
        let restored = snapshot::restore(&self.shared, directory, position);
        self.shared.restores.fetch_add(1, Ordering::SeqCst);
        self.shared.changes.fetch_add(1, Ordering::SeqCst);
        restored
    }
}

use super::{range, snapshot};

/// A failure of the volume: the replica cannot go on.
pub(super) fn fatal(error: storage::Error) -> Fatal {
    Fatal::from(error)
}

pub(super) fn failed(kind: failure::Kind) -> response::Body {
    response::Body::Failure(kv::Failure { kind: Some(kind) })
}

pub(super) fn done() -> response::Body {
    response::Body::Done(kv::Done {})
}

//! The shards of a node: opening them, finding the one a request is for, cutting them.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use parking_lot::RwLock;
use prost::Message;
use proto::{ShardId, Timestamp, TxnId, kv, meta::RangeDescriptor};
use raft::{RaftHost, Written, log::GroupId};
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::{Batch, Cf, Engine, Span};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::{
    housekeeping,
    living::{Known, Living},
    local,
    locks::{LockTable, LongWait},
    replica::{Failure, Replica, Start},
    serving::LateTakeovers,
};

/// An intent whose transaction has no record is given this long before its transaction is aborted: its coordinator may
/// be about to write the record.
const RECORDLESS_GRACE_MS: u64 = 6000;

/// Age of an intent from which nobody waits for its coordinator any more. A reader asks the transaction to commit later
/// than it reads; a commit under way takes less, and would have to begin again. Who meets a staged one finds out how it
/// stands.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long somebody waits for news of a pending transaction before it asks the primary again.
pub(crate) const PENDING_RECHECK: Duration = Duration::from_millis(10);

/// Time after which the task that starts shards sees whether its node is gone.
const BIRTHS_CHECK: Duration = Duration::from_secs(5);

/// Shards that are started at once. A start waits for the log, whose syncs they share.
const STARTS_MAX: usize = 256;

/// Where timestamps come from.
pub trait Oracle: Send + Sync {
    /// A recent timestamp, without waiting: the newest this process knows. Where timestamps are made it is a new one.
    fn fresh(&self) -> Timestamp;

    /// A timestamp above every one handed out before, anywhere in the cluster.
    fn timestamp(&self) -> Pin<Box<dyn Future<Output = Result<Timestamp, String>> + Send + '_>>;

    /// Whether all timestamps handed out from now on, anywhere in the cluster, are known to be at or above `ts`.
    fn has_reached(&self, ts: Timestamp) -> bool;

    /// Takes note that a timestamp was handed out.
    fn note(&self, ts: Timestamp);

    /// Sees to it that they are.
    fn reach(&self, ts: Timestamp) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

/// Asks how a transaction ended, and ends it where its coordinator did not.
pub trait TxnResolver: Send + Sync {
    /// The transaction's status, as its primary's shard answers it.
    fn query(&self, query: kv::QueryTxn) -> Pin<Box<dyn Future<Output = Result<kv::TxnStatus, String>> + Send + '_>>;

    /// Resolves every intent that a decided transaction may have left, then forgets its record.
    fn finish(
        &self,
        txn: TxnId,
        primary: Bytes,
        status: kv::TxnStatus,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// What shards need of their surroundings.
pub struct Environment {
    /// The volume's engine.
    pub engine: Arc<dyn Engine>,
    /// The volume's Raft groups.
    pub raft: Arc<RaftHost>,
    /// Source of timestamps.
    pub oracle: Arc<dyn Oracle>,
    /// Set once the transactional client exists.
    resolver: OnceLock<Arc<dyn TxnResolver>>,
    /// Reads that replicas answered without leading.
    pub(crate) follower_reads: AtomicU64,
    /// Told when a shard was cut and its parts are to be started.
    pub(crate) births: Arc<Notify>,
    /// Whose transactions may still go on.
    pub(crate) living: Known,
    /// Grows whenever the node has another replica, one less, or one with another range.
    pub(crate) ranges_version: Arc<AtomicU64>,
    pub(crate) late_takeovers: LateTakeovers,
}

/// Why shards could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The volume failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// A Raft group did not start.
    #[error(transparent)]
    Raft(#[from] raft::Error),
    /// What is stored makes no sense.
    #[error(transparent)]
    Fatal(#[from] raft::Fatal),
}

/// Counts for metrics and `sharddb.shards`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeStatistics {
    /// Shards hosted.
    pub shards: usize,
    /// Shards served.
    pub served: usize,
    /// Keys locked.
    pub locked_keys: usize,
    /// Lock requests waiting.
    pub lock_waiters: usize,
    /// Intents not resolved.
    pub intents: u64,
    /// Reads that replicas here answered without leading.
    pub follower_reads: u64,
}

/// The shards of one volume. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) environment: Arc<Environment>,
    pub(crate) locks: Arc<LockTable>,
    pub(crate) replicas: RwLock<BTreeMap<ShardId, Arc<Replica>>>,
    /// Held while shards are started.
    pub(crate) starting: tokio::sync::Mutex<()>,
}

impl Inner {
    pub(crate) fn replicas(&self) -> Vec<Arc<Replica>> {
        self.replicas.read().values().cloned().collect()
    }

    fn enter(&self, replica: &Arc<Replica>) {
        self.replicas.write().insert(replica.shared.shard, Arc::clone(replica));
        self.environment.ranges_version.fetch_add(1, Ordering::SeqCst);
    }

    /// Lets go of a replica.
    pub(crate) fn leave(&self, shard: ShardId) {
        self.replicas.write().remove(&shard);
        self.environment.ranges_version.fetch_add(1, Ordering::SeqCst);
    }
}

impl Environment {
    /// Collects the surroundings; the resolver comes later.
    pub fn new(engine: Arc<dyn Engine>, raft: Arc<RaftHost>, oracle: Arc<dyn Oracle>) -> Self {
        Self {
            engine,
            raft,
            oracle,
            resolver: OnceLock::new(),
            follower_reads: AtomicU64::default(),
            births: Arc::default(),
            living: Known::default(),
            ranges_version: Arc::default(),
            late_takeovers: LateTakeovers::default(),
        }
    }

    /// Status of the transaction whose intent somebody has met here. One that looks dead is pushed; once patience is at its
    /// end, one that is pending promises to commit above `above`, if it can, and one that is staged is found out about.
    pub(crate) async fn query(
        &self,
        intent: &kv::Intent,
        met: Instant,
        above: Timestamp,
    ) -> Result<kv::TxnStatus, Failure> {
        let Some(resolver) = self.resolver.get() else {
            return Err(Failure::Internal("intents cannot be resolved before the node has started".to_owned()));
        };
        let push = self.living.is_gone(TxnId(intent.txn)) || self.age_ms(intent) > RECORDLESS_GRACE_MS;
        let (txn, primary) = (intent.txn, intent.primary.clone());
        let find_out = met.elapsed() >= PATIENCE || u128::from(self.age_ms(intent)) >= PATIENCE.as_millis();
        let above_ts = if find_out { above.0 } else { 0 };
        let query = kv::QueryTxn { txn, primary, push, above_ts, one_phase: false, find_out };
        resolver.query(query).await.map_err(Failure::Internal)
    }

    /// The same for somebody who cannot leave it open whether a staged transaction is committed.
    pub(crate) async fn query_to_end(&self, intent: &kv::Intent) -> Result<kv::TxnStatus, Failure> {
        let met = Instant::now();
        loop {
            let status = self.query(intent, met, Timestamp::ZERO).await?;
            if !status.staged {
                return Ok(status);
            }
            tokio::time::sleep(PENDING_RECHECK).await;
        }
    }

    /// How long ago an intent was written.
    pub(crate) fn age_ms(&self, intent: &kv::Intent) -> u64 {
        self.oracle.fresh().millis().saturating_sub(Timestamp(intent.prepare_ts).millis())
    }

    /// Waits until no reader anywhere can begin below `ts`, so that everybody sees what is committed there.
    pub(crate) async fn reach(&self, ts: Timestamp) -> Result<(), Failure> {
        if self.oracle.has_reached(ts) {
            return Ok(());
        }
        self.oracle.reach(ts).await.map_err(Failure::Ambiguous)
    }

    /// Whom to ask, once the node has started.
    pub(crate) fn resolver(&self) -> Option<&Arc<dyn TxnResolver>> {
        self.resolver.get()
    }
}

impl Node {
    /// Opens every shard that the volume has a descriptor of. Those with one replica serve when this returns.
    pub async fn open(environment: Environment) -> Result<Self, OpenError> {
        let inner = Inner {
            environment: Arc::new(environment),
            locks: Arc::default(),
            replicas: RwLock::default(),
            starting: tokio::sync::Mutex::default(),
        };
        let node = Self { inner: Arc::new(inner) };
        node.bury_dead().await?;
        node.start_known().await?;
        tokio::spawn(start_births(Arc::downgrade(&node.inner)));
        Ok(node)
    }

    /// Starts every shard that has a descriptor and does not run. Replaying one shard's log may bring the descriptors of
    /// shards that were cut off it.
    pub(crate) async fn start_known(&self) -> Result<(), OpenError> {
        let _one_at_a_time = self.inner.starting.lock().await;
        loop {
            let known = read_descriptors(self.inner.environment.engine.as_ref())?;
            let missing = known.into_iter().filter(|range| self.replica(range.shard).is_none());
            let missing: Vec<kv::Range> = missing.collect();
            if missing.is_empty() {
                return Ok(());
            }
            let (raft, written) = (&self.inner.environment.raft, self.inner.environment.raft.written());
            let logged: &HashSet<GroupId> = &raft.known_groups().into_iter().collect();
            let starts = missing.into_iter().map(|range| async move {
                let start = self.how_to_start(&range, logged, written)?;
                self.start(range, start).await
            });
            // Each is brought to its end, also where one has failed.
            let started: Vec<Result<(), OpenError>> = stream::iter(starts).buffer_unordered(STARTS_MAX).collect().await;
            started.into_iter().collect::<Result<(), _>>()?;
        }
    }

    fn how_to_start(&self, range: &kv::Range, logged: &HashSet<GroupId>, written: Written) -> Result<Start, OpenError> {
        let (environment, shard) = (&self.inner.environment, ShardId(range.shard));
        // As the founder wrote it; a replica made for a leader elsewhere has that one's.
        if range.replicas == [environment.raft.node()] && range.epoch == 1 {
            return Ok(Start::Create);
        }
        if logged.contains(&GroupId(shard.0)) {
            return Ok(Start::Again);
        }
        let born = environment.engine.get(Cf::Local, &local::position(shard))?.is_some();
        Ok(if born { Start::Birth(written) } else { Start::Join })
    }

    /// Sets whom to ask about transactions, and starts looking after old intents.
    pub fn set_resolver(&self, resolver: Arc<dyn TxnResolver>) {
        if self.inner.environment.resolver.set(resolver).is_ok() {
            tokio::spawn(housekeeping::sweep(Arc::downgrade(&self.inner)));
        }
    }

    /// Makes a shard of one replica on this volume, for a new cluster. Its log may be there already, and with it shards
    /// that were cut off it.
    pub async fn create_shard(&self, range: kv::Range) -> Result<(), OpenError> {
        {
            let _one_at_a_time = self.inner.starting.lock().await;
            let mut batch = Batch::default();
            batch.put(Cf::Local, local::descriptor(ShardId(range.shard)), range.encode_to_vec());
            self.inner.environment.engine.write(&batch)?;
            self.inner.environment.engine.flush()?;
            self.start(range, Start::Create).await?;
        }
        self.start_known().await
    }

    pub(crate) async fn start(&self, range: kv::Range, start: Start) -> Result<(), OpenError> {
        let environment = Arc::clone(&self.inner.environment);
        let replica = Replica::start(range, environment, Arc::clone(&self.inner.locks), start).await?;
        self.inner.enter(&replica);
        if replica.group.is_leader() {
            replica.served().await;
        }
        Ok(())
    }

    /// The ranges of this node's shards.
    pub fn ranges(&self) -> Vec<kv::Range> {
        let mut ranges: Vec<kv::Range> = self.inner.replicas.read().values().map(|replica| replica.range()).collect();
        ranges.sort_by(|a, b| a.span.as_ref().map(|span| &span.start).cmp(&b.span.as_ref().map(|span| &span.start)));
        ranges
    }

    /// The shards that this node serves.
    pub fn served(&self) -> BTreeSet<u64> {
        let serves = |replica: &Arc<Replica>| replica.serving_term().is_ok().then_some(replica.shared.shard.0);
        self.inner.replicas.read().values().filter_map(serves).collect()
    }

    /// Grows whenever this node has another replica, one less, or one with another range.
    pub fn ranges_version(&self) -> u64 {
        self.inner.environment.ranges_version.load(Ordering::SeqCst)
    }

    /// Every replica's shard as the range map has it, as far as the replica knows.
    pub fn descriptors(&self) -> Vec<RangeDescriptor> {
        self.inner.replicas().iter().map(|replica| replica.descriptor()).collect()
    }

    /// Drops versions that no snapshot at or above `safe` sees from every replica here, and ended records from the shards
    /// that this node serves.
    pub async fn collect_garbage(&self, safe: Timestamp) {
        for replica in self.inner.replicas() {
            if let Err(failure) = housekeeping::collect_garbage(&replica, safe).await {
                tracing::debug!(shard = %replica.shared.shard, ?failure, "could not collect garbage");
            }
        }
    }

    /// Waits for locks that have lasted for at least `age`.
    pub fn waits(&self, age: Duration) -> Vec<LongWait> {
        self.inner.locks.waits(age)
    }

    /// Ends a wait with 40P01 that is part of this cycle of waits over several nodes, if it lasts still.
    pub fn end_wait(&self, id: u64, txn: TxnId, cycle: Vec<TxnId>) {
        self.inner.locks.end_wait(id, txn, cycle);
    }

    /// Takes note of which coordinators live, and frees what transactions of others have locked. What they prepared is
    /// decided by their records. Answers how many transactions there were.
    pub fn note_living(&self, living: Living) -> usize {
        let known = &self.inner.environment.living;
        known.set(living);
        if !self.inner.locks.owners().into_iter().any(|txn| known.is_gone(txn)) {
            return 0;
        }
        let replicas = self.inner.replicas();
        self.inner.locks.release_where(|txn| known.is_gone(txn) && !is_busy(&replicas, txn))
    }

    /// Transactions that hold locks here.
    pub fn lock_owners(&self) -> Vec<TxnId> {
        self.inner.locks.owners()
    }

    /// Frees what transactions have locked that do not run any more.
    pub fn release_locks(&self, txns: &[TxnId]) {
        if !txns.is_empty() {
            let replicas = self.inner.replicas();
            self.inner.locks.release_where(|txn| txns.contains(&txn) && !is_busy(&replicas, txn));
        }
    }

    /// Counts over all shards.
    pub fn statistics(&self) -> NodeStatistics {
        let (locked_keys, lock_waiters) = self.inner.locks.counts();
        let replicas = self.inner.replicas.read();
        let count = |replica: &Arc<Replica>| replica.shared.intents.count();
        NodeStatistics {
            shards: replicas.len(),
            served: replicas.values().filter(|replica| replica.serving_term().is_ok()).count(),
            locked_keys,
            lock_waiters,
            intents: replicas.values().map(count).sum(),
            follower_reads: self.inner.environment.follower_reads.load(Ordering::Relaxed),
        }
    }

    /// The shard of this id, if hosted here.
    pub(crate) fn replica(&self, shard: u64) -> Option<Arc<Replica>> {
        self.inner.replicas.read().get(&ShardId(shard)).cloned()
    }
}

/// Whether a commit of a transaction is under way. Its locks go when it is applied: whoever got them before would not see
/// what it writes.
fn is_busy(replicas: &[Arc<Replica>], txn: TxnId) -> bool {
    replicas.iter().any(|replica| replica.is_committing(txn))
}

/// Starts shards as they are cut off others.
async fn start_births(node: Weak<Inner>) {
    let Some(inner) = node.upgrade() else { return };
    let births = Arc::clone(&inner.environment.births);
    drop(inner);
    loop {
        // Looked at now and then, so that this ends with its node.
        let told = timeout(BIRTHS_CHECK, births.notified()).await.is_ok();
        let Some(inner) = node.upgrade() else { return };
        if !told {
            continue;
        }
        if let Err(error) = (Node { inner }).start_known().await {
            tracing::error!(%error, "could not start a shard that was cut off another one");
        }
    }
}

pub(crate) fn read_descriptors(engine: &dyn Engine) -> Result<Vec<kv::Range>, OpenError> {
    let mut ranges = Vec::new();
    let span: Span = local::shards();
    let mut cursor = engine.cursor(Cf::Local, &span)?;
    let mut more = cursor.first()?;
    while more {
        if local::is_descriptor(cursor.key()) {
            let range = kv::Range::decode(cursor.value());
            ranges.push(
                range.map_err(|error| raft::Fatal::damaged(format!("a shard's descriptor is damaged: {error}")))?,
            );
        }
        more = cursor.next()?;
    }
    Ok(ranges)
}

//! What clients do while things go wrong, through the transactional client and without SQL.

pub(crate) mod append;
pub(crate) mod bank;
pub(crate) mod register;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chaos::{
    history::{History, Outcome},
    workload::Isolation,
};
use kv::{Client, RowLock, Txn, TxnOptions};
use proto::{
    SqlState,
    kv::{LockMode, WaitPolicy},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sharddb_chaos as chaos;
use sharddb_kv as kv;
use sharddb_proto as proto;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::Cluster;

/// An operation that takes longer than all retries together hangs.
const OPERATION_MAX: Duration = Duration::from_secs(120);
/// How rows are locked: as updates do it.
const LOCK: RowLock = RowLock { mode: LockMode::Update, wait: WaitPolicy::Block, timeout_ms: 3000 };
/// Longest pause of a client between operations.
const PAUSE_MAX_MS: u64 = 400;

/// What all clients of a workload share.
pub(crate) struct Run<T> {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) history: History<T>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) isolation: Isolation,
}

impl<T> Clone for Run<T> {
    fn clone(&self) -> Self {
        let (cluster, stop) = (Arc::clone(&self.cluster), Arc::clone(&self.stop));
        Self { cluster, history: self.history.clone(), stop, isolation: self.isolation }
    }
}

/// Why an operation failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Before the commit was asked for.
    Statement(kv::Error),
    /// In the commit.
    Commit(kv::Error),
    /// The client's process ended.
    Gone,
    /// No answer.
    Hang,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Statement(error) => write!(f, "{error}"),
            Self::Commit(error) => write!(f, "in the commit: {error}"),
            Self::Gone => write!(f, "the process is gone"),
            Self::Hang => write!(f, "no answer"),
        }
    }
}

impl Failure {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Statement(_) => Outcome::Failed,
            Self::Commit(error) => match error.sqlstate() {
                SqlState::SerializationFailure | SqlState::DeadlockDetected | SqlState::LockNotAvailable => {
                    Outcome::Failed
                }
                _ => Outcome::Unknown,
            },
            Self::Gone | Self::Hang => Outcome::Unknown,
        }
    }
}

/// One client, with choices of its own.
pub(crate) struct Worker<T> {
    pub(crate) run: Run<T>,
    pub(crate) client: usize,
    pub(crate) random: StdRng,
}

impl<T> Worker<T> {
    fn new(run: &Run<T>, client: usize) -> Self {
        let seed = run.cluster.random(Rng::random);
        Self { run: run.clone(), client, random: StdRng::seed_from_u64(seed) }
    }

    /// Pauses; answers whether to go on.
    async fn goes_on(&mut self) -> bool {
        sleep(Duration::from_millis(self.random.random_range(1..PAUSE_MAX_MS))).await;
        !self.run.stop.load(Ordering::Relaxed)
    }

    /// Carries out an operation with the client of some node.
    async fn operate<R, F>(&mut self, work: impl FnOnce(Client) -> F) -> Result<R, Failure>
    where
        F: Future<Output = Result<R, Failure>>,
    {
        let cluster = Arc::clone(&self.run.cluster);
        let (node, session) = cluster.session(&mut self.random).await;
        let result = tokio::select! {
            biased;
            () = session.over.cancelled() => Err(Failure::Gone),
            done = timeout(OPERATION_MAX, work(session.client.clone())) => done.unwrap_or(Err(Failure::Hang)),
        };
        match &result {
            Err(Failure::Hang) => cluster.violation(format!("client {} hangs at node {node}", self.client)),
            Err(failure) => cluster.trace.note(format_args!("client {} at {node}: {failure}", self.client)),
            Ok(_) => cluster.trace.note(format_args!("client {} at {node}: done", self.client)),
        }
        result
    }
}

fn outcome<T>(result: &Result<T, Failure>) -> Outcome {
    result.as_ref().map_or_else(Failure::outcome, |_| Outcome::Ok)
}

/// A key of a table.
pub(crate) fn key(table: u32, row: &[u8]) -> Bytes {
    [&table.to_be_bytes(), row].concat().into()
}

/// Where shards are cut before anybody works.
pub(crate) fn cuts() -> Vec<Bytes> {
    [bank::cuts(), append::cuts(), register::cuts()].concat()
}

/// Where shards may be cut meanwhile.
pub(crate) fn extra_cuts() -> Vec<Bytes> {
    let accounts = [10_i32, 55, 100].map(|account| key(bank::TABLE, &account.to_be_bytes()));
    let lists = [1_i32, 4].map(|list| key(append::TABLE, &list.to_be_bytes()));
    accounts.into_iter().chain(lists).collect()
}

fn begin(client: &Client, isolation: Isolation) -> Txn {
    let isolation = match isolation {
        Isolation::ReadCommitted => kv::Isolation::ReadCommitted,
        Isolation::RepeatableRead => kv::Isolation::RepeatableRead,
        Isolation::Serializable => kv::Isolation::Serializable,
    };
    client.begin(TxnOptions { isolation, read_only: false })
}

/// Ends a transaction after its statements.
async fn finish<T>(txn: Txn, statements: Result<T, kv::Error>) -> Result<T, Failure> {
    match statements {
        Ok(done) => txn.commit().await.map(|_| done).map_err(Failure::Commit),
        Err(error) => {
            txn.rollback().await;
            Err(Failure::Statement(error))
        }
    }
}

/// Locks rows as an UPDATE of the transaction's isolation level does; answers their values.
async fn lock_rows(txn: &mut Txn, keys: &[Bytes]) -> kv::Result<Vec<Option<Bytes>>> {
    txn.start_statement();
    txn.snapshot().await?;
    if txn.isolation() == kv::Isolation::ReadCommitted {
        // Newer rows are what it updates.
        return Ok(txn.lock(keys, LOCK).await?.into_iter().map(|row| row.value).collect());
    }
    txn.get(keys).await?;
    let mut values = Vec::with_capacity(keys.len());
    for (row, key) in txn.lock(keys, LOCK).await?.into_iter().zip(keys) {
        if row.newer_than_snapshot {
            return Err(kv::Error::Conflict { key: key.clone() });
        }
        values.push(row.value);
    }
    Ok(values)
}

/// Repeats something that must succeed once nothing goes wrong any more.
pub(crate) async fn insist<T, F>(
    cluster: &Cluster,
    what: &str,
    node: u64,
    mut work: impl FnMut(Client) -> F,
) -> Option<T>
where
    F: Future<Output = kv::Result<T>>,
{
    let begun = Instant::now();
    loop {
        let error = match cluster.machine(node).session() {
            Some(session) => match work(session.client).await {
                Ok(done) => return Some(done),
                Err(error) => error.to_string(),
            },
            None => "it does not run".to_owned(),
        };
        if begun.elapsed() > OPERATION_MAX {
            cluster.violation(format!("{what} at node {node}: {error}"));
            return None;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

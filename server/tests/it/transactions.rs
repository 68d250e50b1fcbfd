//! What transactions promise, on keys of one shard and of several.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sharddb_kv::{Client, Error, Isolation, RowLock, ScanOptions, Txn, TxnOptions};
use sharddb_proto::{
    SqlState, Timestamp,
    kv::{self, LockMode, WaitPolicy},
};
use sharddb_raft::log::{LogOptions, RealFiles};
use sharddb_server::Volume;
use sharddb_storage::{Cf, Engine, MemoryEngine, Span};
use tempfile::TempDir;

pub(crate) const UPDATE: RowLock = RowLock { mode: LockMode::Update, wait: WaitPolicy::Block, timeout_ms: 0 };
const NOWAIT: RowLock = RowLock { wait: WaitPolicy::Nowait, ..UPDATE };
const LEVELS: [Isolation; 3] = [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable];

pub(crate) struct Fixture {
    pub(crate) volume: Volume,
    pub(crate) engine: Arc<MemoryEngine>,
    directory: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let engine = Arc::new(MemoryEngine::default());
        let volume = open(&engine, &directory).await;
        Self { volume, engine, directory }
    }

    /// A database whose keys `a…` to `h…` lie in eight shards.
    pub(crate) async fn sharded() -> Self {
        let fixture = Self::new().await;
        let borders: Vec<Bytes> = "bcdefgh".chars().map(|c| Bytes::from(format!("tab_{c}"))).collect();
        fixture.client().split_at(&borders).await.expect("the shard is cut");
        fixture
    }

    pub(crate) fn client(&self) -> &Client {
        self.volume.client()
    }

    /// When each version of a key was committed, the newest first.
    pub(crate) fn versions(&self, key: &Bytes) -> Vec<Timestamp> {
        let mut cursor = self.engine.cursor(Cf::Data, &Span::default()).expect("memory can be read");
        let mut versions = Vec::new();
        let mut more = cursor.first().expect("memory can be read");
        while more {
            let (found, inverted) = cursor.key().split_last_chunk::<8>().expect("versions have a timestamp");
            if found == key {
                versions.push(Timestamp(!u64::from_be_bytes(*inverted)));
            }
            more = cursor.next().expect("memory can be read");
        }
        versions
    }

    /// Stops in order and starts again.
    pub(crate) async fn restart(self) -> Self {
        self.volume.shutdown().await;
        drop(self.volume);
        let volume = open(&self.engine, &self.directory).await;
        Self { volume, engine: self.engine, directory: self.directory }
    }

    /// Crashes and starts again with the same log and an engine that lost everything.
    async fn restart_with_empty_engine(self) -> Self {
        self.volume.halt().await;
        let engine = Arc::new(MemoryEngine::default());
        let volume = open(&engine, &self.directory).await;
        Self { volume, engine, directory: self.directory }
    }
}

async fn open(engine: &Arc<MemoryEngine>, directory: &TempDir) -> Volume {
    let engine: Arc<dyn Engine> = engine.clone();
    let files = RealFiles::open(&directory.path().join("raft")).expect("the directory opens");
    Volume::assemble(engine, Arc::new(files), LogOptions::default()).await.expect("the volume opens")
}

pub(crate) fn key(name: &str) -> Bytes {
    Bytes::from(format!("tab_{name}"))
}

fn begin(client: &Client, isolation: Isolation) -> Txn {
    client.begin(TxnOptions { isolation, read_only: false })
}

async fn lock(txn: &mut Txn, name: &str) -> Result<Option<String>, Error> {
    let rows = txn.lock(&[key(name)], UPDATE).await?;
    Ok(rows[0].value.as_ref().map(text))
}

async fn write(txn: &mut Txn, name: &str, value: &str) {
    lock(txn, name).await.expect("the lock is granted");
    txn.put(key(name), Bytes::from(value.to_owned()));
}

async fn set(client: &Client, pairs: &[(&str, &str)]) {
    let mut txn = begin(client, Isolation::ReadCommitted);
    for (name, value) in pairs {
        write(&mut txn, name, value).await;
    }
    txn.commit().await.expect("the commit succeeds");
}

async fn get(txn: &mut Txn, name: &str) -> Option<String> {
    txn.start_statement();
    let values = txn.get(&[key(name)]).await.expect("the read succeeds");
    values[0].as_ref().map(text)
}

pub(crate) async fn all(client: &Client) -> Vec<(String, String)> {
    let mut txn = begin(client, Isolation::RepeatableRead);
    let rows = txn.scan_all(key(""), key("z")).await.expect("the scan succeeds");
    rows.iter().map(|(key, value)| (text(key)[4..].to_owned(), text(value))).collect()
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_atomic_and_survive_the_loss_of_the_engine() {
    for fixture in [Fixture::new().await, Fixture::sharded().await] {
        set(fixture.client(), &[("a1", "1"), ("d1", "2"), ("h1", "3")]).await;
        let mut gone = begin(fixture.client(), Isolation::ReadCommitted);
        write(&mut gone, "b1", "never").await;
        gone.rollback().await;
        let expected = pairs(&[("a1", "1"), ("d1", "2"), ("h1", "3")]);
        assert_eq!(all(fixture.client()).await, expected);
        let shards = fixture.volume.node().ranges().len();
        let fixture = fixture.restart_with_empty_engine().await;
        // Shards made by a split are known from the log of the shard that was cut.
        assert_eq!(fixture.volume.node().ranges().len(), shards);
        assert_eq!(all(fixture.client()).await, expected);
        let fixture = fixture.restart().await;
        assert_eq!(all(fixture.client()).await, expected);
        set(fixture.client(), &[("a1", "4")]).await;
        let fixture = fixture.restart().await;
        assert_eq!(all(fixture.client()).await, pairs(&[("a1", "4"), ("d1", "2"), ("h1", "3")]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_writes_are_seen_and_others_writes_are_not() {
    let fixture = Fixture::sharded().await;
    let client = fixture.client();
    set(client, &[("a1", "old"), ("e1", "old")]).await;
    for isolation in LEVELS {
        let mut txn = begin(client, isolation);
        write(&mut txn, "a1", "new").await;
        write(&mut txn, "c1", "new").await;
        txn.delete(key("e1"));
        assert_eq!(get(&mut txn, "a1").await.as_deref(), Some("new"));
        let mut scanner = txn.scan(key(""), key("z"), ScanOptions::default()).await.expect("the scan starts");
        let mut seen = Vec::new();
        while let Some(batch) = txn.next_batch(&mut scanner).await.expect("the scan goes on") {
            seen.extend(batch.iter().map(|(key, value)| (text(key)[4..].to_owned(), text(value))));
        }
        assert_eq!(seen, pairs(&[("a1", "new"), ("c1", "new")]));
        assert_eq!(all(client).await, pairs(&[("a1", "old"), ("e1", "old")]));
        txn.rollback().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn savepoints_undo_what_came_after_them() {
    let fixture = Fixture::new().await;
    let mut txn = begin(fixture.client(), Isolation::ReadCommitted);
    write(&mut txn, "a", "1").await;
    let savepoint = txn.savepoint();
    write(&mut txn, "a", "2").await;
    write(&mut txn, "b", "2").await;
    txn.rollback_to(savepoint);
    assert_eq!(get(&mut txn, "a").await.as_deref(), Some("1"));
    txn.commit().await.expect("the commit succeeds");
    assert_eq!(all(fixture.client()).await, pairs(&[("a", "1")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn read_committed_sees_new_commits_and_the_other_levels_keep_their_snapshot() {
    let fixture = Fixture::sharded().await;
    set(fixture.client(), &[("a", "1"), ("h", "1")]).await;
    for isolation in LEVELS {
        let mut txn = begin(fixture.client(), isolation);
        let before = get(&mut txn, "a").await;
        set(fixture.client(), &[("a", "2"), ("h", "2")]).await;
        let after = (get(&mut txn, "a").await, get(&mut txn, "h").await);
        let expected = if isolation == Isolation::ReadCommitted { Some("2".to_owned()) } else { before };
        assert_eq!(after, (expected.clone(), expected), "{isolation:?}");
        set(fixture.client(), &[("a", "1"), ("h", "1")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_written_since_the_snapshot_is_reported_by_its_lock() {
    let fixture = Fixture::new().await;
    set(fixture.client(), &[("a", "1")]).await;
    let mut txn = begin(fixture.client(), Isolation::RepeatableRead);
    get(&mut txn, "a").await;
    set(fixture.client(), &[("a", "2")]).await;
    let rows = txn.lock(&[key("a")], UPDATE).await.expect("the lock is granted");
    assert!(rows[0].newer_than_snapshot);
    assert_eq!(rows[0].value.as_ref().map(text).as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn write_skew_is_possible_below_serializable_only() {
    for fixture in [Fixture::new().await, Fixture::sharded().await] {
        for isolation in LEVELS {
            set(fixture.client(), &[("a", "1"), ("h", "1")]).await;
            let (mut t1, mut t2) = (begin(fixture.client(), isolation), begin(fixture.client(), isolation));
            for txn in [&mut t1, &mut t2] {
                get(txn, "a").await;
                get(txn, "h").await;
            }
            write(&mut t1, "a", "0").await;
            write(&mut t2, "h", "0").await;
            t1.commit().await.expect("the first commit succeeds");
            let second = t2.commit().await;
            if isolation == Isolation::Serializable {
                assert_eq!(second.expect_err("the cycle is refused").sqlstate(), SqlState::SerializationFailure);
            } else {
                second.expect("snapshots let write skew through");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phantom_in_a_scanned_span_fails_a_serializable_commit() {
    let fixture = Fixture::sharded().await;
    let mut txn = begin(fixture.client(), Isolation::Serializable);
    assert_eq!(txn.scan_all(key("b"), key("d")).await.expect("the scan succeeds").len(), 0);
    set(fixture.client(), &[("c5", "phantom")]).await;
    write(&mut txn, "a", "1").await;
    let error = txn.commit().await.expect_err("the scan is no longer true");
    assert_eq!(error.sqlstate(), SqlState::SerializationFailure);
    assert_eq!(all(fixture.client()).await, pairs(&[("c5", "phantom")]));
    assert_eq!(locked_after_a_moment(&fixture).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlocks_over_two_shards_are_found() {
    let fixture = Fixture::sharded().await;
    let client = fixture.client().clone();
    let (mut t1, mut t2) = (begin(&client, Isolation::ReadCommitted), begin(&client, Isolation::ReadCommitted));
    lock(&mut t1, "a").await.expect("free");
    lock(&mut t2, "h").await.expect("free");
    let first = tokio::spawn(async move {
        let granted = lock(&mut t1, "h").await;
        t1.rollback().await;
        granted
    });
    let second = loop {
        match tokio::time::timeout(Duration::from_millis(50), lock(&mut t2, "a")).await {
            Ok(answer) => break answer,
            // The other side had not started to wait.
            Err(_) => continue,
        }
    };
    t2.rollback().await;
    let outcomes = [first.await.expect("no panic"), second];
    let deadlocks = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Deadlock { .. }))).count();
    assert_eq!(deadlocks, 1, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_transaction_frees_its_locks() {
    let fixture = Fixture::sharded().await;
    let mut txn = begin(fixture.client(), Isolation::ReadCommitted);
    lock(&mut txn, "a").await.expect("free");
    let mut other = begin(fixture.client(), Isolation::ReadCommitted);
    let busy = other.lock(&[key("a")], NOWAIT).await.expect_err("the row is locked");
    assert_eq!(busy.sqlstate(), SqlState::LockNotAvailable);
    drop(txn);
    lock(&mut other, "a").await.expect("free again");
    other.rollback().await;
    assert_eq!(locked_after_a_moment(&fixture).await, 0);
}

/// Locked keys once background work had time to finish.
async fn locked_after_a_moment(fixture: &Fixture) -> usize {
    for _ in 0..200 {
        let statistics = fixture.volume.node().statistics();
        if statistics.locked_keys == 0 && statistics.intents == 0 {
            return 0;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fixture.volume.node().statistics().locked_keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_larger_than_the_buffer_is_atomic() {
    for commit in [true, false] {
        let fixture = Fixture::sharded().await;
        let mut txn = begin(fixture.client(), Isolation::ReadCommitted);
        let value = "x".repeat(100_000);
        for i in 0..200 {
            let name = format!("{}{i:04}", ['a', 'c', 'h'][i % 3]);
            write(&mut txn, &name, &value).await;
            txn.relieve().await.expect("the buffer is relieved");
        }
        assert!(fixture.volume.node().statistics().intents > 0, "part of the writes are intents");
        assert_eq!(get(&mut txn, "a0000").await, Some(value.clone()), "own intents are seen");
        assert_eq!(fixture.client().read_latest(key("a0000")).await.expect("reads"), None);
        if commit {
            txn.commit().await.expect("the commit succeeds");
        } else {
            txn.rollback().await;
        }
        assert_eq!(all(fixture.client()).await.len(), if commit { 200 } else { 0 });
        assert_eq!(locked_after_a_moment(&fixture).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_pass_by_a_large_transaction_and_never_see_half_of_it() {
    let fixture = Fixture::sharded().await;
    set(fixture.client(), &[("a0000", "old")]).await;
    let mut writer = begin(fixture.client(), Isolation::ReadCommitted);
    let value = "x".repeat(900);
    for i in 0..20_000 {
        write(&mut writer, &format!("{}{i:05}", ['a', 'c', 'h'][i % 3]), &value).await;
        writer.relieve().await.expect("the buffer is relieved");
    }
    assert!(fixture.volume.node().statistics().intents > 8192, "more intents than one look takes up");
    let mut reader = begin(fixture.client(), Isolation::RepeatableRead);
    assert_eq!(get(&mut reader, "a00000").await, None, "nobody waits for it");
    assert_eq!(count(&mut reader).await, 1);
    writer.commit().await.expect("it commits above the reader");
    assert_eq!(count(&mut reader).await, 1, "the snapshot stays what it was");
    reader.rollback().await;
    let mut later = begin(fixture.client(), Isolation::RepeatableRead);
    assert_eq!(count(&mut later).await, 20_001);
    later.rollback().await;
    assert_eq!(locked_after_a_moment(&fixture).await, 0);
}

/// Keys that a transaction sees.
async fn count(txn: &mut Txn) -> usize {
    let mut scanner = txn.scan(key(""), key("z"), ScanOptions::default()).await.expect("a scan");
    let mut count = 0;
    while let Some(batch) = txn.next_batch(&mut scanner).await.expect("a batch") {
        count += batch.len();
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_goes_and_present_values_stay() {
    let fixture = Fixture::new().await;
    for i in 0..10 {
        set(fixture.client(), &[("a", &i.to_string())]).await;
    }
    let safe = fixture.client().timestamp().await.expect("a timestamp");
    fixture.client().collect_garbage(safe).await.expect("garbage is collected");
    assert_eq!(all(fixture.client()).await, pairs(&[("a", "9")]));
    assert_eq!(fixture.engine.contents(sharddb_storage::Cf::Data).len(), 1);
    let whole = kv::Span { start: key(""), end: key("z") };
    fixture.client().delete_range(whole).await.expect("the range is deleted");
    assert_eq!(all(fixture.client()).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_never_made_or_lost_while_shards_are_cut() {
    const ACCOUNTS: usize = 16;
    let fixture = Fixture::new().await;
    let name = |i: usize| format!("{}", (b'a' + (i % 8) as u8) as char) + &i.to_string();
    for i in 0..ACCOUNTS {
        set(fixture.client(), &[(&name(i), "100")]).await;
    }
    let mut tasks = Vec::new();
    for worker in 0..6 {
        let client = fixture.client().clone();
        let isolation = LEVELS[worker % 3];
        tasks.push(tokio::spawn(async move {
            for round in 0..60 {
                transfer(
                    &client,
                    isolation,
                    &name((worker + round) % ACCOUNTS),
                    &name((worker * 7 + round * 3) % ACCOUNTS),
                )
                .await;
            }
        }));
    }
    let borders: Vec<Bytes> = "bcdefgh".chars().map(|c| key(&c.to_string())).collect();
    for border in borders {
        fixture.client().split_at(&[border]).await.expect("the shard is cut");
        let sum: i64 =
            all(fixture.client()).await.iter().map(|(_, value)| value.parse::<i64>().expect("a number")).sum();
        assert_eq!(sum, 100 * ACCOUNTS as i64);
    }
    for task in tasks {
        task.await.expect("no worker panics");
    }
    let balances = all(fixture.client()).await;
    assert_eq!(balances.len(), ACCOUNTS);
    assert_eq!(
        balances.iter().map(|(_, value)| value.parse::<i64>().expect("a number")).sum::<i64>(),
        100 * ACCOUNTS as i64
    );
    assert_eq!(locked_after_a_moment(&fixture).await, 0);
}

/// Moves one unit; gives up when the isolation level demands it.
async fn transfer(client: &Client, isolation: Isolation, from: &str, to: &str) {
    if from == to {
        return;
    }
    let mut txn = begin(client, isolation);
    let mut names = [(from, -1), (to, 1)];
    names.sort_unstable();
    for (name, change) in names {
        txn.start_statement();
        if isolation != Isolation::ReadCommitted {
            get(&mut txn, name).await;
        }
        let rows = txn.lock(&[key(name)], UPDATE).await.expect("locks in one order never deadlock");
        if rows[0].newer_than_snapshot && isolation != Isolation::ReadCommitted {
            return txn.rollback().await;
        }
        let balance: i64 = text(rows[0].value.as_ref().expect("accounts exist")).parse().expect("a number");
        txn.put(key(name), Bytes::from((balance + change).to_string()));
    }
    match txn.commit().await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.sqlstate(), SqlState::SerializationFailure, "{error}"),
    }
}

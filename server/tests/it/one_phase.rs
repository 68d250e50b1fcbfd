//! One-phase commits whose answers are lost, or that never arrive.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use sharddb_kv::{BoxFuture, Client, Error, RowLock, Transport, TxnOptions};
use sharddb_proto::{
    Coordinator, NodeId, Timestamp, TxnId,
    kv::{self, failure, request, response, txn_status},
};
use sharddb_shard::Living;

use crate::{
    records::{is_aborted, later, records, send},
    through::Through,
    transactions::{Fixture, UPDATE, all, key, pairs},
};

const TXN: u64 = 7;

async fn commit(fixture: &Fixture, name: &str, value: &'static str, retried: bool) -> response::Body {
    let write = kv::Write { key: key(name), value: Some(Bytes::from_static(value.as_bytes())), ..kv::Write::default() };
    let commit = kv::Commit { writes: vec![write], retried, ..kv::Commit::default() };
    send(fixture, TXN, &key(name), request::Body::Commit(commit)).await
}

async fn ask(fixture: &Fixture, name: &str) -> kv::TxnStatus {
    let query = kv::QueryTxn { txn: TXN, primary: key(name), one_phase: true, ..kv::QueryTxn::default() };
    match send(fixture, TXN, &key(name), request::Body::QueryTxn(query)).await {
        response::Body::TxnStatus(status) => status,
        other => panic!("{other:?}"),
    }
}

fn committed(body: &response::Body) -> Timestamp {
    match body {
        response::Body::Commit(result) => Timestamp(result.commit_ts),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_sent_again_happens_once() {
    let fixture = Fixture::new().await;
    let first = committed(&commit(&fixture, "a", "1", false).await);
    assert_eq!(committed(&commit(&fixture, "a", "1", true).await), first);
    let mut txn = fixture.client().begin(TxnOptions::default());
    txn.put_guarded(key("a"), Bytes::from_static(b"2"));
    txn.commit().await.expect("another transaction goes on");
    let fixture = fixture.restart().await;
    assert_eq!(committed(&commit(&fixture, "a", "1", true).await), first, "a later version hides nothing");
    assert_eq!(all(fixture.client()).await, pairs(&[("a", "2")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_an_outcome_fixes_it() {
    let fixture = Fixture::sharded().await;
    let first = committed(&commit(&fixture, "a", "1", false).await);
    let status = ask(&fixture, "a").await;
    assert_eq!((status.state(), status.commit_ts), (txn_status::State::Committed, first.0));

    assert_eq!(ask(&fixture, "d").await.state(), txn_status::State::Aborted);
    assert!(is_aborted(&commit(&fixture, "d", "late", false).await));
    let fixture = fixture.restart().await;
    assert!(is_aborted(&commit(&fixture, "d", "late", true).await));
    assert_eq!(all(fixture.client()).await, pairs(&[("a", "1")]));

    fixture.client().collect_garbage(later(&fixture).await).await.expect("garbage is collected");
    assert_eq!(records(&fixture), 0, "the answer need not be kept for ever");
    later(&fixture).await;
    committed(&commit(&fixture, "d", "another", false).await);
}

/// Loses some commits, or their answers.
struct Lossy {
    node: sharddb_shard::Node,
    requests_lost: AtomicU32,
    answers_lost: AtomicU32,
}

fn ambiguous() -> kv::Response {
    let kind = Some(failure::Kind::Ambiguous("the line is dead".to_owned()));
    kv::Response { body: Some(response::Body::Failure(kv::Failure { kind })), ..kv::Response::default() }
}

fn take(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Transport for Lossy {
    fn call<'a>(&'a self, _: NodeId, request: kv::Request) -> BoxFuture<'a, kv::Response> {
        Box::pin(async move {
            let is_commit = matches!(request.body, Some(request::Body::Commit(_)));
            if is_commit && take(&self.requests_lost) {
                return ambiguous();
            }
            let answer = self.node.execute(request).await;
            if is_commit && take(&self.answers_lost) { ambiguous() } else { answer }
        })
    }
}

async fn lossy(fixture: &Fixture, requests_lost: u32, answers_lost: u32) -> Client {
    let transport = Lossy {
        node: fixture.volume.node().clone(),
        requests_lost: requests_lost.into(),
        answers_lost: answers_lost.into(),
    };
    let meta = Through(fixture.client().clone());
    Client::open(Arc::new(transport), Arc::new(meta), Coordinator::default()).await.expect("the range map is read")
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_requests_and_answers_are_invisible() {
    for (requests, answers) in [(1, 0), (0, 1), (3, 0), (2, 2)] {
        let fixture = Fixture::new().await;
        let client = lossy(&fixture, requests, answers).await;
        let mut txn = client.begin(TxnOptions::default());
        for (name, value) in [("a", "1"), ("b", "2")] {
            txn.put_guarded(key(name), Bytes::from_static(value.as_bytes()));
        }
        let timestamp = txn.commit().await.expect("the commit gets through").expect("something was written");
        assert_eq!(all(&client).await, pairs(&[("a", "1"), ("b", "2")]));
        let versions = fixture.versions(&key("a"));
        assert_eq!(versions, [timestamp], "lost: {requests} requests, {answers} answers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_never_gets_through_has_not_happened() {
    let fixture = Fixture::new().await;
    let client = lossy(&fixture, u32::MAX, 0).await;
    let mut txn = client.begin(TxnOptions::default());
    txn.put_guarded(key("a"), Bytes::from_static(b"1"));
    let error = txn.commit().await.expect_err("no commit gets through");
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
    assert_eq!(all(&client).await, pairs(&[]));
}

fn is_conflict(body: &response::Body) -> bool {
    matches!(body, response::Body::Failure(kv::Failure { kind: Some(failure::Kind::Conflict(_)) }))
}

/// A leader that lost another one's locks knows nothing of this writer's: its row may have been locked again since.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_lock_is_lost_does_not_pass_its_next_holder() {
    let fixture = Fixture::new().await;
    let seen = committed(&commit(&fixture, "a", "1", false).await);
    let mut holder = fixture.client().begin(TxnOptions::default());
    holder.lock(&[key("a")], UPDATE).await.expect("nobody holds the lock");
    let write =
        kv::Write { key: key("a"), value: Some(Bytes::from_static(b"lost")), locked_version: seen.0, tenure: 0 };
    let late = kv::Commit { writes: vec![write.clone()], ..kv::Commit::default() };
    let answer = send(&fixture, TXN + 1, &key("a"), request::Body::Commit(late.clone())).await;
    assert!(is_conflict(&answer), "{answer:?}");
    let prepare = kv::Prepare { writes: vec![write], primary: key("a"), is_primary: true, ..kv::Prepare::default() };
    let answer = send(&fixture, TXN + 2, &key("a"), request::Body::Prepare(prepare)).await;
    assert!(is_conflict(&answer), "{answer:?}");
    holder.rollback().await;
    let after = committed(&send(&fixture, TXN + 1, &key("a"), request::Body::Commit(late)).await);
    assert!(after > seen, "what was refused has left no lock behind");
    let mut next = fixture.client().begin(TxnOptions::default());
    next.lock(&[key("a")], UPDATE).await.expect("the commit has left no lock behind");
    next.rollback().await;
}

/// Granted again by another leader, a lock says nothing of what happened in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_was_lost_and_taken_again_does_not_cover_what_was_read_before() {
    let fixture = Fixture::new().await;
    let seen = committed(&commit(&fixture, "a", "1", false).await);
    let between = kv::Write {
        key: key("a"),
        value: Some(Bytes::from_static(b"between")),
        locked_version: seen.0,
        ..kv::Write::default()
    };
    let between = kv::Commit { writes: vec![between], ..kv::Commit::default() };
    committed(&send(&fixture, TXN + 1, &key("a"), request::Body::Commit(between)).await);
    let lock = kv::Lock { keys: vec![key("a")], mode: kv::LockMode::Update.into(), ..kv::Lock::default() };
    let granted = send(&fixture, TXN + 2, &key("a"), request::Body::Lock(lock)).await;
    assert!(matches!(granted, response::Body::Lock(_)), "{granted:?}");
    let write = |tenure| kv::Write { key: key("a"), value: None, locked_version: seen.0, tenure };
    let stale = kv::Commit { writes: vec![write(u64::MAX)], ..kv::Commit::default() };
    let answer = send(&fixture, TXN + 2, &key("a"), request::Body::Commit(stale)).await;
    assert!(is_conflict(&answer), "{answer:?}");
    assert_eq!(all(fixture.client()).await, pairs(&[("a", "between")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_granted_again_after_it_was_taken_away_does_not_cover_what_was_read_before() {
    let fixture = Fixture::new().await;
    let life = |life| Coordinator::new(NodeId(3), life);
    let write = |locked_version, tenure, value: &'static [u8]| kv::Write {
        key: key("a"),
        value: Some(Bytes::from_static(value)),
        locked_version,
        tenure,
    };
    let lock = |txn: TxnId| {
        let lock = kv::Lock { keys: vec![key("a")], mode: kv::LockMode::Update.into(), ..kv::Lock::default() };
        let (fixture, at) = (&fixture, key("a"));
        async move {
            match send(fixture, txn.0, &at, request::Body::Lock(lock)).await {
                response::Body::Lock(granted) => granted.tenure,
                other => panic!("{other:?}"),
            }
        }
    };
    let (cut_off, other) = (life(1).txn(1), life(2).txn(1));
    let first = lock(cut_off).await;
    let mut living = Living::default();
    living.add(NodeId(3), Some(2), true);
    fixture.volume.node().note_living(living);
    let tenure = lock(other).await;
    assert_ne!(tenure, first);
    let commit = kv::Commit { writes: vec![write(0, tenure, b"between")], ..kv::Commit::default() };
    committed(&send(&fixture, other.0, &key("a"), request::Body::Commit(commit)).await);
    lock(cut_off).await;
    let stale = kv::Commit { writes: vec![write(0, first, b"stale")], ..kv::Commit::default() };
    let answer = send(&fixture, cut_off.0, &key("a"), request::Body::Commit(stale)).await;
    assert!(is_conflict(&answer), "{answer:?}");
    assert_eq!(all(fixture.client()).await, pairs(&[("a", "between")]));
}

/// Keeps the first commit, says that nobody answered it, and lets somebody else lock the row before the next.
struct Dawdling {
    node: sharddb_shard::Node,
    kept: Arc<Mutex<Option<kv::Request>>>,
}

impl Transport for Dawdling {
    fn call<'a>(&'a self, _: NodeId, request: kv::Request) -> BoxFuture<'a, kv::Response> {
        Box::pin(async move {
            if !matches!(request.body, Some(request::Body::Commit(_))) {
                return self.node.execute(request).await;
            }
            if self.kept.lock().is_none() {
                *self.kept.lock() = Some(request);
                return ambiguous();
            }
            self.node.note_living(Living::default());
            let lock = kv::Lock { keys: vec![key("a")], mode: kv::LockMode::Update.into(), ..kv::Lock::default() };
            let header = kv::Header { txn: TXN, ..request.header.clone().expect("a header") };
            self.node.execute(kv::Request { header: Some(header), body: Some(request::Body::Lock(lock)) }).await;
            self.node.execute(request).await
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_arrives_after_the_next_was_refused_changes_nothing() {
    let fixture = Fixture::new().await;
    let kept = Arc::new(Mutex::new(None));
    let transport = Dawdling { node: fixture.volume.node().clone(), kept: Arc::clone(&kept) };
    let meta = Through(fixture.client().clone());
    let client = Client::open(Arc::new(transport), Arc::new(meta), Coordinator::default()).await;
    let mut txn = client.expect("the range map is read").begin(TxnOptions::default());
    txn.lock(&[key("a")], UPDATE).await.expect("the lock is granted");
    txn.put(key("a"), Bytes::from_static(b"late"));
    let error = txn.commit().await.expect_err("somebody else has locked the row");
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    // The other one writes nothing.
    fixture.volume.node().note_living(Living::default());
    let request = kept.lock().take().expect("the first attempt");
    let answer = fixture.volume.node().execute(request).await.body.expect("an answer");
    assert!(is_aborted(&answer), "{answer:?}");
    assert_eq!(all(fixture.client()).await, pairs(&[]));
}

/// Grants every lock as if by another leader than the last one, and the second as if somebody had written meanwhile.
struct NewLeaders {
    node: sharddb_shard::Node,
    grants: AtomicU32,
}

impl Transport for NewLeaders {
    fn call<'a>(&'a self, _: NodeId, request: kv::Request) -> BoxFuture<'a, kv::Response> {
        Box::pin(async move {
            let mut answer = self.node.execute(request).await;
            if let Some(response::Body::Lock(granted)) = &mut answer.body {
                let count = self.grants.fetch_add(1, Ordering::SeqCst);
                granted.tenure = u64::from(count);
                let newest = granted.rows.iter_mut().filter_map(|row| row.newest.as_mut());
                newest.for_each(|newest| newest.commit_ts += u64::from(count));
            }
            answer
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_written_while_its_lock_was_lost_ends_the_transaction() {
    let fixture = Fixture::new().await;
    committed(&commit(&fixture, "a", "1", false).await);
    let transport = NewLeaders { node: fixture.volume.node().clone(), grants: AtomicU32::new(0) };
    let meta = Through(fixture.client().clone());
    let client = Client::open(Arc::new(transport), Arc::new(meta), Coordinator::default()).await;
    let mut txn = client.expect("the range map is read").begin(TxnOptions::default());
    txn.lock(&[key("a")], UPDATE).await.expect("nobody holds the lock");
    let error = txn.lock(&[key("a")], UPDATE).await.expect_err("somebody has written the row");
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    txn.rollback().await;
}

/// The release of an ended transaction's locks may be lost, or pass its last request on the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_an_ended_transaction_has_left_behind_is_freed() {
    let fixture = Fixture::new().await;
    let own = Coordinator::new(NodeId(1), 1);
    let lock = kv::Lock { keys: vec![key("a")], mode: kv::LockMode::Update.into(), ..kv::Lock::default() };
    let granted = send(&fixture, own.txn(42).0, &key("a"), request::Body::Lock(lock)).await;
    assert!(matches!(granted, response::Body::Lock(_)), "{granted:?}");
    let mut running = fixture.client().begin(TxnOptions::default());
    running.lock(&[key("b")], UPDATE).await.expect("nobody holds the lock");
    let mut next = fixture.client().begin(TxnOptions::default());
    next.lock(&[key("a")], UPDATE).await.expect("the lock is freed");
    let nowait = RowLock { wait: kv::WaitPolicy::Nowait, ..UPDATE };
    let error = next.lock(&[key("b")], nowait).await.expect_err("a transaction that runs keeps its locks");
    assert!(matches!(error, Error::LockNotAvailable { .. }), "{error:?}");
    next.rollback().await;
    running.rollback().await;
}

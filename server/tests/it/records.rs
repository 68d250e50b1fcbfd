//! Transaction records that their coordinators left behind.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use sharddb_kv::{BoxFuture, Client, Error, Isolation, Transport, TxnOptions};
use sharddb_proto::{
    Coordinator, NodeId, Timestamp, after_prefix,
    kv::{self, failure, request, response, txn_status},
};
use sharddb_shard::Living;
use sharddb_storage::{Cf, Engine, Span};

use crate::{
    through::Through,
    transactions::{Fixture, all, key, pairs},
};

/// Sends a request to the shard that holds `at`.
pub(crate) async fn send(fixture: &Fixture, txn: u64, at: &Bytes, body: request::Body) -> response::Body {
    let ranges = fixture.volume.node().ranges();
    let inside = |span: &kv::Span| span.start <= at && (span.end.is_empty() || *at < span.end);
    let range = ranges.into_iter().find(|range| range.span.as_ref().is_some_and(inside)).expect("keys have a shard");
    let header = kv::Header { txn, shard: range.shard, epoch: range.epoch, ..kv::Header::default() };
    let request = kv::Request { header: Some(header), body: Some(body) };
    fixture.volume.node().execute(request).await.body.expect("an answer")
}

/// First phase at one shard for a transaction whose primary is `primary`.
async fn prepare(fixture: &Fixture, txn: u64, primary: &Bytes, at: &Bytes, begun: Timestamp) -> response::Body {
    prepare_until(fixture, txn, primary, at, begun, 0).await
}

/// The same with a time until which its coordinator is waited for.
async fn prepare_until(
    fixture: &Fixture,
    txn: u64,
    primary: &Bytes,
    at: &Bytes,
    begun: Timestamp,
    expires_ms: u64,
) -> response::Body {
    let write = kv::Write { key: at.clone(), value: Some(Bytes::from_static(b"new")), ..kv::Write::default() };
    let prepare = kv::Prepare {
        writes: vec![write],
        primary: primary.clone(),
        is_primary: primary == at,
        begun_ms: begun.millis(),
        expires_ms,
        ..kv::Prepare::default()
    };
    send(fixture, txn, at, request::Body::Prepare(prepare)).await
}

/// A push of a transaction that nobody can be asked about.
async fn push(fixture: &Fixture, txn: u64, primary: &Bytes) {
    let query = kv::QueryTxn { txn, primary: primary.clone(), push: true, ..kv::QueryTxn::default() };
    match send(fixture, txn, primary, request::Body::QueryTxn(query)).await {
        response::Body::TxnStatus(status) => assert_eq!(status.state(), txn_status::State::Aborted),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn now(fixture: &Fixture) -> Timestamp {
    fixture.client().timestamp().await.expect("the oracle answers")
}

/// A safe point at which everything so far is old.
pub(crate) async fn later(fixture: &Fixture) -> Timestamp {
    let start = now(fixture).await.millis();
    loop {
        let now = now(fixture).await;
        if now.millis() > start {
            return now;
        }
        tokio::task::yield_now().await;
    }
}

pub(crate) fn records(fixture: &Fixture) -> usize {
    let mut cursor = fixture.engine.cursor(Cf::Local, &Span::new(*b"t", *b"u")).expect("memory can be read");
    let mut count = 0;
    let mut more = cursor.first().expect("memory can be read");
    while more {
        count += 1;
        more = cursor.next().expect("memory can be read");
    }
    count
}

pub(crate) fn is_aborted(body: &response::Body) -> bool {
    matches!(body, response::Body::Failure(kv::Failure { kind: Some(failure::Kind::Aborted(_)) }))
}

/// Commits `new` at `a`, `d` and `h` and leaves the intents.
async fn commit_unresolved(fixture: &Fixture, txn: u64, begun: Timestamp) {
    for at in ["a", "d", "h"] {
        let answer = prepare(fixture, txn, &key("a"), &key(at), begun).await;
        assert!(matches!(answer, response::Body::Prepare(_)), "{answer:?}");
    }
    let commit_ts = now(fixture).await.0;
    let spans = ["a", "d", "h"].map(|at| kv::Span { start: key(at), end: after_prefix(&key(at)) });
    let intent_spans = spans.to_vec();
    let decide = kv::Decide { primary: key("a"), commit: true, commit_ts, intent_spans, ..kv::Decide::default() };
    send(fixture, txn, &key("a"), request::Body::Decide(decide)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_that_is_only_to_be_resolved_keeps_no_writer_out() {
    let fixture = Fixture::sharded().await;
    commit_unresolved(&fixture, 7, now(&fixture).await).await;
    let mut txn = fixture.client().begin(TxnOptions::default());
    txn.put_guarded(key("d"), Bytes::from_static(b"newer"));
    txn.put_guarded(key("h"), Bytes::from_static(b"newer"));
    txn.commit().await.expect("the transaction before is committed");
    assert_eq!(all(fixture.client()).await, pairs(&[("a", "new"), ("d", "newer"), ("h", "newer")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_coordinator_that_is_gone() {
    let fixture = Fixture::sharded().await;
    let begun = now(&fixture).await;
    let for_ever = begun.millis() + 24 * 60 * 60 * 1000;
    let txn = Coordinator::new(NodeId(3), 1).txn(7).0;
    for at in ["a", "d"] {
        let answer = prepare_until(&fixture, txn, &key("a"), &key(at), begun, for_ever).await;
        assert!(matches!(answer, response::Body::Prepare(_)), "{answer:?}");
    }
    // Its node started again.
    let mut living = Living::default();
    living.add(NodeId(3), Some(2), true);
    fixture.volume.node().note_living(living);
    assert_eq!(all(fixture.client()).await, pairs(&[]));
    let mut later = fixture.client().begin(TxnOptions::default());
    later.put_guarded(key("d"), Bytes::from_static(b"of another"));
    later.commit().await.expect("nobody stands in its way");
    let decide =
        kv::Decide { primary: key("a"), commit: true, commit_ts: now(&fixture).await.0, ..kv::Decide::default() };
    match send(&fixture, txn, &key("a"), request::Body::Decide(decide)).await {
        response::Body::TxnStatus(status) => assert_eq!(status.state(), txn_status::State::Aborted),
        other => panic!("{other:?}"),
    }
    assert_eq!(all(fixture.client()).await, pairs(&[("d", "of another")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_its_coordinator_is_finished_and_its_record_goes() {
    let fixture = Fixture::sharded().await;
    let begun = now(&fixture).await;
    commit_unresolved(&fixture, 7, begun).await;
    fixture.client().collect_garbage(begun).await.expect("garbage is collected");
    assert_eq!(records(&fixture), 1, "it may still be wanted");
    let fixture = fixture.restart().await;
    fixture.client().collect_garbage(later(&fixture).await).await.expect("garbage is collected");
    assert_eq!((records(&fixture), fixture.volume.node().statistics().intents), (0, 0));
    assert_eq!(all(fixture.client()).await, pairs(&[("a", "new"), ("d", "new"), ("h", "new")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_record_goes_and_a_late_prepare_cannot_bring_its_transaction_back() {
    let fixture = Fixture::sharded().await;
    let begun = now(&fixture).await;
    let answer = prepare(&fixture, 7, &key("a"), &key("d"), begun).await;
    assert!(matches!(answer, response::Body::Prepare(_)), "{answer:?}");
    push(&fixture, 7, &key("a")).await;
    fixture.client().collect_garbage(Timestamp::from_millis(begun.millis() - 1)).await.expect("garbage is collected");
    assert_eq!(records(&fixture), 1, "it is not old enough");
    assert!(is_aborted(&prepare(&fixture, 7, &key("a"), &key("a"), begun).await));

    fixture.client().collect_garbage(later(&fixture).await).await.expect("garbage is collected");
    assert_eq!(records(&fixture), 0);
    fixture.client().split_at(&[key("a5")]).await.expect("the shard is cut");
    let fixture = fixture.restart().await;
    assert!(is_aborted(&prepare(&fixture, 7, &key("a"), &key("a"), begun).await));
    assert!(is_aborted(&prepare(&fixture, 8, &key("a6"), &key("a6"), begun).await), "the new shard knows, too");
    assert_eq!(records(&fixture), 0);
    let answer = prepare(&fixture, 9, &key("a"), &key("a"), later(&fixture).await).await;
    assert!(matches!(answer, response::Body::Prepare(_)), "{answer:?}");
}

/// Loses the answer to the first decision, and gives it again only when everything about it has been cleared away.
struct Late {
    node: sharddb_shard::Node,
    client: Client,
    lost: AtomicBool,
}

impl Transport for Late {
    fn call<'a>(&'a self, _: NodeId, request: kv::Request) -> BoxFuture<'a, kv::Response> {
        Box::pin(async move {
            let is_decision = matches!(request.body, Some(request::Body::Decide(_)));
            let answer = self.node.execute(request).await;
            if !is_decision || self.lost.swap(true, Ordering::SeqCst) {
                return answer;
            }
            let safe = self.client.timestamp().await.expect("the oracle answers");
            let later = Timestamp::from_millis(safe.millis() + 1);
            self.client.collect_garbage(later).await.expect("garbage is collected");
            let kind = Some(failure::Kind::Ambiguous("the line is dead".to_owned()));
            kv::Response { body: Some(response::Body::Failure(kv::Failure { kind })), ..kv::Response::default() }
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_is_asked_for_after_its_record_is_gone_is_not_taken_for_refused() {
    let fixture = Fixture::sharded().await;
    let lost = AtomicBool::default();
    let transport = Late { node: fixture.volume.node().clone(), client: fixture.client().clone(), lost };
    let meta = Through(fixture.client().clone());
    let client = Client::open(Arc::new(transport), Arc::new(meta), Coordinator::default()).await;
    // With reads to validate, its decision is what commits it.
    let options = TxnOptions { isolation: Isolation::Serializable, read_only: false };
    let mut txn = client.expect("the range map is read").begin(options);
    txn.get(&[key("b")]).await.expect("nobody writes it");
    for at in ["a", "d", "h"] {
        txn.put_guarded(key(at), Bytes::from_static(b"new"));
    }
    let error = txn.commit().await.expect_err("nobody knows any more");
    assert!(matches!(error, Error::CommitUnknown { .. }), "{error:?}");
    assert_eq!(all(fixture.client()).await, pairs(&[("a", "new"), ("d", "new"), ("h", "new")]), "it was committed");
}

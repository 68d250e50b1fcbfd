//! Commits over several shards in one round: what is waited for, and what becomes of them without their coordinator.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sharddb_kv::{BoxFuture, Client, Error, Isolation, RowLock, Transport, Txn, TxnOptions};
use sharddb_proto::{
    Coordinator, NodeId, Timestamp,
    kv::{self, WaitPolicy, failure, request, response, txn_status},
};
use sharddb_shard::Living;
use tokio::sync::watch;

use crate::{
    records::{is_aborted, later, now, records, send},
    through::Through,
    transactions::{Fixture, UPDATE, all, key, pairs},
};

const NAMES: [&str; 3] = ["a", "d", "h"];
/// Far from now.
const LONG_MS: u64 = 3_600_000;

/// What a transport does with a request.
type Rule = Box<dyn Fn(&request::Body) -> Fate + Send + Sync>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    /// Waits until the test lets it go on.
    Wait,
    /// Is carried out, and its answer lost with no hope of another one.
    Break,
    /// The same, after the other prepares were carried out and somebody else has read everything.
    ReadAndBreak,
}

/// Carries requests as a rule says, and notes them.
struct Ruled {
    node: sharddb_shard::Node,
    reader: Client,
    rule: Rule,
    open: watch::Receiver<bool>,
    sent: Arc<Mutex<Vec<&'static str>>>,
}

fn kind(body: &request::Body) -> &'static str {
    match body {
        request::Body::Prepare(_) => "prepare",
        request::Body::Decide(_) => "decide",
        request::Body::Resolve(_) => "resolve",
        request::Body::Validate(_) => "validate",
        _ => "other",
    }
}

fn broken() -> kv::Response {
    let kind = Some(failure::Kind::Internal("the answer is gone".to_owned()));
    kv::Response { body: Some(response::Body::Failure(kv::Failure { kind })), ..kv::Response::default() }
}

impl Transport for Ruled {
    fn call<'a>(&'a self, _: NodeId, request: kv::Request) -> BoxFuture<'a, kv::Response> {
        Box::pin(async move {
            let body = request.body.as_ref().expect("a request has a body");
            self.sent.lock().expect("no test panics here").push(kind(body));
            let fate = (self.rule)(body);
            if fate == Fate::Wait {
                let mut open = self.open.clone();
                open.wait_for(|open| *open).await.expect("the test goes on");
            }
            let answer = self.node.execute(request).await;
            if fate == Fate::ReadAndBreak {
                while self.node.statistics().intents < NAMES.len() as u64 {
                    tokio::task::yield_now().await;
                }
                all(&self.reader).await;
            }
            if matches!(fate, Fate::Break | Fate::ReadAndBreak) { broken() } else { answer }
        })
    }
}

/// A client whose requests a rule concerns.
struct RuledClient {
    client: Client,
    open: watch::Sender<bool>,
    sent: Arc<Mutex<Vec<&'static str>>>,
}

impl RuledClient {
    async fn new(fixture: &Fixture, rule: impl Fn(&request::Body) -> Fate + Send + Sync + 'static) -> Self {
        let (open, opened) = watch::channel(false);
        let sent = Arc::default();
        let transport = Ruled {
            node: fixture.volume.node().clone(),
            reader: fixture.client().clone(),
            rule: Box::new(rule),
            open: opened,
            sent: Arc::clone(&sent),
        };
        let meta = Through(fixture.client().clone());
        let client = Client::open(Arc::new(transport), Arc::new(meta), Coordinator::default()).await;
        Self { client: client.expect("the range map is read"), open, sent }
    }

    fn sent(&self) -> Vec<&'static str> {
        self.sent.lock().expect("no test panics here").clone()
    }
}

/// A transaction of a coordinator that lives.
fn txn(number: u64) -> u64 {
    Coordinator::new(NodeId(1), 1).txn(number).0
}

fn value(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn writer(client: &Client, isolation: Isolation, text: &'static str) -> Txn {
    let mut txn = client.begin(TxnOptions { isolation, read_only: false });
    NAMES.into_iter().for_each(|name| txn.put_guarded(key(name), value(text)));
    txn
}

fn everywhere(text: &str) -> Vec<(String, String)> {
    pairs(&NAMES.map(|name| (name, text)))
}

fn waits_after_prepare(body: &request::Body) -> Fate {
    if matches!(body, request::Body::Decide(_) | request::Body::Resolve(_)) { Fate::Wait } else { Fate::Pass }
}

async fn until_resolved(fixture: &Fixture) {
    while fixture.volume.node().statistics().intents > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_acknowledged_after_its_prepares() {
    for isolation in [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable] {
        let fixture = Fixture::sharded().await;
        let ruled = RuledClient::new(&fixture, waits_after_prepare).await;
        let txn = writer(&ruled.client, isolation, "new");
        let timestamp = txn.commit().await.expect("prepares are enough").expect("something was written");
        let prepares = ruled.sent().iter().filter(|kind| **kind == "prepare").count();
        assert_eq!(prepares, NAMES.len());
        assert!(ruled.sent().iter().all(|kind| ["prepare", "decide"].contains(kind)), "{:?}", ruled.sent());

        assert_eq!(fixture.client().read_latest(key("h")).await.expect("reads"), Some(value("new")));
        assert_eq!(all(fixture.client()).await, everywhere("new"), "what is acknowledged is seen");
        ruled.open.send(true).expect("the commit goes on");
        until_resolved(&fixture).await;
        for name in NAMES {
            assert_eq!(fixture.versions(&key(name)), [timestamp], "everybody finds the same timestamp");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_validated_between_two_rounds() {
    let fixture = Fixture::sharded().await;
    let ruled = RuledClient::new(&fixture, |_| Fate::Pass).await;
    let mut txn = writer(&ruled.client, Isolation::Serializable, "new");
    txn.get(&[key("c")]).await.expect("nobody writes it");
    txn.commit().await.expect("nothing has changed");
    let sent = ruled.sent();
    let first = |wanted| sent.iter().position(|kind| *kind == wanted).expect("it was sent");
    let last_prepare = sent.iter().rposition(|kind| *kind == "prepare").expect("it was sent");
    assert!(last_prepare < first("validate") && first("validate") < first("decide"), "{sent:?}");
}

/// The next holder of a lock that asks for no patience may be the client that was told of the commit.
#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_commit_is_no_reason_to_refuse_a_lock() {
    let fixture = Fixture::sharded().await;
    let ruled = RuledClient::new(&fixture, waits_after_prepare).await;
    writer(&ruled.client, Isolation::ReadCommitted, "new").commit().await.expect("prepares are enough");
    let mut next = fixture.client().begin(TxnOptions::default());
    let nowait = RowLock { wait: WaitPolicy::Nowait, ..UPDATE };
    let rows = next.lock(&[key("d")], nowait).await.expect("nobody else has it");
    assert_eq!(rows[0].value, Some(value("new")));
    next.rollback().await;
    ruled.open.send(true).expect("the commit goes on");
}

fn is_prepare_of(body: &request::Body, name: &str) -> bool {
    matches!(body, request::Body::Prepare(prepare) if prepare.writes.iter().any(|write| write.key == key(name)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepare_without_an_answer_leaves_nothing_open() {
    for name in NAMES {
        let fixture = Fixture::sharded().await;
        let rule = move |body: &request::Body| if is_prepare_of(body, name) { Fate::Break } else { Fate::Pass };
        let ruled = RuledClient::new(&fixture, rule).await;
        let error = writer(&ruled.client, Isolation::ReadCommitted, "lost").commit().await;
        let error = error.expect_err("nobody knows of all prepares");
        assert!(matches!(error, Error::Lost { .. }), "{error:?}");
        assert_eq!(all(fixture.client()).await, []);
        until_resolved(&fixture).await;
        assert_eq!(all(fixture.client()).await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_seen_a_commit_keeps_its_coordinator_from_aborting_it() {
    let fixture = Fixture::sharded().await;
    let rule = |body: &request::Body| if is_prepare_of(body, "h") { Fate::ReadAndBreak } else { Fate::Pass };
    let ruled = RuledClient::new(&fixture, rule).await;
    let txn = writer(&ruled.client, Isolation::ReadCommitted, "seen");
    let timestamp = txn.commit().await.expect("somebody has seen it").expect("something was written");
    assert_eq!(all(fixture.client()).await, everywhere("seen"));
    until_resolved(&fixture).await;
    assert_eq!(fixture.versions(&key("h")), [timestamp]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_coordinator_knows_nothing_has_one_outcome() {
    let fixture = Fixture::sharded().await;
    let rule = |body: &request::Body| match body {
        request::Body::Decide(_) => Fate::Break,
        body if is_prepare_of(body, "h") => Fate::Break,
        _ => Fate::Pass,
    };
    let ruled = RuledClient::new(&fixture, rule).await;
    let error = writer(&ruled.client, Isolation::ReadCommitted, "?").commit().await.expect_err("no answers");
    assert!(matches!(error, Error::CommitUnknown { .. }), "{error:?}");
    let found = all(fixture.client()).await;
    assert!(found.is_empty(), "the coordinator has aborted it: {found:?}");
    let mut next = fixture.client().begin(TxnOptions::default());
    next.lock(&NAMES.map(key), UPDATE).await.expect("nobody holds anything");
    next.rollback().await;
    assert_eq!(all(fixture.client()).await, found);
}

/// A staged prepare of one key by a coordinator that is gone afterwards.
async fn stage(fixture: &Fixture, id: u64, name: &str, begun: Timestamp, lives_ms: u64) -> response::Body {
    stage_of(fixture, id, &key(name), &NAMES.map(key), begun, lives_ms).await
}

/// The same for a transaction that writes these keys, the first of which is its primary.
async fn stage_of(
    fixture: &Fixture,
    id: u64,
    at: &Bytes,
    keys: &[Bytes],
    begun: Timestamp,
    lives_ms: u64,
) -> response::Body {
    let write = kv::Write {
        key: at.clone(),
        value: Some(value("staged")),
        locked_version: sharddb_proto::LOCKED_ELSEWHERE,
        ..kv::Write::default()
    };
    let is_primary = *at == keys[0];
    let prepare = kv::Prepare {
        writes: vec![write],
        primary: keys[0].clone(),
        is_primary,
        begun_ms: begun.millis(),
        expires_ms: begun.millis() + lives_ms,
        min_commit_ts: begun.0,
        staged: true,
        staged_keys: if is_primary { keys.to_vec() } else { Vec::new() },
        ..kv::Prepare::default()
    };
    send(fixture, id, at, request::Body::Prepare(prepare)).await
}

fn prepared(body: &response::Body) -> Timestamp {
    match body {
        response::Body::Prepare(done) => Timestamp(done.min_commit_ts),
        other => panic!("{other:?}"),
    }
}

async fn status(fixture: &Fixture, id: u64) -> kv::TxnStatus {
    let query = kv::QueryTxn { txn: id, primary: key(NAMES[0]), ..kv::QueryTxn::default() };
    match send(fixture, id, &key(NAMES[0]), request::Body::QueryTxn(query)).await {
        response::Body::TxnStatus(status) => status,
        other => panic!("{other:?}"),
    }
}

/// Which prepares came before the coordinator was lost; the primary's among them.
fn survivors() -> impl Iterator<Item = Vec<&'static str>> {
    (0..4).map(|bits| {
        NAMES.into_iter().enumerate().filter(|(i, _)| *i == 0 || bits >> (i - 1) & 1 == 1).map(|(_, n)| n).collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_meets_a_commit_without_its_coordinator_ends_it() {
    for names in survivors() {
        for (restarts, cuts) in [(false, false), (true, false), (false, true)] {
            let mut fixture = Fixture::sharded().await;
            let begun = now(&fixture).await;
            let mut highest = Timestamp::ZERO;
            for name in &names {
                highest = highest.max(prepared(&stage(&fixture, txn(1), name, begun, 0).await));
            }
            later(&fixture).await;
            if restarts {
                fixture = fixture.restart().await;
            }
            if cuts {
                let borders = NAMES.map(|name| key(&format!("{name}5")));
                fixture.client().split_at(&borders).await.expect("shards are cut");
            }
            let mut next = fixture.client().begin(TxnOptions::default());
            let first = *names.last().expect("the primary is there");
            next.lock(&[key(first)], UPDATE).await.expect("whoever waits ends it");
            next.rollback().await;
            let status = status(&fixture, txn(1)).await;
            let late: Vec<&str> = NAMES.into_iter().filter(|name| !names.contains(name)).collect();
            if late.is_empty() {
                assert_eq!((status.state(), status.commit_ts), (txn_status::State::Committed, highest.0));
                assert_eq!(all(fixture.client()).await, everywhere("staged"));
            } else {
                assert_eq!(status.state(), txn_status::State::Aborted, "{names:?}");
                assert_eq!(all(fixture.client()).await, []);
            }
            for name in late {
                let answer = stage(&fixture, txn(1), name, begun, 0).await;
                assert!(is_aborted(&answer), "{name} comes late after {names:?}: {answer:?}");
            }
            assert_eq!(all(fixture.client()).await.len(), if names.len() == NAMES.len() { 3 } else { 0 });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_late_prepare_out_outlives_cuts_restarts_and_sweeps() {
    let fixture = Fixture::sharded().await;
    let begun = now(&fixture).await;
    prepared(&stage(&fixture, txn(1), "a", begun, 0).await);
    later(&fixture).await;
    let mut next = fixture.client().begin(TxnOptions::default());
    next.lock(&[key("a")], UPDATE).await.expect("whoever waits ends it");
    next.rollback().await;
    assert_eq!(records(&fixture), 3, "the transaction's own, and one for each key that is barred");
    fixture.client().split_at(&[key("d"), key("d5"), key("g5")]).await.expect("shards are cut");
    let fixture = fixture.restart().await;
    for name in ["d", "h"] {
        assert!(is_aborted(&stage(&fixture, txn(1), name, begun, 0).await));
    }
    fixture.client().collect_garbage(later(&fixture).await).await.expect("garbage is collected");
    assert_eq!(records(&fixture), 0);
    for name in NAMES {
        assert!(is_aborted(&stage(&fixture, txn(1), name, begun, 0).await));
    }
    let begun = later(&fixture).await;
    for name in NAMES {
        prepared(&stage(&fixture, txn(2), name, begun, LONG_MS).await);
    }
    assert_eq!(all(fixture.client()).await, everywhere("staged"), "others are not kept out");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_pass_by_what_is_not_committed_and_it_commits_above_them() {
    let fixture = Fixture::sharded().await;
    let begun = now(&fixture).await;
    prepared(&stage(&fixture, txn(1), "a", begun, LONG_MS).await);
    prepared(&stage(&fixture, txn(1), "d", begun, LONG_MS).await);
    let options = TxnOptions { isolation: Isolation::RepeatableRead, read_only: true };
    let mut reader = fixture.client().begin(options);
    let snapshot = reader.snapshot().await.expect("a timestamp");
    assert_eq!(reader.get(&[key("d")]).await.expect("nobody waits for it"), [None]);
    assert_eq!(fixture.client().read_latest(key("d")).await.expect("nobody waits for it"), None);
    assert!(status(&fixture, txn(1)).await.staged, "it may go on");
    assert!(prepared(&stage(&fixture, txn(1), "h", begun, LONG_MS).await) > snapshot);
    assert_eq!(fixture.client().read_latest(key("d")).await.expect("reads"), Some(value("staged")));
    assert_eq!(reader.get(&NAMES.map(key)).await.expect("reads"), [None, None, None], "the snapshot stays what it was");
    assert_eq!(all(fixture.client()).await, everywhere("staged"));
    reader.rollback().await;
}

/// Who asked before the record was staged knows nothing of its intents.
#[tokio::test(flavor = "multi_thread")]
async fn a_staged_commit_is_not_aborted_by_somebody_who_takes_it_for_pending() {
    let fixture = Fixture::sharded().await;
    let begun = now(&fixture).await;
    for name in NAMES {
        prepared(&stage(&fixture, txn(1), name, begun, 0).await);
    }
    later(&fixture).await;
    let push = kv::QueryTxn { txn: txn(1), primary: key("a"), push: true, ..kv::QueryTxn::default() };
    let abort = kv::Decide { primary: key("a"), ..kv::Decide::default() };
    for body in [request::Body::QueryTxn(push), request::Body::Decide(abort)] {
        match send(&fixture, txn(1), &key("a"), body).await {
            response::Body::TxnStatus(status) => assert!(status.staged),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(all(fixture.client()).await, everywhere("staged"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepare_that_is_sent_again_changes_nothing() {
    let fixture = Fixture::sharded().await;
    let begun = now(&fixture).await;
    let first = prepared(&stage(&fixture, txn(1), "a", begun, LONG_MS).await);
    assert!(first > begun);
    for name in ["d", "h"] {
        let ts = prepared(&stage(&fixture, txn(1), name, begun, LONG_MS).await);
        assert_eq!(prepared(&stage(&fixture, txn(1), name, begun, LONG_MS).await), ts);
    }
    assert_eq!(prepared(&stage(&fixture, txn(1), "a", begun, LONG_MS).await), first);
    assert_eq!(all(fixture.client()).await, everywhere("staged"));
    let versions = |name: &str| fixture.versions(&key(name));
    // A copy that comes after the commit brings nothing back.
    let mut next = writer(fixture.client(), Isolation::ReadCommitted, "newer");
    next.lock(&NAMES.map(key), UPDATE).await.expect("it is committed");
    next.commit().await.expect("nobody else writes");
    until_resolved(&fixture).await;
    let before = NAMES.map(versions);
    for name in NAMES {
        stage(&fixture, txn(1), name, begun, 0).await;
    }
    assert_eq!(all(fixture.client()).await, everywhere("newer"));
    assert_eq!(NAMES.map(versions), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_with_an_open_commit_is_not_emptied() {
    let fixture = Fixture::sharded().await;
    let begun = now(&fixture).await;
    prepared(&stage(&fixture, txn(1), "a", begun, LONG_MS).await);
    prepared(&stage(&fixture, txn(1), "d", begun, LONG_MS).await);
    let span = kv::Span { start: key("d"), end: key("e") };
    let refused = fixture.client().delete_range(span.clone()).await.expect_err("the commit counts on what is there");
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
    prepared(&stage(&fixture, txn(1), "h", begun, LONG_MS).await);
    fixture.client().delete_range(span).await.expect("it is decided");
    assert_eq!(all(fixture.client()).await, pairs(&[("a", "staged"), ("h", "staged")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_prepares_of_a_coordinator_that_is_gone() {
    let fixture = Fixture::sharded().await;
    let begun = now(&fixture).await;
    let (half, whole) = (Coordinator::new(NodeId(3), 1).txn(1).0, Coordinator::new(NodeId(3), 1).txn(2).0);
    let of_whole = ["a", "d"].map(|name| key(&format!("{name}5")));
    for name in ["a", "d"] {
        prepared(&stage(&fixture, half, name, begun, LONG_MS).await);
    }
    for at in &of_whole {
        prepared(&stage_of(&fixture, whole, at, &of_whole, begun, LONG_MS).await);
    }
    // Its node started again.
    let mut living = Living::default();
    living.add(NodeId(3), Some(2), true);
    fixture.volume.node().note_living(living);
    let mut next = fixture.client().begin(TxnOptions::default());
    next.lock(&[key("a"), key("d"), key("d5")], UPDATE).await.expect("nobody stands in its way");
    next.rollback().await;
    assert!(is_aborted(&stage(&fixture, half, "h", begun, LONG_MS).await));
    assert_eq!(all(fixture.client()).await, pairs(&[("a5", "staged"), ("d5", "staged")]));
}

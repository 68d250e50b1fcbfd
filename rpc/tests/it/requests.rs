//! Requests, messages, calls: what comes out is what went in.

use std::sync::{Arc, atomic::Ordering};

use futures::future::join_all;
use proto::{
    NodeId,
    kv::failure,
    meta,
    raft::{FetchSnapshot, Heartbeat, Message, message},
};
use sharddb_fragment::{FragmentStream, FragmentTransport};
use sharddb_kv::{BoxFuture, Transport};
use sharddb_proto as proto;
use sharddb_raft::{Transport as _, TransportError};
use sharddb_rpc::{NearAndFar, PeerState, limits};

use crate::{
    cluster::{introduce, pair, start_plain, until},
    probe::{ask_meta, echo, get, value},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_at_once_are_each_answered() {
    let (one, two) = pair().await;
    let calls = (0..10_000_u32).map(|number| {
        let nodes = one.nodes.clone();
        tokio::spawn(async move {
            // Some are done at once, some later.
            let key = if number % 3 == 0 { format!("later {number}") } else { format!("key {number}") };
            let answer = nodes.call(NodeId(2), get(key.clone())).await;
            assert_eq!(value(answer), Ok(echo(NodeId(1), key.as_bytes())));
        })
    });
    for call in join_all(calls).await {
        call.expect("an answer");
    }
    assert_eq!(two.probe.ended.load(Ordering::SeqCst), 10_000);
    assert_eq!(one.nodes.state(NodeId(2)), PeerState::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_call_each_other() {
    let (one, two, three) = (start_plain(1).await, start_plain(2).await, start_plain(3).await);
    let all = [&one, &two, &three];
    introduce(&all);
    for from in all {
        for to in all.iter().filter(|to| to.nodes.own() != from.nodes.own()) {
            let answer = from.nodes.call(to.nodes.own(), get("key")).await;
            assert_eq!(value(answer), Ok(echo(from.nodes.own(), b"key")));
        }
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_its_request() {
    let (one, two) = pair().await;
    let waiting = tokio::spawn({
        let nodes = one.nodes.clone();
        async move { nodes.call(NodeId(2), get("wait")).await }
    });
    until("the request runs", || two.probe.started.load(Ordering::SeqCst) == 1).await;
    assert_eq!(two.probe.ended.load(Ordering::SeqCst), 0);
    waiting.abort();
    until("the request ends", || two.probe.ended.load(Ordering::SeqCst) == 1).await;
    // The link goes on.
    assert!(value(one.nodes.call(NodeId(2), get("key")).await).is_ok());
}

#[tokio::test]
async fn a_panic_in_a_request_is_its_answer() {
    let (one, _two) = pair().await;
    for key in ["panic at once", "panic later"] {
        let answer = value(one.nodes.call(NodeId(2), get(key)).await);
        assert!(matches!(&answer, Err(failure::Kind::Internal(_))), "{answer:?}");
    }
    assert!(value(one.nodes.call(NodeId(2), get("key")).await).is_ok());
    assert!(ask_meta(&one.nodes, 2, meta::call::Body::BumpCatalog(meta::Empty {})).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_requests_and_answers_come_whole() {
    let (one, _two) = pair().await;
    for size in [0, 1, limits::COPY_BYTES, limits::BATCH_BYTES, limits::BULK_BYTES + 1, 9 << 20] {
        let key = bytes::Bytes::from(vec![b'k'; size]);
        let answer = value(one.nodes.call(NodeId(2), get(key.clone())).await).expect("an answer");
        assert!(answer == echo(NodeId(1), &key), "{size} bytes there");
        let answer = value(one.nodes.call(NodeId(2), get(format!("size {size}"))).await).expect("an answer");
        assert_eq!(answer.len(), size);
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_harms_nothing() {
    let (one, two) = pair().await;
    let refused = |answer: Result<_, _>| match answer {
        Err(failure::Kind::Refused(refused)) => refused.sqlstate,
        other => panic!("{other:?}"),
    };
    let key = vec![0; limits::ENVELOPE_BYTES_MAX];
    assert_eq!(refused(value(one.nodes.call(NodeId(2), get(key)).await)), "54000");
    assert_eq!(two.probe.started.load(Ordering::SeqCst), 0);
    let size = format!("size {}", limits::ENVELOPE_BYTES_MAX);
    assert_eq!(refused(value(one.nodes.call(NodeId(2), get(size)).await)), "54000");
    assert!(value(one.nodes.call(NodeId(2), get("key")).await).is_ok());
}

#[tokio::test]
async fn messages_of_consensus_arrive_in_order() {
    let (one, two) = pair().await;
    let message = |number: u64| {
        let heartbeat = Heartbeat { sent_ns: number, incarnation: 1 };
        Message { group: number, id: 0, body: Some(message::Body::Heartbeat(heartbeat)) }
    };
    // The first ones wait for the connection.
    (0..1000).for_each(|number| one.nodes.send(2, message(number)));
    until("they arrive", || two.probe.messages.lock().len() == 1000).await;
    let got: Vec<_> = two.probe.messages.lock().drain(..).collect();
    assert_eq!(got, (0..1000).map(|number| (NodeId(1), message(number))).collect::<Vec<_>>());
    // To nobody: lost.
    one.nodes.send(5, message(0));
}

#[tokio::test]
async fn parts_of_snapshots_are_fetched() {
    let (one, _two) = pair().await;
    let ask = |file: &str| FetchSnapshot { group: 1, snapshot: 2, file: file.to_owned(), offset: 3, bytes: 1 << 20 };
    let chunk = one.nodes.fetch(2, ask("data")).await.expect("a chunk");
    assert!(chunk.data == vec![3; 1 << 20]);
    assert_eq!(one.nodes.fetch(2, ask("gone")).await, Err(TransportError::Gone));
    assert!(
        matches!(one.nodes.fetch(2, ask("broken")).await, Err(TransportError::Failed(why)) if why.contains("sector"))
    );
    assert!(matches!(one.nodes.fetch(7, ask("data")).await, Err(TransportError::Unreachable(_))));
}

#[tokio::test]
async fn calls_to_meta_are_carried() {
    let (one, _two) = pair().await;
    let answer = ask_meta(&one.nodes, 2, meta::call::Body::AllocateShards(7)).await.expect("an answer");
    assert_eq!(answer.body, Some(meta::answer::Body::First(1007)));
    assert!(ask_meta(&one.nodes, 3, meta::call::Body::AllocateShards(7)).await.is_err());
}

struct Near;

impl Transport for Near {
    fn call<'a>(&'a self, _: NodeId, _: proto::kv::Request) -> BoxFuture<'a, proto::kv::Response> {
        Box::pin(async { proto::kv::Response::default() })
    }
}

impl FragmentTransport for Near {
    fn fragment(&self, _: NodeId, _: proto::kv::Fragment) -> FragmentStream {
        Box::pin(futures::stream::empty())
    }
}

#[tokio::test]
async fn requests_to_the_own_node_are_calls() {
    let (one, two) = pair().await;
    let both = NearAndFar::new(Arc::new(Near), Arc::new(Near), one.nodes.clone());
    assert_eq!(both.call(NodeId(1), get("key")).await, proto::kv::Response::default());
    assert!(value(both.call(NodeId(2), get("key")).await).is_ok());
    assert_eq!(two.probe.started.load(Ordering::SeqCst), 1);
}

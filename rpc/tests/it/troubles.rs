//! Connections that fail: what callers are told, and how it ends.

use std::{sync::atomic::Ordering, time::Duration};

use proto::{NodeId, kv::failure::Kind};
use sharddb_kv::Transport;
use sharddb_proto as proto;
use sharddb_rpc::{PeerState, Security, Timing};

use crate::{
    cluster::{PATIENCE, identity, introduce, nowhere, pair, patient, start, start_plain, until, until_down},
    probe::{get, value},
    proxy::Proxy,
};

#[tokio::test]
async fn what_was_never_sent_is_unreachable() {
    let (one, _two) = pair().await;
    one.nodes.set_members([(NodeId(3), nowhere().await.to_string())]);
    // The first waits for the attempt, the others are refused by the breaker.
    for _ in 0..3 {
        let answer = value(one.nodes.call(NodeId(3), get("key")).await);
        assert!(matches!(&answer, Err(Kind::Unreachable(_))), "{answer:?}");
    }
    assert!(matches!(one.nodes.state(NodeId(3)), PeerState::Down(_)));
    // Not in the address book any more, or never.
    for node in [2, 4] {
        let answer = value(one.nodes.call(NodeId(node), get("key")).await);
        assert!(matches!(&answer, Err(Kind::Unreachable(_))), "{answer:?}");
        assert_eq!(one.nodes.state(NodeId(node)), PeerState::Unknown);
    }
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_ambiguous() {
    let (one, two) = pair().await;
    let call = tokio::spawn({
        let nodes = one.nodes.clone();
        async move { value(nodes.call(NodeId(2), get("wait")).await) }
    });
    until("the request runs", || two.probe.started.load(Ordering::SeqCst) == 1).await;
    let probe = two.probe;
    two.server.stop().await;
    let answer = call.await.expect("an answer");
    assert!(matches!(&answer, Err(Kind::Ambiguous(_))), "{answer:?}");
    until("the request ends with its link", || probe.ended.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_node_that_starts_again_is_found_again() {
    let (one, two) = pair().await;
    assert!(value(one.nodes.call(NodeId(2), get("key")).await).is_ok());
    let address = two.address();
    two.server.stop().await;
    until_down(&one.nodes, 2).await;
    let answer = value(one.nodes.call(NodeId(2), get("key")).await);
    assert!(matches!(&answer, Err(Kind::Unreachable(_))), "{answer:?}");
    let again = start(identity(2, 2), Security::loopback_only(), patient(), &address).await;
    again.nodes.set_members([(NodeId(1), one.address())]);
    until("it is connected", || one.nodes.state(NodeId(2)) == PeerState::Up).await;
    assert!(value(one.nodes.call(NodeId(2), get("key")).await).is_ok());
}

#[tokio::test]
async fn a_node_that_moves_is_followed_at_once() {
    let (one, two) = pair().await;
    one.nodes.set_members([(NodeId(2), nowhere().await.to_string())]);
    let _ = one.nodes.reach(NodeId(2)).await;
    until_down(&one.nodes, 2).await;
    one.nodes.set_members([(NodeId(2), two.address())]);
    until("it is connected", || one.nodes.state(NodeId(2)) == PeerState::Up).await;
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_noticed_by_pings() {
    let two = start_plain(2).await;
    let one = start(identity(1, 1), Security::loopback_only(), Timing::default(), "127.0.0.1:0").await;
    introduce(&[&one, &two]);
    let proxy = Proxy::start(two.address()).await;
    one.nodes.set_members([(NodeId(2), proxy.address.clone())]);
    assert!(value(one.nodes.call(NodeId(2), get("key")).await).is_ok());
    proxy.set_dead(true);
    // TCP would go on for minutes, and the request has a deadline of half a minute.
    let answer = value(one.nodes.call(NodeId(2), get("key")).await);
    assert!(matches!(&answer, Err(Kind::Ambiguous(reason)) if reason.contains("was lost")), "{answer:?}");
    until_down(&one.nodes, 2).await;
    proxy.set_dead(false);
    until("it is connected again", || one.nodes.state(NodeId(2)) == PeerState::Up).await;
    assert!(value(one.nodes.call(NodeId(2), get("key")).await).is_ok());
}

#[tokio::test]
async fn requests_end_at_their_deadline() {
    let (one, two) = pair().await;
    let timing = Timing { request: Duration::from_millis(20), ..patient() };
    let hasty = start(identity(3, 1), Security::loopback_only(), timing, "127.0.0.1:0").await;
    introduce(&[&one, &two, &hasty]);
    assert!(hasty.nodes.reach(NodeId(2)).await.is_ok());
    let answer = value(hasty.nodes.call(NodeId(2), get("wait")).await);
    assert!(matches!(&answer, Err(Kind::Ambiguous(reason)) if reason.contains("20ms")), "{answer:?}");
    until("it ends there, too", || two.probe.ended.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_wait_while_a_reader_is_slow_and_are_all_answered() {
    let (one, two) = pair().await;
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let nodes = one.nodes.clone();
            tokio::spawn(async move { value(nodes.call(NodeId(2), get("wait for all")).await) })
        })
        .collect();
    // Far more than the link holds at once.
    let large: Vec<_> = (0..64)
        .map(|_| {
            let nodes = one.nodes.clone();
            tokio::spawn(async move { value(nodes.call(NodeId(2), get("size 1000000")).await) })
        })
        .collect();
    until("they run", || two.probe.started.load(Ordering::SeqCst) >= 264).await;
    two.probe.permits.add_permits(200);
    for call in calls.into_iter().chain(large) {
        let answer = tokio::time::timeout(PATIENCE, call).await.expect("in time").expect("no panic");
        assert!(answer.is_ok(), "{answer:?}");
    }
}

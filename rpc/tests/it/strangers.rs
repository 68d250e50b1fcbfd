//! Whatever else may arrive at the port.

use std::time::Duration;

use proto::NodeId;
use sharddb_kv::Transport;
use sharddb_proto as proto;
use sharddb_rpc::{PeerState, Security, ServerError, Timing, limits};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    cluster::{PATIENCE, identity, introduce, pair, start, start_plain, until},
    probe::{get, value},
};

/// What comes back before the connection is closed.
async fn answer(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    // It may be closed before everything is written.
    let _ = stream.write_all(bytes).await;
    let mut back = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut back)).await;
    let _ = closed.expect("the connection is closed");
    back
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn garbage_is_answered_by_closing() {
    let (one, two) = pair().await;
    let timing = Timing { greeting: Duration::from_millis(200), ..Timing::default() };
    let hasty = start(identity(3, 1), Security::loopback_only(), timing, "127.0.0.1:0").await;
    introduce(&[&one, &two, &hasty]);
    let noise: Vec<u8> = (0..100_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let client_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let long_frame = [PREFACE, b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"].concat();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &noise,
        client_hello,
        &long_frame,
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    ] {
        let back = answer(&hasty.address(), bytes).await;
        assert!(!back.starts_with(b"HTTP/1"), "{}", String::from_utf8_lossy(&back));
    }
    // Half a greeting, and none.
    for bytes in [&b""[..], &PREFACE[..10], PREFACE] {
        answer(&hasty.address(), bytes).await;
    }
    // However busy the machine is: one attempt will be fast enough.
    let _ = one.nodes.reach(NodeId(3)).await;
    until("it is connected", || one.nodes.state(NodeId(3)) == PeerState::Up).await;
    assert!(value(one.nodes.call(NodeId(3), get("key")).await).is_ok());
}

#[tokio::test]
async fn strangers_cannot_keep_nodes_out() {
    let (one, two) = pair().await;
    let mut strangers = Vec::new();
    for _ in 0..2 * limits::STRANGERS_MAX {
        strangers.push(TcpStream::connect(two.address()).await.expect("connected"));
    }
    assert!(value(one.nodes.call(NodeId(2), get("key")).await).is_ok());
    // The oldest went, long before their time was over.
    let mut first = strangers.swap_remove(0);
    let mut greeting = Vec::new();
    let end = tokio::time::timeout(PATIENCE, first.read_to_end(&mut greeting)).await;
    assert!(end.is_ok(), "it is still open");
}

#[tokio::test]
async fn without_certificates_other_machines_are_kept_out() {
    let one = start_plain(1).await;
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("an address");
    let service = std::sync::Arc::new(crate::probe::Probed(one.probe));
    let refused = sharddb_rpc::Server::start(listener, one.nodes.clone(), service);
    assert!(matches!(refused, Err(ServerError::Open(_))));
    one.nodes.set_members([(NodeId(2), "192.0.2.1:7433".to_owned())]);
    let error = one.nodes.reach(NodeId(2)).await.expect_err("refused");
    assert!(error.to_string().contains("without certificates"), "{error}");
    let trusting = Security::trusted_network();
    start(identity(3, 1), trusting, Timing::default(), "0.0.0.0:0").await.server.stop().await;
}

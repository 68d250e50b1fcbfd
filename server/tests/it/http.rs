//! Health and metrics.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::{process::Process, raw::Raw};

/// Status and body of a GET.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    (status, body.to_owned())
}

#[test]
fn health_and_readiness() {
    let process = Process::start();
    assert_eq!(get(process.http, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(process.http, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(get(process.http, "/nothing").0, 404);
}

#[test]
fn metrics_have_prometheus_form() {
    let process = Process::start();
    let _client = Raw::session(process.sql);
    let (status, text) = get(process.http, "/metrics");
    assert_eq!(status, 200);
    for line in ["sharddb_connections 1", "sharddb_storage_failed 0", "sharddb_fragments_total 0"] {
        assert!(text.lines().any(|known| known == line), "{text}");
    }
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            assert!(comment.starts_with("HELP sharddb_") || comment.starts_with("TYPE sharddb_"), "{line}");
        } else {
            let (name, value) = line.split_once(' ').expect("a name and a value");
            assert!(name.starts_with("sharddb_") && value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

//! What calls cost, to compare designs: `cargo test -p sharddb-rpc --test it -- --ignored --nocapture cost`.

use std::io::Write;

use futures::future::join_all;
use proto::NodeId;
use sharddb_kv::Transport;
use sharddb_proto as proto;
use tokio::time::Instant;

use crate::{
    cluster::{Running, pair},
    probe::get,
};

/// Processor time of this process, in clock ticks of ten milliseconds.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a Linux system");
    let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
}

async fn measure(what: &str, one: &Running, callers: usize, each: usize, key: &'static str) {
    let (before, start) = (ticks(), Instant::now());
    let calls = (0..callers).map(|_| {
        let nodes = one.nodes.clone();
        tokio::spawn(async move {
            for _ in 0..each {
                nodes.call(NodeId(2), get(key)).await;
            }
        })
    });
    join_all(calls).await;
    let (cpu, elapsed, count) = (ticks() - before, start.elapsed(), (callers * each) as u64);
    let (cpu, wall) = (cpu * 10_000 / count, elapsed.as_micros() as u64 / count);
    let _ = writeln!(std::io::stderr(), "{what}: {cpu} µs of processor, {wall} µs of time for each call");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn cost() {
    let (one, _two) = pair().await;
    one.nodes.reach(NodeId(2)).await.expect("connected");
    measure("one caller, answered at once", &one, 1, 20_000, "key").await;
    measure("one caller, answered later", &one, 1, 20_000, "later").await;
    measure("8 callers, answered at once", &one, 8, 10_000, "key").await;
    measure("64 callers, answered at once", &one, 64, 2_000, "key").await;
    measure("64 callers, answered later", &one, 64, 2_000, "later").await;
}

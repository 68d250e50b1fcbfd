//! Fragments: rows, errors, back-pressure, cancellation.

use std::sync::atomic::Ordering;

use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use proto::{NodeId, kv};
use sharddb_fragment::{FragmentEnd, FragmentError, FragmentPart, FragmentTransport};
use sharddb_kv::Transport;
use sharddb_proto as proto;

use crate::{
    cluster::{pair, until},
    probe::{batch, fragment_end, get, resume, sql_error, value},
    proxy::Proxy,
};

fn fragment(plan: &str, batch_rows: u32) -> kv::Fragment {
    kv::Fragment { plan: plan.to_owned().into(), batch_rows, ..kv::Fragment::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_come_in_order_and_whole() {
    let (one, _two) = pair().await;
    // The last is larger than one message.
    for (batches, rows) in [(0, 1), (1, 0), (3, 1), (200, 100), (2, 400_000)] {
        let stream = one.nodes.fragment(NodeId(2), fragment(&format!("rows {batches}"), rows));
        let parts: Vec<_> = stream.map(|part| part.expect("a part")).collect().await;
        let (got, end) = of_parts(parts);
        let want: Vec<_> =
            (0..batches).map(|number| (batch(number, rows as usize), resume(number).map(|key| key.to_vec()))).collect();
        assert!(got == want, "{batches} batches of {rows} rows: {} came", got.len());
        assert_eq!((end.rows_scanned, end.time), (fragment_end().rows_scanned, fragment_end().time));
        let values = batches as u64 * u64::from(rows) * 8;
        let around = 1000 * (1 + batches as u64);
        assert!((values..=values + around).contains(&end.bytes), "{} bytes for {values}", end.bytes);
    }
}

/// Rows with the key behind them.
type Resumable = (RecordBatch, Option<Vec<u8>>);

/// All rows, and the end with the bytes of all parts.
fn of_parts(parts: Vec<FragmentPart>) -> (Vec<Resumable>, FragmentEnd) {
    let (mut got, mut bytes, mut ends) = (Vec::new(), 0, Vec::new());
    for part in parts {
        match part {
            FragmentPart::Rows(rows) => {
                bytes += rows.bytes;
                got.push((rows.batch, rows.resume.map(|key| key.to_vec())));
            }
            FragmentPart::End(end) => ends.push(FragmentEnd { bytes: bytes + end.bytes, ..end }),
        }
    }
    assert_eq!(ends.len(), 1, "one end");
    (got, ends.remove(0))
}

#[tokio::test]
async fn rows_without_columns_are_counted() {
    let (one, _two) = pair().await;
    let stream = one.nodes.fragment(NodeId(2), fragment("bare 3", 7));
    let (got, _) = of_parts(stream.map(|part| part.expect("a part")).collect().await);
    let got: Vec<_> = got.into_iter().map(|(batch, key)| (batch.num_rows(), key)).collect();
    assert_eq!(got, [0, 1, 2].map(|number| (7, resume(number).map(|key| key.to_vec()))));
}

#[tokio::test]
async fn errors_come_with_all_their_fields() {
    let (one, _two) = pair().await;
    for before in [0, 2] {
        let mut stream = one.nodes.fragment(NodeId(2), fragment(&format!("fail {before}"), 5));
        for _ in 0..before {
            assert!(matches!(stream.next().await, Some(Ok(_))));
        }
        match stream.next().await {
            Some(Err(FragmentError::Failed(error))) => assert_eq!(error, sql_error()),
            other => panic!("{other:?}"),
        }
        assert!(stream.next().await.is_none());
    }
    let mut stream = one.nodes.fragment(NodeId(2), fragment("refuse 0", 5));
    match stream.next().await {
        Some(Err(FragmentError::Refused(kv::failure::Kind::StaleEpoch(range)))) => assert_eq!(range.epoch, 8),
        other => panic!("{other:?}"),
    }
    let mut stream = one.nodes.fragment(NodeId(2), fragment("panic 0", 5));
    let end = stream.next().await;
    assert!(matches!(end, Some(Err(_))), "{end:?}");
}

#[tokio::test]
async fn nobody_runs_far_ahead_of_a_slow_reader_who_leaves_in_the_end() {
    let (one, two) = pair().await;
    // 8 MB each.
    let mut stream = one.nodes.fragment(NodeId(2), fragment("rows 1000000", 1_000_000));
    assert!(matches!(stream.next().await, Some(Ok(_))));
    // The other stream of the connection does not wait for it.
    let mut other = one.nodes.fragment(NodeId(2), fragment("rows 1", 1));
    assert!(matches!(other.next().await, Some(Ok(_))));
    let mut before = usize::MAX;
    until("it stands still", || {
        let made = two.probe.batches.load(Ordering::SeqCst);
        std::mem::replace(&mut before, made) == made
    })
    .await;
    assert!(before < 10, "{before} batches");
    drop((stream, other));
    until("both end", || two.probe.fragments_ended.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_have_enough_do_not_wear_the_connection_out() {
    let (one, two) = pair().await;
    let waiting = tokio::spawn({
        let nodes = one.nodes.clone();
        async move { value(nodes.call(NodeId(2), get("wait")).await) }
    });
    // HTTP/2 libraries lose patience after a thousand.
    for _ in 0..1200 {
        let mut stream = one.nodes.fragment(NodeId(2), fragment("rows 100", 1000));
        assert!(matches!(stream.next().await, Some(Ok(_))));
    }
    two.probe.permits.add_permits(1);
    let answer = waiting.await.expect("no panic");
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_ends_the_rows_with_an_error() {
    let (one, two) = pair().await;
    let proxy = Proxy::start(two.address()).await;
    one.nodes.set_members([(NodeId(2), proxy.address.clone())]);
    let mut stream = one.nodes.fragment(NodeId(2), fragment("rows 1000000", 100_000));
    assert!(matches!(stream.next().await, Some(Ok(_))));
    proxy.cut();
    let end = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("an end as if it were complete"),
        }
    };
    assert!(matches!(&end, FragmentError::Refused(kv::failure::Kind::Ambiguous(_))), "{end:?}");
    until("it ends there", || two.probe.fragments_ended.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_node_that_is_not_there_refuses() {
    let (one, _two) = pair().await;
    let mut stream = one.nodes.fragment(NodeId(3), fragment("rows 1", 1));
    let end = stream.next().await;
    assert!(matches!(end, Some(Err(FragmentError::Refused(kv::failure::Kind::Unreachable(_))))), "{end:?}");
}

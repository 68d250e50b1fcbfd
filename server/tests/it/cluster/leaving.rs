//! Nodes that are drained and decommissioned.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use super::{Cluster, client, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn draining_every_node_in_turn_fails_no_transaction() {
    let cluster = Cluster::start(3);
    let founder = client(&cluster.nodes[0]).await;
    founder.batch_execute("CREATE TABLE t (id int PRIMARY KEY, n int) WITH (shards = 3)").await.expect("a table");
    founder.batch_execute("INSERT INTO t SELECT i, 0 FROM generate_series(0, 9) i").await.expect("rows");
    cluster.settle();
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let mut writers = Vec::new();
    for (at, node) in cluster.nodes.iter().enumerate() {
        let (client, stop, done) = (client(node).await, Arc::clone(&stop), Arc::clone(&done));
        // Each writer has rows of its own, on several shards: no conflict is to be expected.
        let move_one = format!(
            "BEGIN; UPDATE t SET n = n - 1 WHERE id = {}; UPDATE t SET n = n + 1 WHERE id = {}; COMMIT",
            at * 3,
            at * 3 + 1
        );
        writers.push(tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                client.batch_execute(&move_one).await?;
                done.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<(), tokio_postgres::Error>(())
        }));
    }
    for at in 0..3 {
        let number = cluster.number(at);
        let drained = cluster.json(&["node", "drain", &number]);
        assert_eq!((drained["state"].as_str(), drained["leaders"].as_i64()), (Some("draining"), Some(0)));
        let seen = done.load(Ordering::SeqCst);
        eventually("writers go on", || done.load(Ordering::SeqCst) > seen + 10);
        assert_eq!(cluster.json(&["node", "activate", &number])["state"], "active");
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.expect("the writer ends").expect("no transaction fails");
    }
    let sums = founder.query_one("SELECT sum(n), sum(abs(n)) FROM t", &[]).await.expect("sums");
    assert_eq!((sums.get::<_, i64>(0), sums.get::<_, i64>(1)), (0, 2 * done.load(Ordering::SeqCst)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decommissioned_node_leaves_its_replicas_to_others_and_never_comes_back() {
    let cluster = Cluster::start(4);
    let founder = client(&cluster.nodes[0]).await;
    founder.batch_execute("CREATE TABLE t (id int PRIMARY KEY) WITH (shards = 4)").await.expect("a table");
    founder.batch_execute("INSERT INTO t SELECT generate_series(1, 100)").await.expect("rows");
    let number = cluster.number(1);
    let gone = cluster.json(&["node", "decommission", &number]);
    assert_eq!((gone["state"].as_str(), gone["replicas"].as_i64()), (Some("gone"), Some(0)));
    let left = founder
        .query_one(&format!("SELECT count(*) FROM sharddb.shards WHERE {number} = ANY (replicas)"), &[])
        .await
        .expect("shards");
    assert_eq!(left.get::<_, i64>(0), 0);
    assert!(cluster.refusal(&["node", "activate", &number]).contains("was decommissioned"));
    // A further one would leave fewer nodes than replicas.
    let refused = cluster.refusal(&["node", "decommission", &cluster.number(2)]);
    assert!(refused.contains("too few nodes for a replication factor of 3"), "{refused}");
    let rows = founder.query_one("SELECT count(*) FROM t", &[]).await.expect("rows");
    assert_eq!(rows.get::<_, i64>(0), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_go_with_the_lead_that_is_handed_over() {
    let cluster = Cluster::start(3);
    let holder = client(&cluster.nodes[0]).await;
    holder.batch_execute("CREATE TABLE t (id int PRIMARY KEY, n int) WITH (shards = 6)").await.expect("a table");
    holder.batch_execute("INSERT INTO t SELECT i, 0 FROM generate_series(0, 11) i").await.expect("rows");
    cluster.settle();
    // On a busy machine a leader may be lost instead of handing over, and takes its locks along.
    for attempt in 1.. {
        match drain_under_locks(&cluster).await {
            Ok(()) => break,
            Err(lost) => assert!(attempt < 3, "{lost}"),
        }
    }
    holder.batch_execute("UPDATE t SET n = n + 1").await.expect("nothing is locked any more");
    let rows = holder.query_one("SELECT count(*) FROM t WHERE n >= 2", &[]).await.expect("a count");
    assert_eq!(rows.get::<_, i64>(0), 12);
}

/// Locks every row, drains one node after the other, and sees whether the rows stay locked.
async fn drain_under_locks(cluster: &Cluster) -> Result<(), String> {
    let (holder, other) = (client(&cluster.nodes[0]).await, client(&cluster.nodes[1]).await);
    holder.batch_execute("BEGIN; SELECT * FROM t FOR UPDATE").await.expect("every row is locked");
    for at in 0..3 {
        let number = cluster.number(at);
        let drained = cluster.json(&["node", "drain", &number]);
        assert_eq!(drained["leaders"].as_i64(), Some(0));
        let mut lost = Vec::new();
        for id in 0..12 {
            let take = format!("SELECT * FROM t WHERE id = {id} FOR UPDATE NOWAIT");
            let code = other.batch_execute(&take).await.err().and_then(|error| error.code().cloned());
            if code.is_none_or(|code| code.code() != "55P03") {
                lost.push(id);
            }
        }
        assert_eq!(cluster.json(&["node", "activate", &number])["state"], "active");
        if !lost.is_empty() {
            return Err(format!("rows {lost:?} are not locked after node {at} was drained"));
        }
    }
    let committed = holder.batch_execute("UPDATE t SET n = n + 1; COMMIT").await;
    committed.map_err(|error| format!("somebody came between: {error}"))
}

//! Reads of the past by replicas that do not lead.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio_postgres::Client;

use super::{Cluster, client, eventually, metric};

/// Reads until a follower has answered one; more are asked if the first was not quick enough.
const READS_MAX: usize = 50;

fn follower_reads(cluster: &Cluster) -> u64 {
    cluster.nodes.iter().map(|node| metric(node, "sharddb_follower_reads_total")).sum()
}

async fn numbers(client: &Client, sql: &str) -> (i64, i64) {
    let row = client.query_one(sql, &[]).await.expect(sql);
    (row.get(0), row.get(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_reads_what_was_there_then() {
    let cluster = Cluster::start(3);
    let founder = client(&cluster.nodes[0]).await;
    for sql in [
        "CREATE TABLE t (id int PRIMARY KEY, n int) WITH (shards = 3)",
        "INSERT INTO t SELECT i, 1 FROM generate_series(1, 300) i",
    ] {
        founder.batch_execute(sql).await.expect(sql);
    }
    cluster.settle();
    // Well between two changes.
    founder.batch_execute("CREATE TABLE dropped AS SELECT id, n FROM t").await.expect("a table");
    founder.batch_execute("SELECT pg_sleep(0.2)").await.expect("a pause");
    let then: String = founder.query_one("SELECT clock_timestamp()::text", &[]).await.expect("a time").get(0);
    founder.batch_execute("SELECT pg_sleep(0.2)").await.expect("a pause");
    for sql in [
        "UPDATE t SET n = 2",
        "DELETE FROM t WHERE id > 200",
        "ALTER TABLE t ADD COLUMN later int DEFAULT 7",
        "CREATE INDEX ON t (n)",
        "DROP TABLE dropped",
    ] {
        founder.batch_execute(sql).await.expect(sql);
    }
    let before = follower_reads(&cluster);
    for _ in 0..READS_MAX {
        for node in &cluster.nodes {
            let client = client(node).await;
            let sum = format!("SELECT count(*), sum(n) FROM t AS OF SYSTEM TIME '{then}'");
            assert_eq!(numbers(&client, &sum).await, (300, 300));
            let one = format!("SELECT id::int8, n::int8 FROM t AS OF SYSTEM TIME '{then}' WHERE id = 250");
            assert_eq!(numbers(&client, &one).await, (250, 1));
            client.batch_execute(&format!("BEGIN AS OF SYSTEM TIME '{then}'")).await.expect("a block");
            let joined = "SELECT count(*), sum(a.n + b.n) FROM t a JOIN t b ON b.id = a.id + 100";
            assert_eq!(numbers(&client, joined).await, (200, 400));
            let dropped = "SELECT count(*), sum(n) FROM dropped";
            assert_eq!(numbers(&client, dropped).await, (300, 300));
            client.batch_execute("COMMIT").await.expect("its end");
            client.query_one(dropped, &[]).await.expect_err("it is no more");
            assert_eq!(numbers(&client, "SELECT count(*), sum(n + later) FROM t").await, (200, 1800));
        }
        if follower_reads(&cluster) > before {
            return;
        }
    }
    panic!("no follower has answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_the_past_stay_right_while_a_leader_is_lost() {
    let mut cluster = Cluster::start(3);
    let founder = client(&cluster.nodes[0]).await;
    for sql in [
        "CREATE TABLE t (id int PRIMARY KEY, n int) WITH (shards = 3)",
        "INSERT INTO t SELECT i, 0 FROM generate_series(0, 11) i",
    ] {
        founder.batch_execute(sql).await.expect(sql);
    }
    cluster.settle();
    let sum = "SELECT count(*), sum(n) FROM t";
    let of_past = format!("{sum} AS OF SYSTEM TIME '-1s'");
    let longer_ago = format!("{sum} AS OF SYSTEM TIME '-3s'");
    let block_on = |client: &Client| {
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(client.query_one(&longer_ago, &[])))
    };
    eventually("the rows are old enough", || block_on(&founder).is_ok_and(|row| row.get::<_, i64>(0) == 12));
    let before = follower_reads(&cluster);
    let (stop, reads, moves) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for (at, node) in cluster.nodes[..2].iter().enumerate() {
        let (writer, stopped, moved) = (client(node).await, Arc::clone(&stop), Arc::clone(&moves));
        tasks.push(tokio::spawn(async move {
            for round in 0.. {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (from, to) = ((round * 2 + at) % 12, (round * 5 + at + 1) % 12);
                let sql = format!(
                    "BEGIN; UPDATE t SET n = n - 1 WHERE id = {from}; UPDATE t SET n = n + 1 WHERE id = {to}; COMMIT"
                );
                // Some find no leader, or meet each other.
                match writer.batch_execute(&sql).await {
                    Ok(()) => drop(moved.fetch_add(1, Ordering::SeqCst)),
                    Err(_) => drop(writer.batch_execute("ROLLBACK").await),
                }
            }
        }));
        let (reader, stopped, done, of_past) =
            (client(node).await, Arc::clone(&stop), Arc::clone(&reads), of_past.clone());
        tasks.push(tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                assert_eq!(numbers(&reader, &of_past).await, (12, 0));
                reader.batch_execute("SET sharddb.max_staleness = '2s'").await.expect("a setting");
                assert_eq!(numbers(&reader, sum).await, (12, 0));
                reader.batch_execute("BEGIN READ ONLY").await.expect("a block");
                assert_eq!(numbers(&reader, sum).await, (12, 0));
                let ones = "SELECT count(*), sum(n) FROM t WHERE id = 3 UNION ALL
                    SELECT count(*), sum(n) FROM t WHERE id <> 3";
                let rows = reader.query(ones, &[]).await.expect("rows");
                assert_eq!(rows.iter().map(|row| row.get::<_, i64>(1)).sum::<i64>(), 0);
                reader.batch_execute("COMMIT; RESET sharddb.max_staleness").await.expect("its end");
                done.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }
    let all = |more: u64| {
        let (read, moved) = (reads.load(Ordering::SeqCst), moves.load(Ordering::SeqCst));
        eventually("reads and writes go on", || {
            reads.load(Ordering::SeqCst) > read + more && moves.load(Ordering::SeqCst) > moved + more
        });
    };
    all(20);
    drop(cluster.nodes.pop());
    all(20);
    stop.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.expect("everything read was right");
    }
    assert!(follower_reads(&cluster) > before);
}

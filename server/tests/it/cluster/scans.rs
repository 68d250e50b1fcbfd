//! Queries over many shards: what crosses the network, and that no row is lost or seen twice while leaders go.

use std::{collections::BTreeSet, sync::Arc};

use tokio_postgres::Client;

use super::{Cluster, client};
use crate::http::get;

/// What EXPLAIN ANALYZE says came from the shards: rows and bytes.
async fn traffic(client: &Client, sql: &str) -> (u64, u64) {
    let lines = client.query(&format!("EXPLAIN (ANALYZE, VERBOSE) {sql}"), &[]).await.expect(sql);
    let lines: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
    let number = |name: &str| {
        let line = lines.iter().find_map(|line| line.strip_prefix(name)).expect("it is counted");
        line.trim().parse::<u64>().expect("a number")
    };
    let shown = |name: &str| -> u64 {
        let fragments = lines.iter().filter(|line| line.trim_start().starts_with("Shard "));
        let values = fragments.flat_map(|line| line.split(' ')).filter_map(|word| word.strip_prefix(name));
        values.map(|value| value.parse::<u64>().expect("a number")).sum()
    };
    let (rows, bytes) = (number("Rows from Shards:"), number("Bytes from Shards:"));
    assert_eq!((rows, bytes), (shown("rows="), shown("bytes=")), "{lines:#?}");
    (rows, bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_results_cross_the_network_and_not_rows() {
    let cluster = Cluster::start(3);
    let founder = client(&cluster.nodes[0]).await;
    let table = "CREATE TABLE t (id int PRIMARY KEY, kind int, pad text) WITH (shards = 12, shard_by = 'hash')";
    founder.batch_execute(table).await.expect("a table");
    let rows = "INSERT INTO t SELECT i, i % 5, repeat('x', 200) FROM generate_series(1, 6000) i";
    founder.batch_execute(rows).await.expect("rows");
    cluster.settle();
    for node in &cluster.nodes {
        let client = client(node).await;
        let (rows, bytes) = traffic(&client, "SELECT * FROM t").await;
        assert!(rows == 6000 && bytes > 6000 * 200, "{rows} rows of {bytes} bytes");
        // Each of the twelve answers is a schema and a few values.
        for (sql, rows_max) in [
            ("SELECT count(*) FROM t", 12),
            ("SELECT kind, sum(id) FROM t GROUP BY kind", 12 * 5),
            ("SELECT id, kind FROM t ORDER BY kind DESC, id LIMIT 10", 12 * 10),
            ("SELECT id FROM t WHERE kind = 3 AND id < 20", 4),
        ] {
            let (rows, bytes) = traffic(&client, sql).await;
            assert!(rows > 0 && rows <= rows_max, "{sql}: {rows} rows");
            assert!(bytes > 0 && bytes < 12 * 1500, "{sql}: {bytes} bytes");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_one_shard_are_joined_at_its_node() {
    let cluster = Cluster::start(3);
    assert_eq!(cluster.json(&["node", "drain", &cluster.number(0)])["leaders"], 0);
    let client = client(&cluster.nodes[0]).await;
    for sql in [
        "CREATE TABLE parts (id int PRIMARY KEY, kind int, pad text) WITH (shards = 1)",
        "CREATE TABLE kinds (kind int PRIMARY KEY, name text) WITH (shards = 1)",
        "INSERT INTO parts SELECT i, i % 40, repeat('x', 200) FROM generate_series(1, 2000) i",
        "INSERT INTO kinds SELECT i, 'kind ' || i % 4 FROM generate_series(0, 39) i",
        "ANALYZE",
    ] {
        client.batch_execute(sql).await.expect(sql);
    }
    let join = "SELECT name, count(*), max(pad) FROM parts JOIN kinds USING (kind) GROUP BY name";
    let rows = client.query(&format!("{join} ORDER BY name"), &[]).await.expect("rows");
    let rows: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(rows, [0, 1, 2, 3].map(|kind| (format!("kind {kind}"), 500)));
    let (rows, bytes) = traffic(&client, join).await;
    assert!(rows == 4 && bytes < 4000, "{rows} rows of {bytes} bytes");
}

/// Rows of the large table, each of 4 KiB.
const ROWS: i32 = 12_000;
/// Rows that the reader takes at once.
const FETCHED: i32 = 500;

/// A table of which only a part fits into what is on its way between shards and reader.
async fn large_table(founder: &Client) {
    let table = "CREATE TABLE large (id int PRIMARY KEY, pad text) WITH (shards = 3, shard_by = 'hash')";
    founder.batch_execute(table).await.expect("a table");
    for from in (0..ROWS).step_by(1000) {
        let insert = format!(
            "INSERT INTO large SELECT i, repeat(md5(i::text), 128) FROM generate_series({from}, {}) i",
            from + 999
        );
        founder.batch_execute(&insert).await.expect("rows");
    }
}

/// Reads the large table part by part, with something happening behind the first; answers each id that came.
async fn scan(reader: &mut Client, meanwhile: impl AsyncFnOnce()) -> Vec<i32> {
    let txn = reader.transaction().await.expect("a transaction");
    let statement = txn.prepare("SELECT id, pad, md5(id::text) FROM large").await.expect("a query");
    let portal = txn.bind(&statement, &[]).await.expect("a portal");
    let (mut ids, mut meanwhile) = (Vec::new(), Some(meanwhile));
    loop {
        let rows = txn.query_portal(&portal, FETCHED).await.expect("rows");
        for row in &rows {
            let (pad, part): (&str, &str) = (row.get(1), row.get(2));
            assert!(pad.len() == 4096 && pad.starts_with(part));
            ids.push(row.get(0));
        }
        if let Some(meanwhile) = meanwhile.take() {
            meanwhile().await;
        }
        if rows.len() < FETCHED as usize {
            return ids;
        }
    }
}

fn assert_all(ids: &[i32]) {
    let distinct: BTreeSet<i32> = ids.iter().copied().collect();
    assert_eq!((ids.len(), distinct.len()), (ROWS as usize, ROWS as usize));
    assert_eq!((distinct.first(), distinct.last()), (Some(&0), Some(&(ROWS - 1))));
}

/// Fragments that a node went on with elsewhere.
fn resumed(cluster: &Cluster, at: usize) -> u64 {
    let metrics = get(cluster.nodes[at].http, "/metrics").1;
    let line = metrics.lines().find_map(|line| line.strip_prefix("sharddb_fragments_resumed_total "));
    line.expect("it is counted").trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_sees_every_row_once_while_leaders_move_and_a_node_dies() {
    let mut cluster = Cluster::start(3);
    let mut founder = client(&cluster.nodes[0]).await;
    large_table(&founder).await;
    cluster.settle();
    let ids = scan(&mut founder, async || {
        for at in [1, 2, 0] {
            let number = cluster.number(at);
            assert_eq!(cluster.json(&["node", "drain", &number])["leaders"], 0);
            cluster.json(&["node", "activate", &number]);
        }
    })
    .await;
    assert_all(&ids);
    // Every leader is on the node that is to die.
    for at in [0, 2] {
        assert_eq!(cluster.json(&["node", "drain", &cluster.number(at)])["leaders"], 0);
    }
    let other = Arc::new(client(&cluster.nodes[2]).await);
    let counting = tokio::spawn({
        let other = Arc::clone(&other);
        async move {
            for _ in 0..20 {
                let sums = other.query_one("SELECT count(*), sum(id) FROM large", &[]).await.expect("sums");
                assert_eq!((sums.get(0), sums.get(1)), (i64::from(ROWS), i64::from(ROWS) * i64::from(ROWS - 1) / 2));
            }
        }
    });
    let victim = cluster.nodes.remove(1);
    let ids = scan(&mut founder, async || victim.signal("KILL")).await;
    assert_all(&ids);
    assert!(resumed(&cluster, 0) > 0, "nothing broke off");
    counting.await.expect("every sum is right");
}

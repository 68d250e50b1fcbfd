//! Replicas that hold the same.

use tokio_postgres::Client;

use super::{Cluster, client, eventually};

/// Every replica's answer that is not the leader's, and how many replicas there are.
async fn differences(client: &Client) -> (Vec<String>, usize) {
    let sql =
        "SELECT agrees IS TRUE, concat_ws(' ', shard_id, node_id, role, applied_index, row_count, checksum, error)
        FROM sharddb.replica_checksums";
    let rows = client.query(sql, &[]).await.expect("checksums");
    let differs = rows.iter().filter(|row| !row.get::<_, bool>(0));
    (differs.map(|row| row.get(1)).collect(), rows.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_hold_the_same_after_load_and_after_a_node_that_lost_all_was_replaced() {
    let mut cluster = Cluster::start(3);
    let founder = client(&cluster.nodes[0]).await;
    for sql in [
        "CREATE TABLE t (id int PRIMARY KEY, n int, s text) WITH (shards = 3)",
        "CREATE INDEX ON t (n)",
        "INSERT INTO t SELECT i, i % 7, repeat('x', i % 100) FROM generate_series(1, 3000) i",
        "UPDATE t SET n = n + 1 WHERE id % 3 = 0",
        "DELETE FROM t WHERE id % 5 = 0",
    ] {
        founder.batch_execute(sql).await.expect(sql);
    }
    cluster.settle();
    let (differs, replicas) = differences(&founder).await;
    assert_eq!(differs, Vec::<String>::new());
    let shards = founder.query_one("SELECT count(*) FROM sharddb.shards", &[]).await.expect("shards").get::<_, i64>(0);
    assert_eq!(replicas as i64, shards * 3);
    let sql = "SELECT sum(row_count) FROM sharddb.replica_checksums WHERE role = 'leader' AND table_name = 't'";
    let before = founder.query_one(&format!("SELECT ({sql})::int"), &[]).await.expect("rows").get::<_, i32>(0);
    // A row and its entry in the index; other tables may follow in the last shard.
    assert!(before >= 2 * 2400, "{before}");
    let lost = cluster.number(2);
    // Its data goes with it.
    drop(cluster.nodes.pop());
    founder.batch_execute("ALTER SYSTEM SET dead_node_after = '10s'").await.expect("a setting");
    founder.batch_execute("UPDATE t SET s = 'later' WHERE id % 2 = 0").await.expect("an update");
    cluster.join();
    let whole = || {
        let sql =
            format!("SELECT count(*) FROM sharddb.shards WHERE cardinality(replicas) <> 3 OR {lost} = ANY (replicas)");
        let left =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(founder.query_one(&sql, &[])));
        left.expect("shards").get::<_, i64>(0) == 0
    };
    eventually("the dead node is replaced", whole);
    let (differs, replicas) = differences(&founder).await;
    assert_eq!((differs, replicas as i64), (Vec::new(), shards * 3));
}

//! Replicas that are taken off their groups while their node hears nothing.

use super::{Cluster, client, eventually, metric};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_removes_the_replicas_that_it_has_lost_while_it_could_not_be_reached() {
    let cluster = Cluster::start(4);
    let founder = client(&cluster.nodes[0]).await;
    for sql in [
        "CREATE TABLE t (id int PRIMARY KEY) WITH (shards = 6)",
        "INSERT INTO t SELECT generate_series(1, 600)",
        "ALTER SYSTEM SET dead_node_after = '10s'",
    ] {
        founder.batch_execute(sql).await.expect(sql);
    }
    cluster.settle();
    let (last, number) = (&cluster.nodes[3], cluster.number(3));
    let held = || metric(last, "sharddb_shards");
    eventually("the last node has replicas", || held() > 0);
    // It is not to get any replicas back.
    assert_eq!(cluster.json(&["node", "drain", &number])["state"], "draining");
    assert!(held() > 0);
    last.signal("STOP");
    let sql = format!("SELECT count(*) FROM sharddb.shards WHERE {number} = ANY (replicas)");
    let left = || {
        let left =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(founder.query_one(&sql, &[])));
        left.expect("shards").get::<_, i64>(0)
    };
    eventually("its replicas are replaced", || left() == 0);
    founder.batch_execute("INSERT INTO t SELECT generate_series(601, 700)").await.expect("rows");
    last.signal("CONT");
    eventually("it has none any more", || held() == 0);
    let rows = client(last).await.query_one("SELECT count(*) FROM t", &[]).await.expect("rows");
    assert_eq!(rows.get::<_, i64>(0), 700);
    let differs = founder
        .query_one("SELECT count(*) FROM sharddb.replica_checksums WHERE agrees IS NOT TRUE", &[])
        .await
        .expect("checksums");
    assert_eq!(differs.get::<_, i64>(0), 0);
}

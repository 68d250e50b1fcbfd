//! Settings of the cluster and of tables.

use tokio_postgres::{Client, error::SqlState};

use super::{Cluster, client, eventually};

async fn refused(client: &Client, sql: &str) -> (SqlState, String) {
    let error = client.batch_execute(sql).await.expect_err("it is refused");
    let error = error.as_db_error().expect("an error of the server");
    (error.code().clone(), error.message().to_owned())
}

async fn shown(client: &Client, name: &str) -> String {
    client.query_one(&format!("SHOW {name}"), &[]).await.expect("a setting").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_cluster_are_the_same_on_every_node() {
    let mut cluster = Cluster::one();
    cluster.join();
    let (one, two) = (client(&cluster.nodes[0]).await, client(&cluster.nodes[1]).await);
    assert_eq!(shown(&two, "dead_node_after").await, "5min");
    one.batch_execute("ALTER SYSTEM SET dead_node_after = '90s'").await.expect("a setting");
    assert_eq!(shown(&two, "dead_node_after").await, "90s");
    let row = two
        .query_one("SELECT setting, current_setting(name) FROM pg_settings WHERE name = 'dead_node_after'", &[])
        .await
        .expect("a setting");
    assert_eq!((row.get::<_, String>(0), row.get::<_, String>(1)), ("90".to_owned(), "90s".to_owned()));
    two.batch_execute("ALTER SYSTEM RESET dead_node_after").await.expect("a reset");
    assert_eq!(shown(&one, "dead_node_after").await, "5min");
    assert_eq!(shown(&one, "replication_factor").await, "auto");
    for (sql, state, message) in [
        (
            "ALTER SYSTEM SET nothing = 1",
            SqlState::UNDEFINED_OBJECT,
            "unrecognized configuration parameter \"nothing\"",
        ),
        ("ALTER SYSTEM SET work_mem = 1", SqlState::FEATURE_NOT_SUPPORTED, "work_mem"),
        ("ALTER SYSTEM SET replication_factor = 2", SqlState::INVALID_PARAMETER_VALUE, "invalid value"),
        ("ALTER SYSTEM SET replication_factor = 3", SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "needs 3 nodes"),
        ("ALTER SYSTEM SET dead_node_after = 'x'", SqlState::INVALID_PARAMETER_VALUE, "invalid value"),
        ("SET dead_node_after = 9", SqlState::CANT_CHANGE_RUNTIME_PARAM, "cannot be changed now"),
        ("BEGIN; ALTER SYSTEM RESET ALL", SqlState::ACTIVE_SQL_TRANSACTION, "cannot run inside a transaction block"),
        ("ROLLBACK; ALTER SYSTEM SET dead_node_after", SqlState::SYNTAX_ERROR, "syntax error"),
    ] {
        let (code, said) = refused(&one, sql).await;
        assert_eq!(code, state, "{sql}: {said}");
        assert!(said.contains(message), "{sql}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_has_the_number_of_replicas_that_it_asks_for() {
    let cluster = Cluster::start(3);
    let client = client(&cluster.nodes[0]).await;
    let sql = "CREATE TABLE t (id int PRIMARY KEY) WITH (shards = 2, replication_factor = 1)";
    client.batch_execute(sql).await.expect("a table");
    let replicas = || {
        let sql = "SELECT min(cardinality(s.replicas)), max(cardinality(s.replicas)) FROM sharddb.shards s \
                   JOIN sharddb.ranges r USING (shard_id) WHERE r.table_name = 't'";
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(client.query_one(sql, &[])))
            .map(|row| (row.get::<_, i32>(0), row.get::<_, i32>(1)))
            .expect("shards")
    };
    eventually("one replica", || replicas() == (1, 1));
    client.batch_execute("INSERT INTO t SELECT generate_series(1, 50); TRUNCATE t").await.expect("an empty table");
    eventually("one replica after TRUNCATE", || replicas() == (1, 1));
    client.batch_execute("INSERT INTO t SELECT generate_series(1, 50)").await.expect("rows");
    client.batch_execute("ALTER TABLE t SET (replication_factor = 3)").await.expect("more replicas");
    eventually("three replicas", || replicas() == (3, 3));
    for (sql, message) in [
        ("ALTER TABLE t SET (replication_factor = 5)", "needs 5 nodes, and the cluster has 3"),
        ("ALTER TABLE t SET (replication_factor = 2)", "out of bounds"),
        ("CREATE TABLE u (id int) WITH (replication_factor = 5)", "needs 5 nodes"),
        ("BEGIN; ALTER TABLE t RESET (replication_factor)", "transaction block"),
    ] {
        let (_, said) = refused(&client, sql).await;
        assert!(said.contains(message), "{sql}: {said}");
    }
    client.batch_execute("ROLLBACK").await.expect("a rollback");
    let rows = client.query_one("SELECT count(*) FROM t", &[]).await.expect("rows");
    assert_eq!(rows.get::<_, i64>(0), 50);
}

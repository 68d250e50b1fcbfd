//! Nodes that join.

use std::{net::TcpListener, thread};

use super::{Cluster, client};
use crate::process::{Process, command, data, directory, start_arguments};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_a_node_came_is_there_with_it() {
    let mut cluster = Cluster::one();
    let founder = client(&cluster.nodes[0]).await;
    // Cutting shards off the first one must not keep its own beginning from the replicas that come later.
    founder.batch_execute("CREATE TABLE t (id int PRIMARY KEY, n int) WITH (shards = 4)").await.expect("a table");
    founder.batch_execute("INSERT INTO t SELECT i, i * 2 FROM generate_series(1, 500) i").await.expect("rows");
    cluster.join();
    cluster.join();
    cluster.settle();
    let numbers: Vec<String> = (0..3).map(|at| cluster.number(at)).collect();
    for (at, node) in cluster.nodes.iter().enumerate() {
        // With the others drained, every shard is led by this one: what it has is what everybody sees.
        let others = || numbers.iter().filter(|number| **number != numbers[at]);
        others().for_each(|number| drop(cluster.json(&["node", "drain", number])));
        let client = client(node).await;
        let row = client.query_one("SELECT count(*), sum(n) FROM t WHERE id <= 500", &[]).await.expect("rows");
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (500, 250_500));
        client.batch_execute(&format!("CREATE TABLE of_{at} (id int)")).await.expect("a table");
        others().for_each(|number| drop(cluster.json(&["node", "activate", number])));
    }
    let tables = founder.query("SELECT 1 FROM pg_tables WHERE tablename LIKE 'of\\_%'", &[]).await.expect("tables");
    assert_eq!(tables.len(), 3);
    let replicas = founder.query("SELECT cardinality(replicas) FROM sharddb.shards", &[]).await.expect("shards");
    assert!(replicas.iter().all(|row| row.get::<_, i32>(0) == 3));
}

#[test]
fn nodes_started_at_once_wait_for_their_founder() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").to_string();
    let joining = [(); 2].map(|()| {
        let founder = free.clone();
        let join = move || Process::start_with(directory(), &["--join", &founder]);
        thread::Builder::new().spawn(join).expect("a thread")
    });
    let place = directory();
    let mut founder = command();
    let arguments = start_arguments(&data(&place));
    let at = arguments.iter().position(|argument| argument == "--rpc-addr").expect("the option") + 1;
    founder.args(arguments.iter().enumerate().map(|(nth, argument)| if nth == at { &free } else { argument }));
    let mut cluster = Cluster { nodes: vec![Process::spawn(founder, place)] };
    cluster.nodes.extend(joining.map(|joining| joining.join().expect("it has joined")));
    cluster.settle();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_of_the_cluster_agree() {
    let cluster = Cluster::start(3);
    let client = client(&cluster.nodes[1]).await;
    let nodes = cluster.json(&["node", "status"]);
    assert_eq!(nodes.as_array().map(Vec::len), Some(3));
    let first = client
        .query_one("SELECT count(*), count(meta), count(*) FILTER (WHERE meta = 'leader') FROM sharddb.nodes", &[])
        .await
        .expect("nodes");
    assert_eq!([0, 1, 2].map(|at| first.get::<_, i64>(at)), [3, 3, 1]);
    client.batch_execute("CREATE TABLE t (id int PRIMARY KEY) WITH (shards = 2)").await.expect("a table");
    let parts = client
        .query("SELECT shard_id FROM sharddb.ranges WHERE schema_name = 'public' AND table_name = 't'", &[])
        .await
        .expect("ranges");
    assert!(parts.len() >= 2);
    let shards = client.query_one("SELECT count(*) FROM sharddb.shards", &[]).await.expect("shards");
    let of_ranges = client.query_one("SELECT count(DISTINCT shard_id) FROM sharddb.ranges", &[]).await.expect("ranges");
    assert_eq!(shards.get::<_, i64>(0), of_ranges.get::<_, i64>(0));
    let jobs = client.query("SELECT what FROM sharddb.jobs WHERE state = 'done'", &[]).await.expect("jobs");
    assert!(!jobs.is_empty());
}

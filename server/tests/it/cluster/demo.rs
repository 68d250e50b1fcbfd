//! `sharddb demo`.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, ChildStdout, Command},
};

use super::{eventually, runs};
use crate::process::command;

struct Demo {
    child: Child,
    out: BufReader<ChildStdout>,
    directory: PathBuf,
    urls: Vec<String>,
    processes: Vec<u64>,
}

impl Demo {
    fn start() -> Self {
        let mut child = command().args(["demo", "--nodes", "3"]).spawn().expect("the binary starts");
        let mut out = BufReader::new(child.stdout.take().expect("its output is piped"));
        let lines = out.by_ref().lines().map(|line| line.expect("text"));
        let lines: Vec<String> = lines.take_while(|line| line != "ready").collect();
        let directory = lines.iter().find_map(|line| line.strip_prefix("Starting 3 nodes in ")?.strip_suffix(" …"));
        let nodes: Vec<&String> = lines.iter().filter(|line| line.trim_start().starts_with("node ")).collect();
        let url = |line: &&String| line.split_whitespace().nth(2).expect("a URL").to_owned();
        let process = |line: &&String| {
            let number = line.split("(process ").nth(1).and_then(|rest| rest.trim_end_matches(')').parse().ok());
            number.expect("a process")
        };
        Self {
            directory: directory.expect("it says where").into(),
            urls: nodes.iter().map(url).collect(),
            processes: nodes.iter().map(process).collect(),
            child,
            out,
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(sent.expect("the shell starts").success());
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_serves_its_data_from_every_node_and_leaves_nothing_behind() {
    let mut demo = Demo::start();
    assert_eq!(demo.urls.len(), 3);
    for url in &demo.urls {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
        tokio::spawn(async move { drop(connection.await) });
        let sql = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM order_items)";
        let row = client.query_one(sql, &[]).await.expect("sample data");
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2000, 4000));
    }
    let complete = demo.out.by_ref().lines().map_while(Result::ok).any(|line| line == "Every shard has its replicas.");
    assert!(complete);
    demo.signal("TERM");
    assert!(demo.child.wait().expect("it ends").success());
    assert!(!demo.directory.exists());
    assert!(!demo.processes.iter().any(|process| runs(*process)));
}

#[test]
fn the_nodes_of_a_demo_end_even_if_it_is_killed() {
    let mut demo = Demo::start();
    demo.signal("KILL");
    assert!(!demo.child.wait().expect("it ends").success());
    eventually("the nodes end", || !demo.processes.iter().any(|process| runs(*process)));
    std::fs::remove_dir_all(&demo.directory).expect("its directory is there");
}

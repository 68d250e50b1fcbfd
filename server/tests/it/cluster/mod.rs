//! Clusters of several processes.

mod checksums;
mod demo;
mod joining;
mod leaving;
mod past;
mod refusals;
mod scans;
mod settings;
mod strays;

use std::{path::Path, process::Output, time::Duration};

use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use crate::process::{Process, command, directory};

/// Looks before something that must come has not come.
const LOOKS: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// Nodes of one cluster, each with a directory of its own.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Process>,
}

impl Cluster {
    /// Starts the first node alone.
    pub(crate) fn one() -> Self {
        Self { nodes: vec![Process::start()] }
    }

    /// Starts several nodes and waits until every shard has its replicas.
    pub(crate) fn start(count: usize) -> Self {
        let mut cluster = Self::one();
        (1..count).for_each(|_| cluster.join());
        cluster.settle();
        cluster
    }

    /// Adds a node.
    pub(crate) fn join(&mut self) {
        let join = rpc_address(&self.nodes[0]);
        self.nodes.push(Process::start_with(directory(), &["--join", &join]));
    }

    /// Waits until nothing is left to do.
    pub(crate) fn settle(&self) {
        let nodes = self.nodes.len();
        let what = format!("{nodes} nodes with all replicas");
        eventually(&what, || {
            let status = self.json(&["cluster", "status"]);
            let number = |name: &str| status[name].as_u64();
            number("live_nodes") == Some(nodes as u64)
                && number("under_replicated_shards") == Some(0)
                && number("shards_without_leader") == Some(0)
                && (nodes < 3 || status["meta_members"].as_array().is_some_and(|members| members.len() >= 3))
        });
    }

    /// Runs a command of the binary against the first node.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = command();
        command.args(arguments).args(["--sql-addr", &self.nodes[0].sql.to_string()]);
        command.output().expect("the binary starts")
    }

    /// The JSON that a command prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// What a command says that is to fail.
    pub(crate) fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    /// The number by which the cluster knows a process.
    pub(crate) fn number(&self, at: usize) -> String {
        let address = self.nodes[at].sql.to_string();
        let nodes = self.json(&["node", "status"]);
        let node = nodes.as_array().into_iter().flatten().find(|node| node["sql_address"] == address.as_str());
        node.expect("the node is known")["node_id"].to_string()
    }
}

/// What a command said on stderr.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Where a node talks to others.
pub(crate) fn rpc_address(process: &Process) -> String {
    let line = process.banner.iter().find_map(|line| line.trim().strip_prefix("rpc"));
    line.expect("it says where it listens").trim().to_owned()
}

/// A client of one node.
pub(crate) async fn client(process: &Process) -> Client {
    let url = format!("postgresql://postgres@{}/postgres", process.sql);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a connection");
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// A number that a node tells of itself.
pub(crate) fn metric(process: &Process, name: &str) -> u64 {
    let (_, text) = crate::http::get(process.http, "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect("the metric is there").parse().expect("a number")
}

/// Looks again and again until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if is_so() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("this did not come: {what}");
}

/// Whether a process runs. One that has ended and that nobody has asked about yet does not.
pub(crate) fn runs(process: u64) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

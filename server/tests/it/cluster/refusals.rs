//! What is refused, and how that is said.

use std::net::TcpListener;

use super::{Cluster, client, rpc_address, said};
use crate::process::{command, data, directory, start_arguments};

#[test]
fn commands_say_what_is_wrong() {
    let cluster = Cluster::one();
    assert!(cluster.refusal(&["node", "drain", "9"]).contains("node 9 does not exist"));
    assert!(cluster.refusal(&["node", "decommission", "1"]).contains("too few nodes"));
    let run = |address: &str| {
        let output = command().args(["node", "status", "--sql-addr", address]).output().expect("the binary starts");
        assert_eq!(output.status.code(), Some(1));
        said(&output)
    };
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").to_string();
    assert!(run(&free).contains(&format!("could not connect to {free}")));
    assert!(run("no address").contains("is neither an address"));
    let rpc = rpc_address(&cluster.nodes[0]);
    assert!(run(&rpc).contains(&format!("could not connect to {rpc}")));
    let usage = command().args(["node", "drain"]).output().expect("the binary starts");
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_client_without_privileges_changes_nothing() {
    let cluster = Cluster::one();
    let sql = cluster.nodes[0].sql;
    let as_root = format!("postgresql://postgres@{sql}/postgres");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        client(&cluster.nodes[0]).await.batch_execute("CREATE ROLE guest LOGIN").await.expect("a role");
    });
    let run = |url: &str, arguments: &[&str]| {
        command().args(arguments).args(["--sql-addr", url]).output().expect("the binary starts")
    };
    let as_guest = format!("postgresql://guest@{sql}/postgres");
    let refused = run(&as_guest, &["node", "drain", "1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("permission denied"), "{}", said(&refused));
    assert!(run(&as_guest, &["node", "status"]).status.success());
    assert!(run(&as_root, &["cluster", "status"]).status.success());
}

#[test]
fn joining_something_else_says_what_is_there() {
    let cluster = Cluster::one();
    let place = directory();
    let mut start = command();
    // The address where clients connect, not the one for nodes.
    let wrong = cluster.nodes[0].sql.to_string();
    start.args(start_arguments(&data(&place))).args(["--join", &wrong]);
    let mut child = start.stderr(std::process::Stdio::piped()).spawn().expect("the binary starts");
    let log = std::io::BufReader::new(child.stderr.take().expect("its log is piped"));
    let line = std::io::BufRead::lines(log).map_while(Result::ok).find(|line| line.contains("lets this one in"));
    child.kill().expect("it still waits");
    child.wait().expect("it has ended");
    let line = line.expect("it says that it waits");
    assert!(line.contains(&format!("{wrong}: who listens there does not answer as a node does")), "{line}");
}

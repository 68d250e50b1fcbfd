//! Nodes of one process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use proto::NodeId;
use sharddb_proto as proto;
use sharddb_rpc::{Identity, Nodes, PeerState, Security, Server, Timing};
use tokio::net::TcpListener;

use crate::probe::{Probe, Probed};

/// Far longer than anything takes; a test that fails must end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node that runs.
pub(crate) struct Running {
    pub(crate) nodes: Nodes,
    pub(crate) probe: Arc<Probe>,
    pub(crate) server: Server,
}

impl Running {
    pub(crate) fn address(&self) -> String {
        self.server.address().to_string()
    }
}

pub(crate) fn identity(node: u64, incarnation: u64) -> Identity {
    Identity { cluster_id: "cluster".to_owned(), node: NodeId(node), incarnation }
}

/// Starts a node that knows nobody.
pub(crate) async fn start(identity: Identity, security: Security, timing: Timing, address: &str) -> Running {
    let listener = TcpListener::bind(address).await.expect("an address");
    let (nodes, probe) = (Nodes::new(identity, security, timing), Arc::new(Probe::default()));
    let server = Server::start(listener, nodes.clone(), Arc::new(Probed(Arc::clone(&probe)))).expect("a server");
    Running { nodes, probe, server }
}

/// Bounds that a machine with much else to do keeps, too.
pub(crate) fn patient() -> Timing {
    Timing { connect: PATIENCE, ping_timeout: PATIENCE, ..Timing::default() }
}

pub(crate) async fn start_plain(node: u64) -> Running {
    start(identity(node, 1), Security::loopback_only(), patient(), "127.0.0.1:0").await
}

/// Tells every node of every node.
pub(crate) fn introduce(nodes: &[&Running]) {
    let book: Vec<_> = nodes.iter().map(|node| (node.nodes.own(), node.address())).collect();
    nodes.iter().for_each(|node| node.nodes.set_members(book.clone()));
}

/// Nodes 1 and 2, which know each other.
pub(crate) async fn pair() -> (Running, Running) {
    let (one, two) = (start_plain(1).await, start_plain(2).await);
    introduce(&[&one, &two]);
    (one, two)
}

/// An address where nobody listens.
pub(crate) async fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
    listener.local_addr().expect("an address")
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}

/// Waits until the connection to a node is in trouble; answers what is told of it.
pub(crate) async fn until_down(nodes: &Nodes, node: u64) -> String {
    let mut reason = String::new();
    let down = || match nodes.state(NodeId(node)) {
        PeerState::Down(why) => {
            reason = why;
            true
        }
        PeerState::Unknown | PeerState::Idle | PeerState::Up => false,
    };
    until("the node is down", down).await;
    reason
}

/// Waits until the trouble with a node is told of in these words.
pub(crate) async fn until_told(nodes: &Nodes, node: u64, words: &str) {
    let told = || matches!(nodes.state(NodeId(node)), PeerState::Down(reason) if reason.contains(words));
    until(words, told).await;
}

//! Who may talk to this node: the judgement of a greeting, and the nodes that are connected.
//!
//! A node's incarnation rises with each of its starts. A later incarnation takes the place of an earlier one, whose
//! connections are closed; an earlier one is refused, and so is a second process that claims the same incarnation while the
//! first is connected (a copied data directory, say).

use std::collections::VecDeque;

use ahash::AHashMap;
use parking_lot::Mutex;
use proto::{
    NodeId,
    rpc::{Hello, JoinRequest, Welcome},
};
use sharddb_proto as proto;
use tokio_util::sync::CancellationToken;

use crate::limits::{CONNECTIONS_PER_NODE_MAX, VERSION_MAX, VERSION_MIN};

/// Who this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster_id: String,
    /// The node.
    pub node: NodeId,
    /// Rises with every start of the node.
    pub incarnation: u64,
}

impl Identity {
    /// The greeting for another node.
    pub(crate) fn hello(&self, to: NodeId, process: u64) -> Hello {
        Hello {
            cluster_id: self.cluster_id.clone(),
            node: self.node.0,
            incarnation: self.incarnation,
            process,
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            to: to.0,
        }
    }

    /// Whether a process with this greeting belongs to the cluster: the version to speak, or why not.
    fn judge(&self, hello: &Hello, known: bool) -> Result<u32, String> {
        let (own, node) = (self.node.0, hello.node);
        let version = agree(hello.version_min, hello.version_max)?;
        if hello.cluster_id != self.cluster_id {
            return Err(format!(
                "node {node} belongs to cluster \"{}\", and node {own} to cluster \"{}\"",
                hello.cluster_id, self.cluster_id
            ));
        }
        if hello.to != own {
            return Err(format!("node {} was meant, and this is node {own}", hello.to));
        }
        if node == own {
            return Err(format!("another process calls itself node {node}"));
        }
        if !known {
            return Err(format!("node {node} is not a member of the cluster"));
        }
        Ok(version)
    }

    /// Whether a process may ask to join: why not.
    pub(crate) fn judge_wish(&self, wish: &JoinRequest) -> Result<(), String> {
        agree(wish.version_min, wish.version_max)?;
        if !wish.cluster_id.is_empty() && wish.cluster_id != self.cluster_id {
            return Err(format!(
                "this is node {} of cluster \"{}\", and cluster \"{}\" was meant",
                self.node.0, self.cluster_id, wish.cluster_id
            ));
        }
        Ok(())
    }
}

/// The newest version that both sides speak.
fn agree(min: u32, max: u32) -> Result<u32, String> {
    let version = max.min(VERSION_MAX);
    if version < min.max(VERSION_MIN) {
        return Err(format!(
            "protocol versions {min} to {max} have nothing in common with versions {VERSION_MIN} to {VERSION_MAX}"
        ));
    }
    Ok(version)
}

/// Refusals that are remembered so as not to be told again each time the same node tries.
const REFUSALS_MAX: usize = 32;

/// The nodes that are connected to this one.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    nodes: Mutex<AHashMap<u64, Seen>>,
    refusals: Mutex<VecDeque<String>>,
}

#[derive(Debug, Default)]
struct Seen {
    incarnation: u64,
    process: u64,
    /// What ends the connections, oldest first.
    connections: Vec<CancellationToken>,
}

impl Roster {
    /// Judges a greeting and, if it is good, enters the connection that `closing` ends.
    pub(crate) fn admit(
        &self,
        own: &Identity,
        hello: &Hello,
        known: bool,
        closing: &CancellationToken,
    ) -> Result<Welcome, String> {
        let version = own.judge(hello, known)?;
        let mut nodes = self.nodes.lock();
        let seen = nodes.entry(hello.node).or_default();
        seen.connections.retain(|connection| !connection.is_cancelled());
        if hello.incarnation < seen.incarnation {
            return Err(format!(
                "node {} has been started again: it is in incarnation {}, not {}",
                hello.node, seen.incarnation, hello.incarnation
            ));
        }
        let other = hello.incarnation != seen.incarnation || hello.process != seen.process;
        if other && hello.incarnation == seen.incarnation && !seen.connections.is_empty() {
            return Err(format!(
                "two processes call themselves node {} in incarnation {}",
                hello.node, hello.incarnation
            ));
        }
        if other {
            seen.connections.drain(..).for_each(|connection| connection.cancel());
            (seen.incarnation, seen.process) = (hello.incarnation, hello.process);
        }
        if seen.connections.len() == CONNECTIONS_PER_NODE_MAX {
            seen.connections.remove(0).cancel();
        }
        seen.connections.push(closing.clone());
        Ok(Welcome { incarnation: own.incarnation, version })
    }

    /// Tells the operator of a refusal, once.
    pub(crate) fn tell(&self, reason: &str) {
        let mut refusals = self.refusals.lock();
        if refusals.iter().any(|told| told == reason) {
            tracing::debug!("a node was refused again: {reason}");
            return;
        }
        tracing::warn!("a node was refused: {reason}");
        refusals.truncate(REFUSALS_MAX - 1);
        refusals.push_front(reason.to_owned());
    }

    /// The incarnation of a node that greeted last, and whether it is connected.
    pub(crate) fn seen(&self, node: NodeId) -> Option<(u64, bool)> {
        let nodes = self.nodes.lock();
        let seen = nodes.get(&node.0)?;
        Some((seen.incarnation, seen.connections.iter().any(|connection| !connection.is_cancelled())))
    }

    /// Ends the connections of a node that is no member any more.
    pub(crate) fn expel(&self, node: NodeId) {
        if let Some(seen) = self.nodes.lock().get_mut(&node.0) {
            seen.connections.drain(..).for_each(|connection| connection.cancel());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(node: u64, incarnation: u64) -> Identity {
        Identity { cluster_id: "c".to_owned(), node: NodeId(node), incarnation }
    }

    fn refusal(hello: Hello, known: bool) -> String {
        let closing = CancellationToken::new();
        Roster::default().admit(&identity(1, 1), &hello, known, &closing).expect_err("refused")
    }

    fn hello(incarnation: u64, process: u64) -> Hello {
        identity(2, incarnation).hello(NodeId(1), process)
    }

    #[test]
    fn strangers_are_told_why() {
        assert!(refusal(Hello { cluster_id: "d".to_owned(), ..hello(1, 1) }, true).contains("cluster \"d\""));
        assert!(refusal(Hello { to: 3, ..hello(1, 1) }, true).contains("node 3 was meant"));
        assert!(refusal(Hello { node: 1, ..hello(1, 1) }, true).contains("another process"));
        assert!(refusal(hello(1, 1), false).contains("not a member"));
        assert!(refusal(Hello { version_min: 7, version_max: 9, ..hello(1, 1) }, true).contains("versions 7 to 9"));
        assert!(refusal(Hello { version_min: 0, version_max: 0, ..hello(1, 1) }, true).contains("versions 0 to 0"));
        // A newer node that still speaks this version is welcome.
        assert_eq!(agree(VERSION_MAX, VERSION_MAX + 5), Ok(VERSION_MAX));
    }

    #[test]
    fn a_later_incarnation_takes_the_place_of_an_earlier_one() {
        let (roster, own) = (Roster::default(), identity(1, 9));
        let (first, second, third) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        assert!(roster.admit(&own, &hello(5, 1), true, &first).is_ok());
        assert!(roster.admit(&own, &hello(5, 1), true, &second).is_ok(), "a second connection of the same process");
        assert!(!first.is_cancelled());
        assert!(roster.admit(&own, &hello(5, 2), true, &third).is_err(), "a second process");
        assert!(roster.admit(&own, &hello(6, 3), true, &third).is_ok());
        assert!(first.is_cancelled() && second.is_cancelled());
        assert!(roster.admit(&own, &hello(5, 1), true, &first).is_err(), "the earlier incarnation");
        third.cancel();
        assert!(roster.admit(&own, &hello(6, 4), true, &CancellationToken::new()).is_ok(), "the first is gone");
    }

    #[test]
    fn a_node_has_few_connections() {
        let (roster, own) = (Roster::default(), identity(1, 1));
        let connections: Vec<_> = (0..=CONNECTIONS_PER_NODE_MAX).map(|_| CancellationToken::new()).collect();
        for connection in &connections {
            assert!(roster.admit(&own, &hello(1, 1), true, connection).is_ok());
        }
        assert!(connections[0].is_cancelled() && !connections[1].is_cancelled());
    }
}

//! Locks whose owners are gone: the frontend that ran their transactions was stopped, restarted or cut off.

use std::{collections::HashMap, sync::Arc, time::Duration};

use proto::{Coordinator, NodeId};
use shard::Node;
use sharddb_proto as proto;
use sharddb_shard as shard;
use tokio::time::Instant;

use super::Peers;

/// Time between looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long a coordinator may be cut off before its locks go. It may still commit: commits check versions where they miss
/// a lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// Frees the locks of coordinators that are gone, for as long as the task runs.
pub(crate) async fn release(node: Node, peers: Arc<Peers>) {
    let mut silent_since: HashMap<u64, Instant> = HashMap::new();
    let own = peers.nodes.own();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let others = peers.known();
        for other in &others {
            match peers.nodes.heard_of(NodeId(*other)) {
                Some((_, true)) => drop(silent_since.remove(other)),
                _ => drop(silent_since.entry(*other).or_insert_with(Instant::now)),
            }
        }
        silent_since.retain(|other, _| others.contains(other));
        let is_gone = |coordinator: Coordinator| {
            if coordinator.node == Coordinator::new(own, 0).node {
                return false;
            }
            let Some(other) = others.iter().find(|other| Coordinator::new(NodeId(**other), 0).node == coordinator.node)
            else {
                return true;
            };
            let born_again = peers
                .nodes
                .heard_of(NodeId(*other))
                .is_some_and(|(incarnation, _)| Coordinator::new(NodeId(*other), incarnation) != coordinator);
            born_again || silent_since.get(other).is_some_and(|since| since.elapsed() >= PATIENCE)
        };
        let released = node.release_locks_of(is_gone);
        if released > 0 {
            tracing::info!(transactions = released, "locks were freed whose coordinators are gone");
        }
    }
}

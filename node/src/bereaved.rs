//! Locks that nobody will release: their coordinator was stopped, restarted or cut off, or their transaction has ended
//! without its release having arrived.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use kv::Client;
use proto::{Coordinator, NodeId, TxnId};
use shard::{Living, Node};
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_shard as shard;
use tokio::time::{Instant, timeout};

use crate::Peers;

/// Time between looks.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long a coordinator may be cut off before its transactions count as gone. Those that only lose locks may still
/// commit: commits check versions where they miss a lock.
const PATIENCE: Duration = Duration::from_secs(1);
/// Transactions that a coordinator is asked about in one look.
const ASKED_MAX: usize = 4096;
/// How long an answer may take; the next look asks again.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(500);

/// Frees such locks of a node, and tells it whose intents need not be waited for.
pub(crate) struct Bereaved {
    pub(crate) node: Node,
    /// Of this process, the coordinator `own` in its `incarnation`-th life.
    pub(crate) client: Client,
    pub(crate) own: NodeId,
    pub(crate) incarnation: u64,
    /// None for a node that stands alone.
    pub(crate) peers: Option<Arc<dyn Peers>>,
}

impl Bereaved {
    /// Works for as long as the task runs.
    pub(crate) async fn release(self) {
        let mut silent_since: HashMap<u64, Instant> = HashMap::new();
        let mut seen: HashSet<TxnId> = HashSet::new();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let released = self.node.note_living(self.living(&mut silent_since));
            if released > 0 {
                tracing::info!(transactions = released, "locks were freed whose coordinators are gone");
            }
            let owners = self.node.lock_owners();
            // Most transactions end by themselves between two looks.
            let suspects = owners.iter().copied().filter(|txn| seen.contains(txn));
            self.release_ended(suspects).await;
            seen = owners.into_iter().collect();
        }
    }

    /// This process, and those of other nodes; who is connected or was a moment ago is heard.
    fn living(&self, silent_since: &mut HashMap<u64, Instant>) -> Living {
        let mut living = Living::default();
        living.add(self.own, Some(self.incarnation), true);
        let Some(peers) = &self.peers else { return living };
        let others = peers.known();
        silent_since.retain(|other, _| others.contains(other));
        for other in others.into_iter().filter(|other| *other != self.own.0) {
            let heard = peers.heard_of(NodeId(other));
            let is_connected = heard.is_some_and(|(_, connected)| connected);
            if is_connected {
                silent_since.remove(&other);
            }
            let is_heard = is_connected || silent_since.entry(other).or_insert_with(Instant::now).elapsed() < PATIENCE;
            living.add(NodeId(other), heard.map(|(incarnation, _)| incarnation), is_heard);
        }
        living
    }

    /// Frees the locks of those transactions that have ended, as their coordinators say.
    async fn release_ended(&self, suspects: impl Iterator<Item = TxnId>) {
        let mut by_node: BTreeMap<u64, Vec<TxnId>> = BTreeMap::new();
        for txn in suspects {
            by_node.entry(txn.coordinator().node).or_default().push(txn);
        }
        for (node, mut txns) in by_node {
            txns.truncate(ASKED_MAX);
            let ended = self.ended(node, txns).await;
            if !ended.is_empty() {
                tracing::info!(transactions = ended.len(), "locks were freed that ended transactions have left behind");
            }
            self.node.release_locks(&ended);
        }
    }

    async fn ended(&self, coordinator: u64, txns: Vec<TxnId>) -> Vec<TxnId> {
        if is_at(txns[0].coordinator(), self.own) {
            return self.client.ended(txns);
        }
        let others = self.peers.as_ref().map(|peers| peers.known()).unwrap_or_default();
        let named = |other: &&u64| Coordinator::new(NodeId(**other), 0).node == coordinator;
        let Some(node) = others.iter().find(named) else { return Vec::new() };
        timeout(ANSWER_TIME_MAX, self.client.find_ended(NodeId(*node), &txns)).await.ok().flatten().unwrap_or_default()
    }
}

/// Whether a coordinator is a process on this node.
fn is_at(coordinator: Coordinator, node: NodeId) -> bool {
    coordinator.node == Coordinator::new(node, 0).node
}

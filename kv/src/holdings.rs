//! Where a transaction may hold locks, and that it still runs.
//!
//! A lock may be granted to a request whose answer was lost, or after the transaction has ended. So whoever keeps locks
//! asks their coordinators now and then which transactions have ended (`Client::ended`).
//!
//! # Invariants
//! * A transaction is among those that run from before its first lock is asked for until its locks were released, as far
//!   as the nodes could be reached.

use std::collections::HashSet;

use parking_lot::Mutex;
use proto::{
    NodeId, TxnId,
    kv::{self, request},
};
use sharddb_proto as proto;

use crate::Client;

/// Parts of the set, so that sessions do not wait for each other.
const PARTS: usize = 16;

/// The transactions of this process that may hold locks.
#[derive(Default)]
pub(crate) struct Running {
    parts: [Mutex<HashSet<TxnId, ahash::RandomState>>; PARTS],
}

impl Running {
    fn part(&self, txn: TxnId) -> &Mutex<HashSet<TxnId, ahash::RandomState>> {
        &self.parts[txn.0 as usize % PARTS]
    }
}

/// Nodes whose lock tables may hold something of a transaction. Dropped without being released, it leaves the locks for
/// those who ask.
#[derive(Default)]
pub(crate) struct Holdings {
    nodes: Vec<NodeId>,
    run: Option<Run>,
}

/// A transaction among those that run.
struct Run {
    client: Client,
    txn: TxnId,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.client.inner.running.part(self.txn).lock().remove(&self.txn);
    }
}

impl Holdings {
    /// Notes that the transaction is about to ask for a lock at a node.
    pub(crate) fn note(&mut self, client: &Client, txn: TxnId, node: NodeId) {
        if self.run.is_none() {
            client.inner.running.part(txn).lock().insert(txn);
            self.run = Some(Run { client: client.clone(), txn });
        }
        if !self.nodes.contains(&node) {
            self.nodes.push(node);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Releases everything, but at a node that has done so by itself.
    pub(crate) async fn release_but(mut self, done: Option<NodeId>) {
        self.nodes.retain(|node| Some(*node) != done);
        self.release_keys(Vec::new()).await;
    }

    pub(crate) async fn release(self) {
        self.release_but(None).await;
    }

    /// Releases some keys, or everything.
    pub(crate) async fn release_keys(&self, keys: Vec<bytes::Bytes>) {
        let Some(run) = &self.run else { return };
        for node in &self.nodes {
            let header = kv::Header { txn: run.txn.0, ..kv::Header::default() };
            let release = kv::ReleaseLocks { keys: keys.clone() };
            run.client.exchange(*node, header, request::Body::ReleaseLocks(release)).await;
        }
    }
}

impl Client {
    /// Those of this process's transactions that hold no lock on purpose any more.
    pub fn ended(&self, txns: impl IntoIterator<Item = TxnId>) -> Vec<TxnId> {
        let ended = |txn: &TxnId| !self.inner.running.part(*txn).lock().contains(txn);
        txns.into_iter().filter(ended).collect()
    }

    /// Asks the process on a node which of its transactions have ended; `None` without an answer.
    pub async fn find_ended(&self, node: NodeId, txns: &[TxnId]) -> Option<Vec<TxnId>> {
        let find = kv::FindEnded { txns: txns.iter().map(|txn| txn.0).collect() };
        match self.exchange(node, kv::Header::default(), request::Body::FindEnded(find)).await {
            Some(kv::response::Body::Ended(ended)) => Some(ended.txns.into_iter().map(TxnId).collect()),
            _ => None,
        }
    }
}

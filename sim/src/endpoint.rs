//! A node's side of the network: the transports that its layers are given.

use std::{sync::Arc, time::Duration};

use kv::BoxFuture;
use meta::MetaTransport;
use parking_lot::Mutex;
use proto::{
    NodeId,
    kv::{Failure, Request, Response, failure::Kind, response},
    meta::{Answer, Call, Node as NodeRecord, NodeState},
    raft::{FetchSnapshot, Message, SnapshotChunk},
};
use raft::TransportError;
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_node::{Hub, Peers};
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_shard as shard;
use tokio_util::sync::CancellationToken;

use crate::{
    describe,
    network::{Lost, Network},
};

/// Longest time that a request takes at a node.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// How long the tasks of a process that has ended wait for answers that never come.
const NEVER: Duration = Duration::from_secs(5);

/// Who a node is, as its disk remembers it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    pub(crate) cluster_id: String,
    pub(crate) incarnation: u64,
    pub(crate) meta_members: Vec<u64>,
    /// The other nodes.
    pub(crate) known: Vec<u64>,
}

/// What one life of a node sends. Nothing leaves it once that has ended.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) node: u64,
    pub(crate) incarnation: u64,
    pub(crate) life: CancellationToken,
    pub(crate) network: Network,
    pub(crate) identity: Arc<Mutex<Identity>>,
}

impl Endpoint {
    async fn call<F: Future>(&self, to: u64, what: String, work: impl FnOnce(Hub) -> F) -> Result<F::Output, Lost> {
        let answer = async {
            if self.life.is_cancelled() {
                return Err(Lost::Unreachable);
            }
            self.network.call((self.node, self.incarnation), to, &what, work).await
        };
        let answer = answer.await;
        if self.life.is_cancelled() {
            tokio::time::sleep(NEVER).await;
            return Err(Lost::Ambiguous);
        }
        answer
    }
}

impl raft::Transport for Endpoint {
    fn send(&self, node: u64, message: Message) {
        if !self.life.is_cancelled() {
            self.network.send(self.node, self.incarnation, node, message);
        }
    }

    fn fetch(&self, node: u64, request: FetchSnapshot) -> BoxFuture<'_, Result<SnapshotChunk, TransportError>> {
        Box::pin(async move {
            let fetched = self.call(node, "fetch".to_owned(), move |hub: Hub| hub.fetch_snapshot(request));
            fetched.await.unwrap_or_else(|_| Err(TransportError::Unreachable("no answer".to_owned())))
        })
    }
}

impl MetaTransport for Endpoint {
    fn call(&self, node: u64, call: Call, patience: Duration) -> BoxFuture<'_, Result<Answer, String>> {
        Box::pin(async move {
            let what = describe::call(&call);
            let answer = self.call(node, what, move |hub: Hub| hub.meta(call));
            match tokio::time::timeout(patience, answer).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err("no answer".to_owned()),
                Err(_) => Err("no answer in time".to_owned()),
            }
        })
    }
}

fn failed(kind: Kind) -> Response {
    Response { body: Some(response::Body::Failure(Failure { kind: Some(kind) })), ..Response::default() }
}

/// The way to the shards of all nodes from one of them.
pub(crate) struct Ways {
    pub(crate) near: shard::Node,
    pub(crate) far: Endpoint,
}

impl kv::Transport for Ways {
    fn others(&self) -> Vec<NodeId> {
        self.far.identity.lock().known.iter().map(|node| NodeId(*node)).collect()
    }

    fn call<'a>(&'a self, node: NodeId, request: Request) -> BoxFuture<'a, Response> {
        if node.0 == self.far.node {
            return Box::pin(self.near.execute(request));
        }
        Box::pin(async move {
            let what = describe::request(&request);
            let work = move |hub: Hub| async move {
                let late = |_| failed(Kind::Ambiguous("it took too long".to_owned()));
                tokio::time::timeout(REQUEST_MAX, hub.request(request)).await.unwrap_or_else(late)
            };
            match self.far.call(node.0, what, work).await {
                Ok(response) => response,
                Err(Lost::Unreachable) => failed(Kind::Unreachable(format!("{node} cannot be reached"))),
                Err(Lost::Ambiguous) => failed(Kind::Ambiguous(format!("no answer of {node}"))),
            }
        })
    }
}

impl Peers for Endpoint {
    fn known(&self) -> Vec<u64> {
        self.identity.lock().known.clone()
    }

    fn heard_of(&self, node: NodeId) -> Option<(u64, bool)> {
        self.network.heard_of(self.node, node.0)
    }

    fn learn(&self, records: Vec<NodeRecord>, meta_members: Vec<u64>) {
        if self.life.is_cancelled() {
            return;
        }
        let others = records.iter().filter(|record| record.id != self.node && record.state() != NodeState::Gone);
        let mut identity = self.identity.lock();
        identity.known = others.map(|record| record.id).collect();
        identity.meta_members = meta_members;
    }

    fn disk(&self) -> (u64, u64) {
        (0, 0)
    }
}

//! What this node does with the calls of others.

use std::sync::{Arc, OnceLock};

use fragment::{FragmentError, FragmentStream};
use futures::{StreamExt, future::BoxFuture, stream};
use meta::RemoteMeta;
use proto::{
    CatalogVersion, NodeId, TxnId,
    kv::{self, failure, request, response},
    meta as wire,
    raft::{FetchSnapshot, Message, SnapshotChunk},
    rpc::{JoinAnswer, JoinRequest, Joined, join_answer},
};
use raft::{RaftHost, TransportError};
use shard::Node;
use sharddb_fragment as fragment;
use sharddb_kv::Client;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_shard as shard;

use crate::meta_member::MetaMember;

/// The layers of this node, as far as they have started. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    raft: Arc<RaftHost>,
    layers: Arc<Layers>,
}

#[derive(Default)]
struct Layers {
    node: OnceLock<Node>,
    client: OnceLock<Client>,
    meta: OnceLock<RemoteMeta>,
    member: OnceLock<MetaMember>,
}

impl Hub {
    /// A hub of a host whose layers above are yet to start.
    pub fn new(raft: Arc<RaftHost>) -> Self {
        Self { raft, layers: Arc::default() }
    }

    /// Begins to answer calls to the meta group.
    pub(crate) fn serve_meta(&self, meta: RemoteMeta) {
        // Set once, when the node starts.
        let _ = self.layers.meta.set(meta);
    }

    /// Begins to answer questions about the transactions of this process.
    pub(crate) fn serve_client(&self, client: Client) {
        let _ = self.layers.client.set(client);
    }

    /// Begins to answer requests to shards, and to have a member of the meta group if that is wanted.
    pub(crate) fn serve_node(&self, node: Node, member: MetaMember) {
        let _ = self.layers.node.set(node);
        let _ = self.layers.member.set(member);
    }

    /// The Raft groups of the node.
    pub fn raft_host(&self) -> &Arc<RaftHost> {
        &self.raft
    }

    /// Carries out a request to a shard of this node. Dropping the future gives up; what was proposed goes on.
    pub fn request(&self, request: kv::Request) -> BoxFuture<'static, kv::Response> {
        let layers = Arc::clone(&self.layers);
        Box::pin(async move {
            let (Some(node), Some(member)) = (layers.node.get(), layers.member.get()) else {
                return failed(starting());
            };
            let (shard, version) =
                request.header.as_ref().map_or((0, 0), |header| (header.shard, header.catalog_version));
            let news = layers.meta.get();
            if let Some(meta) = news {
                meta.note_catalog(CatalogVersion(version));
            }
            let answer = match &request.body {
                Some(request::Body::CreateReplica(_)) if shard == meta::placement::META => member.begin().await,
                Some(request::Body::DeleteReplica(_)) if shard == meta::placement::META => member.end().await,
                Some(request::Body::FindEnded(find)) => {
                    layers.client.get().map_or_else(|| failed(starting()), |client| ended(client, find))
                }
                _ => node.execute(request).await,
            };
            let catalog_version = news.map_or(0, |meta| meta.newest_catalog_version().0);
            kv::Response { catalog_version, ..answer }
        })
    }

    /// Runs a fragment at a shard of this node.
    pub fn fragment(&self, request: kv::Fragment) -> FragmentStream {
        if let (Some(meta), Some(header)) = (self.layers.meta.get(), &request.header) {
            meta.note_catalog(CatalogVersion(header.catalog_version));
        }
        match self.layers.node.get() {
            Some(node) => node.fragment(request),
            None => stream::once(async { Err(FragmentError::Refused(starting())) }).boxed(),
        }
    }

    /// Takes a message of consensus. Never blocks.
    pub fn raft(&self, from: NodeId, message: Message) {
        self.raft.receive(from.0, message);
    }

    /// Reads a part of a snapshot that this node offered.
    pub fn fetch_snapshot(&self, request: FetchSnapshot) -> BoxFuture<'static, Result<SnapshotChunk, TransportError>> {
        let raft = Arc::clone(&self.raft);
        Box::pin(async move { raft.serve_snapshot(request).await })
    }

    /// Answers a call to the meta group as this node's member knows it.
    pub fn meta(&self, call: wire::Call) -> BoxFuture<'static, wire::Answer> {
        let local = self.layers.meta.get().and_then(RemoteMeta::local);
        Box::pin(async move {
            match local {
                Some(meta) => meta.call(call).await,
                None => {
                    let nobody = wire::NotLeader { leader: 0 };
                    wire::Answer { body: Some(wire::answer::Body::NotLeader(nobody)) }
                }
            }
        })
    }

    /// Decides about a process that wants to become a node of this cluster.
    pub fn join(&self, request: JoinRequest) -> BoxFuture<'static, JoinAnswer> {
        let layers = Arc::clone(&self.layers);
        Box::pin(async move {
            // Whoever founds a cluster has set it up by the time that it has a client.
            let outcome = match layers.meta.get().filter(|_| layers.client.get().is_some()) {
                None => join_answer::Outcome::Later("the node that was asked is starting".to_owned()),
                Some(meta) => match admit(meta, request.node.unwrap_or_default()).await {
                    Ok(joined) => join_answer::Outcome::Joined(joined),
                    Err(error @ sharddb_kv::Error::Unavailable { .. }) => {
                        join_answer::Outcome::Later(error.to_string())
                    }
                    Err(error) => join_answer::Outcome::Refused(error.to_string()),
                },
            };
            JoinAnswer { outcome: Some(outcome) }
        })
    }
}

fn failed(kind: failure::Kind) -> kv::Response {
    kv::Response { body: Some(response::Body::Failure(kv::Failure { kind: Some(kind) })), ..kv::Response::default() }
}

fn ended(client: &Client, find: &kv::FindEnded) -> kv::Response {
    let txns = client.ended(find.txns.iter().map(|txn| TxnId(*txn)));
    let ended = kv::Ended { txns: txns.into_iter().map(|txn| txn.0).collect() };
    kv::Response { body: Some(response::Body::Ended(ended)), ..kv::Response::default() }
}

fn starting() -> failure::Kind {
    failure::Kind::Unreachable("the node is starting".to_owned())
}

async fn admit(meta: &RemoteMeta, node: wire::Node) -> sharddb_kv::Result<Joined> {
    let joined = meta.join(node).await?;
    let nodes = meta.nodes().await?;
    Ok(Joined {
        cluster_id: joined.cluster_id,
        node: joined.node,
        members: nodes.nodes.into_iter().filter_map(|report| report.node).collect(),
        meta_members: nodes.meta_members,
    })
}

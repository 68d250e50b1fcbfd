//! The other nodes as this process reaches them.

use std::{sync::Arc, time::Duration};

use ahash::AHashMap;
use arc_swap::ArcSwap;
use fragment::{FragmentStream, FragmentTransport};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use prost::Message as _;
use proto::{
    NodeId, SqlState,
    kv::{self, failure, request},
    meta::{Answer, Call, Node},
    raft::{FetchSnapshot, Message, SnapshotChunk},
    rpc::{Envelope, JoinAnswer, JoinRequest, envelope::Body, snapshot_answer},
};
use raft::TransportError;
use sharddb_fragment as fragment;
use sharddb_kv::{self as kv_client};
use sharddb_meta::MetaTransport;
use sharddb_proto as proto;
use sharddb_raft as raft;

use crate::{
    CallError, Identity, Security, Timing, dial, fragments,
    greeting::Roster,
    limits::{BULK_BYTES, ENVELOPE_BYTES_MAX, VERSION_MAX, VERSION_MIN},
    link::{Link, UNNUMBERED, within},
    link_server::failed,
    peer::Peer,
};

/// The other nodes as this process reaches them. Cheap to clone; the connections end with the last clone.
#[derive(Clone, Debug)]
pub struct Nodes {
    pub(crate) process: Arc<Process>,
    book: Arc<Book>,
}

/// The other nodes and their addresses.
#[derive(Debug, Default)]
struct Book {
    peers: ArcSwap<AHashMap<u64, Arc<Peer>>>,
    /// Held while the book changes.
    changing: Mutex<()>,
}

impl Drop for Book {
    /// Nobody sends any more.
    fn drop(&mut self) {
        self.peers.load().values().for_each(|peer| peer.remove());
    }
}

/// What everything in this process needs to know of it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) identity: Identity,
    /// Random; tells processes apart that believe they are the same node.
    pub(crate) number: u64,
    pub(crate) security: Security,
    pub(crate) timing: Timing,
    pub(crate) roster: Roster,
}

/// What is known of the connection to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// No node of this id is known.
    Unknown,
    /// Nothing was sent yet, or the connection is being made for the first time after a time without trouble.
    Idle,
    /// Connected.
    Up,
    /// The last attempt to connect failed; requests are refused until one succeeds.
    Down(String),
}

impl Nodes {
    /// This process, which knows no other node yet.
    pub fn new(identity: Identity, security: Security, timing: Timing) -> Self {
        let (number, roster) = (rand::random(), Roster::default());
        let process = Arc::new(Process { identity, number, security, timing, roster });
        Self { process, book: Arc::default() }
    }

    /// This node.
    pub fn own(&self) -> NodeId {
        self.process.identity.node
    }

    /// Replaces the address book: every node of the cluster and its RPC address. A node that is not in it is no member: it is
    /// neither connected to nor let in.
    pub fn set_members(&self, members: impl IntoIterator<Item = (NodeId, String)>) {
        let _changing = self.book.changing.lock();
        let before = self.book.peers.load_full();
        let mut after = AHashMap::new();
        for (node, address) in members.into_iter().filter(|(node, _)| *node != self.own()) {
            let peer = match before.get(&node.0) {
                Some(peer) => {
                    peer.move_to(&address);
                    Arc::clone(peer)
                }
                None => Arc::new(Peer::new(node, address)),
            };
            after.insert(node.0, peer);
        }
        let gone: Vec<_> = before.iter().filter(|(node, _)| !after.contains_key(node)).collect();
        self.book.peers.store(Arc::new(after));
        for (node, peer) in gone {
            peer.remove();
            self.process.roster.expel(NodeId(*node));
        }
    }

    /// Whether a node of this id is a member of the cluster, as far as is known here.
    pub fn knows(&self, node: NodeId) -> bool {
        self.book.peers.load().contains_key(&node.0)
    }

    /// Every other node of the cluster, as far as is known here.
    pub fn known(&self) -> Vec<NodeId> {
        self.book.peers.load().keys().copied().map(NodeId).collect()
    }

    /// What is known of the connection to a node.
    pub fn state(&self, node: NodeId) -> PeerState {
        match self.book.peers.load().get(&node.0).map(|peer| peer.health()) {
            None => PeerState::Unknown,
            Some((true, _)) => PeerState::Up,
            Some((false, Some(reason))) => PeerState::Down(reason),
            Some((false, None)) => PeerState::Idle,
        }
    }

    /// The incarnation of a node that connected to this one last, and whether it still is.
    pub fn heard_of(&self, node: NodeId) -> Option<(u64, bool)> {
        self.process.roster.seen(node)
    }

    /// Connects to a node if there is no connection, and waits for it.
    pub async fn reach(&self, node: NodeId) -> Result<(), CallError> {
        self.link(node)?.channel().await.map(drop)
    }

    pub(crate) fn link(&self, node: NodeId) -> Result<Arc<Link>, CallError> {
        let peers = self.book.peers.load();
        let peer = peers.get(&node.0);
        let peer = peer.ok_or_else(|| CallError::Unreachable(format!("{node} is not known here")))?;
        peer.link(&self.process).map_err(CallError::Unreachable)
    }

    async fn request(&self, link: Arc<Link>, request: kv::Request) -> kv::Response {
        let deadline = self.deadline(&request);
        let envelope = Envelope { id: UNNUMBERED, deadline_ms: millis(deadline), body: Some(Body::Request(request)) };
        let length = envelope.encoded_len();
        if length > ENVELOPE_BYTES_MAX {
            return failed(too_large(length));
        }
        let answer = if length > BULK_BYTES {
            // Boxed, so that the many small requests do not carry its room around.
            Box::pin(alone(&link, envelope, deadline)).await
        } else {
            link.call(envelope, length, deadline).await
        };
        match answer {
            Ok(Body::Answer(answer)) => answer,
            Ok(_) => failed(failure::Kind::Internal("an answer of the wrong kind".to_owned())),
            Err(error) => failed(error.into()),
        }
    }

    /// How long a request may take; zero for one that waits for a lock as long as it takes.
    fn deadline(&self, request: &kv::Request) -> Duration {
        let timing = &self.process.timing;
        let lock = |wait: i32, timeout_ms: u32| match (kv::WaitPolicy::try_from(wait), timeout_ms) {
            (Ok(kv::WaitPolicy::Block), 0) => Duration::ZERO,
            (_, timeout_ms) => timing.request + Duration::from_millis(timeout_ms.into()),
        };
        match &request.body {
            Some(request::Body::Lock(body)) => lock(body.wait, body.timeout_ms),
            Some(request::Body::LockTable(body)) => lock(body.wait, body.timeout_ms),
            Some(request::Body::Resolve(_) | request::Body::CollectGarbage(_) | request::Body::DeleteRange(_)) => {
                timing.maintenance
            }
            _ => timing.request,
        }
    }
}

fn millis(deadline: Duration) -> u32 {
    u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX)
}

fn too_large(length: usize) -> failure::Kind {
    let message = format!("the request has {length} bytes, and {ENVELOPE_BYTES_MAX} are allowed");
    failure::Kind::Refused(kv::Refused { sqlstate: SqlState::ProgramLimitExceeded.code().to_owned(), message })
}

/// Sends a large request in a stream of its own.
async fn alone(link: &Link, envelope: Envelope, deadline: Duration) -> Result<Body, CallError> {
    let mut client = link.channel().await?.client();
    let answer = within(deadline, client.call(envelope)).await;
    let answer = answer.ok_or_else(|| CallError::Ambiguous(format!("no answer within {deadline:?}")))?;
    let answer = answer.map_err(|status| CallError::Ambiguous(status.message().to_owned()))?.into_inner();
    answer.body.ok_or_else(|| CallError::Ambiguous("an empty answer".to_owned()))
}

impl kv_client::Transport for Nodes {
    fn call<'a>(&'a self, node: NodeId, request: kv::Request) -> BoxFuture<'a, kv::Response> {
        match self.link(node) {
            Ok(link) => Box::pin(self.request(link, request)),
            Err(error) => Box::pin(std::future::ready(failed(error.into()))),
        }
    }
}

impl FragmentTransport for Nodes {
    fn fragment(&self, node: NodeId, request: kv::Fragment) -> FragmentStream {
        fragments::fetch(self.link(node), node, request, self.process.timing.request)
    }
}

impl MetaTransport for Nodes {
    fn call(&self, node: u64, call: Call, patience: Duration) -> BoxFuture<'_, Result<Answer, String>> {
        Box::pin(async move {
            let body = Some(Body::MetaCall(call));
            let envelope = Envelope { id: UNNUMBERED, deadline_ms: millis(patience), body };
            let length = envelope.encoded_len();
            let link = self.link(NodeId(node)).map_err(|error| error.to_string())?;
            match link.call(envelope, length, patience).await {
                Ok(Body::MetaAnswer(answer)) => Ok(answer),
                Ok(_) => Err("an answer of the wrong kind".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

impl raft::Transport for Nodes {
    fn send(&self, node: u64, message: Message) {
        if let Ok(link) = self.link(NodeId(node)) {
            link.send(message);
        }
    }

    fn fetch(&self, node: u64, request: FetchSnapshot) -> BoxFuture<'_, Result<SnapshotChunk, TransportError>> {
        let lost = |reason: String| TransportError::Unreachable(reason);
        Box::pin(async move {
            let link = self.link(NodeId(node)).map_err(|error| lost(error.to_string()))?;
            let channel = link.channel().await.map_err(|error| lost(error.to_string()))?;
            let mut client = channel.client();
            let answer = within(self.process.timing.snapshot, client.fetch_snapshot(request)).await;
            let answer = answer.ok_or_else(|| lost("no answer in time".to_owned()))?;
            match answer.map_err(|status| lost(status.message().to_owned()))?.into_inner().outcome {
                Some(snapshot_answer::Outcome::Chunk(chunk)) => Ok(chunk),
                Some(snapshot_answer::Outcome::Gone(_)) => Err(TransportError::Gone),
                Some(snapshot_answer::Outcome::Failed(reason)) => Err(TransportError::Failed(reason)),
                None => Err(TransportError::Failed("an empty answer".to_owned())),
            }
        })
    }
}

/// Asks the node at an address to let this process, which is no node yet, into its cluster: the one with this id, or
/// whichever it is if the id is empty.
pub async fn join(
    address: &str,
    cluster_id: String,
    node: Node,
    security: &Security,
    timing: &Timing,
) -> Result<JoinAnswer, CallError> {
    let request = JoinRequest { cluster_id, version_min: VERSION_MIN, version_max: VERSION_MAX, node: Some(node) };
    let opening = tokio::time::timeout(timing.connect, dial::open(address, security, timing)).await;
    let opening = opening.unwrap_or_else(|_| Err(format!("{address}: no connection within {:?}", timing.connect)));
    let (channel, mut driver) = opening.map_err(CallError::Unreachable)?;
    let asking = tokio::time::timeout(timing.join, dial::ask_to_join(&channel, &mut driver, request)).await;
    let answer = asking.unwrap_or_else(|_| Err(format!("no answer within {:?}", timing.join)));
    let foreign = |reason| format!("{address}: who listens there does not answer as a node does ({reason})");
    answer.map_err(|reason| CallError::Ambiguous(foreign(reason)))
}

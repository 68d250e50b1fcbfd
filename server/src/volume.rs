//! A volume put together: engine, Raft log, meta group, shards, client.

use std::{path::PathBuf, sync::Arc, time::Duration};

use fragment::FragmentTransport;
use kv::Client;
use meta::{GROUP, Meta, RemoteMeta};
use proto::{Coordinator, NodeId, kv as wire, meta::Node as NodeRecord};
use raft::{
    Blocking, RaftHost, Surroundings,
    log::{Files, GroupId, LogError, LogOptions, LogStatistics, RealFiles, SharedLog},
};
use rpc::{NearAndFar, Nodes};
use shard::{Environment, Node};
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_rpc as rpc;
use sharddb_shard as shard;
use sharddb_storage as storage;
use storage::{Engine, RocksEngine, RocksOptions};
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{
    clock::{BootClock, SystemClock},
    cluster::{Bereaved, ClusterMover, Hub, JoinError, MetaMember, NodeVitals, NodeWaits, Peers},
    identity::{IdentityError, NodeIdentity},
    local::{ClientResolver, LocalFragments, LocalTransport, MetaOracle, NobodyElse},
};

/// The node that founds a cluster.
pub(crate) const FIRST_NODE: u64 = 1;
/// The shard that covers a new cluster's whole key space.
const FIRST_SHARD: u64 = 1;
/// Time between flushes that let the Raft log go. Bounds what a restart replays.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(60);
/// Time between attempts to read the range map while most of the cluster is not there.
const CLUSTER_PAUSE: Duration = Duration::from_millis(200);

/// Where and how a volume is opened.
#[derive(Clone, Debug)]
pub struct VolumeOptions {
    /// Its directory.
    pub directory: PathBuf,
    /// Sizes of the engine.
    pub engine: RocksOptions,
    /// Sizes of the Raft log.
    pub log: LogOptions,
}

/// Why a volume did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file or directory.
    #[error("could not {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Who this node is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The cluster did not let it in.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The calls between nodes.
    #[error(transparent)]
    Rpc(#[from] rpc::ServerError),
    /// The engine.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The Raft log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The meta group.
    #[error(transparent)]
    Meta(#[from] meta::Error),
    /// The shards.
    #[error(transparent)]
    Shard(#[from] shard::OpenError),
    /// The client.
    #[error(transparent)]
    Client(#[from] kv::Error),
}

/// A node's place among others.
pub(crate) struct Membership {
    pub(crate) identity: NodeIdentity,
    pub(crate) nodes: Nodes,
    pub(crate) listener: TcpListener,
    pub(crate) record: NodeRecord,
    pub(crate) directory: PathBuf,
}

/// A running volume.
pub struct Volume {
    raft: Arc<RaftHost>,
    meta: RemoteMeta,
    node: Node,
    client: Client,
    fragments: Arc<dyn FragmentTransport>,
    rpc: parking_lot::Mutex<Option<rpc::Server>>,
    tasks: Vec<AbortHandle>,
}

/// The ways to shards, here and elsewhere.
struct Ways {
    requests: Arc<dyn kv::Transport>,
    fragments: Arc<dyn FragmentTransport>,
}

impl Volume {
    /// Opens the volume of a node.
    pub(crate) async fn open(options: VolumeOptions, membership: Membership) -> Result<Self, StartError> {
        let data = options.directory.join("data");
        std::fs::create_dir_all(&data).map_err(|source| io("create the data directory", source))?;
        let engine: Arc<dyn Engine> = Arc::new(RocksEngine::open(&data, &options.engine)?);
        let files =
            RealFiles::open(&options.directory.join("raft")).map_err(|source| io("open the Raft log", source))?;
        Self::start(engine, Arc::new(files), options.log, Some(membership)).await
    }

    /// Puts the layers of a node that stands alone together over an engine and a log's files.
    pub async fn assemble(engine: Arc<dyn Engine>, files: Arc<dyn Files>, log: LogOptions) -> Result<Self, StartError> {
        Self::start(engine, files, log, None).await
    }

    async fn start(
        engine: Arc<dyn Engine>,
        files: Arc<dyn Files>,
        log: LogOptions,
        membership: Option<Membership>,
    ) -> Result<Self, StartError> {
        let log = Arc::new(SharedLog::open(files, log)?);
        let id = membership.as_ref().map_or(FIRST_NODE, |membership| membership.identity.node);
        let surroundings = membership.as_ref().map_or_else(Surroundings::alone, surroundings);
        let raft = Arc::new(RaftHost::connected(id, log, surroundings).with_one_engine());
        let hub = Hub::new(Arc::clone(&raft));
        let (record, peers, rpc) = match membership {
            None => (NodeRecord { id, ..NodeRecord::default() }, None, None),
            Some(Membership { identity, nodes, listener, record, directory }) => {
                let server = rpc::Server::start(listener, nodes.clone(), Arc::new(hub.clone()))?;
                let identity = parking_lot::Mutex::new(identity);
                (record, Some(Arc::new(Peers { nodes, directory, identity })), Some(server))
            }
        };
        let clock = Arc::new(SystemClock::new());
        let meta = start_meta(&raft, &engine, &clock, id, peers.as_deref()).await?;
        hub.serve_meta(meta.clone());
        let oracle = Arc::new(MetaOracle(meta.clone()));
        let node = Node::open(Environment::new(Arc::clone(&engine), Arc::clone(&raft), oracle)).await?;
        found(&raft, &meta, &node, &record, peers.as_deref()).await?;
        let ways = ways(&node, peers.as_deref());
        let mover = Arc::new(ClusterMover::new(Arc::clone(&raft), Arc::clone(&ways.requests)));
        let member = MetaMember::new(Arc::clone(&raft), engine, clock, meta.clone(), Arc::clone(&mover));
        hub.serve_node(node.clone(), member);
        let life = peers.as_ref().map_or(1, |peers| peers.identity.lock().incarnation);
        let client = open_client(&ways, &meta, Coordinator::new(NodeId(id), life), peers.is_some()).await?;
        hub.serve_client(client.clone());
        mover.set_client(client.clone());
        node.set_resolver(Arc::new(ClientResolver(client.clone())));
        let bereaved = Bereaved { node: node.clone(), client: client.clone(), own: NodeId(id), peers: peers.clone() };
        let heard = Default::default();
        let vitals =
            NodeVitals { record, meta: meta.clone(), node: node.clone(), client: client.clone(), peers, heard };
        let tasks = vec![
            tokio::spawn(keep_house(Arc::clone(&raft), node.clone(), client.clone())).abort_handle(),
            tokio::spawn(bereaved.release()).abort_handle(),
            meta.keep_heartbeat(Arc::new(vitals)).abort_handle(),
            meta.keep_reporting_waits(Arc::new(NodeWaits(node.clone()))).abort_handle(),
        ];
        let rpc = parking_lot::Mutex::new(rpc);
        Ok(Self { raft, meta, node, client, fragments: ways.fragments, rpc, tasks })
    }

    /// The transactional client of this process.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where the executor sends fragments.
    pub fn fragments(&self) -> Arc<dyn FragmentTransport> {
        Arc::clone(&self.fragments)
    }

    /// The meta group.
    pub fn meta(&self) -> &RemoteMeta {
        &self.meta
    }

    /// Whether this node leads the meta group.
    pub fn leads_meta(&self) -> bool {
        self.raft.group(meta::GROUP).is_some_and(|group| group.has_lease())
    }

    /// The shards.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The failure that stopped the node, if one did: it no longer accepts writes.
    pub fn failure(&self) -> Option<LogError> {
        self.raft.failure()
    }

    /// What the Raft log has done since it was opened.
    pub fn log_statistics(&self) -> LogStatistics {
        self.raft.log_statistics()
    }

    /// Returns once a failure of the Raft log or of a state machine has stopped the node. Only a restart helps.
    pub async fn failed(&self) -> LogError {
        self.raft.failed().await
    }

    /// Stops in order: log entries are applied and flushed, so that the next start replays nothing.
    pub async fn shutdown(&self) {
        self.end_tasks().await;
        compact(&self.raft).await;
        self.raft.shutdown().await;
    }

    /// Stops without flushing anything, as a crash would.
    pub async fn halt(self) {
        self.end_tasks().await;
        self.raft.shutdown().await;
    }

    async fn end_tasks(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        let server = self.rpc.lock().take();
        if let Some(server) = server {
            server.stop().await;
        }
    }
}

fn io(action: &str, source: std::io::Error) -> StartError {
    StartError::Io { action: action.to_owned(), source }
}

fn surroundings(membership: &Membership) -> Surroundings {
    Surroundings {
        transport: Arc::new(membership.nodes.clone()),
        clock: Arc::new(BootClock),
        seed: rand::random(),
        snapshots: membership.directory.join("snapshots"),
        blocking: Blocking::Threads,
    }
}

/// The meta group: with a member here, if the volume has one or founds the cluster.
async fn start_meta(
    raft: &RaftHost,
    engine: &Arc<dyn Engine>,
    clock: &Arc<SystemClock>,
    id: u64,
    peers: Option<&Peers>,
) -> Result<RemoteMeta, StartError> {
    let founds = peers.is_none_or(|peers| id == FIRST_NODE && peers.identity.lock().nodes.is_empty());
    let (engine, clock) = (Arc::clone(engine), Arc::clone(clock) as Arc<dyn meta::Clock>);
    let local = if founds {
        Some(Meta::found(raft, engine, clock).await?)
    } else if raft.known_groups().contains(&GROUP) {
        Some(Meta::start(raft, engine, clock).await?)
    } else {
        None
    };
    Ok(match peers {
        None => RemoteMeta::new(id, local, vec![id], Arc::new(NobodyElse)),
        Some(peers) => {
            let members = peers.identity.lock().meta_members.clone();
            RemoteMeta::new(id, local, members, Arc::new(peers.nodes.clone()))
        }
    })
}

/// Gives a new cluster its first shard, node and ranges.
async fn found(
    raft: &RaftHost,
    meta: &RemoteMeta,
    node: &Node,
    record: &NodeRecord,
    peers: Option<&Peers>,
) -> Result<(), StartError> {
    let is_new = meta.local().is_some_and(|local| local.leads() && local.cluster_id().is_empty());
    // An engine that was lost finds its shards again in the log.
    let is_lost = node.ranges().is_empty() && raft.known_groups().contains(&GroupId(FIRST_SHARD));
    if (is_new && node.ranges().is_empty()) || is_lost {
        node.create_shard(first_range()).await?;
    }
    if let Some(local) = meta.local().filter(|_| is_new) {
        let random = || format!("{:032x}", rand::random::<u128>());
        let cluster_id = peers.map_or_else(random, |peers| peers.identity.lock().cluster_id.clone());
        local.bootstrap(cluster_id, record.clone(), node.descriptors()).await?;
    }
    Ok(())
}

fn first_range() -> wire::Range {
    let span = Some(wire::Span::default());
    wire::Range { shard: FIRST_SHARD, span, epoch: 1, replicas: vec![FIRST_NODE] }
}

fn ways(node: &Node, peers: Option<&Peers>) -> Ways {
    let near: Arc<dyn kv::Transport> = Arc::new(LocalTransport(node.clone()));
    let fragments: Arc<dyn FragmentTransport> = Arc::new(LocalFragments(node.clone()));
    match peers {
        None => Ways { requests: near, fragments },
        Some(peers) => {
            let both = Arc::new(NearAndFar::new(near, fragments, peers.nodes.clone()));
            Ways { requests: Arc::clone(&both) as Arc<dyn kv::Transport>, fragments: both }
        }
    }
}

/// Reads the range map; a node among others waits until enough of them are there.
async fn open_client(
    ways: &Ways,
    meta: &RemoteMeta,
    coordinator: Coordinator,
    patient: bool,
) -> Result<Client, StartError> {
    loop {
        match Client::open(Arc::clone(&ways.requests), Arc::new(meta.clone()), coordinator).await {
            Ok(client) => return Ok(client),
            Err(error) if !patient => return Err(error.into()),
            Err(error) => tracing::info!(%error, "waiting for the rest of the cluster"),
        }
        tokio::time::sleep(CLUSTER_PAUSE).await;
    }
}

/// Now and then: garbage below the oldest snapshot goes, and the Raft log with what is flushed.
async fn keep_house(raft: Arc<RaftHost>, node: Node, client: Client) {
    loop {
        tokio::time::sleep(COMPACTION_INTERVAL).await;
        match client.report_safe_point().await {
            Ok(safe) => node.collect_garbage(safe).await,
            Err(error) => tracing::warn!(%error, "could not raise the safe point"),
        }
        compact(&raft).await;
    }
}

async fn compact(raft: &RaftHost) {
    if let Err(error) = raft.compact().await {
        tracing::warn!(%error, "could not compact the Raft log");
    }
}

//! A volume put together: engine, Raft log, meta group, shards, client.

use std::{path::PathBuf, sync::Arc};

use fragment::FragmentTransport;
use kv::Client;
use meta::RemoteMeta;
use node::{FIRST_NODE, Hub, Layers, LocalTransport, NobodyElse, Place};
use proto::meta::Node as NodeRecord;
use raft::{
    Blocking, RaftHost, Surroundings,
    log::{Files, LogError, LogOptions, LogStatistics, RealFiles, SharedLog},
};
use rpc::{NearAndFar, Nodes};
use shard::Node;
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_node as node;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_rpc as rpc;
use sharddb_shard as shard;
use sharddb_storage as storage;
use storage::{Engine, RocksEngine, RocksOptions};
use tokio::net::TcpListener;

use crate::{
    clock::{BootClock, SystemClock},
    cluster::{JoinError, Peers, Served},
    identity::{IdentityError, NodeIdentity},
    local::LocalFragments,
};

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
    /// The layers.
    #[error(transparent)]
    Node(#[from] node::StartError),
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
    layers: Layers,
    fragments: Arc<dyn FragmentTransport>,
    rpc: parking_lot::Mutex<Option<rpc::Server>>,
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
        let hub = Hub::new(raft);
        let (record, peers, rpc) = match membership {
            None => (NodeRecord { id, ..NodeRecord::default() }, None, None),
            Some(Membership { identity, nodes, listener, record, directory }) => {
                let server = rpc::Server::start(listener, nodes.clone(), Arc::new(Served(hub.clone())))?;
                (record, Some(Arc::new(Peers::new(nodes, directory, identity))), Some(server))
            }
        };
        let place = place(record, engine, peers.as_ref());
        let mut fragments: Option<Arc<dyn FragmentTransport>> = None;
        let layers = Layers::start(&hub, place, |node| {
            let ways = ways(node, peers.as_deref());
            fragments = Some(ways.fragments);
            ways.requests
        });
        let layers = layers.await?;
        let fragments = fragments.expect("a node that has started was given its ways");
        Ok(Self { layers, fragments, rpc: parking_lot::Mutex::new(rpc) })
    }

    /// The transactional client of this process.
    pub fn client(&self) -> &Client {
        self.layers.client()
    }

    /// Where the executor sends fragments.
    pub fn fragments(&self) -> Arc<dyn FragmentTransport> {
        Arc::clone(&self.fragments)
    }

    /// The meta group.
    pub fn meta(&self) -> &RemoteMeta {
        self.layers.meta()
    }

    /// Whether this node leads the meta group.
    pub fn leads_meta(&self) -> bool {
        self.layers.leads_meta()
    }

    /// The shards.
    pub fn node(&self) -> &Node {
        self.layers.node()
    }

    /// The failure that stopped the node, if one did: it no longer accepts writes.
    pub fn failure(&self) -> Option<LogError> {
        self.layers.failure()
    }

    /// What the Raft log has done since it was opened.
    pub fn log_statistics(&self) -> LogStatistics {
        self.layers.log_statistics()
    }

    /// Messages that Raft groups have sent to other nodes.
    pub fn raft_messages(&self) -> u64 {
        self.layers.raft().messages()
    }

    /// Returns once a failure of the Raft log or of a state machine has stopped the node. Only a restart helps.
    pub async fn failed(&self) -> LogError {
        self.layers.failed().await
    }

    /// Stops in order: log entries are applied and flushed, so that the next start replays nothing.
    pub async fn shutdown(&self) {
        self.stop_serving().await;
        self.layers.shutdown().await;
    }

    /// Stops without flushing anything, as a crash would.
    pub async fn halt(self) {
        self.stop_serving().await;
        self.layers.halt().await;
    }

    async fn stop_serving(&self) {
        self.layers.end_tasks();
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

/// What the layers are given.
fn place(record: NodeRecord, engine: Arc<dyn Engine>, peers: Option<&Arc<Peers>>) -> Place {
    let clock = Arc::new(SystemClock::new());
    let Some(peers) = peers else {
        let cluster_id = format!("{:032x}", rand::random::<u128>());
        let meta_members = vec![record.id];
        let (incarnation, founds, peers) = (1, true, None);
        let meta = Arc::new(NobodyElse);
        return Place { record, incarnation, founds, cluster_id, meta_members, engine, clock, meta, peers };
    };
    let identity = peers.identity.lock().clone();
    Place {
        incarnation: identity.incarnation,
        founds: record.id == FIRST_NODE && identity.nodes.is_empty(),
        cluster_id: identity.cluster_id,
        meta_members: identity.meta_members,
        record,
        engine,
        clock,
        meta: Arc::new(peers.nodes.clone()),
        peers: Some(Arc::clone(peers) as Arc<dyn node::Peers>),
    }
}

/// The ways to shards, here and elsewhere.
struct Ways {
    requests: Arc<dyn kv::Transport>,
    fragments: Arc<dyn FragmentTransport>,
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

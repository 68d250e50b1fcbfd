//! A volume put together: engine, Raft log, meta group, shards, client.

use std::{path::PathBuf, sync::Arc, time::Duration};

use fragment::FragmentTransport;
use kv::Client;
use meta::Meta;
use proto::{
    kv as wire,
    meta::{Node as NodeRecord, RangeDescriptor},
};
use raft::{
    RaftHost,
    log::{Files, LogError, LogOptions, LogStatistics, RealFiles, SharedLog},
};
use shard::{Environment, Node};
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_shard as shard;
use sharddb_storage as storage;
use storage::{Engine, RocksEngine, RocksOptions};

use crate::{
    clock::SystemClock,
    local::{ClientResolver, LocalFragments, LocalMeta, LocalOracle, LocalTransport},
};

/// The only node of a cluster that was not joined.
const FIRST_NODE: u64 = 1;
/// The shard that covers a new cluster's whole key space.
const FIRST_SHARD: u64 = 1;
/// Time between flushes that let the Raft log go. Bounds what a restart replays.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(60);

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

/// A running volume.
pub struct Volume {
    raft: Arc<RaftHost>,
    meta: Meta,
    node: Node,
    client: Client,
    housekeeping: tokio::task::AbortHandle,
}

impl Volume {
    /// Opens a volume; a new directory becomes a new cluster of one node.
    pub async fn open(options: VolumeOptions) -> Result<Self, StartError> {
        let data = options.directory.join("data");
        std::fs::create_dir_all(&data).map_err(|source| io("create the data directory", source))?;
        let engine: Arc<dyn Engine> = Arc::new(RocksEngine::open(&data, &options.engine)?);
        let files =
            RealFiles::open(&options.directory.join("raft")).map_err(|source| io("open the Raft log", source))?;
        Self::assemble(engine, Arc::new(files), options.log).await
    }

    /// Puts the layers together over an engine and a log's files.
    pub async fn assemble(engine: Arc<dyn Engine>, files: Arc<dyn Files>, log: LogOptions) -> Result<Self, StartError> {
        let log = Arc::new(SharedLog::open(files, log)?);
        let raft = Arc::new(RaftHost::new(FIRST_NODE, log).with_one_engine());
        let meta = Meta::start(&raft, Arc::clone(&engine), Arc::new(SystemClock::new())).await?;
        let oracle = Arc::new(LocalOracle(meta.clone()));
        let node = Node::open(Environment::new(engine, Arc::clone(&raft), oracle)).await?;
        if node.ranges().is_empty() {
            node.create_shard(first_range()).await?;
        }
        if meta.cluster_id().is_empty() {
            bootstrap(&meta).await?;
        }
        // A crash between a split and the new range map leaves the map behind; the shards know better.
        meta.put_ranges(node.ranges().into_iter().map(describe).collect()).await?;
        let client = Client::open(Arc::new(LocalTransport(node.clone())), Arc::new(LocalMeta(meta.clone()))).await?;
        node.set_resolver(Arc::new(ClientResolver(client.clone())));
        let housekeeping = tokio::spawn(keep_house(Arc::clone(&raft), client.clone())).abort_handle();
        Ok(Self { raft, meta, node, client, housekeeping })
    }

    /// The transactional client of this process.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where the executor sends fragments.
    pub fn fragments(&self) -> Arc<dyn FragmentTransport> {
        Arc::new(LocalFragments(self.node.clone()))
    }

    /// The meta group.
    pub fn meta(&self) -> &Meta {
        &self.meta
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
        self.housekeeping.abort();
        compact(&self.raft).await;
        self.raft.shutdown().await;
    }
}

impl Volume {
    /// Stops without flushing anything, as a crash would.
    pub async fn halt(self) {
        self.housekeeping.abort();
        self.raft.shutdown().await;
    }
}

fn io(action: &str, source: std::io::Error) -> StartError {
    StartError::Io { action: action.to_owned(), source }
}

fn first_range() -> wire::Range {
    let span = Some(wire::Span::default());
    wire::Range { shard: FIRST_SHARD, span, epoch: 1, replicas: vec![FIRST_NODE] }
}

async fn bootstrap(meta: &Meta) -> Result<(), StartError> {
    let node = NodeRecord { id: FIRST_NODE, ..NodeRecord::default() };
    let cluster_id = format!("{:032x}", rand::random::<u128>());
    Ok(meta.bootstrap(cluster_id, node, vec![describe(first_range())]).await?)
}

fn describe(range: wire::Range) -> RangeDescriptor {
    let span = range.span.unwrap_or_default();
    RangeDescriptor {
        shard: range.shard,
        start: span.start,
        end: span.end,
        epoch: range.epoch,
        replicas: range.replicas,
        state: "active".to_owned(),
        ..RangeDescriptor::default()
    }
}

/// Now and then: garbage below the oldest snapshot goes, and the Raft log with what is flushed.
async fn keep_house(raft: Arc<RaftHost>, client: Client) {
    loop {
        tokio::time::sleep(COMPACTION_INTERVAL).await;
        match client.report_safe_point().await {
            Ok(safe) => {
                if let Err(error) = client.collect_garbage(safe).await {
                    tracing::warn!(%error, "could not collect garbage");
                }
            }
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

//! The layers of a running node.

use std::{sync::Arc, time::Duration};

use kv::Client;
use meta::{Clock, GROUP, Meta, MetaTransport, RemoteMeta};
use proto::{Coordinator, NodeId, kv as wire, meta::Node as NodeRecord};
use raft::{
    RaftHost,
    log::{GroupId, LogError, LogStatistics},
};
use shard::{Environment, Node};
use sharddb_kv as kv;
use sharddb_meta as meta;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_shard as shard;
use sharddb_storage::Engine;
use tokio::{task::AbortHandle, time::Instant};

use crate::{
    Hub, Peers,
    bereaved::Bereaved,
    local::{ClientResolver, MetaOracle},
    meta_member::MetaMember,
    missing::Missing,
    mover::ClusterMover,
    strays::Strays,
    vitals::NodeVitals,
    waits::NodeWaits,
};

/// The node that founds a cluster.
pub const FIRST_NODE: u64 = 1;
/// The shard that covers a new cluster's whole key space.
const FIRST_SHARD: u64 = 1;
/// Time between flushes that let the Raft log go. Bounds what a restart replays.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(60);
/// Time between attempts to read the range map while most of the cluster is not there.
const CLUSTER_PAUSE: Duration = Duration::from_millis(200);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
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

/// What a node is given.
pub struct Place {
    /// Its record.
    pub record: NodeRecord,
    /// How often it has started.
    pub incarnation: u64,
    /// It founds its cluster, unless it has done so before.
    pub founds: bool,
    /// Of the cluster that it founds.
    pub cluster_id: String,
    /// Nodes that had a member of the meta group when they were heard of last.
    pub meta_members: Vec<u64>,
    /// The state of all groups.
    pub engine: Arc<dyn Engine>,
    /// What timestamps follow.
    pub clock: Arc<dyn Clock>,
    /// The way to the meta group.
    pub meta: Arc<dyn MetaTransport>,
    /// None for a node that stands alone.
    pub peers: Option<Arc<dyn Peers>>,
}

/// A running node.
pub struct Layers {
    raft: Arc<RaftHost>,
    meta: RemoteMeta,
    node: Node,
    client: Client,
    tasks: Vec<AbortHandle>,
}

impl Layers {
    /// Starts what lies above a hub's Raft host, which has none of the groups yet. `ways` makes the way to all nodes, this
    /// one among them.
    pub async fn start(
        hub: &Hub,
        place: Place,
        ways: impl FnOnce(&Node) -> Arc<dyn kv::Transport>,
    ) -> Result<Self, StartError> {
        let raft = Arc::clone(hub.raft_host());
        let id = raft.node();
        let meta = start_meta(&raft, &place).await?;
        hub.serve_meta(meta.clone());
        let Place { record, incarnation, cluster_id, engine, clock, peers, .. } = place;
        let oracle = Arc::new(MetaOracle(meta.clone()));
        let node = Node::open(Environment::new(Arc::clone(&engine), Arc::clone(&raft), oracle)).await?;
        found(&raft, &meta, &node, &record, cluster_id).await?;
        let requests = ways(&node);
        let mover = Arc::new(ClusterMover::new(Arc::clone(&raft), Arc::clone(&requests)));
        let member = MetaMember::new(Arc::clone(&raft), engine, clock, meta.clone(), Arc::clone(&mover));
        hub.serve_node(node.clone(), member);
        let client = open_client(&requests, &meta, Coordinator::new(NodeId(id), incarnation), peers.is_some()).await?;
        hub.serve_client(client.clone());
        mover.set_client(client.clone());
        node.set_resolver(Arc::new(ClientResolver(client.clone())));
        let (own, for_others) = (NodeId(id), peers.clone());
        let bereaved = Bereaved { node: node.clone(), client: client.clone(), own, incarnation, peers: for_others };
        let missing = peers.as_ref().map(|_| Missing {
            node: node.clone(),
            client: client.clone(),
            raft: Arc::clone(&raft),
            own: NodeId(id),
        });
        let strays = peers.as_ref().map(|_| Strays { node: node.clone(), client: client.clone(), own: NodeId(id) });
        let vitals = NodeVitals {
            record,
            meta: meta.clone(),
            node: node.clone(),
            client: client.clone(),
            peers,
            heard: Default::default(),
            since: Instant::now(),
            life: incarnation,
        };
        let mut tasks = vec![
            tokio::spawn(keep_house(Arc::clone(&raft), node.clone(), client.clone())).abort_handle(),
            tokio::spawn(bereaved.release()).abort_handle(),
            meta.keep_heartbeat(Arc::new(vitals)).abort_handle(),
            meta.keep_reporting_waits(Arc::new(NodeWaits(node.clone()))).abort_handle(),
        ];
        tasks.extend(missing.map(|missing| tokio::spawn(missing.make()).abort_handle()));
        tasks.extend(strays.map(|strays| tokio::spawn(strays.remove()).abort_handle()));
        Ok(Self { raft, meta, node, client, tasks })
    }

    /// The transactional client of this process.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The meta group.
    pub fn meta(&self) -> &RemoteMeta {
        &self.meta
    }

    /// Whether this node leads the meta group.
    pub fn leads_meta(&self) -> bool {
        self.raft.group(GROUP).is_some_and(|group| group.has_lease())
    }

    /// The shards.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The Raft groups.
    pub fn raft(&self) -> &RaftHost {
        &self.raft
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

    /// Ends what the node does by itself.
    pub fn end_tasks(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }

    /// Stops in order: log entries are applied and flushed, so that the next start replays nothing.
    pub async fn shutdown(&self) {
        self.end_tasks();
        compact(&self.raft).await;
        self.raft.shutdown().await;
    }

    /// Stops without flushing anything, as a crash would.
    pub async fn halt(&self) {
        self.end_tasks();
        self.raft.shutdown().await;
    }
}

/// The meta group: with a member here, if the volume has one or founds the cluster.
async fn start_meta(raft: &RaftHost, place: &Place) -> Result<RemoteMeta, StartError> {
    let (engine, clock) = (Arc::clone(&place.engine), Arc::clone(&place.clock));
    let local = if place.founds {
        Some(Meta::found(raft, engine, clock).await?)
    } else if raft.known_groups().contains(&GROUP) {
        Some(Meta::start(raft, engine, clock).await?)
    } else {
        None
    };
    Ok(RemoteMeta::new(raft.node(), local, place.meta_members.clone(), Arc::clone(&place.meta)))
}

/// Gives a new cluster its first shard, node and ranges.
async fn found(
    raft: &RaftHost,
    meta: &RemoteMeta,
    node: &Node,
    record: &NodeRecord,
    cluster_id: String,
) -> Result<(), StartError> {
    let is_new = meta.local().is_some_and(|local| local.leads() && local.cluster_id().is_empty());
    // An engine that was lost finds its shards again in the log.
    let is_lost = node.ranges().is_empty() && raft.known_groups().contains(&GroupId(FIRST_SHARD));
    if (is_new && node.ranges().is_empty()) || is_lost {
        node.create_shard(first_range()).await?;
    }
    if let Some(local) = meta.local().filter(|_| is_new) {
        local.bootstrap(cluster_id, record.clone(), node.descriptors()).await?;
    }
    Ok(())
}

fn first_range() -> wire::Range {
    let span = Some(wire::Span::default());
    wire::Range { shard: FIRST_SHARD, span, epoch: 1, replicas: vec![FIRST_NODE] }
}

/// Reads the range map; a node among others waits until enough of them are there.
async fn open_client(
    requests: &Arc<dyn kv::Transport>,
    meta: &RemoteMeta,
    coordinator: Coordinator,
    patient: bool,
) -> Result<Client, StartError> {
    loop {
        match Client::open(Arc::clone(requests), Arc::new(meta.clone()), coordinator).await {
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

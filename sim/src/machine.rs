//! One node: what outlives its processes, and its process if one runs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use kv::Client;
use parking_lot::Mutex;
use proto::meta::Node as NodeRecord;
use raft::{
    Blocking, RaftHost, Surroundings,
    log::{Execution, LogError, LogOptions, SharedLog},
};
use sharddb_disk::Disk;
use sharddb_kv as kv;
use sharddb_node::{FIRST_NODE, Hub, Layers, Place, StartError};
use sharddb_proto as proto;
use sharddb_raft as raft;
use tokio::{sync::watch, task::AbortHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clocks,
    endpoint::{Endpoint, Identity, Ways},
    engine::DiskEngine,
    network::{Network, Port},
};

/// Segments are small, so that a simulation sees them rotate and go.
const LOG: LogOptions = LogOptions { segment_bytes: 100_000, segments_max: 4 };

/// A node of the simulated cluster.
pub(crate) struct Machine {
    pub(crate) id: u64,
    pub(crate) clocks: Arc<Clocks>,
    pub(crate) identity: Arc<Mutex<Identity>>,
    network: Network,
    directory: PathBuf,
    state: Mutex<State>,
}

struct State {
    disk: Disk,
    engine: Arc<DiskEngine>,
    life: Option<Life>,
}

/// A process.
struct Life {
    over: CancellationToken,
    layers: watch::Receiver<Option<Arc<Layers>>>,
    start: AbortHandle,
}

/// A client of a running process, and what tells of its end.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) over: CancellationToken,
}

/// What a process needs to start, which the task that starts it takes along.
struct Start {
    files: Disk,
    surroundings: Surroundings,
    round: Duration,
    place: Place,
    endpoint: Endpoint,
    layers: watch::Sender<Option<Arc<Layers>>>,
}

/// Why a process ended by itself.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The log could not be opened.
    Log(LogError),
    /// A layer did not start.
    Start(StartError),
    /// The storage failed later.
    Failed(LogError),
}

impl Machine {
    pub(crate) fn new(id: u64, clocks: Arc<Clocks>, network: Network, directory: PathBuf) -> Self {
        let state = State { disk: Disk::default(), engine: Arc::default(), life: None };
        Self { id, clocks, identity: Arc::default(), network, directory, state: Mutex::new(state) }
    }

    /// Starts the node's process. `round` is how long its disk takes for a sync; `ended` hears if it ends by itself.
    pub(crate) fn start(&self, seed: u64, round: Duration, ended: impl FnOnce(Ended) + Send + 'static) {
        let mut state = self.state.lock();
        assert!(state.life.is_none(), "a node runs once at a time");
        let over = CancellationToken::new();
        let (sender, layers) = watch::channel(None);
        let endpoint = self.endpoint(over.clone());
        let surroundings = Surroundings {
            transport: Arc::new(endpoint.clone()),
            clock: Arc::clone(&self.clocks) as Arc<dyn raft::MonotonicClock>,
            seed,
            snapshots: self.directory.join(endpoint.incarnation.to_string()),
            blocking: Blocking::Inline,
        };
        let place = self.place(&endpoint, Arc::clone(&state.engine));
        let start = Start { files: state.disk.clone(), surroundings, round, place, endpoint, layers: sender };
        let start = tokio::spawn(async move {
            if let Some(reason) = start.run().await {
                ended(reason);
            }
        });
        state.life = Some(Life { over, layers, start: start.abort_handle() });
    }

    fn endpoint(&self, life: CancellationToken) -> Endpoint {
        let incarnation = {
            let mut identity = self.identity.lock();
            identity.incarnation += 1;
            identity.incarnation
        };
        let (network, identity) = (self.network.clone(), Arc::clone(&self.identity));
        Endpoint { node: self.id, incarnation, life, network, identity }
    }

    fn place(&self, endpoint: &Endpoint, engine: Arc<DiskEngine>) -> Place {
        let identity = self.identity.lock().clone();
        Place {
            record: record(self.id),
            incarnation: endpoint.incarnation,
            founds: self.id == FIRST_NODE && identity.known.is_empty(),
            cluster_id: identity.cluster_id,
            meta_members: identity.meta_members,
            engine,
            clock: Arc::clone(&self.clocks) as Arc<dyn sharddb_meta::Clock>,
            meta: Arc::new(endpoint.clone()),
            peers: Some(Arc::new(endpoint.clone())),
        }
    }

    /// Ends the process as a power failure does: what was not synced or flushed is gone, but for as many of the engine's
    /// unflushed writes as `keep` says of how many. Nothing happens if none runs.
    pub(crate) fn crash(&self, keep: impl FnOnce(usize) -> usize) {
        let mut state = self.state.lock();
        let Some(life) = state.life.take() else { return };
        life.over.cancel();
        self.network.pull_out(self.id);
        life.start.abort();
        state.disk = state.disk.crashed();
        state.engine = state.engine.crashed(keep);
        // What the process still does, it does to a disk that nobody looks at any more.
        if let Some(layers) = life.layers.borrow().clone() {
            layers.end_tasks();
            tokio::spawn(async move { layers.halt().await });
        }
    }

    /// Ends the process in order.
    pub(crate) async fn stop(&self) {
        if let Some(layers) = self.layers() {
            layers.shutdown().await;
        }
        self.crash(|unflushed| unflushed);
    }

    /// Has the next sync of the log torn by a crash that is to follow.
    pub(crate) fn arm(&self, seed: u64) -> CancellationToken {
        self.state.lock().disk.arm(seed)
    }

    /// The layers, once the process has started.
    pub(crate) fn layers(&self) -> Option<Arc<Layers>> {
        self.state.lock().life.as_ref()?.layers.borrow().clone()
    }

    pub(crate) fn runs(&self) -> bool {
        self.state.lock().life.is_some()
    }

    pub(crate) fn session(&self) -> Option<Session> {
        let state = self.state.lock();
        let life = state.life.as_ref()?;
        let client = life.layers.borrow().as_ref()?.client().clone();
        Some(Session { client, over: life.over.clone() })
    }

    pub(crate) fn engine(&self) -> Arc<DiskEngine> {
        Arc::clone(&self.state.lock().engine)
    }
}

/// A node's record in the meta group.
pub(crate) fn record(id: u64) -> NodeRecord {
    NodeRecord { id, rpc_addr: format!("node{id}"), store: format!("store{id}"), ..NodeRecord::default() }
}

impl Start {
    /// Runs the process; answers why it ended by itself.
    async fn run(self) -> Option<Ended> {
        let execution = Execution::Task { round: self.round };
        let log = match SharedLog::open_with(self.files.files(), LOG, execution) {
            Ok(log) => Arc::new(log),
            Err(error) => return Some(Ended::Log(error)),
        };
        let Endpoint { node, incarnation, life, network, .. } = self.endpoint.clone();
        let hub = Hub::new(Arc::new(RaftHost::connected(node, log, self.surroundings).with_one_engine()));
        network.plug_in(Port { node, incarnation, hub: hub.clone(), life: life.clone() });
        let far = self.endpoint;
        let layers = Layers::start(&hub, self.place, |near| Arc::new(Ways { near: near.clone(), far }));
        let layers = match layers.await {
            Ok(layers) => Arc::new(layers),
            Err(error) => return Some(Ended::Start(error)),
        };
        network.trace.note(format_args!("node {node} has started for the {incarnation}. time"));
        // Somebody who waits for it is gone only with the process.
        let _gone = self.layers.send(Some(Arc::clone(&layers)));
        tokio::select! {
            biased;
            () = life.cancelled() => None,
            failure = layers.failed() => Some(Ended::Failed(failure)),
        }
    }
}

//! The meta group as one of its members uses it.

use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message;
use proto::{
    CatalogVersion, SqlState, Timestamp,
    meta::{Bootstrap, Command, Node, PutRanges, RangeDescriptor, Setting, command},
};
use raft::{Fatal, RaftHost, StateMachine, log::GroupId};
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage::Engine;

use crate::{
    machine::{Machine, Shared, decode_outcome},
    oracle::Oracle,
    pace::Pace,
    placement::Jobs,
    ranges::RangeTable,
    records::erase,
    registry::Registry,
    replicated::Replicated,
    state::Counter,
    timestamps::{Serving, WindowSignals, keep_window},
};

/// The group's id in the shared log.
pub const GROUP: GroupId = GroupId(0);

/// The only clock that timestamps follow.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch. May be set back.
    fn now_ms(&self) -> u64;

    /// Milliseconds since some moment. Never goes back.
    fn uptime_ms(&self) -> u64;
}

/// Why the meta group did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This member does not lead. Nothing changed.
    #[error("the node does not lead the meta group")]
    NotLeader {
        /// The node that does, if known.
        leader: Option<u64>,
    },
    /// The proposal was not carried out.
    #[error(transparent)]
    Raft(raft::Error),
    /// The state could not be read.
    #[error(transparent)]
    Fatal(#[from] Fatal),
    /// What was asked makes no sense in the present state; nothing changed.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// The SQLSTATE a client sees.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::NotLeader { .. } => SqlState::CannotConnectNow,
            Self::Raft(error) => SqlState::from_code(error.sqlstate()).unwrap_or(SqlState::SystemError),
            Self::Fatal(_) => SqlState::SystemError,
            Self::Refused(_) => SqlState::ObjectNotInPrerequisiteState,
        }
    }
}

impl From<raft::Error> for Error {
    fn from(error: raft::Error) -> Self {
        match error {
            raft::Error::NotLeader { leader } => Self::NotLeader { leader },
            error => Self::Raft(error),
        }
    }
}

/// A member of the meta group. Cheap to clone.
#[derive(Clone)]
pub struct Meta {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) group: Arc<dyn Replicated>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) oracle: Oracle,
    pub(crate) pace: Pace,
    pub(crate) serving: Serving,
    pub(crate) signals: Arc<WindowSignals>,
    pub(crate) registry: Mutex<Registry>,
    pub(crate) jobs: Mutex<Jobs>,
}

impl Inner {
    /// The term in which this member leads and has applied everything before.
    pub(crate) fn leading(&self) -> Option<u64> {
        let leadership = *self.group.leadership().borrow();
        leadership.ready.then_some(leadership.term)
    }
}

impl Meta {
    /// Starts a member that this volume holds. The only member leads when this returns.
    pub async fn start(host: &RaftHost, engine: Arc<dyn Engine>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let machine = Machine::open(engine)?;
        let shared = machine.shared();
        let group = host.start_group(GROUP, Arc::new(machine)).await?;
        Self::begin(group, host.node(), shared, clock).await
    }

    /// Starts the group of a cluster that this node founds.
    pub async fn found(host: &RaftHost, engine: Arc<dyn Engine>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let machine = Machine::open(engine)?;
        let shared = machine.shared();
        let group = host.create_group(GROUP, Arc::new(machine)).await?;
        Self::begin(group, host.node(), shared, clock).await
    }

    async fn begin(group: raft::Group, node: u64, shared: Arc<Shared>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let alone = group.members().voters.iter().eq([&node]);
        let meta = Self::over(Arc::new(group), shared, clock);
        if alone {
            let mut leadership = meta.inner.group.leadership();
            // Ends otherwise only with the group, whose failure the next call answers.
            drop(leadership.wait_for(|leadership| leadership.ready).await);
            meta.follow_leadership();
            meta.extend_window().await?;
        }
        Ok(meta)
    }

    /// Starts an empty member, which its leader brings up.
    pub async fn join(host: &RaftHost, engine: Arc<dyn Engine>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        // A former membership may have ended between its log and its state.
        erase(engine.as_ref())?;
        let machine = Machine::open(engine)?;
        let shared = machine.shared();
        let group = host.join_group(GROUP, Arc::new(machine)).await?;
        Ok(Self::over(Arc::new(group), shared, clock))
    }

    /// Ends the membership of this volume: stops the member and forgets its log and state.
    pub async fn leave(host: &RaftHost, engine: &dyn Engine) -> Result<(), Error> {
        host.remove_group(GROUP).await?;
        Ok(erase(engine)?)
    }

    /// A member over a log of whatever kind. The log applies its entries to the machine `build` was given.
    pub fn with_log<L: Replicated>(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        build: impl FnOnce(Arc<dyn StateMachine>) -> L,
    ) -> Result<Self, Error> {
        let machine = Machine::open(engine)?;
        let shared = machine.shared();
        Ok(Self::over(Arc::new(build(Arc::new(machine))), shared, clock))
    }

    fn over(group: Arc<dyn Replicated>, shared: Arc<Shared>, clock: Arc<dyn Clock>) -> Self {
        let oracle = Oracle::new(Timestamp(shared.read(|state| state[Counter::Window])));
        let pace = Pace::new(Arc::clone(&clock), oracle.last());
        let (serving, signals, registry, jobs) = Default::default();
        let inner = Arc::new(Inner { group, shared, clock, oracle, pace, serving, signals, registry, jobs });
        tokio::spawn(keep_window(Arc::downgrade(&inner)));
        Self { inner }
    }

    /// Gives a new cluster its id, first node and first ranges. Refused for one that has them.
    pub async fn bootstrap(&self, cluster_id: String, node: Node, ranges: Vec<RangeDescriptor>) -> Result<(), Error> {
        let bootstrap = Bootstrap { cluster_id, node: Some(node), ranges };
        self.propose(command::Body::Bootstrap(bootstrap)).await.map(drop)
    }

    /// The cluster's id; empty before the bootstrap.
    pub fn cluster_id(&self) -> String {
        self.inner.shared.read(|state| state.cluster_id.to_string())
    }

    /// The range map, sorted and without gaps, as this member knows it.
    pub fn ranges(&self) -> Vec<RangeDescriptor> {
        self.range_table().to_vec()
    }

    /// The range map as this member knows it, shared.
    pub fn range_table(&self) -> RangeTable {
        self.inner.shared.read(|state| state.ranges.clone())
    }

    /// Every node, as this member knows them.
    pub fn nodes(&self) -> Vec<Node> {
        self.inner.shared.read(|state| state.nodes.values().cloned().collect())
    }

    /// Value of a cluster setting, as this member knows it.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.inner.shared.read(|state| state.settings.get(name).cloned())
    }

    /// The oldest timestamp that a snapshot may still need, as this member knows it.
    pub fn safe_point(&self) -> Timestamp {
        Timestamp(self.inner.shared.read(|state| state[Counter::SafePoint]))
    }

    /// The catalog's version, as this member knows it.
    pub fn catalog_version(&self) -> CatalogVersion {
        CatalogVersion(self.inner.shared.read(|state| state[Counter::CatalogVersion]))
    }

    /// Nodes that vote in the group, as this member knows them.
    pub fn members(&self) -> Vec<u64> {
        self.inner.group.voters()
    }

    /// Whether this member leads and no other one can, now.
    pub fn leads(&self) -> bool {
        self.check_leads().is_ok()
    }

    /// The node that leads the group, if this member knows.
    pub fn leader(&self) -> Option<u64> {
        self.inner.group.leadership().borrow().leader
    }

    pub(crate) fn check_leads(&self) -> Result<(), Error> {
        let leads = self.inner.serving.term().is_some_and(|term| self.inner.group.lease() == Some(term));
        leads.then_some(()).ok_or_else(|| Error::NotLeader { leader: self.leader() })
    }

    /// Adds or replaces a node. Its state stays.
    pub async fn put_node(&self, node: Node) -> Result<(), Error> {
        self.propose(command::Body::PutNode(node)).await.map(drop)
    }

    /// Replaces the ranges that these cover. Refused if the map would get a gap.
    pub async fn put_ranges(&self, ranges: Vec<RangeDescriptor>) -> Result<(), Error> {
        self.propose(command::Body::PutRanges(PutRanges { ranges })).await.map(drop)
    }

    /// Sets a cluster setting, or resets it.
    pub async fn put_setting(&self, name: String, value: Option<String>) -> Result<(), Error> {
        self.propose(command::Body::PutSetting(Setting { name, value })).await.map(drop)
    }

    /// Takes shard ids and answers the first.
    pub async fn allocate_shards(&self, count: u64) -> Result<u64, Error> {
        self.propose(command::Body::AllocateShards(count)).await
    }

    /// Takes object ids and answers the first.
    pub async fn allocate_object_ids(&self, count: u64) -> Result<u64, Error> {
        self.propose(command::Body::AllocateObjectIds(count)).await
    }

    /// Raises the catalog's version and answers it.
    pub async fn bump_catalog(&self) -> Result<CatalogVersion, Error> {
        self.propose(command::Body::BumpCatalog(0)).await.map(CatalogVersion)
    }

    /// Raises the safe point.
    pub async fn raise_safe_point(&self, timestamp: Timestamp) -> Result<(), Error> {
        self.propose(command::Body::RaiseSafePoint(timestamp.0)).await.map(drop)
    }

    pub(crate) async fn propose(&self, body: command::Body) -> Result<u64, Error> {
        let command = Command { body: Some(body) };
        let outcome = self.inner.group.propose(command.encode_to_vec().into()).await?;
        decode_outcome(&outcome).map_err(Error::Refused)
    }
}

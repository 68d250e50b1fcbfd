//! The groups of a volume: starting, finding, proposing, stopping.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use openraft::{
    Config, EmptyNode, Raft, SnapshotPolicy,
    errors::{ClientWriteError, RaftError},
};
use parking_lot::RwLock;
use tokio::time::timeout;

use crate::{
    log::{GroupId, LogError, SharedLog},
    network::NoPeers,
    state_machine::{Driver, StateMachine},
    store::GroupLog,
    types::{Command, Types},
};

/// Largest proposal. One entry is written and applied as a whole, so a larger one would stall its neighbours.
pub const PROPOSAL_BYTES_MAX: usize = 64 << 20;
/// Proposals openraft appends together.
const APPEND_BATCH_ENTRIES: u64 = 1024;
/// A group with one voter leads as soon as its vote is synced; this long means the disk has stopped.
const ELECTION_WAIT: Duration = Duration::from_secs(30);

/// Why a group could not be started or a proposal was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This replica does not lead. The proposal had no effect.
    #[error("the replica does not lead its group")]
    NotLeader {
        /// The leader's node, if known.
        leader: Option<u64>,
    },
    /// The proposal is larger than `PROPOSAL_BYTES_MAX`.
    #[error("a proposal of {bytes} bytes is too large")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The log refuses writes. The proposal was not acknowledged and may or may not have its effect after a restart.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The group has stopped. The proposal may or may not have its effect.
    #[error("the Raft group has stopped: {0}")]
    Stopped(String),
    /// There is a group of this id already.
    #[error("group {0} exists")]
    Exists(u64),
}

impl Error {
    /// The SQLSTATE a client sees, as its five characters.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::NotLeader { .. } => "57P03",
            Self::TooLarge { .. } => "54000",
            Self::Log(error) => error.sqlstate(),
            Self::Stopped(_) => "58000",
            Self::Exists(_) => "XX000",
        }
    }
}

/// The Raft groups of one volume.
pub struct RaftHost {
    node: u64,
    log: Arc<SharedLog>,
    groups: RwLock<HashMap<GroupId, Group>>,
}

/// A running group. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    id: GroupId,
    raft: Raft<Types, Driver>,
    log: Arc<SharedLog>,
}

impl RaftHost {
    /// Hosts groups of node `node` on a log. No group runs yet.
    pub fn new(node: u64, log: Arc<SharedLog>) -> Self {
        Self { node, log, groups: RwLock::default() }
    }

    /// Groups that left something in the log, running or not.
    pub fn known_groups(&self) -> Vec<GroupId> {
        self.log.groups()
    }

    /// Starts a group whose only voter is this node, replaying what the log holds beyond the machine's position.
    /// Returns once it leads and has applied everything committed before.
    pub async fn start_group(&self, id: GroupId, machine: Arc<dyn StateMachine>) -> Result<Group, Error> {
        if self.groups.read().contains_key(&id) {
            return Err(Error::Exists(id.0));
        }
        let driver = Driver::new(machine).map_err(stopped)?;
        let store = GroupLog::new(id, Arc::clone(&self.log));
        let raft = Raft::new(self.node, Arc::new(config(id)), NoPeers, store, driver).await.map_err(stopped)?;
        let group = Group { id, raft, log: Arc::clone(&self.log) };
        group.lead(self.node).await?;
        self.groups.write().insert(id, group.clone());
        Ok(group)
    }

    /// The running group of this id.
    pub fn group(&self, id: GroupId) -> Option<Group> {
        self.groups.read().get(&id).cloned()
    }

    /// Stops every group. Proposals in progress are answered or fail.
    pub async fn shutdown(&self) {
        let groups: Vec<Group> = self.groups.write().drain().map(|(_, group)| group).collect();
        for group in groups {
            if let Err(error) = group.raft.shutdown().await {
                tracing::warn!(group = group.id.0, %error, "a Raft group did not stop in order");
            }
        }
    }

    /// The failure that stopped the log, if one did.
    pub fn failure(&self) -> Option<LogError> {
        self.log.failure()
    }
}

impl Group {
    /// Its id.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Replicates a command; answers its outcome once it is durable on a quorum and applied here.
    pub async fn propose(&self, command: Bytes) -> Result<Bytes, Error> {
        if command.len() > PROPOSAL_BYTES_MAX {
            return Err(Error::TooLarge { bytes: command.len() });
        }
        if let Some(failure) = self.log.failure() {
            return Err(failure.into());
        }
        match self.raft.client_write(Command(command)).await {
            Ok(written) => Ok(written.data),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Err(Error::NotLeader { leader: forward.leader_id })
            }
            Err(error) => Err(self.log.failure().map_or_else(|| stopped(error), Error::Log)),
        }
    }

    /// The failure that stopped the log, if one did.
    pub fn failure(&self) -> Option<LogError> {
        self.log.failure()
    }

    /// Drops log entries whose effects are durable in the state machine.
    pub async fn compact(&self) -> Result<(), Error> {
        self.raft.trigger().snapshot().await.map_err(stopped)
    }

    /// Index of the last applied entry.
    pub fn applied(&self) -> u64 {
        use openraft::async_runtime::watch::WatchReceiver;
        self.raft.metrics().borrow_watched().last_applied.map_or(0, |id| id.index)
    }

    async fn lead(&self, node: u64) -> Result<(), Error> {
        if !self.raft.is_initialized().await.map_err(stopped)? {
            let members = BTreeMap::from([(node, EmptyNode {})]);
            self.raft.initialize(members).await.map_err(stopped)?;
        }
        let leading = self.raft.wait(Some(Duration::from_millis(20))).current_leader(node, "lead").await.is_ok();
        if !leading {
            self.raft.trigger().elect(false).await.map_err(stopped)?;
        }
        let waiting = self.raft.wait(Some(ELECTION_WAIT)).current_leader(node, "lead").await;
        waiting.map_err(stopped)?;
        // A leader's own blank entry commits everything before it; once it answers, all of that is applied.
        let applied = timeout(ELECTION_WAIT, self.raft.write_blank()).await.map_err(stopped)?;
        applied.map(drop).map_err(stopped)
    }
}

fn stopped(error: impl std::fmt::Display) -> Error {
    Error::Stopped(error.to_string())
}

fn config(id: GroupId) -> Config {
    Config {
        cluster_name: format!("group-{}", id.0),
        // A group with one voter needs neither elections nor heartbeats: it costs nothing while idle.
        enable_tick: false,
        enable_heartbeat: false,
        enable_elect: false,
        max_append_entries: Some(APPEND_BATCH_ENTRIES),
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        ..Config::default()
    }
}

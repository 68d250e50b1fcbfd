//! One shard as its leader serves it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64},
};

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use proto::{
    Epoch, ShardId, Timestamp,
    kv::{self, command, failure, response},
};
use raft::Group;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::Engine;

use crate::{
    apply::{Machine, Shared, load_aborts, load_intents, read_fences, read_swept},
    intent_keys::IntentKeys,
    locks::LockTable,
    marks::Marks,
    node::{Environment, OpenError},
    promises::Promises,
};

/// Why a request was not carried out, as the client is told.
pub(crate) type Failure = failure::Kind;

/// A shard led by this node.
pub(crate) struct Replica {
    pub(crate) shared: Arc<Shared>,
    pub(crate) group: Group,
    pub(crate) environment: Arc<Environment>,
    pub(crate) promises: Promises,
}

impl Replica {
    /// Starts a shard that this volume has a descriptor of.
    pub(crate) async fn start(
        range: kv::Range,
        environment: Arc<Environment>,
        locks: Arc<LockTable>,
        read_floor: Timestamp,
    ) -> Result<Self, OpenError> {
        let shard = ShardId(range.shard);
        let engine: Arc<dyn Engine> = Arc::clone(&environment.engine);
        let shared = Arc::new(Shared {
            shard,
            fences: RwLock::new(read_fences(engine.as_ref(), shard)?),
            swept_ms: AtomicU64::new(read_swept(engine.as_ref(), shard)?),
            has_aborts: AtomicBool::new(true),
            engine,
            range: RwLock::new(range),
            marks: Marks::starting_at(read_floor),
            locks,
            intents: IntentKeys::default(),
        });
        load_intents(&shared)?;
        load_aborts(&shared)?;
        let machine = Arc::new(Machine::new(Arc::clone(&shared)));
        let group = environment.raft.start_group(raft::log::GroupId(shard.0), machine).await?;
        // Replayed commands raised nothing: no commit so far is above a timestamp taken now.
        let floor = environment.oracle.fresh();
        shared.marks.raise_read_ts(floor);
        Ok(Self { shared, group, environment, promises: Promises::above(floor) })
    }

    pub(crate) fn range(&self) -> kv::Range {
        self.shared.range.read().clone()
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        self.shared.engine.as_ref()
    }

    pub(crate) fn fresh(&self) -> Timestamp {
        self.environment.oracle.fresh()
    }

    /// Checks that every key lies in the range and that the request was planned against accepted layouts.
    pub(crate) fn check<'k>(&self, header: &kv::Header, keys: impl Iterator<Item = &'k Bytes>) -> Result<(), Failure> {
        let range = self.shared.range.read();
        if header.epoch != range.epoch {
            return Err(Failure::StaleEpoch(range.clone()));
        }
        let span = range.span.as_ref().expect("a range has a span");
        for key in keys {
            if key < &span.start || (!span.end.is_empty() && key >= &span.end) {
                return Err(Failure::StaleEpoch(range.clone()));
            }
        }
        drop(range);
        self.check_guards(&header.guards)
    }

    pub(crate) fn check_span(&self, header: &kv::Header, span: &kv::Span) -> Result<(), Failure> {
        let range = self.shared.range.read();
        let own = range.span.as_ref().expect("a range has a span");
        let inside = span.start >= own.start && (own.end.is_empty() || (!span.end.is_empty() && span.end <= own.end));
        if header.epoch != range.epoch || !inside {
            return Err(Failure::StaleEpoch(range.clone()));
        }
        drop(range);
        self.check_guards(&header.guards)
    }

    fn check_guards(&self, guards: &[kv::Guard]) -> Result<(), Failure> {
        if guards.is_empty() {
            return Ok(());
        }
        let fences = self.shared.fences.read();
        let stale = guards.iter().find(|guard| fences.get(&guard.table).is_some_and(|oldest| guard.version < *oldest));
        stale.map_or(Ok(()), |guard| Err(Failure::StaleSchema(*guard)))
    }

    /// Replicates a command and answers its outcome.
    pub(crate) async fn propose(&self, epoch: Epoch, body: command::Body) -> Result<response::Body, Failure> {
        let command = kv::Command { epoch: epoch.0, body: Some(body) };
        let outcome = self.group.propose(command.encode_to_vec().into()).await.map_err(|error| refusal(&error))?;
        let response = kv::Response::decode(outcome).map_err(|error| Failure::Internal(error.to_string()))?;
        match response.body {
            Some(response::Body::Failure(kv::Failure { kind: Some(kind) })) => Err(kind),
            Some(body) => Ok(body),
            None => Err(Failure::Internal("an empty outcome".to_owned())),
        }
    }
}

/// What the client is told when a proposal was not carried out, or when nobody knows.
fn refusal(error: &raft::Error) -> Failure {
    let reason = || kv::Refused { sqlstate: error.sqlstate().to_owned(), message: error.to_string() };
    match error {
        raft::Error::NotLeader { leader } => {
            Failure::NotLeader(kv::NotLeader { leader_node: leader.unwrap_or_default() })
        }
        raft::Error::TooLarge { .. } | raft::Error::Log(_) => Failure::Refused(reason()),
        raft::Error::Unknown(_) => Failure::Unknown(reason()),
        raft::Error::Stopped(_)
        | raft::Error::Exists(_)
        | raft::Error::Membership(_)
        | raft::Error::Transfer { .. } => Failure::Internal(error.to_string()),
    }
}

/// The failure for an error of the volume during a read.
pub(crate) fn read_failure(error: &storage::Error) -> Failure {
    Failure::Refused(kv::Refused { sqlstate: error.sqlstate().to_owned(), message: error.to_string() })
}

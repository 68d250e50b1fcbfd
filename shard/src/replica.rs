//! One shard as its leader serves it, and what the replica is while it does not lead.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64},
};

use bytes::Bytes;
use prost::Message;
use proto::{
    Epoch, Timestamp,
    kv::{self, command, failure, response},
};
use raft::{Group, Written, log::GroupId};
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::Engine;
use tokio::sync::Notify;

use crate::{
    apply::{Machine, Shared},
    locks::LockTable,
    node::{Environment, OpenError},
    promises::Promises,
    serving::{self, At},
};

/// Why a request was not carried out, as the client is told.
pub(crate) type Failure = failure::Kind;

/// A shard's replica on this node. It serves while it leads.
pub(crate) struct Replica {
    pub(crate) shared: Arc<Shared>,
    pub(crate) group: Group,
    pub(crate) environment: Arc<Environment>,
    pub(crate) promises: Promises,
    /// The term it has taken over in; 0 while it has not.
    pub(crate) serving: AtomicU64,
    /// The last term it has taken over in.
    pub(crate) begun: AtomicU64,
    /// Told whenever it begins to serve.
    pub(crate) began: Notify,
    /// How often somebody has asked for a replica here since.
    pub(crate) wanted: AtomicU64,
    /// Its range was cut off a shard that serves here: what is locked there stays locked. Until its first takeover.
    pub(crate) inherits: AtomicBool,
}

/// How a replica comes to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// A new shard of one replica.
    Create,
    /// With what the log and the state hold.
    Again,
    /// Cut off another shard of this node; what machines had written by then.
    Birth(Written),
    /// Without anything, for the leader to bring up.
    Join,
}

impl Replica {
    /// Starts a replica that this volume has a descriptor of.
    pub(crate) async fn start(
        range: kv::Range,
        environment: Arc<Environment>,
        locks: Arc<LockTable>,
        start: Start,
    ) -> Result<Arc<Self>, OpenError> {
        let group = GroupId(range.shard);
        let shared = Arc::new(Shared::load(range, &environment, locks)?);
        let machine = Arc::new(Machine::new(Arc::clone(&shared)));
        let raft = &environment.raft;
        let group = match start {
            Start::Create => raft.create_group(group, machine).await?,
            Start::Again => raft.start_group(group, machine).await?,
            Start::Birth(written) => raft.spawn_group(group, machine, written).await?,
            Start::Join => raft.join_group(group, machine).await?,
        };
        let replica = Arc::new(Self {
            shared,
            group,
            environment,
            promises: Promises::default(),
            serving: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            began: Notify::new(),
            wanted: AtomicU64::new(0),
            inherits: AtomicBool::new(matches!(start, Start::Birth(_))),
        });
        tokio::spawn(serving::follow(Arc::downgrade(&replica)));
        Ok(replica)
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

    /// Checks that this replica serves, that every key lies in the range and that the request was planned against accepted
    /// layouts.
    pub(crate) fn check<'k>(&self, header: &kv::Header, keys: impl Iterator<Item = &'k Bytes>) -> Result<At, Failure> {
        let term = self.serving_term()?;
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
        self.check_guards(&header.guards)?;
        Ok(At { epoch: Epoch(header.epoch), term })
    }

    pub(crate) fn check_span(&self, header: &kv::Header, span: &kv::Span) -> Result<At, Failure> {
        let term = self.serving_term()?;
        let range = self.shared.range.read();
        let own = range.span.as_ref().expect("a range has a span");
        let inside = span.start >= own.start && (own.end.is_empty() || (!span.end.is_empty() && span.end <= own.end));
        if header.epoch != range.epoch || !inside {
            return Err(Failure::StaleEpoch(range.clone()));
        }
        drop(range);
        self.check_guards(&header.guards)?;
        Ok(At { epoch: Epoch(header.epoch), term })
    }

    /// Checks that all the time since `at` the same range was served in the same term.
    pub(crate) fn check_still(&self, at: At) -> Result<(), Failure> {
        if self.serving_term()? != at.term {
            return Err(self.not_leader());
        }
        let range = self.shared.range.read();
        if at.epoch.0 == range.epoch { Ok(()) } else { Err(Failure::StaleEpoch(range.clone())) }
    }

    /// As the replica serves now, for what it does by itself.
    pub(crate) fn here(&self) -> Result<At, Failure> {
        Ok(At { term: self.serving_term()?, epoch: Epoch(self.shared.range.read().epoch) })
    }

    fn check_guards(&self, guards: &[kv::Guard]) -> Result<(), Failure> {
        if guards.is_empty() {
            return Ok(());
        }
        let fences = self.shared.fences.read();
        let stale = guards.iter().find(|guard| fences.get(&guard.table).is_some_and(|oldest| guard.version < *oldest));
        stale.map_or(Ok(()), |guard| Err(Failure::StaleSchema(*guard)))
    }

    /// Replicates a command and answers its outcome; leaves it open once this replica has lost touch with the others for
    /// some time.
    pub(crate) async fn propose(&self, at: At, body: command::Body) -> Result<response::Body, Failure> {
        tokio::select! {
            biased;
            outcome = self.propose_to_end(at, body) => outcome,
            () = self.group.deposed(at.term) => Err(Failure::Ambiguous("the leader lost touch".to_owned())),
        }
    }

    /// Replicates a command and answers its outcome, however long it stays open.
    pub(crate) async fn propose_to_end(&self, at: At, body: command::Body) -> Result<response::Body, Failure> {
        let command = kv::Command { epoch: at.epoch.0, body: Some(body) }.encode_to_vec().into();
        let outcome = self.group.propose_in(at.term, command).await.map_err(|error| serving::refusal(self, &error))?;
        let response = kv::Response::decode(outcome).map_err(|error| Failure::Internal(error.to_string()))?;
        match response.body {
            Some(response::Body::Failure(kv::Failure { kind: Some(kind) })) => Err(kind),
            Some(body) => Ok(body),
            None => Err(Failure::Internal("an empty outcome".to_owned())),
        }
    }
}

/// Whether a proposal that failed like this may still be carried out.
pub(crate) fn is_open(failure: &Failure) -> bool {
    matches!(failure, Failure::Unknown(_) | Failure::Internal(_) | Failure::Ambiguous(_))
}

/// The failure for an error of the volume during a read.
pub(crate) fn read_failure(error: &storage::Error) -> Failure {
    Failure::Refused(kv::Refused { sqlstate: error.sqlstate().to_owned(), message: error.to_string() })
}

//! What a group replicates, and how openraft drives it.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::{EntryPayload, RaftSnapshotBuilder, Snapshot, storage::RaftStateMachine};
use parking_lot::Mutex;

use crate::types::{Command, Entry, EntryId, Members, SnapshotMeta, Types, decode_applied, encode_applied};

/// Entries applied in one batch. More would only delay the first of them.
const APPLY_ENTRIES_MAX: usize = 256;

/// A committed command and its place in the log.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Index in the group's log.
    pub index: u64,
    /// The proposal.
    pub command: Bytes,
}

/// A failure that must stop the node: its state may no longer follow the log.
#[derive(Debug, thiserror::Error)]
#[error("could not apply the log: {0}")]
pub struct Fatal(pub String);

/// The state a group replicates.
///
/// `apply` is a pure function of the state and the commands: it reads no clock, no random numbers and no network, and a
/// command it cannot carry out has an outcome that says so. Only a failure of the volume is an error. It writes `position`
/// in the same batch as the commands' effects, so that after a crash the log is replayed from exactly there.
pub trait StateMachine: Send + Sync + 'static {
    /// The position last written, or `None` for a new state.
    fn position(&self) -> Result<Option<Bytes>, Fatal>;

    /// Applies commands in order and answers each one's outcome.
    fn apply(&self, commands: &[Committed], position: Bytes) -> Result<Vec<Bytes>, Fatal>;

    /// Makes everything applied so far durable, so that the log before it may go.
    fn flush(&self) -> Result<(), Fatal>;

    /// The whole state, for a replica that is too far behind for the log.
    fn snapshot(&self) -> Result<Bytes, Fatal>;

    /// Replaces the state by a snapshot taken elsewhere.
    fn restore(&self, snapshot: Bytes, position: Bytes) -> Result<(), Fatal>;
}

/// A snapshot on its way: made only when its bytes are asked for, since most are never sent.
#[derive(Clone)]
pub(crate) enum SnapshotSource {
    /// The state of a machine here.
    Machine(Arc<dyn StateMachine>),
    /// Bytes that came from elsewhere.
    #[allow(dead_code, reason = "made where snapshots arrive from other nodes")]
    Bytes(Bytes),
}

impl SnapshotSource {
    fn bytes(&self) -> io::Result<Bytes> {
        match self {
            Self::Machine(machine) => machine.snapshot().map_err(io::Error::other),
            Self::Bytes(bytes) => Ok(bytes.clone()),
        }
    }
}

/// openraft's view of a state machine.
#[derive(Clone)]
pub(crate) struct Driver {
    machine: Arc<dyn StateMachine>,
    /// Position of what was last applied.
    applied: Arc<Mutex<(Option<EntryId>, Members)>>,
    /// Position up to which the state is durable, once asked for.
    durable: Arc<Mutex<Option<SnapshotMeta>>>,
}

impl Driver {
    pub(crate) fn new(machine: Arc<dyn StateMachine>) -> io::Result<Self> {
        let applied = decode_applied(machine.position().map_err(io::Error::other)?)?;
        // What was read back is durable.
        let (last_log_id, last_membership) = applied.clone();
        let durable = last_log_id.map(|_| SnapshotMeta { last_log_id, last_membership });
        Ok(Self { machine, applied: Arc::new(Mutex::new(applied)), durable: Arc::new(Mutex::new(durable)) })
    }

    /// Applies a run of entries and answers the outcome of each; blank and membership entries have empty ones.
    fn apply_run(&self, entries: &[Entry]) -> io::Result<Vec<Bytes>> {
        let Some(last) = entries.last() else { return Ok(Vec::new()) };
        let mut members = self.applied.lock().1.clone();
        let mut commands = Vec::with_capacity(entries.len());
        for entry in entries {
            match &entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(Command(command)) => {
                    commands.push(Committed { index: entry.log_id.index, command: command.clone() });
                }
                EntryPayload::Membership(membership) => {
                    members = Members::new(Some(entry.log_id), membership.clone());
                }
            }
        }
        let position = encode_applied(Some(&last.log_id), &members);
        let mut outcomes = self.machine.apply(&commands, position).map_err(io::Error::other)?.into_iter();
        *self.applied.lock() = (Some(last.log_id), members);
        let outcome = |entry: &Entry| match entry.payload {
            EntryPayload::Normal(_) => outcomes.next().expect("every command has an outcome"),
            EntryPayload::Blank | EntryPayload::Membership(_) => Bytes::new(),
        };
        Ok(entries.iter().map(outcome).collect())
    }
}

impl RaftStateMachine<Types> for Driver {
    type SnapshotData = SnapshotSource;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<EntryId>, Members), io::Error> {
        Ok(self.applied.lock().clone())
    }

    async fn apply<S>(&mut self, entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<openraft::storage::EntryResponder<Types>, io::Error>> + Unpin + Send,
    {
        let mut runs = entries.ready_chunks(APPLY_ENTRIES_MAX);
        while let Some(run) = runs.next().await {
            let (entries, responders): (Vec<Entry>, Vec<_>) =
                run.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
            for (outcome, responder) in self.apply_run(&entries)?.into_iter().zip(responders) {
                if let Some(responder) = responder {
                    responder.send(outcome);
                }
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotSource) -> Result<(), io::Error> {
        let position = encode_applied(meta.last_log_id.as_ref(), &meta.last_membership);
        self.machine.restore(snapshot.bytes()?, position).map_err(io::Error::other)?;
        *self.applied.lock() = (meta.last_log_id, meta.last_membership.clone());
        *self.durable.lock() = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf>, io::Error> {
        let meta = self.durable.lock().clone();
        Ok(meta.map(|meta| Snapshot { meta, snapshot: SnapshotSource::Machine(Arc::clone(&self.machine)) }))
    }
}

type SnapshotOf = openraft::alias::SnapshotOf<Types, SnapshotSource>;

impl RaftSnapshotBuilder<Types> for Driver {
    type SnapshotData = SnapshotSource;

    /// Marks how far the state is durable; the bytes are made only when a replica asks for them.
    async fn build_snapshot(&mut self) -> Result<SnapshotOf, io::Error> {
        let (last_log_id, last_membership) = self.applied.lock().clone();
        let machine = Arc::clone(&self.machine);
        let flushed = tokio::task::spawn_blocking(move || machine.flush()).await.map_err(io::Error::other)?;
        flushed.map_err(io::Error::other)?;
        let meta = SnapshotMeta { last_log_id, last_membership };
        *self.durable.lock() = Some(meta.clone());
        Ok(Snapshot { meta, snapshot: SnapshotSource::Machine(Arc::clone(&self.machine)) })
    }
}

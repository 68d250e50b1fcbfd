//! What a group replicates, and how openraft drives it.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::{EntryPayload, RaftSnapshotBuilder, Snapshot, storage::RaftStateMachine};
use parking_lot::Mutex;
use prost::Message;
use sharddb_storage as storage;
use tokio::sync::{oneshot, watch};

use crate::{
    flush::FlushGate,
    flushed::Flushed,
    host::Host,
    log::{GroupId, LogError},
    snapshot::Installation,
    types::{
        Command, Committed, Entry, EntryId, Members, SnapshotMeta, Types, decode_applied, encode_applied, encode_id,
        invalid, runs_of_one_membership,
    },
};

/// Entries applied in one batch. More would only delay the first of them.
const APPLY_ENTRIES_MAX: usize = 256;

/// A failure that must stop the node: its state may no longer follow the log.
#[derive(Debug, thiserror::Error)]
#[error("could not apply the log: {reason}")]
pub struct Fatal {
    reason: String,
    sqlstate: &'static str,
}

impl Fatal {
    /// What is stored makes no sense.
    pub fn damaged(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), sqlstate: "XX001" }
    }

    /// Files of a snapshot could not be written or read.
    pub fn files(error: &io::Error) -> Self {
        let sqlstate = if error.kind() == io::ErrorKind::StorageFull { "53100" } else { "58030" };
        Self { reason: error.to_string(), sqlstate }
    }

    /// A panic: a bug, and the state is whatever it was in the middle of.
    fn panic(what: &str) -> Self {
        Self { reason: format!("the state machine panicked in {what}"), sqlstate: "XX000" }
    }

    /// The SQLSTATE, as its five characters.
    pub fn sqlstate(&self) -> &'static str {
        self.sqlstate
    }
}

impl From<storage::Error> for Fatal {
    fn from(error: storage::Error) -> Self {
        Self { reason: error.to_string(), sqlstate: error.sqlstate() }
    }
}

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

    /// Captures the whole state of this moment, for a replica that is too far behind for the log. Nothing is applied
    /// meanwhile, so it has to be quick; writing the files comes later. No file may be named `position`.
    fn snapshot(&self) -> Result<Capture, Fatal>;

    /// Replaces the state by the files that a capture wrote elsewhere, and sets the position. A crash may leave it half done:
    /// then it is called again, with the same files, before anything else.
    fn restore(&self, directory: &Path, position: Bytes) -> Result<(), Fatal>;
}

/// A captured state: writes it as files, without folders, into an empty directory. May take long.
pub type Capture = Box<dyn FnOnce(&Path) -> Result<(), Fatal> + Send>;

/// A snapshot on its way.
#[derive(Clone)]
pub(crate) enum SnapshotSource {
    /// The state of a machine here: captured only when it is sent, since most never are.
    Machine(Driver),
    /// Files that came from elsewhere, complete and checked.
    Files(Arc<Path>),
}

/// Where a machine is.
#[derive(Clone, Default)]
struct Applied {
    last: Option<EntryId>,
    members: Members,
    /// Flushes that had started when it was written.
    flushes: u64,
}

impl Applied {
    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last, last_membership: self.members.clone() }
    }
}

/// openraft's view of a state machine.
#[derive(Clone)]
pub(crate) struct Driver {
    machine: Arc<dyn StateMachine>,
    /// Position of what was last applied. Held while the machine changes, so that a snapshot fits its position.
    applied: Arc<Mutex<Applied>>,
    /// Position up to which the state is durable, once known.
    durable: Arc<Mutex<Option<SnapshotMeta>>>,
    flushes: Arc<FlushGate>,
    host: Arc<Host>,
    group: GroupId,
    /// Term of the last applied entry.
    applied_term: Arc<watch::Sender<u64>>,
    pub(crate) flushed: Flushed,
}

impl Driver {
    /// `anew` tells that this process did not run the machine before: what it reads back is then durable.
    pub(crate) fn new(
        machine: Arc<dyn StateMachine>,
        flushes: Arc<FlushGate>,
        host: Arc<Host>,
        group: GroupId,
        anew: bool,
    ) -> io::Result<Self> {
        let (last, members) = decode_applied(machine.position().map_err(io::Error::other)?)?;
        let applied = Applied { last, members, flushes: flushes.started() };
        let durable = Some(applied.meta()).filter(|_| anew && last.is_some());
        let (applied, durable) = (Arc::new(Mutex::new(applied)), Arc::new(Mutex::new(durable)));
        let applied_term = Arc::new(watch::Sender::new(last.map_or(0, |id| id.leader_id.term)));
        let flushed = Flushed::new(&host.log, group);
        Ok(Self { machine, applied, durable, flushes, host, group, applied_term, flushed })
    }

    /// Term of the last applied entry, to wait for changes.
    pub(crate) fn applied_term(&self) -> watch::Receiver<u64> {
        self.applied_term.subscribe()
    }

    fn note_term(&self, id: &EntryId) {
        let term = id.leader_id.term;
        self.applied_term.send_if_modified(|known| std::mem::replace(known, term) != term);
    }

    /// Id of the last applied entry.
    pub(crate) fn applied_id(&self) -> Option<EntryId> {
        self.applied.lock().last
    }

    /// Applies a run of entries and answers the outcome of each; blank and membership entries have empty ones.
    fn apply_run(&self, entries: &[Entry]) -> io::Result<Vec<Bytes>> {
        let Some(last) = entries.last() else { return Ok(Vec::new()) };
        let mut applied = self.applied.lock();
        self.flushed.check()?;
        assert!(applied.last < Some(last.log_id), "entries are applied in order");
        let mut members = applied.members.clone();
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
        // openraft does not notice that the task that applies is gone: a panic would leave every proposer waiting.
        let apply = AssertUnwindSafe(|| self.machine.apply(&commands, position));
        let outcomes = catch_unwind(apply).unwrap_or_else(|_| Err(Fatal::panic("apply")));
        let outcomes = outcomes.map_err(|fatal| self.stop_host(&fatal))?;
        assert_eq!(outcomes.len(), commands.len(), "every command has an outcome");
        let mut outcomes = outcomes.into_iter();
        *applied = Applied { last: Some(last.log_id), members, flushes: self.flushes.started() };
        self.note_term(&last.log_id);
        let outcome = |entry: &Entry| match entry.payload {
            EntryPayload::Normal(_) => outcomes.next().expect("every command has an outcome"),
            EntryPayload::Blank | EntryPayload::Membership(_) => Bytes::new(),
        };
        Ok(entries.iter().map(outcome).collect())
    }

    /// The applied position of every member alone: whether no other node belongs to the group, as far as is applied.
    pub(crate) fn is_alone(&self, node: u64) -> bool {
        self.applied.lock().members.membership().nodes().all(|(member, _)| *member == node)
    }

    /// Sees to it that the machine changes no more: whoever waits to apply something gives up.
    pub(crate) fn stop(&self) {
        self.flushed.stop();
        drop(self.applied.lock());
    }

    /// Captures the state and where it is. It may be later than what was announced: the machine has gone on since.
    pub(crate) fn capture(&self) -> io::Result<(SnapshotMeta, Capture)> {
        let applied = self.applied.lock();
        let capture = self.machine.snapshot().map_err(io::Error::other)?;
        Ok((applied.meta(), capture))
    }

    /// Installs a snapshot again whose installation a crash interrupted.
    pub(crate) async fn finish_restore(&self) -> io::Result<()> {
        let snapshots = &self.host.surroundings.snapshots;
        let Some(interrupted) = Installation::interrupted(snapshots, self.group)? else { return Ok(()) };
        let (last, members) = decode_applied(Some(interrupted.position.clone()))?;
        if self.applied_id() >= last {
            // It had ended but for the directory.
            return interrupted.end();
        }
        self.install(SnapshotMeta { last_log_id: last, last_membership: members }, interrupted).await
    }

    async fn install(&self, meta: SnapshotMeta, installation: Installation) -> io::Result<()> {
        let last = meta.last_log_id.ok_or_else(|| invalid("a snapshot without a position"))?;
        // From here on the directory stands for what the log held.
        let (done, outcome) = oneshot::channel();
        let bytes = encode_id(&last).encode_to_vec().into();
        // The receiver is gone only when the group stops; nobody waits for the outcome then.
        self.host.log.purge(self.group, last.index, bytes, Box::new(move |result| drop(done.send(result))));
        outcome.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        let (driver, directory, position) =
            (self.clone(), installation.directory.clone(), installation.position.clone());
        let restored = self.host.surroundings.blocking.run(move || driver.restore(meta, &directory, position)).await;
        restored.unwrap_or_else(|| Err(self.stop_host(&Fatal::panic("restore"))))?;
        self.flush().await?;
        installation.end()
    }

    fn restore(&self, meta: SnapshotMeta, directory: &Path, position: Bytes) -> io::Result<()> {
        let mut applied = self.applied.lock();
        self.machine.restore(directory, position).map_err(|fatal| self.stop_host(&fatal))?;
        let SnapshotMeta { last_log_id: last, last_membership: members } = meta;
        last.iter().for_each(|id| self.note_term(id));
        *applied = Applied { last, members, flushes: self.flushes.started() };
        Ok(())
    }

    /// Makes everything up to the answered position durable.
    async fn flush(&self) -> io::Result<SnapshotMeta> {
        let Applied { last, members, flushes } = self.applied.lock().clone();
        flush(&self.host, &self.flushes, &self.machine, flushes).await?;
        let meta = SnapshotMeta { last_log_id: last, last_membership: members };
        *self.durable.lock() = Some(meta.clone());
        Ok(meta)
    }

    fn stop_host(&self, fatal: &Fatal) -> io::Error {
        stop_host(&self.host, fatal)
    }
}

/// Makes durable what a machine had written by the time `written` flushes had started.
pub(crate) async fn flush(
    host: &Host,
    flushes: &FlushGate,
    machine: &Arc<dyn StateMachine>,
    written: u64,
) -> io::Result<()> {
    let flush = || {
        let machine = Arc::clone(machine);
        let flushed = host.surroundings.blocking.run(move || machine.flush());
        let flushed = async { flushed.await.unwrap_or_else(|| Err(Fatal::panic("flush"))) };
        async { flushed.await.map_err(|fatal| stop_host(host, &fatal)) }
    };
    flushes.cover(written, flush).await
}

/// A machine that cannot follow the log stops every group at once, before anything else is acknowledged.
fn stop_host(host: &Host, fatal: &Fatal) -> io::Error {
    host.log.fail(LogError::Host { reason: fatal.to_string(), sqlstate: fatal.sqlstate });
    io::Error::other(fatal.to_string())
}

impl RaftStateMachine<Types> for Driver {
    type SnapshotData = SnapshotSource;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<EntryId>, Members), io::Error> {
        let applied = self.applied.lock();
        Ok((applied.last, applied.members.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<openraft::storage::EntryResponder<Types>, io::Error>> + Unpin + Send,
    {
        let mut runs = entries.ready_chunks(APPLY_ENTRIES_MAX);
        while let Some(run) = runs.next().await {
            let (entries, responders): (Vec<Entry>, Vec<_>) =
                run.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
            let mut responders = responders.into_iter();
            // Others may commit what is not durable here yet.
            if let Some(last) = entries.last() {
                self.flushed.reach(last.log_id.index).await?;
            }
            for run in runs_of_one_membership(&entries) {
                for (outcome, responder) in self.apply_run(run)?.into_iter().zip(responders.by_ref()) {
                    if let Some(responder) = responder {
                        responder.send(outcome);
                    }
                }
            }
        }
        // The entries of a group that was removed are gone.
        self.flushed.check()
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotSource) -> Result<(), io::Error> {
        let SnapshotSource::Files(directory) = snapshot else {
            return Err(invalid("a snapshot of this replica came back to it"));
        };
        let position = encode_applied(meta.last_log_id.as_ref(), &meta.last_membership);
        let begin = move || Installation::begin(&directory, position);
        let begun = self.host.surroundings.blocking.run(begin).await;
        let installation = begun.unwrap_or_else(|| Err(invalid("installing a snapshot panicked")))?;
        self.install(meta.clone(), installation).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf>, io::Error> {
        let meta = self.durable.lock().clone();
        Ok(meta.map(|meta| Snapshot { meta, snapshot: SnapshotSource::Machine(self.clone()) }))
    }
}

type SnapshotOf = openraft::alias::SnapshotOf<Types, SnapshotSource>;

impl RaftSnapshotBuilder<Types> for Driver {
    type SnapshotData = SnapshotSource;

    /// Marks how far the state is durable; the bytes are made only when a replica asks for them.
    async fn build_snapshot(&mut self) -> Result<SnapshotOf, io::Error> {
        let meta = self.flush().await?;
        Ok(Snapshot { meta, snapshot: SnapshotSource::Machine(self.clone()) })
    }
}

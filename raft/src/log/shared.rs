//! The log as its users see it.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    failure::Failure,
    files::Files,
    index::{Index, Slot},
    record::{GroupId, Record},
    recovery::{self, Recovered},
    segment::{self, Position, Segment},
    writer::{Answer, Round, Tail, Writer},
};

/// Why the log could not be opened, written or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The volume is full.
    #[error("no space left for the Raft log")]
    DiskFull,
    /// The operating system failed.
    #[error("could not {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: Arc<io::Error>,
    },
    /// Acknowledged data is damaged.
    #[error("the Raft log is damaged: {path} at offset {offset}: {reason}", path = path.display())]
    Corrupt {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The log and a group's state machine do not belong together.
    #[error("the state of group {group} {reason}")]
    Mismatch {
        /// The group.
        group: u64,
        /// What does not fit.
        reason: &'static str,
    },
    /// A state machine could not follow the log or a part of the host panicked, which stops all of it.
    #[error("{reason}")]
    Host {
        /// What happened.
        reason: String,
        /// Its SQLSTATE.
        sqlstate: &'static str,
    },
    /// The log is being closed.
    #[error("the Raft log is closed")]
    Closed,
}

impl LogError {
    pub(super) fn io(action: &'static str, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::DiskFull;
        }
        Self::Io { action, source: Arc::new(source) }
    }

    /// The SQLSTATE a client sees, as its five characters.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::DiskFull => "53100",
            Self::Io { .. } => "58030",
            Self::Host { sqlstate, .. } => sqlstate,
            Self::Corrupt { .. } | Self::Mismatch { .. } => "XX001",
            Self::Closed => "57P01",
        }
    }
}

/// Sizes of the log.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Bytes after which a new segment is started.
    pub segment_bytes: u64,
    /// Segments after which entries that hold the oldest back are written again.
    pub segments_max: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, segments_max: 16 }
    }
}

/// Where the log's writer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// On a thread of its own, which waits for the disk.
    Thread,
    /// As a task of the runtime that opens the log, for simulations: nothing happens beside the runtime.
    Task {
        /// How long a round takes, by the runtime's clock.
        round: Duration,
    },
}

/// State shared by callers and the writer.
pub(super) struct State {
    pub(super) index: Mutex<Index>,
    pub(super) segments: Mutex<BTreeMap<u64, Segment>>,
    /// Set by the first failed write or sync; never cleared.
    pub(super) failure: Failure,
    /// Set when the log is closed in order.
    pub(super) closing: AtomicBool,
    pub(super) counters: Counters,
}

/// What the log has done since it was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) records: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) syncs: AtomicU64,
}

/// What a log has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStatistics {
    /// Records appended.
    pub records: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Syncs. Far fewer than records when many groups or clients share them.
    pub syncs: u64,
}

/// Called once with the outcome of a round.
pub(crate) type Done = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// One durable log for many groups. Shared as `Arc`; dropping the last one ends the writer.
pub struct SharedLog {
    state: Arc<State>,
    writer: Writer,
    /// Held while a submission is applied to the index and queued, so that both see the same order. The writer takes
    /// the index lock only, and so always makes room in the queue.
    order: Mutex<()>,
}

impl SharedLog {
    /// Opens the log of a directory, reading back what is there.
    pub fn open(files: Arc<dyn Files>, options: LogOptions) -> Result<Self, LogError> {
        Self::open_with(files, options, Execution::Thread)
    }

    /// The same, with a say in where the writer runs.
    pub fn open_with(files: Arc<dyn Files>, options: LogOptions, execution: Execution) -> Result<Self, LogError> {
        let Recovered { index, segments, next_sequence, end, allocated } = recovery::recover(files.as_ref())?;
        let state = Arc::new(State {
            index: Mutex::new(index),
            segments: Mutex::new(segments),
            failure: Failure::new(),
            closing: AtomicBool::new(false),
            counters: Counters::default(),
        });
        let writer =
            Writer::start(files, options, execution, Arc::clone(&state), Tail { next_sequence, end, allocated })?;
        Ok(Self { state, writer, order: Mutex::new(()) })
    }

    /// Groups the log knows.
    pub fn groups(&self) -> Vec<GroupId> {
        let mut groups: Vec<GroupId> = self.state.index.lock().groups.keys().copied().collect();
        groups.sort_unstable();
        groups
    }

    /// Appends entries with consecutive indexes. They can be read at once; `done` is called when they are durable.
    pub fn append(&self, group: GroupId, entries: Vec<(u64, Bytes)>, done: Done) {
        let entries = entries.into_iter();
        let records = entries.map(|(index, payload)| Record::Entry { group, index, payload }).collect();
        self.submit(records, done);
    }

    /// Saves a vote; `done` is called when it is durable.
    pub fn save_vote(&self, group: GroupId, vote: Bytes, done: Done) {
        self.submit(vec![Record::Vote { group, payload: vote }], done);
    }

    /// Drops entries from `index` on.
    pub fn truncate(&self, group: GroupId, index: u64, done: Done) {
        self.submit(vec![Record::Truncate { group, index }], done);
    }

    /// Drops entries up to and including `index`, remembering the id of the last.
    pub fn purge(&self, group: GroupId, index: u64, id: Bytes, done: Done) {
        self.submit(vec![Record::Purge { group, index, payload: id }], done);
    }

    /// Forgets a group.
    pub fn drop_group(&self, group: GroupId, done: Done) {
        self.submit(vec![Record::Drop { group }], done);
    }

    fn submit(&self, records: Vec<Record>, done: Done) {
        if let Some(failure) = self.failure() {
            return done(Err(failure));
        }
        let order = self.order.lock();
        let mut index = self.state.index.lock();
        let freed = records.iter().flat_map(|record| index.apply(record, None)).collect();
        drop(index);
        let refused = self.writer.submit(Round { records, freed, answer: Answer::new(done) });
        drop(order);
        if let Some(round) = refused {
            let failure = self.failure().unwrap_or(LogError::Closed);
            round.answer.send(Err(failure));
        }
    }

    /// What it has done since it was opened.
    pub fn statistics(&self) -> LogStatistics {
        let Counters { records, bytes, syncs } = &self.state.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogStatistics { records: read(records), bytes: read(bytes), syncs: read(syncs) }
    }

    /// The failure that stopped the log, if one did.
    pub fn failure(&self) -> Option<LogError> {
        self.state.failure.get()
    }

    /// Ends in order: what was submitted is written, then a mark that proves it to be complete. Later calls are answered
    /// with `Closed`, and nothing is written once this returns, whoever still holds the log. Blocks for a sync.
    pub fn close(&self) {
        self.state.closing.store(true, Ordering::SeqCst);
        self.writer.stop();
        self.state.failure.set(LogError::Closed);
    }

    /// Stops the log for good: nothing is written any more, and every later call is answered with this failure.
    pub fn fail(&self, failure: LogError) {
        if self.state.failure.set(failure.clone()) {
            tracing::error!(%failure, "the Raft log stops accepting writes");
        }
    }

    /// Waits for a failure that stops the log. Closing it in order is none.
    pub async fn failed(&self) -> LogError {
        self.state.failure.wait().await
    }

    /// The group's vote.
    pub fn vote(&self, group: GroupId) -> Option<Bytes> {
        self.state.index.lock().groups.get(&group)?.vote.clone()
    }

    /// Index and id of the group's last purged entry.
    pub fn purged(&self, group: GroupId) -> Option<(u64, Bytes)> {
        self.state.index.lock().groups.get(&group)?.purged.clone()
    }

    /// Index of the group's last entry.
    pub fn last_index(&self, group: GroupId) -> Option<u64> {
        self.state.index.lock().groups.get(&group)?.entries.last_key_value().map(|(index, _)| *index)
    }

    /// Entries of `[start, end)` that exist, in order.
    pub fn read(&self, group: GroupId, start: u64, end: u64) -> Result<Vec<(u64, Bytes)>, LogError> {
        let found = self.locate(group, start, end);
        let read = found.into_iter().map(|(index, place)| match place {
            Place::Cached(payload) => Ok((index, payload)),
            Place::Stored(segment, position) => Ok((index, read_entry(&segment, position)?)),
        });
        read.collect()
    }

    /// The first entries of `[start, end)`: as many as have up to `bytes` together, and one in any case.
    pub fn read_some(&self, group: GroupId, start: u64, end: u64, bytes: usize) -> Result<Vec<(u64, Bytes)>, LogError> {
        let (mut entries, mut sum) = (Vec::new(), 0);
        for at in start..end {
            let Some(entry) = self.read(group, at, at + 1)?.pop() else { break };
            sum += entry.1.len();
            if sum > bytes && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The oldest entry after which a group's entries have at most so many bytes together.
    pub fn tail_within(&self, group: GroupId, bytes: u64) -> Option<u64> {
        let index = self.state.index.lock();
        let entries = index.groups.get(&group)?.entries.iter().rev();
        let mut sum = 0;
        for (at, slot) in entries {
            let cached = slot.cached.as_ref().map_or(0, Bytes::len) as u64;
            sum += slot.position.map_or(cached, |position| u64::from(position.length));
            if sum > bytes {
                return Some(*at);
            }
        }
        None
    }

    /// Where entries are. A segment found here stays readable even if it is deleted meanwhile.
    fn locate(&self, group: GroupId, start: u64, end: u64) -> Vec<(u64, Place)> {
        let index = self.state.index.lock();
        let Some(state) = index.groups.get(&group).filter(|_| start < end) else { return Vec::new() };
        let segments = self.state.segments.lock();
        let place = |slot: &Slot| match (&slot.cached, slot.position) {
            (Some(payload), _) => Place::Cached(payload.clone()),
            (None, Some(position)) => Place::Stored(segments[&position.segment].clone(), position),
            (None, None) => unreachable!("an entry is in memory until it is written"),
        };
        state.entries.range(start..end).map(|(index, slot)| (*index, place(slot))).collect()
    }
}

/// Where an entry can be read.
enum Place {
    Cached(Bytes),
    Stored(Segment, Position),
}

/// Reads and checks an entry's payload.
pub(super) fn read_entry(segment: &Segment, position: Position) -> Result<Bytes, LogError> {
    let bytes = segment.read(position).map_err(|source| LogError::io("read a log entry", source))?;
    match Record::decode(&bytes) {
        Ok((_, Record::Entry { payload, .. }, _)) => Ok(payload),
        Ok(_) | Err(_) => Err(LogError::Corrupt {
            path: PathBuf::from(segment::name(position.segment)),
            offset: position.offset,
            reason: "an entry is damaged",
        }),
    }
}

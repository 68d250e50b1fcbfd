//! The writer, a thread or a task: collects rounds, writes them together, syncs once, tells everybody.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::Notify, task::AbortHandle};

use super::{
    files::Files,
    record::{GroupId, Record, SEGMENT_HEADER},
    segment::{self, Position, Segment},
    shared::{Counters, Done, Execution, LogError, LogOptions, State, read_entry},
};

/// Rounds that wait for the writer. Each waiting proposal is at most one; at the bound callers wait.
const QUEUE_MAX: usize = 16_384;
/// Bytes of one write. Larger rounds still go out whole; collecting stops here so that no caller waits too long.
const WRITE_BYTES: usize = 4 << 20;

/// Share of a segment that is allocated at once. A sync of a file that grows has to write the file system's journal too,
/// and costs half as much again as one inside the file; zeros written ahead make that one sync in many.
const GROWTH_SHARE: u64 = 64;

/// Records that become durable together, and whom to tell.
pub(super) struct Round {
    pub(super) records: Vec<Record>,
    /// What is not needed any more once they are durable.
    pub(super) freed: Vec<Position>,
    pub(super) answer: Answer,
}

/// Tells a caller the outcome of its round exactly once; dropped with the queue or by a panic, that its fate is unknown.
pub(super) struct Answer(Option<Done>);

impl Answer {
    pub(super) fn new(done: Done) -> Self {
        Self(Some(done))
    }

    pub(super) fn send(mut self, outcome: Result<(), LogError>) {
        if let Some(done) = self.0.take() {
            done(outcome);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(writer_ended()));
        }
    }
}

fn writer_ended() -> LogError {
    LogError::Host { reason: "the writer of the Raft log has panicked".to_owned(), sqlstate: "58030" }
}

/// Where writing goes on.
pub(super) struct Tail {
    /// Sequence number of the next record.
    pub(super) next_sequence: u64,
    /// Where the next record goes in the last segment.
    pub(super) end: u64,
    /// Length of the last segment's file; zeros from `end` on.
    pub(super) allocated: u64,
}

/// Handle of the writer.
pub(super) enum Writer {
    Thread(Thread),
    Task(Task),
}

impl Writer {
    pub(super) fn start(
        files: Arc<dyn Files>,
        options: LogOptions,
        execution: Execution,
        state: Arc<State>,
        tail: Tail,
    ) -> Result<Self, LogError> {
        let durable = tail.next_sequence;
        let mut worker =
            Worker { files, options, state, tail, durable, buffer: Vec::new(), looked_at: 0, moving: None };
        if worker.state.segments.lock().is_empty() {
            worker.start_segment(1).map_err(|source| LogError::io("create a log segment", source))?;
        }
        // A crash may have left the last segment without its checkpoint; older ones are deleted only after one.
        worker.write_checkpoint()?;
        Ok(match execution {
            Execution::Thread => Self::Thread(Thread::start(worker)?),
            Execution::Task { round } => Self::Task(Task::start(worker, round)),
        })
    }

    /// Queues a round; gives it back when the writer is gone.
    pub(super) fn submit(&self, round: Round) -> Option<Round> {
        match self {
            Self::Thread(thread) => thread.submit(round),
            Self::Task(task) => task.submit(round),
        }
    }

    /// Takes no more rounds, writes those that wait, and ends. Nothing is written once this returns.
    pub(super) fn stop(&self) {
        match self {
            Self::Thread(thread) => thread.stop(),
            Self::Task(task) => task.stop(),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The writer as a thread.
pub(super) struct Thread {
    queue: Mutex<Option<SyncSender<Round>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Thread {
    fn start(mut worker: Worker) -> Result<Self, LogError> {
        let (queue, rounds) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("raft-log".to_owned())
            .spawn(move || {
                let state = Arc::clone(&worker.state);
                let worker = AssertUnwindSafe(|| worker.run(&rounds));
                if catch_unwind(worker).is_err() {
                    state.failure.set(writer_ended());
                }
            })
            .map_err(|source| LogError::io("start the log's writer thread", source))?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    fn submit(&self, round: Round) -> Option<Round> {
        let queue = self.queue.lock();
        let Some(queue) = queue.as_ref() else { return Some(round) };
        match queue.try_send(round) {
            Ok(()) => None,
            Err(TrySendError::Full(round)) => queue.send(round).err().map(|refused| refused.0),
            Err(TrySendError::Disconnected(round)) => Some(round),
        }
    }

    fn stop(&self) {
        self.queue.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            // A writer that panicked has already told the story.
            let _panicked = thread.join();
        }
    }
}

/// The writer as a task of the runtime. Its queue has no bound of its own: it is for simulations, whose clients are few.
pub(super) struct Task {
    shared: Arc<TaskShared>,
    task: AbortHandle,
}

struct TaskShared {
    /// Empty once the writer takes no more.
    queue: Mutex<Option<Vec<Round>>>,
    woken: Notify,
    worker: Mutex<Worker>,
}

impl Task {
    fn start(worker: Worker, round: Duration) -> Self {
        let (queue, woken) = (Mutex::new(Some(Vec::new())), Notify::new());
        let shared = Arc::new(TaskShared { queue, woken, worker: Mutex::new(worker) });
        let running = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                running.woken.notified().await;
                tokio::time::sleep(round).await;
                running.write();
            }
        });
        Self { shared, task: task.abort_handle() }
    }

    fn submit(&self, round: Round) -> Option<Round> {
        match self.shared.queue.lock().as_mut() {
            Some(queue) => queue.push(round),
            None => return Some(round),
        }
        self.shared.woken.notify_one();
        None
    }

    fn stop(&self) {
        self.task.abort();
        self.shared.write();
        if self.shared.queue.lock().take().is_some() {
            self.shared.worker.lock().end();
        }
    }
}

impl TaskShared {
    fn write(&self) {
        let rounds = self.queue.lock().as_mut().map(std::mem::take).unwrap_or_default();
        if !rounds.is_empty() {
            self.worker.lock().carry_out(rounds);
        }
    }
}

struct Worker {
    files: Arc<dyn Files>,
    options: LogOptions,
    state: Arc<State>,
    tail: Tail,
    /// Records below this are synced.
    durable: u64,
    buffer: Vec<u8>,
    /// The last segment when it was last looked for entries to move; once a segment is often enough.
    looked_at: u64,
    /// Entries that are written again so that their segment can go.
    moving: Option<Moving>,
}

/// Entries on their way to the end of the log.
struct Moving {
    segment: u64,
    entries: Vec<(GroupId, u64)>,
}

type Written = Vec<(GroupId, u64, Bytes, Position)>;

impl Worker {
    fn run(&mut self, rounds: &Receiver<Round>) {
        while let Ok(first) = rounds.recv() {
            let mut bytes = size(&first);
            let mut collected = vec![first];
            while bytes < WRITE_BYTES
                && let Ok(round) = rounds.try_recv()
            {
                bytes += size(&round);
                collected.push(round);
            }
            self.carry_out(collected);
        }
        self.end();
    }

    fn carry_out(&mut self, rounds: Vec<Round>) {
        let result = self.write(&rounds);
        self.stop_on(&result);
        for round in rounds {
            round.answer.send(result.clone());
        }
        if result.is_ok() {
            let room = self.make_room();
            self.stop_on(&room);
        }
    }

    fn end(&mut self) {
        if self.state.closing.load(Ordering::SeqCst) {
            self.close();
        }
    }

    fn stop_on(&self, result: &Result<(), LogError>) {
        if let Err(failure) = result
            && self.state.failure.set(failure.clone())
        {
            tracing::error!(%failure, "the Raft log stops accepting writes");
        }
    }

    /// Ends with a record that proves everything before it to be synced.
    fn close(&mut self) {
        if self.state.failure.get().is_some() {
            return;
        }
        if let Err(failure) = self.write_records(std::iter::empty()) {
            tracing::warn!(%failure, "could not close the Raft log in order; nothing acknowledged is lost");
        }
    }

    fn write(&mut self, rounds: &[Round]) -> Result<(), LogError> {
        if let Some(failure) = self.state.failure.get() {
            return Err(failure);
        }
        if self.tail.end >= self.options.segment_bytes {
            self.rotate()?;
        }
        let records = rounds.iter().flat_map(|round| &round.records);
        let written = self.write_records(records)?;
        self.note(written);
        let mut index = self.state.index.lock();
        rounds.iter().for_each(|round| index.release(round.freed.iter().copied()));
        Ok(())
    }

    /// Writes one round and syncs it.
    fn write_records<'r>(&mut self, records: impl Iterator<Item = &'r Record>) -> Result<Written, LogError> {
        let segment = self.last_segment();
        let mut written = Written::new();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut sequence = self.tail.next_sequence;
        Record::Round { durable: self.durable }.encode(sequence, &mut buffer);
        for record in records {
            sequence += 1;
            let offset = self.tail.end + buffer.len() as u64;
            record.encode(sequence, &mut buffer);
            if let Record::Entry { group, index, payload } = record {
                let length = record.encoded_len() as u32;
                let position = Position { segment: segment.number, offset, length };
                written.push((*group, *index, payload.clone(), position));
            }
        }
        let end = self.tail.end + buffer.len() as u64;
        if end > self.tail.allocated {
            self.tail.allocated = end.next_multiple_of((self.options.segment_bytes / GROWTH_SHARE).max(1));
            buffer.resize((self.tail.allocated - self.tail.end) as usize, 0);
        }
        let outcome = segment.medium.write_at(&buffer, self.tail.end).and_then(|()| segment.medium.sync());
        outcome.map_err(|source| LogError::io("write the Raft log", source))?;
        let Counters { records, bytes, syncs } = &self.state.counters;
        records.fetch_add(sequence - self.tail.next_sequence, Ordering::Relaxed);
        bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        syncs.fetch_add(1, Ordering::Relaxed);
        self.tail.end = end;
        self.tail.next_sequence = sequence + 1;
        self.durable = self.tail.next_sequence;
        buffer.clear();
        buffer.shrink_to(WRITE_BYTES);
        self.buffer = buffer;
        Ok(written)
    }

    fn last_segment(&self) -> Segment {
        let segments = self.state.segments.lock();
        segments.last_key_value().expect("the log has a segment").1.clone()
    }

    /// Starts the next segment with a checkpoint of all groups.
    fn rotate(&mut self) -> Result<(), LogError> {
        let number = self.last_segment().number + 1;
        self.start_segment(number).map_err(|source| LogError::io("create a log segment", source))?;
        self.write_checkpoint()
    }

    fn write_checkpoint(&mut self) -> Result<(), LogError> {
        let checkpoint = self.state.index.lock().checkpoint();
        self.write_records(checkpoint.iter()).map(drop)
    }

    fn start_segment(&mut self, number: u64) -> std::io::Result<()> {
        let segment = Segment::create(self.files.as_ref(), number, self.tail.next_sequence)?;
        self.state.segments.lock().insert(number, segment);
        self.tail.end = SEGMENT_HEADER as u64;
        self.tail.allocated = SEGMENT_HEADER as u64;
        Ok(())
    }

    /// Deletes segments nobody needs; moves on entries that hold back too many, a bounded piece at a time.
    fn make_room(&mut self) -> Result<(), LogError> {
        self.delete_old()?;
        if self.moving.is_none() {
            self.moving = self.look_for_entries_to_move();
        }
        let Some(mut moving) = self.moving.take() else { return Ok(()) };
        let records = self.next_piece(&mut moving)?;
        if !records.is_empty() {
            let written = self.write_records(records.iter())?;
            self.note(written);
        }
        if moving.entries.is_empty() {
            return self.delete_old();
        }
        self.moving = Some(moving);
        Ok(())
    }

    /// The entries of the oldest segment, if there are too many segments and most of what they hold is not needed any more.
    /// In a log that is needed as a whole, moving entries would only write it over and over.
    fn look_for_entries_to_move(&mut self) -> Option<Moving> {
        let last = self.last_segment().number;
        if std::mem::replace(&mut self.looked_at, last) == last {
            return None;
        }
        let (segment, count) = {
            let segments = self.state.segments.lock();
            (*segments.first_key_value().expect("the log has a segment").0, segments.len())
        };
        let index = self.state.index.lock();
        let mostly_live = index.live_bytes() * 2 > count as u64 * self.options.segment_bytes;
        if count <= self.options.segments_max || mostly_live {
            return None;
        }
        Some(Moving { segment, entries: index.entries_in(segment) })
    }

    /// Takes entries of about `WRITE_BYTES`; those that are gone meanwhile need not move.
    fn next_piece(&self, moving: &mut Moving) -> Result<Vec<Record>, LogError> {
        let mut records = Vec::new();
        let segment = self.state.segments.lock().get(&moving.segment).cloned();
        let Some(segment) = segment else {
            // Everything in it was purged meanwhile, and it is deleted.
            moving.entries.clear();
            return Ok(records);
        };
        let mut bytes = 0;
        while bytes < WRITE_BYTES
            && let Some((group, at)) = moving.entries.pop()
        {
            let Some((cached, position)) = self.state.index.lock().entry_in(moving.segment, group, at) else {
                continue;
            };
            let payload = cached.map_or_else(|| read_entry(&segment, position), Ok)?;
            bytes += payload.len();
            records.push(Record::Entry { group, index: at, payload });
        }
        Ok(records)
    }

    fn note(&self, written: Written) {
        let mut index = self.state.index.lock();
        for (group, at, payload, position) in written {
            index.written(group, at, &payload, position);
        }
    }

    fn delete_old(&mut self) -> Result<(), LogError> {
        let needed = self.state.index.lock().oldest_live().unwrap_or(u64::MAX).min(self.last_segment().number);
        let mut segments = self.state.segments.lock();
        let doomed: Vec<u64> = segments.range(..needed).map(|(number, _)| *number).collect();
        for number in &doomed {
            segments.remove(number);
            let removed = self.files.remove(&segment::name(*number));
            removed.map_err(|source| LogError::io("remove a log segment", source))?;
        }
        if !doomed.is_empty() {
            let synced = self.files.sync_directory();
            synced.map_err(|source| LogError::io("sync the log's directory", source))?;
        }
        Ok(())
    }
}

fn size(round: &Round) -> usize {
    round.records.iter().map(Record::encoded_len).sum()
}

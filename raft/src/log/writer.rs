//! The writer thread: collects rounds, writes them together, syncs once, tells everybody.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    files::Files,
    record::{GroupId, Record, SEGMENT_HEADER},
    segment::{self, Position, Segment},
    shared::{Done, LogError, LogOptions, State, read_entry},
};

/// Rounds that wait for the writer. Each waiting proposal is at most one; at the bound callers wait.
const QUEUE_MAX: usize = 16_384;
/// Bytes of one write. Larger rounds still go out whole; collecting stops here so that no caller waits too long.
const WRITE_BYTES: usize = 4 << 20;

/// Records that become durable together, and whom to tell.
pub(super) struct Round {
    pub(super) records: Vec<Record>,
    pub(super) done: Done,
}

/// Handle of the writer thread.
pub(super) struct Writer {
    queue: Mutex<Option<SyncSender<Round>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        files: Arc<dyn Files>,
        options: LogOptions,
        state: Arc<State>,
        next_sequence: u64,
        end: u64,
    ) -> Result<Self, LogError> {
        let (queue, rounds) = sync_channel(QUEUE_MAX);
        let mut worker = Worker {
            files,
            options,
            state,
            next_sequence,
            durable: next_sequence,
            end,
            cleaned: 0,
            buffer: Vec::new(),
        };
        if worker.state.segments.lock().is_empty() {
            worker.start_segment(1).map_err(|source| LogError::io("create a log segment", source))?;
        }
        let thread = std::thread::Builder::new()
            .name("raft-log".to_owned())
            .spawn(move || worker.run(&rounds))
            .map_err(|source| LogError::io("start the log's writer thread", source))?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Some(thread) })
    }

    /// Queues a round; gives it back when the writer is gone.
    pub(super) fn submit(&self, round: Round) -> Option<Round> {
        let queue = self.queue.lock();
        let Some(queue) = queue.as_ref() else { return Some(round) };
        match queue.try_send(round) {
            Ok(()) => None,
            Err(TrySendError::Full(round)) => queue.send(round).err().map(|refused| refused.0),
            Err(TrySendError::Disconnected(round)) => Some(round),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.lock().take();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has already told the story.
            let _panicked = thread.join();
        }
    }
}

struct Worker {
    files: Arc<dyn Files>,
    options: LogOptions,
    state: Arc<State>,
    next_sequence: u64,
    /// Records below this are synced.
    durable: u64,
    /// Where the next record goes in the last segment.
    end: u64,
    /// The last segment when room was last made: once a segment is often enough.
    cleaned: u64,
    buffer: Vec<u8>,
}

type Written = Vec<(GroupId, u64, Bytes, Position)>;

impl Worker {
    fn run(&mut self, rounds: &Receiver<Round>) {
        while let Ok(first) = rounds.recv() {
            let mut collected = vec![first];
            let mut bytes = size(&collected[0]);
            while bytes < WRITE_BYTES
                && let Ok(round) = rounds.try_recv()
            {
                bytes += size(&round);
                collected.push(round);
            }
            let result = self.write(&collected);
            if let Err(failure) = &result {
                tracing::error!(%failure, "the Raft log stops accepting writes");
                self.state.failure.lock().get_or_insert(failure.clone());
            }
            for round in collected {
                (round.done)(result.clone());
            }
            let new_segment = self.last_segment().number;
            if result.is_ok()
                && std::mem::replace(&mut self.cleaned, new_segment) != new_segment
                && let Err(failure) = self.make_room()
            {
                self.state.failure.lock().get_or_insert(failure);
            }
        }
    }

    fn write(&mut self, rounds: &[Round]) -> Result<(), LogError> {
        if let Some(failure) = self.state.failure.lock().clone() {
            return Err(failure);
        }
        if self.end >= self.options.segment_bytes {
            self.rotate()?;
        }
        let records = rounds.iter().flat_map(|round| &round.records);
        let written = self.write_records(records)?;
        let mut index = self.state.index.lock();
        for (group, at, payload, position) in written {
            index.written(group, at, &payload, position);
        }
        Ok(())
    }

    /// Writes one round and syncs it.
    fn write_records<'r>(&mut self, records: impl Iterator<Item = &'r Record>) -> Result<Written, LogError> {
        let segment = self.last_segment();
        let mut written = Written::new();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut sequence = self.next_sequence;
        Record::Round { durable: self.durable }.encode(sequence, &mut buffer);
        for record in records {
            sequence += 1;
            let offset = self.end + buffer.len() as u64;
            record.encode(sequence, &mut buffer);
            if let Record::Entry { group, index, payload } = record {
                let length = record.encoded_len() as u32;
                let position = Position { segment: segment.number, offset, length };
                written.push((*group, *index, payload.clone(), position));
            }
        }
        let outcome = segment.medium.write_at(&buffer, self.end).and_then(|()| segment.medium.sync());
        outcome.map_err(|source| LogError::io("write the Raft log", source))?;
        self.end += buffer.len() as u64;
        self.next_sequence = sequence + 1;
        self.durable = self.next_sequence;
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
        let checkpoint = self.state.index.lock().checkpoint();
        self.write_records(checkpoint.iter())?;
        Ok(())
    }

    fn start_segment(&mut self, number: u64) -> std::io::Result<()> {
        let segment = Segment::create(self.files.as_ref(), number, self.next_sequence)?;
        self.state.segments.lock().insert(number, segment);
        self.end = SEGMENT_HEADER as u64;
        Ok(())
    }

    /// Deletes segments nobody needs; writes entries again that hold back too many, if they are few.
    fn make_room(&mut self) -> Result<(), LogError> {
        self.delete_old()?;
        let (oldest, count) = {
            let segments = self.state.segments.lock();
            (*segments.first_key_value().expect("the log has a segment").0, segments.len())
        };
        let live_bytes = self.state.index.lock().live_bytes(oldest);
        if count <= self.options.segments_max || live_bytes * 2 > self.options.segment_bytes {
            return Ok(());
        }
        let mut records = Vec::new();
        {
            let index = self.state.index.lock();
            for (group, at) in index.entries_in(oldest) {
                let slot = &index.groups[&group].entries[&at];
                let payload = match (&slot.cached, slot.position) {
                    (Some(payload), _) => payload.clone(),
                    (None, Some(position)) => read_entry(&self.state.segments.lock(), position)?,
                    (None, None) => continue,
                };
                records.push(Record::Entry { group, index: at, payload });
            }
        }
        let written = self.write_records(records.iter())?;
        let mut index = self.state.index.lock();
        for (group, at, payload, position) in written {
            index.written(group, at, &payload, position);
        }
        drop(index);
        self.delete_old()
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

//! Reading the log back when a volume is opened.
//!
//! What may be cut off is decided sector by sector. A write that power failure interrupted leaves whole sectors as they
//! were, and before a write the sectors beyond the end of the log are zeros. So a bad record that has a sector of zeros, or
//! reaches beyond the file, was never wholly written and never acknowledged. A bad record without one was written and has
//! changed since: that is corruption, at the very end of the log as anywhere else. Only a payload that is zeros for a whole
//! sector may hide such a change, and only in the last round before a crash; the state machines' positions then tell
//! whether anything they have applied is missing.

use std::{collections::BTreeMap, io, path::PathBuf};

use bytes::Bytes;

use super::{
    files::Files,
    index::Index,
    record::{HEADER, Record, SEGMENT_HEADER, read_header, read_segment_header},
    segment::{self, Position, Segment},
    shared::LogError,
};

/// The unit that storage writes whole or not at all. Larger real units are multiples of it.
const SECTOR: usize = 512;

/// What was found.
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) segments: BTreeMap<u64, Segment>,
    /// Sequence number of the next record.
    pub(super) next_sequence: u64,
    /// Where the next record goes in the last segment.
    pub(super) end: u64,
    /// Length of the last segment's file.
    pub(super) allocated: u64,
}

/// Reads every segment in order.
pub(super) fn recover(files: &dyn Files) -> Result<Recovered, LogError> {
    let names = files.list().map_err(|source| LogError::io("list the log's directory", source))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    numbers.sort_unstable();
    check_consecutive(files, &numbers)?;
    let mut found = Recovered {
        index: Index::default(),
        segments: BTreeMap::new(),
        next_sequence: 0,
        end: SEGMENT_HEADER as u64,
        allocated: SEGMENT_HEADER as u64,
    };
    for (i, number) in numbers.iter().enumerate() {
        let reader = Reader { files, number: *number, first: i == 0, last: i + 1 == numbers.len() };
        reader.read(&mut found)?;
    }
    if let Some((group, index)) = found.index.first_gap() {
        let path = files.path(&segment::name(numbers[0].saturating_sub(1)));
        tracing::error!(group = group.0, index, "the Raft log lacks an entry that was not purged");
        return Err(LogError::Corrupt {
            path,
            offset: 0,
            reason: "the segment is missing: entries of a group are gone",
        });
    }
    Ok(found)
}

/// Segments are deleted from the oldest on, so a hole means that one was lost.
fn check_consecutive(files: &dyn Files, numbers: &[u64]) -> Result<(), LogError> {
    for pair in numbers.windows(2) {
        if pair[1] != pair[0] + 1 {
            let path = files.path(&segment::name(pair[0] + 1));
            return Err(LogError::Corrupt { path, offset: 0, reason: "the segment is missing" });
        }
    }
    Ok(())
}

/// One segment being read.
struct Reader<'a> {
    files: &'a dyn Files,
    number: u64,
    first: bool,
    last: bool,
}

impl Reader<'_> {
    fn path(&self) -> PathBuf {
        self.files.path(&segment::name(self.number))
    }

    fn corrupt(&self, offset: usize, reason: &'static str) -> LogError {
        LogError::Corrupt { path: self.path(), offset: offset as u64, reason }
    }

    fn read(&self, found: &mut Recovered) -> Result<(), LogError> {
        let (segment, bytes) = self.open().map_err(|source| LogError::io("read a log segment", source))?;
        match read_segment_header(&bytes, self.number) {
            Some(sequence) if self.first => found.next_sequence = sequence,
            Some(sequence) if sequence == found.next_sequence => {}
            Some(_) => return Err(self.corrupt(0, "the segment does not continue the one before it")),
            // A crash while the segment was made: it holds nothing yet.
            None if self.last && bytes.len() <= SEGMENT_HEADER => return self.remove(),
            None => return Err(self.corrupt(0, "the segment's header is damaged")),
        }
        let Scanned { end, proven, torn } = self.scan(&bytes, found)?;
        found.end = end as u64;
        found.allocated = if torn { end } else { bytes.len() } as u64;
        if self.last {
            renew(&segment, &bytes[proven..end], proven, torn)
                .map_err(|source| LogError::io("write the end of the log again", source))?;
        }
        found.segments.insert(self.number, segment);
        Ok(())
    }

    /// Applies every record.
    fn scan(&self, bytes: &Bytes, found: &mut Recovered) -> Result<Scanned, LogError> {
        let mut scanned = Scanned { end: SEGMENT_HEADER, proven: SEGMENT_HEADER, torn: false };
        while scanned.end < bytes.len() {
            let at = scanned.end;
            let rest = bytes.slice(at..);
            match Record::decode(&rest) {
                Ok((sequence, record, length)) if sequence == found.next_sequence => {
                    if matches!(record, Record::Round { .. }) {
                        scanned.proven = at;
                    }
                    let position = Position { segment: self.number, offset: at as u64, length: length as u32 };
                    let freed = found.index.apply(&record, Some(position));
                    found.index.release(freed);
                    found.next_sequence += 1;
                    scanned.end += length;
                }
                Ok(_) => return Err(self.corrupt(at, "a record is out of sequence")),
                // What was allocated and never used.
                Err(_) if is_zero(&rest) => return Ok(scanned),
                Err(damaged) => {
                    if !self.last || acknowledged_after(bytes, at, found.next_sequence) {
                        let reason = "a record is damaged, and later ones show that it was acknowledged";
                        return Err(self.corrupt(at, reason));
                    }
                    if !is_torn(bytes, at, damaged.extent) {
                        return Err(self.corrupt(at, "a record was changed after it was written"));
                    }
                    let path = self.path();
                    tracing::warn!(path = %path.display(), offset = at, "cutting off the rest of an unfinished write");
                    scanned.torn = true;
                    return Ok(scanned);
                }
            }
        }
        Ok(scanned)
    }

    fn open(&self) -> io::Result<(Segment, Bytes)> {
        let medium = self.files.open(&segment::name(self.number), false)?;
        let mut bytes = vec![0; usize::try_from(medium.size()?).map_err(io::Error::other)?];
        medium.read_at(&mut bytes, 0)?;
        Ok((Segment { number: self.number, medium: medium.into() }, bytes.into()))
    }

    fn remove(&self) -> Result<(), LogError> {
        let removed = self.files.remove(&segment::name(self.number)).and_then(|()| self.files.sync_directory());
        removed.map_err(|source| LogError::io("remove an empty log segment", source))
    }
}

/// Where reading a segment ended.
struct Scanned {
    /// After the last good record.
    end: usize,
    /// Everything before was synced: the last round began here, and a round begins after the one before it was synced.
    proven: usize,
    /// What follows is the rest of an unfinished write.
    torn: bool,
}

/// Cuts off a torn end, and writes what is not proven to be synced once more. It was read from memory perhaps: had a sync
/// failed before the process ended, the system may take it for clean although the disk does not have it.
fn renew(segment: &Segment, unproven: &[u8], offset: usize, torn: bool) -> io::Result<()> {
    if torn {
        segment.medium.set_len((offset + unproven.len()) as u64)?;
    }
    segment.medium.write_at(unproven, offset as u64)?;
    segment.medium.sync()
}

/// Whether a later record proves that the one at `offset` was synced: a round starts only after the one before it is.
fn acknowledged_after(bytes: &Bytes, offset: usize, sequence: u64) -> bool {
    let round = Record::Round { durable: 0 }.encoded_len() - HEADER;
    (offset + 1..bytes.len().saturating_sub(HEADER)).any(|at| {
        // The cheap test first: a round record has a fixed length.
        read_header(&bytes[at..]).is_some_and(|(length, _)| length == round)
            && matches!(Record::decode(&bytes.slice(at..)),
                Ok((found, Record::Round { durable }, _)) if found > sequence && durable > sequence)
    })
}

/// Whether the bad record at `offset` was never wholly written: it reaches beyond the file, or one of its sectors is as it
/// was before the write.
fn is_torn(bytes: &[u8], offset: usize, extent: usize) -> bool {
    let end = offset + extent;
    if end > bytes.len() {
        return true;
    }
    let mut start = offset;
    while start < end {
        let next = (start / SECTOR + 1) * SECTOR;
        if is_zero(&bytes[start..next.min(end)]) {
            return true;
        }
        start = next;
    }
    false
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

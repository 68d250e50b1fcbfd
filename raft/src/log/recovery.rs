//! Reading the log back when a volume is opened.

use std::{collections::BTreeMap, io};

use bytes::Bytes;

use super::{
    files::Files,
    index::Index,
    record::{HEADER, Record, SEGMENT_HEADER, read_segment_header},
    segment::{self, Position, Segment},
    shared::LogError,
};

/// What was found.
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) segments: BTreeMap<u64, Segment>,
    /// Sequence number of the next record.
    pub(super) next_sequence: u64,
    /// Where the next record goes in the last segment.
    pub(super) end: u64,
}

/// Reads every segment in order.
pub(super) fn recover(files: &dyn Files) -> Result<Recovered, LogError> {
    let names = files.list().map_err(|source| LogError::io("list the log's directory", source))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    numbers.sort_unstable();
    check_consecutive(files, &numbers)?;
    let mut found =
        Recovered { index: Index::default(), segments: BTreeMap::new(), next_sequence: 0, end: SEGMENT_HEADER as u64 };
    for (i, number) in numbers.iter().enumerate() {
        let last = i + 1 == numbers.len();
        read_segment(files, *number, i == 0, last, &mut found)?;
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

fn read_segment(
    files: &dyn Files,
    number: u64,
    first: bool,
    last: bool,
    found: &mut Recovered,
) -> Result<(), LogError> {
    let path = files.path(&segment::name(number));
    let corrupt = |offset: usize, reason| LogError::Corrupt { path: path.clone(), offset: offset as u64, reason };
    let (segment, bytes) = open(files, number).map_err(|source| LogError::io("read a log segment", source))?;
    let header = read_segment_header(&bytes, number);
    match header {
        Some(sequence) if first => found.next_sequence = sequence,
        Some(sequence) if sequence == found.next_sequence => {}
        Some(_) => return Err(corrupt(0, "the segment does not continue the one before it")),
        // A crash while the segment was made: it holds nothing yet.
        None if last && bytes.len() <= SEGMENT_HEADER => {
            remove(files, number)?;
            return Ok(());
        }
        None => return Err(corrupt(0, "the segment's header is damaged")),
    }
    let mut offset = SEGMENT_HEADER;
    while offset < bytes.len() {
        let decoded = Record::decode(&bytes.slice(offset..)).filter(|(sequence, ..)| *sequence == found.next_sequence);
        let Some((_, record, length)) = decoded else {
            if !last || acknowledged_after(&bytes, offset, found.next_sequence) {
                return Err(corrupt(offset, "a record is damaged, and later ones show that it was acknowledged"));
            }
            tracing::warn!(path = %path.display(), offset, "cutting off the rest of an unfinished write");
            cut(&segment, offset)?;
            break;
        };
        let position = Position { segment: number, offset: offset as u64, length: length as u32 };
        found.index.apply(&record, Some(position));
        found.next_sequence += 1;
        offset += length;
    }
    found.end = offset as u64;
    found.segments.insert(number, segment);
    Ok(())
}

fn open(files: &dyn Files, number: u64) -> io::Result<(Segment, Bytes)> {
    let medium = files.open(&segment::name(number), false)?;
    let mut bytes = vec![0; usize::try_from(medium.len()?).map_err(io::Error::other)?];
    medium.read_at(&mut bytes, 0)?;
    Ok((Segment { number, medium: medium.into() }, bytes.into()))
}

/// Whether a later record proves that the one at `offset` was synced: a round starts only after the one before it is.
fn acknowledged_after(bytes: &Bytes, offset: usize, sequence: u64) -> bool {
    (offset + 1..bytes.len().saturating_sub(HEADER)).any(|at| {
        // The cheap test first: a round record has a fixed length.
        let length = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        length as usize == Record::Round { durable: 0 }.encoded_len() - HEADER
            && matches!(Record::decode(&bytes.slice(at..)),
                Some((found, Record::Round { durable }, _)) if found > sequence && durable > sequence)
    })
}

fn cut(segment: &Segment, offset: usize) -> Result<(), LogError> {
    let cut = segment.medium.set_len(offset as u64).and_then(|()| segment.medium.sync());
    cut.map_err(|source| LogError::io("cut a log segment", source))
}

fn remove(files: &dyn Files, number: u64) -> Result<(), LogError> {
    let removed = files.remove(&segment::name(number)).and_then(|()| files.sync_directory());
    removed.map_err(|source| LogError::io("remove an empty log segment", source))
}

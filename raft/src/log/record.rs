//! Records of the shared log, byte by byte.
//!
//! ```text
//! record  = length u32 LE (of body) · crc u32 LE (of body) · sequence u64 LE · crc u32 LE (of the 16 bytes before) · body
//! body    = kind u8 · group u64 LE · index u64 LE · payload
//! segment = magic 8 bytes · segment number u64 LE · first sequence u64 LE · crc u32 LE · zero u32, then records, then zeros
//! ```
//! The header has a checksum of its own so that a damaged body still has a known length. No header is all zeros, so zeros
//! end the records of a segment. Kinds are part of the format: never reuse a number.

use bytes::Bytes;

/// A Raft group within the log: 0 is the meta group, others are shard ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

/// Bytes of a record before its body.
pub(super) const HEADER: usize = 20;
/// Bytes of a body before its payload.
const BODY_HEADER: usize = 17;
/// Longest body accepted: longer lengths are garbage. Raft entries are bounded far below this.
pub(super) const BODY_MAX: usize = 256 << 20;
/// Bytes of a segment header.
pub(super) const SEGMENT_HEADER: usize = 32;
const MAGIC: &[u8; 8] = b"SHLOG\0\0\x01";

/// One change of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A round begins; every record with a sequence number below `durable` is synced.
    Round { durable: u64 },
    /// An entry of a group, new or written again.
    Entry { group: GroupId, index: u64, payload: Bytes },
    /// The group's vote.
    Vote { group: GroupId, payload: Bytes },
    /// Entries from `index` on are gone.
    Truncate { group: GroupId, index: u64 },
    /// Entries up to and including `index` are gone; `payload` is the id of the last of them.
    Purge { group: GroupId, index: u64, payload: Bytes },
    /// The group is gone.
    Drop { group: GroupId },
}

impl Record {
    fn parts(&self) -> (u8, u64, u64, &[u8]) {
        match self {
            Self::Round { durable } => (1, 0, *durable, &[]),
            Self::Entry { group, index, payload } => (2, group.0, *index, payload),
            Self::Vote { group, payload } => (3, group.0, 0, payload),
            Self::Truncate { group, index } => (4, group.0, *index, &[]),
            Self::Purge { group, index, payload } => (5, group.0, *index, payload),
            Self::Drop { group } => (6, group.0, 0, &[]),
        }
    }

    /// Bytes of the whole record.
    pub(super) fn encoded_len(&self) -> usize {
        HEADER + BODY_HEADER + self.parts().3.len()
    }

    /// Appends the record.
    pub(super) fn encode(&self, sequence: u64, out: &mut Vec<u8>) {
        let (kind, group, index, payload) = self.parts();
        let start = out.len();
        let length = u32::try_from(BODY_HEADER + payload.len()).expect("records are shorter than BODY_MAX");
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.push(kind);
        out.extend_from_slice(&group.to_le_bytes());
        out.extend_from_slice(&index.to_le_bytes());
        out.extend_from_slice(payload);
        let body = crc32c::crc32c(&out[start + HEADER..]);
        out[start + 4..start + 8].copy_from_slice(&body.to_le_bytes());
        let header = crc32c::crc32c(&out[start..start + 16]);
        out[start + 16..start + HEADER].copy_from_slice(&header.to_le_bytes());
    }

    /// Reads a record at the start of `bytes`: its sequence number, itself, and its length.
    pub(super) fn decode(bytes: &Bytes) -> Result<(u64, Self, usize), Damaged> {
        let (length, sequence) = read_header(bytes).ok_or(Damaged { extent: HEADER })?;
        let end = HEADER + length;
        let damaged = Damaged { extent: end };
        let body = bytes.get(HEADER..end).ok_or(damaged)?;
        if u32_at(bytes, 4) != Some(crc32c::crc32c(body)) {
            return Err(damaged);
        }
        let (Some(group), Some(index)) = (u64_at(body, 1), u64_at(body, 9)) else { return Err(damaged) };
        let group = GroupId(group);
        let payload = bytes.slice(HEADER + BODY_HEADER..end);
        let record = match body[0] {
            1 => Self::Round { durable: index },
            2 => Self::Entry { group, index, payload },
            3 => Self::Vote { group, payload },
            4 => Self::Truncate { group, index },
            5 => Self::Purge { group, index, payload },
            6 => Self::Drop { group },
            _ => return Err(damaged),
        };
        Ok((sequence, record, end))
    }
}

/// Bytes that are no whole and intact record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged {
    /// How far the record reaches: its header only, if that is damaged.
    pub(super) extent: usize,
}

/// Body length and sequence number of an intact header.
pub(super) fn read_header(bytes: &[u8]) -> Option<(usize, u64)> {
    let header = bytes.get(..HEADER)?;
    let length = u32_at(header, 0)? as usize;
    let intact = (BODY_HEADER..=BODY_MAX).contains(&length) && u32_at(header, 16)? == crc32c::crc32c(&header[..16]);
    intact.then_some((length, u64_at(header, 8)?))
}

/// The header of a segment.
pub(super) fn segment_header(number: u64, first_sequence: u64) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&number.to_le_bytes());
    header[16..24].copy_from_slice(&first_sequence.to_le_bytes());
    let crc = crc32c::crc32c(&header[..24]);
    header[24..28].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The first sequence number of a segment; `None` if the header is not that of segment `number`.
pub(super) fn read_segment_header(bytes: &[u8], number: u64) -> Option<u64> {
    let header = bytes.get(..SEGMENT_HEADER)?;
    let first = u64_at(header, 16)?;
    (header == segment_header(number, first)).then_some(first)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_a_round_trip_and_no_flipped_bit_goes_unnoticed() {
        let payload = Bytes::from_static(b"payload");
        let group = GroupId(7);
        for record in [
            Record::Round { durable: 9 },
            Record::Entry { group, index: 3, payload: payload.clone() },
            Record::Vote { group, payload: payload.clone() },
            Record::Truncate { group, index: 2 },
            Record::Purge { group, index: 1, payload },
            Record::Drop { group },
        ] {
            let mut bytes = Vec::new();
            record.encode(42, &mut bytes);
            assert_eq!(bytes.len(), record.encoded_len());
            assert_eq!(Record::decode(&bytes.clone().into()), Ok((42, record, bytes.len())));
            for bit in 0..bytes.len() * 8 {
                let mut bad = bytes.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let extent = if bit < HEADER * 8 { HEADER } else { bytes.len() };
                assert_eq!(Record::decode(&bad.into()), Err(Damaged { extent }), "bit {bit}");
            }
            for cut in 0..bytes.len() {
                assert!(Record::decode(&bytes[..cut].to_vec().into()).is_err(), "cut at {cut}");
            }
        }
    }
}

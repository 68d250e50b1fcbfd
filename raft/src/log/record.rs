//! Records of the shared log, byte by byte.
//!
//! ```text
//! record  = length u32 LE (of body) · crc u32 LE (of sequence and body) · sequence u64 LE · body
//! body    = kind u8 · group u64 LE · index u64 LE · payload
//! segment = magic 8 bytes · segment number u64 LE · first sequence u64 LE · crc u32 LE · zero u32, then records
//! ```
//! Kinds are part of the format: never reuse a number.

use bytes::Bytes;

/// A Raft group within the log: 0 is the meta group, others are shard ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

/// Bytes of a record before its body.
pub(super) const HEADER: usize = 16;
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
    /// Entries after `index` are gone.
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
        out.push(kind);
        out.extend_from_slice(&group.to_le_bytes());
        out.extend_from_slice(&index.to_le_bytes());
        out.extend_from_slice(payload);
        let crc = crc32c::crc32c(&out[start + 8..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads a record at the start of `bytes`: its sequence number, itself, and its length. `None` if the bytes are no
    /// whole and intact record.
    pub(super) fn decode(bytes: &Bytes) -> Option<(u64, Self, usize)> {
        let length = u32_at(bytes, 0)? as usize;
        let end = HEADER.checked_add(length)?;
        if !(BODY_HEADER..=BODY_MAX).contains(&length) || bytes.len() < end {
            return None;
        }
        if crc32c::crc32c(&bytes[8..end]) != u32_at(bytes, 4)? {
            return None;
        }
        let (group, index) = (GroupId(u64_at(bytes, 17)?), u64_at(bytes, 25)?);
        let payload = bytes.slice(HEADER + BODY_HEADER..end);
        let record = match bytes[HEADER] {
            1 => Self::Round { durable: index },
            2 => Self::Entry { group, index, payload },
            3 => Self::Vote { group, payload },
            4 => Self::Truncate { group, index },
            5 => Self::Purge { group, index, payload },
            6 => Self::Drop { group },
            _ => return None,
        };
        Some((u64_at(bytes, 8)?, record, end))
    }
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
            assert_eq!(Record::decode(&bytes.clone().into()), Some((42, record, bytes.len())));
            for bit in 0..bytes.len() * 8 {
                let mut bad = bytes.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Record::decode(&bad.into()), None, "bit {bit}");
            }
            for cut in 0..bytes.len() {
                assert_eq!(Record::decode(&bytes[..cut].to_vec().into()), None, "cut at {cut}");
            }
        }
    }
}

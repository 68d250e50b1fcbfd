//! Records of the shared log, byte by byte.
//!
//! ```text
//! record  = mark u8 · length u32 LE (of body) · crc u32 LE (of body) · sequence u64 LE · crc u32 LE (of the 17 bytes
//!           before) · body
//! body    = kind u8 · group u64 LE · index u64 LE · payload · mark u8
//! segment = magic 8 bytes · segment number u64 LE · first sequence u64 LE · crc u32 LE · zero u32, then records, then zeros
//! ```
//! The header has a checksum of its own so that a damaged body still has a known length. A mark and a kind are never zero,
//! so neither a sector in which a record starts nor one in which it ends is zeros behind what came before: such a sector was
//! not written. Kinds are part of the format: never reuse a number.

use bytes::Bytes;

/// A Raft group within the log: 0 is the meta group, others are shard ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

/// Bytes of a record before its body.
pub(super) const HEADER: usize = 21;
/// Bytes of a body before its payload.
const BODY_HEADER: usize = 17;
/// Bytes of a body without its payload.
const BODY_FRAME: usize = BODY_HEADER + 1;
/// First and last byte of a record.
const MARK: u8 = 0xb5;
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
        HEADER + BODY_FRAME + self.parts().3.len()
    }

    /// Appends the record.
    pub(super) fn encode(&self, sequence: u64, out: &mut Vec<u8>) {
        let (kind, group, index, payload) = self.parts();
        let start = out.len();
        let length = u32::try_from(BODY_FRAME + payload.len()).expect("records are shorter than BODY_MAX");
        out.push(MARK);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.push(kind);
        out.extend_from_slice(&group.to_le_bytes());
        out.extend_from_slice(&index.to_le_bytes());
        out.extend_from_slice(payload);
        out.push(MARK);
        let body = crc32c::crc32c(&out[start + HEADER..]);
        out[start + 5..start + 9].copy_from_slice(&body.to_le_bytes());
        let header = crc32c::crc32c(&out[start..start + 17]);
        out[start + 17..start + HEADER].copy_from_slice(&header.to_le_bytes());
    }

    /// Reads a record at the start of `bytes`: its sequence number, itself, and its length.
    pub(super) fn decode(bytes: &Bytes) -> Result<(u64, Self, usize), Damaged> {
        let (length, sequence) = read_header(bytes).ok_or(Damaged { extent: HEADER + 1 })?;
        let end = HEADER + length;
        let damaged = Damaged { extent: end };
        let body = bytes.get(HEADER..end).ok_or(damaged)?;
        if u32_at(bytes, 5) != Some(crc32c::crc32c(body)) || body.last() != Some(&MARK) {
            return Err(damaged);
        }
        let (Some(group), Some(index)) = (u64_at(body, 1), u64_at(body, 9)) else { return Err(damaged) };
        let group = GroupId(group);
        let payload = bytes.slice(HEADER + BODY_HEADER..end - 1);
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
    /// How far the record reaches: its header and the kind behind it only, if the header is damaged.
    pub(super) extent: usize,
}

/// Body length and sequence number of an intact header.
pub(super) fn read_header(bytes: &[u8]) -> Option<(usize, u64)> {
    let header = bytes.get(..HEADER)?;
    let length = u32_at(header, 1)? as usize;
    let intact = header[0] == MARK
        && (BODY_FRAME..=BODY_MAX).contains(&length)
        && u32_at(header, 17)? == crc32c::crc32c(&header[..17]);
    intact.then_some((length, u64_at(header, 9)?))
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
                let extent = if bit < HEADER * 8 { HEADER + 1 } else { bytes.len() };
                assert_eq!(Record::decode(&bad.into()), Err(Damaged { extent }), "bit {bit}");
            }
            for cut in 0..bytes.len() {
                assert!(Record::decode(&bytes[..cut].to_vec().into()).is_err(), "cut at {cut}");
            }
        }
    }
}

//! Sums over what a replica holds at a timestamp, to tell whether replicas hold the same.
//!
//! Keys, values and commit timestamps of the versions that a reader sees are summed up in key order, a part at a time, so that
//! a large shard keeps nobody waiting. Versions that no reader at the timestamp sees are left out: each replica drops them
//! when it comes to it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proto::{Timestamp, kv};
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::{Cf, Snapshot, Span};

use crate::{
    mvcc::{Direction, VersionCursor},
    replica::{Failure, Replica, read_failure},
};

/// Bytes of keys and values in one part: a fraction of a second's work.
const PART_BYTES_MAX: u64 = 16 << 20;
/// Rows in one part, where they are small.
const PART_ROWS_MAX: u64 = 1 << 17;
/// How long a replica may lag behind the position that it is asked for.
const LAG_MAX: Duration = Duration::from_secs(3);
/// Odd multipliers with bits all over them, of the mixing function.
const MULTIPLIERS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];

/// Sums up the beginning of a span.
pub(crate) async fn part(
    replica: &Arc<Replica>,
    header: &kv::Header,
    checksum: kv::Checksum,
) -> Result<kv::ChecksumPart, Failure> {
    if !replica.applies(checksum.min_index, LAG_MAX).await {
        let message = format!("the replica has applied its log up to {} only", replica.group.applied());
        return Err(Failure::Refused(kv::Refused { sqlstate: "55000".to_owned(), message }));
    }
    let span = checksum.span.unwrap_or_default();
    let applied_index = replica.group.applied();
    let view = replica.view(header, std::slice::from_ref(&span), checksum.min_index)?;
    let (ts, before) = (Timestamp(checksum.read_ts), checksum.before);
    let blocking = replica.environment.raft.blocking();
    let summed = blocking.run(move || sum(view.as_ref(), &span, ts, before)).await;
    let summed = summed.ok_or_else(|| Failure::Internal("computing a checksum panicked".to_owned()))?;
    let part = summed.map_err(|error| read_failure(&error))?;
    Ok(kv::ChecksumPart { applied_index, ..part })
}

fn sum(view: &dyn Snapshot, span: &kv::Span, ts: Timestamp, before: u64) -> storage::Result<kv::ChecksumPart> {
    let mut part = kv::ChecksumPart { checksum: before, ..kv::ChecksumPart::default() };
    let inner = Span::new(span.start.to_vec(), span.end.to_vec());
    let mut rows = VersionCursor::over(view.cursor(Cf::Data, &inner)?, ts, Direction::Forward)?;
    while rows.advance()? {
        if part.rows >= PART_ROWS_MAX || part.bytes >= PART_BYTES_MAX {
            let start = Bytes::copy_from_slice(rows.key());
            part.rest = Some(kv::Span { start, end: span.end.clone() });
            break;
        }
        part.rows += 1;
        part.bytes += (rows.key().len() + rows.value().len()) as u64;
        part.checksum = add_bytes(add_bytes(part.checksum, rows.key()), rows.value());
        part.checksum = mix(part.checksum ^ rows.commit_ts().0);
    }
    Ok(part)
}

/// The sum of what came before and these bytes, their number included.
fn add_bytes(before: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(mix(before ^ bytes.len() as u64), |sum, word| mix(sum ^ u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(sum ^ u64::from_le_bytes(last))
}

/// A mixture of all bits; different for different numbers.
fn mix(number: u64) -> u64 {
    let once = (number ^ (number >> 32)).wrapping_add(MULTIPLIERS[0]).wrapping_mul(MULTIPLIERS[1]);
    let twice = (once ^ (once >> 29)).wrapping_mul(MULTIPLIERS[0]);
    twice ^ (twice >> 32)
}

#[cfg(test)]
mod tests {
    use storage::{Batch, Engine, MemoryEngine};

    use super::*;
    use crate::mvcc::{encode_put, version_key};

    fn engine(rows: &[(&str, u64, &str)]) -> MemoryEngine {
        let engine = MemoryEngine::default();
        let mut batch = Batch::default();
        for (key, ts, value) in rows {
            batch.put(Cf::Data, version_key(key.as_bytes(), Timestamp(*ts)), encode_put(value.as_bytes()));
        }
        engine.write(&batch).expect("memory takes every write");
        engine
    }

    fn checksum(rows: &[(&str, u64, &str)], ts: u64) -> u64 {
        sum(engine(rows).snapshot().as_ref(), &kv::Span::default(), Timestamp(ts), 0).expect("a sum").checksum
    }

    #[test]
    fn what_no_reader_sees_does_not_count_and_everything_else_does() {
        let rows = [("a", 5, "x"), ("b", 6, "y")];
        let same = checksum(&rows, 9);
        assert_eq!(checksum(&[rows[0], rows[1], ("a", 3, "old"), ("b", 10, "later")], 9), same);
        for other in [[("a", 5, "x"), ("b", 6, "z")], [("a", 5, "x"), ("b", 7, "y")], [("a", 5, "x"), ("c", 6, "y")]] {
            assert_ne!(checksum(&other, 9), same, "{other:?}");
        }
        assert_ne!(checksum(&[("ab", 5, "c")], 9), checksum(&[("a", 5, "bc")], 9));
        assert_ne!(checksum(&rows[..1], 9), same);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let rows = [("a", 5, "x"), ("b", 6, "y"), ("c", 7, "z")];
        let (engine, ts) = (engine(&rows), Timestamp(9));
        let span = |start: &'static str, end: &'static str| kv::Span { start: start.into(), end: end.into() };
        let of = |span, before| sum(engine.snapshot().as_ref(), &span, ts, before).expect("a sum").checksum;
        assert_eq!(of(span("b", ""), of(span("", "b"), 0)), of(span("", ""), 0));
    }
}

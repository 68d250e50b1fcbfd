//! Keys of `Cf::Local`: what shards keep about themselves and about transactions.
//!
//! ```text
//! 's' shard u64 BE 'd'            the shard's range (`kv::Range`)
//! 's' shard u64 BE 'p'            the position its state machine is at
//! 's' shard u64 BE 'x'            tombstone of a removed replica, until its log is gone
//! 's' shard u64 BE 'r'            milliseconds up to which its aborted transactions' records were swept (u64 BE)
//! 'f' shard u64 BE table u32 BE   schema fence: the oldest layout version still accepted (u64 BE)
//! 't' primary txn u64 BE          transaction record (`kv::TxnStatus`), in the range of its primary
//! ```
//! Part of the format: never reuse a letter. Letters below 's' belong to other users of the volume.

use proto::{ShardId, TxnId};
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::Span;

fn shard_key(letter: u8, shard: ShardId, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + rest.len());
    key.push(letter);
    key.extend_from_slice(&shard.0.to_be_bytes());
    key.extend_from_slice(rest);
    key
}

pub(crate) fn descriptor(shard: ShardId) -> Vec<u8> {
    shard_key(b's', shard, b"d")
}

pub(crate) fn position(shard: ShardId) -> Vec<u8> {
    shard_key(b's', shard, b"p")
}

pub(crate) fn swept(shard: ShardId) -> Vec<u8> {
    shard_key(b's', shard, b"r")
}

/// What stays of a replica whose data is removed until its log is, too.
pub(crate) fn tombstone(shard: ShardId) -> Vec<u8> {
    shard_key(b's', shard, b"x")
}

/// The shard of a tombstone's key.
pub(crate) fn parse_tombstone(key: &[u8]) -> Option<ShardId> {
    let shard = key.strip_prefix(b"s")?.strip_suffix(b"x")?;
    Some(ShardId(u64::from_be_bytes(*shard.first_chunk::<8>().filter(|_| shard.len() == 8)?)))
}

/// Every key of a shard under 's'.
pub(crate) fn of_shard(shard: ShardId) -> Span {
    Span::new(shard_key(b's', shard, &[]), shard_key(b's', ShardId(shard.0 + 1), &[]))
}

/// Whether a key of `shards` is a descriptor's.
pub(crate) fn is_descriptor(key: &[u8]) -> bool {
    key.len() == 10 && key[9] == b'd'
}

/// Every shard's keys.
pub(crate) fn shards() -> Span {
    Span::new(*b"s", *b"t")
}

pub(crate) fn fence(shard: ShardId, table: u32) -> Vec<u8> {
    shard_key(b'f', shard, &table.to_be_bytes())
}

/// Every fence of a shard.
pub(crate) fn fences(shard: ShardId) -> Span {
    Span::new(shard_key(b'f', shard, &[]), shard_key(b'f', ShardId(shard.0 + 1), &[]))
}

pub(crate) fn record(primary: &[u8], txn: TxnId) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + primary.len());
    key.push(b't');
    key.extend_from_slice(primary);
    key.extend_from_slice(&txn.0.to_be_bytes());
    key
}

/// Where the records of primaries in a span are, among a few others.
pub(crate) fn records(range: &Span) -> Span {
    let prefixed = |bytes: &[u8]| [b"t", bytes].concat();
    let end = if range.end.is_empty() { b"u".to_vec() } else { prefixed(&range.end) };
    Span::new(prefixed(&range.start), end)
}

/// Primary and transaction of a record's key.
pub(crate) fn parse_record(key: &[u8]) -> Option<(&[u8], TxnId)> {
    let (primary, txn) = key.strip_prefix(b"t")?.split_last_chunk::<8>()?;
    Some((primary, TxnId(u64::from_be_bytes(*txn))))
}

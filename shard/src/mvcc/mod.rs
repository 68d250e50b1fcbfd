//! Versions of keys: how they are stored and what a reader at a timestamp sees.
//!
//! A version is an entry of `Cf::Data`: the key, then the inverted commit timestamp, so that the newest version of a key
//! comes first. Its value is a tag byte and, for a put, the value. A deletion is a version too. One version of every
//! transaction that committed on one shard names it, so that its outcome can be told when the answer was lost.
//!
//! # Example
//! `k` is put at 5, deleted at 7 and put at 9. A reader at 4 sees nothing, at 5 and 6 the first value, at 7 and 8 nothing,
//! from 9 on the second value.
//!
//! # Invariants
//! * Keys are prefix-free within an index, so the versions of one key are neighbours.
//! * No two versions of a key have the same timestamp: writers of a key are ordered by its row lock.
//!
//! Does not: look at intents or locks (see `replica`).

mod garbage;
mod key;
mod read;
mod scan;

pub(crate) use garbage::collect;
pub(crate) use key::{encode_put, encode_signed, encode_tombstone, version_key};
pub(crate) use read::{newest, read_at, signed_by, written_since};
pub use scan::{Direction, VersionCursor};

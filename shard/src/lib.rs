//! Node side of the data: shards with versions, intents and locks, each replicated by a Raft group.
//!
//! [`Node::execute`] carries out the requests of the transactional client. A [`Node`] hosts the shards of one volume;
//! they share its engine, whose keys are those of the one key space, and its lock table.
//!
//! # Life of a one-phase commit
//! 1. `Replica::commit` enters the written keys in the marks, which fixes a commit timestamp above every read.
//! 2. It checks that each key's lock is still held and, for SERIALIZABLE, that no span read has changed.
//! 3. The command goes through the Raft log: written and synced with those of other groups.
//! 4. `Machine::apply` writes the versions and the log position in one batch, then removes the marks and the locks.
//! 5. The proposal's outcome answers the request.
//!
//! Does not: know tables beyond the first four bytes of a key; coordinate transactions (the client does).

mod apply;
mod checksum;
mod closing;
mod fragment;
mod housekeeping;
mod intent_keys;
mod living;
mod local;
mod locks;
mod marks;
mod mvcc;
mod node;
mod past;
mod promises;
mod read;
mod records;
mod replica;
mod replicas;
mod requests;
mod serving;
mod staged;
mod strays;
mod write;

pub use living::Living;
pub use locks::LongWait;
pub use mvcc::{Direction, VersionCursor};
pub use node::{Environment, Node, NodeStatistics, OpenError, Oracle, TxnResolver};
pub use strays::Suspect;

//! The lock table of a node: row locks and table locks, held from the statement to the commit.
//!
//! # Rules
//! * Locks on one key are granted in the order of arrival; a request waits behind earlier ones it conflicts with, even
//!   if it could be granted at once (no starvation). A transaction that strengthens its own lock goes ahead of the queue.
//! * A transaction never conflicts with itself.
//! * Before it waits, a request looks for a cycle of waits through itself. If there is one it fails with the cycle, so no
//!   deadlock ever stands.
//! * Every row lock is preceded by a shared lock on the row's table (the first four bytes of the key), against which an
//!   exclusive table lock waits.
//!
//! # Invariants
//! * `holders` of one key are pairwise compatible.
//! * A key without holders has no waiters and no entry.
//! * `held[t]` lists exactly the keys that `t` holds.
//!
//! The table lives in memory at the leader: a new leader starts without locks, or with those that the last one has left it,
//! and commits check versions again.

mod bequest;
mod modes;
mod table;
mod wait;

pub(crate) use modes::Mode;
pub(crate) use table::LockTable;
pub use table::LongWait;
pub(crate) use wait::{BehindIntent, Refusal, Wait};

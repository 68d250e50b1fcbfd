//! The shared log: one durable, segmented log for all Raft groups of a volume.
//!
//! Appends of all groups are collected by one writer thread, written with one call and synced once (a *round*), then
//! every caller is told. What a commit costs is therefore one sync, shared by all that wait for it.
//!
//! # Files
//! A segment is `NNNNNNNNNNNNNNNN.log`: a header, then records, then zeros written ahead. A record is length, checksums,
//! sequence number and body (see `record`). Each round starts with a `Round` record; the writer starts a round only after
//! the one before it was synced. Each segment starts with a checkpoint of every group's vote and purge position, so an old
//! segment is needed only for the entries in it.
//!
//! # Invariants
//! * Sequence numbers are consecutive over all segments.
//! * A caller is told `Ok` only after its records are synced.
//! * Once a write or sync has failed, nothing is written any more: what the disk holds is unknown (a failed sync may
//!   have dropped pages), so the log stays failed until the process starts again.
//! * Before a round is written, the file holds zeros from its end on, or ends there.
//! * A segment is deleted only once the records that made its entries needless are synced.
//!
//! # Recovery
//! Records are read in order. A bad record ends the log if it was never wholly written (a sector of it is zeros, or it
//! reaches beyond the file) and nothing proves that it was acknowledged: no later segment, and no later `Round` record in
//! its segment. Such a tail is the rest of a round that was never synced; it is cut off. Anything else was changed after it
//! was written: opening fails with the file and offset. What no later round proves to be synced is written and synced again.
//!
//! # Room
//! Segments without live entries are deleted, oldest first. When a group that does not purge holds back more than
//! `LogOptions::segments_max` segments, its entries in the oldest are written again at the tail, a piece after each round.

mod failure;
mod files;
mod index;
mod record;
mod recovery;
mod segment;
mod shared;
mod writer;

pub use files::{Files, Medium, RealFiles};
pub use record::GroupId;
pub(crate) use shared::Done;
pub use shared::{Execution, LogError, LogOptions, LogStatistics, SharedLog};

//! Applying the log: a pure function of the shard's state and the command.
//!
//! Commands change the engine through one batch for each run of commands; a command that has to read what an earlier one of
//! the run wrote makes the run's batch go out first. Every command can be applied again: after a crash the log is replayed
//! from the stored position, which is written with the last batch of a run.
//!
//! # Invariants
//! * A key has at most one intent.
//! * A transaction record that says committed or aborted never changes.
//! * No clock, random number or socket is read. A command that cannot be carried out has an outcome that says so.

mod intents;
mod machine;
mod range;
mod records;
mod snapshot;

pub(crate) use machine::{Machine, Shared};
pub(crate) use records::is_swept;

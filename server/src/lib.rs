//! The server as a library: what the `sharddb` binary runs, and what tests run in their own process.
//!
//! [`Volume`] puts the layers below SQL together: engine, Raft log, meta group, shards and the transactional client.

mod clock;
mod local;
mod volume;

pub use volume::{StartError, Volume, VolumeOptions};

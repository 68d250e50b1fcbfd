//! A whole cluster in one thread: the layers of real nodes over simulated networks, disks and clocks.
//!
//! [`simulate`] founds a cluster, lets clients work while things go wrong, mends everything and checks what the clients saw
//! and what the nodes hold. Nothing happens beside one runtime with a paused clock, and all randomness comes from the seed,
//! so the same seed does the same.
//!
//! # What goes wrong
//! * Nodes crash at any moment and start again: the log keeps what was synced, with the last sync perhaps torn, the engine
//!   what was flushed and a part of what came after.
//! * Messages are lost, delayed, overtake others; nodes hear nothing of each other, or only in one direction.
//! * Wall clocks jump; monotonic clocks run at rates of their own; some disks are slow.
//! * Meanwhile shards are cut, replicas and leaders move, logs are shortened so that snapshots are needed.
//!
//! Does not: simulate SQL, fragments, failing reads of disks, full disks; find races of threads.

mod check;
mod clock;
mod cluster;
mod describe;
mod endpoint;
mod engine;
mod faults;
mod machine;
mod network;
mod random;
mod run;
mod trace;
mod workload;

pub use run::{Report, simulate};

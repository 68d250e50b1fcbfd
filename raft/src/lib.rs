//! Consensus: many Raft groups on one volume, with one shared log.
//!
//! [`RaftHost`] runs the groups, [`Group::propose`] replicates a command, [`StateMachine`] is what a group applies its
//! commands to, and [`log::SharedLog`] keeps the entries of all groups. openraft does the protocol; nobody outside this
//! crate sees its types.
//!
//! Does not: know what commands mean; read the state machines' data.

mod birth;
mod compaction;
mod election;
mod error;
mod exchange;
mod flush;
mod flushed;
mod group;
mod host;
mod inbox;
mod lease;
mod link;
pub mod log;
mod members;
mod pulse;
mod removal;
mod replica;
mod snapshot;
mod state_machine;
mod store;
mod support;
mod surroundings;
mod transfer;
mod transport;
mod types;
mod wire;

pub use birth::Written;
pub use error::Error;
pub use group::{Group, PROPOSAL_BYTES_MAX};
pub use host::RaftHost;
pub use members::{Members, Progress};
pub use removal::LogEnd;
pub use replica::Leadership;
pub use state_machine::{Capture, Fatal, StateMachine};
pub use surroundings::{Blocking, MonotonicClock, Surroundings, TokioClock};
pub use transport::{NoPeers, SNAPSHOT_CHUNK_BYTES, Transport, TransportError};
pub use types::{Committed, birth_position};

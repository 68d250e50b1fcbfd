//! Consensus: many Raft groups on one volume, with one shared log.
//!
//! [`RaftHost`] runs the groups, [`Group::propose`] replicates a command, [`StateMachine`] is what a group applies its
//! commands to, and [`log::SharedLog`] keeps the entries of all groups. openraft does the protocol; nobody outside this
//! crate sees its types.
//!
//! Does not: know what commands mean; read the state machines' data.

mod host;
pub mod log;
mod network;
mod state_machine;
mod store;
mod types;

pub use host::{Error, Group, PROPOSAL_BYTES_MAX, RaftHost};
pub use state_machine::{Committed, Fatal, StateMachine};

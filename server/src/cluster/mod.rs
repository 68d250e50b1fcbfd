//! What makes a process a node among others: joining, serving their calls, telling and hearing news, moving replicas.

mod heartbeat;
mod join;
mod meta_member;
mod mover;
mod service;

pub(crate) use heartbeat::{Heart, Record};
pub use join::JoinError;
pub(crate) use join::join;
pub(crate) use meta_member::MetaMember;
pub(crate) use mover::ClusterMover;
pub(crate) use service::Hub;

//! What makes a process a node among others: joining, serving their calls, telling and hearing news, moving replicas.

mod bereaved;
mod join;
mod meta_member;
mod mover;
mod service;
mod vitals;
mod waits;

pub(crate) use bereaved::Bereaved;
pub use join::JoinError;
pub(crate) use join::join;
pub(crate) use meta_member::MetaMember;
pub(crate) use mover::ClusterMover;
pub(crate) use service::Hub;
pub(crate) use vitals::{NodeVitals, Peers};
pub(crate) use waits::NodeWaits;

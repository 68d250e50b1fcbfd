//! What makes a process a node among others: joining, and the connections to them.

mod join;
mod peers;
mod service;

pub use join::JoinError;
pub(crate) use join::join;
pub(crate) use peers::Peers;
pub(crate) use service::Served;

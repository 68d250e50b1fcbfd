//! A node put together from its layers: Raft groups, meta group, shards, client, and the tasks that keep it a node among
//! others. The server gives it sockets, files and clocks; the simulation gives it simulated ones.
//!
//! [`Hub`] is what a node does with the calls of others, [`Layers`] is the running node, [`Peers`] is what it knows of the
//! others.
//!
//! Does not: open sockets; read clocks; know SQL.

mod bereaved;
mod hub;
mod layers;
mod local;
mod looks;
mod meta_member;
mod missing;
mod mover;
mod peers;
mod strays;
mod vitals;
mod waits;

pub use hub::Hub;
pub use layers::{FIRST_NODE, Layers, Place, StartError};
pub use local::{LocalTransport, NobodyElse};
pub use peers::Peers;

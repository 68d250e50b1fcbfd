//! The cluster's brain, a Raft group of its own: range map, nodes, settings, identifiers and the timestamp oracle.
//!
//! Small and slow-changing, so its state is kept in memory ([`Meta`]); each command writes the records it changes. Reads
//! come from memory; timestamps come from a window that was replicated before ([`oracle`]). Nodes ask by
//! [`Meta::call`].
//!
//! Does not: lie on the path of a row (frontends cache the range map); know tables.

mod call;
mod commands;
pub mod deadlock;
mod group;
mod machine;
pub mod oracle;
mod pace;
pub mod placement;
mod ranges;
mod records;
mod registry;
mod remote;
mod replicated;
mod state;
mod timestamps;

pub use group::{Clock, Error, GROUP, Meta};
pub use ranges::RangeTable;
pub use registry::HEARTBEAT_MS;
pub use remote::{MetaTransport, RemoteMeta, Vitals, Waits};
pub use replicated::Replicated;

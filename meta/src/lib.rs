//! The cluster's brain, a Raft group of its own: range map, nodes, settings, identifiers and the timestamp oracle.
//!
//! Small and slow-changing, so its whole state is one value, kept in memory and written with each command. Reads come
//! from memory; timestamps come from a window that was replicated before ([`oracle`]).
//!
//! Does not: lie on the path of a row (frontends cache the range map); know tables.

mod group;
mod machine;
pub mod oracle;
mod pace;

pub use group::{Clock, Error, Meta};

//! Commands that talk to a running cluster: `sharddb node …` and `sharddb cluster …`.
//!
//! They connect to any node as a client does and use `sharddb.nodes`, `sharddb.shards`, `sharddb.jobs` and ALTER SYSTEM.

mod cluster;
mod connection;
mod nodes;
mod progress;
mod table;

pub use cluster::ClusterCommand;
pub(crate) use cluster::ClusterStatus;
pub use connection::CommandError;
pub(crate) use connection::connect;
pub use nodes::NodeCommand;

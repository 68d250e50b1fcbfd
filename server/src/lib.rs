//! The server as a library: what the `sharddb` binary runs, and what tests run in their own process.
//!
//! [`Volume`] puts the layers below SQL together: engine, Raft log, meta group, shards and the transactional client.
//! [`Instance`] adds the data directory, the SQL engine and the listeners.
//!
//! # Life of a process
//! 1. [`Config::read`] decides the settings; [`DataDirectory::open`] locks the directory and checks its format.
//! 2. The file NODE says which node of which cluster this is; a new one founds a cluster or joins one.
//! 3. `Volume::open` replays the Raft log; then the catalog is opened and clients are served.
//! 4. A signal stops it in order: clients, then HTTP, then storage. A storage that has failed ends the process.

mod cert;
mod clock;
mod cluster;
mod command;
mod config;
mod demo;
mod directory;
mod exposition;
mod http;
mod identity;
mod instance;
mod local;
mod system;
mod volume;

pub use cert::Cert;
pub use cluster::JoinError;
pub use command::{ClusterCommand, CommandError, NodeCommand};
pub use config::{Config, ConfigError, Flags};
pub use demo::{Demo, DemoError};
pub use directory::{DataDirectory, DirectoryError};
pub use identity::IdentityError;
pub use instance::{Instance, InstanceError};
pub use system::{end_with, raise_file_limit};
pub use volume::{StartError, Volume, VolumeOptions};

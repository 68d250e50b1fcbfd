//! Errors of storage engines.

use std::{io, path::PathBuf};

/// Answer of an engine.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an engine failed. All of them are local to the node; none depends on the data asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The volume is full.
    #[error("no space left on the volume")]
    DiskFull,
    /// The operating system failed a read or write.
    #[error("could not {action}: {source}")]
    Io {
        /// What was tried, as verb and object.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Stored bytes are not what was written.
    #[error("stored data is corrupt: {0}")]
    Corrupt(String),
    /// Another process has the directory open, or it belongs to something else.
    #[error("could not open {path}: {reason}")]
    Open {
        /// The directory.
        path: PathBuf,
        /// The engine's words.
        reason: String,
    },
    /// The engine keeps nothing that could do this.
    #[error("the storage engine does not support {0}")]
    Unsupported(&'static str),
    /// Any other answer of the engine.
    #[error("storage engine: {0}")]
    Engine(String),
}

impl Error {
    /// The SQLSTATE a client sees, as its five characters.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::DiskFull => "53100",
            Self::Io { .. } | Self::Open { .. } => "58030",
            Self::Corrupt(_) => "XX001",
            Self::Unsupported(_) => "0A000",
            Self::Engine(_) => "XX000",
        }
    }
}

//! Errors of the crate.

use std::{io, net::IpAddr, path::PathBuf};

use proto::kv::failure::Kind;
use sharddb_proto as proto;

/// Why a call to another node has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It surely was not carried out.
    #[error("{0}")]
    Unreachable(String),
    /// It may have been carried out.
    #[error("{0}")]
    Ambiguous(String),
}

impl From<CallError> for Kind {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unreachable(reason) => Self::Unreachable(reason),
            CallError::Ambiguous(reason) => Self::Ambiguous(reason),
        }
    }
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Everybody could read and write everything.
    #[error(
        "the address {0} for other nodes can be reached from other machines, and there are no certificates: make them with \
         \"sharddb cert\", or say that the network is trusted"
    )]
    Open(IpAddr),
    /// The socket.
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// A file cannot be read.
    #[error("could not read \"{}\": {source}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("\"{}\" holds no {what} in PEM format", file.display())]
    Missing {
        /// Which.
        file: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// They do not fit together.
    #[error("the certificates cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The authority's certificate.
    #[error("the certificate of the authority cannot be used: {0}")]
    Authority(#[from] rustls::server::VerifierBuilderError),
}

/// Why certificates were not made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// What is there already is never replaced.
    #[error("\"{}\" exists already and is not overwritten", .0.display())]
    Exists(PathBuf),
    /// A file cannot be written or read.
    #[error("could not use \"{}\": {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A host's name cannot be in a certificate.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// Key and certificate of the authority are of different ones.
    #[error("\"{}\" and \"{}\" do not belong together, or were not made by \"sharddb cert create-ca\"", certificate.display(), key.display())]
    Authority {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
}

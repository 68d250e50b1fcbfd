//! `sharddb cert`: makes the certificates by which nodes know each other.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::Subcommand;
use sharddb_meta::Clock;
use sharddb_rpc::{CertificateError, create_ca, create_node};

use crate::clock::SystemClock;

/// What to make.
#[derive(Clone, Debug, Subcommand)]
pub enum Cert {
    /// Makes a cluster's certificate authority: ca.crt, which every node needs, and ca.key, which only making certificates needs
    CreateCa {
        /// Directory for the files; made if it does not exist
        #[arg(long, value_name = "DIR")]
        certs_dir: PathBuf,
    },
    /// Makes a node's certificate and key, node.crt and node.key, with the authority in the same directory
    CreateNode {
        /// Directory with ca.crt and ca.key, and for the files
        #[arg(long, value_name = "DIR")]
        certs_dir: PathBuf,
        /// Names and addresses by which the node is reached
        #[arg(required = true, value_name = "HOST")]
        hosts: Vec<String>,
    },
}

impl Cert {
    /// Makes it; answers the files.
    pub fn make(&self) -> Result<Vec<PathBuf>, CertificateError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(SystemClock::new().now_ms());
        match self {
            Self::CreateCa { certs_dir } => create_ca(certs_dir, now),
            Self::CreateNode { certs_dir, hosts } => create_node(certs_dir, hosts, now),
        }
    }
}

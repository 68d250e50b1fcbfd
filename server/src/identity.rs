//! Who this node is: the file NODE of the data directory.
//!
//! It says which cluster the node belongs to, its number there, how often it has started, and where the other nodes were
//! when it heard of them last, so that it finds them again. Written whole or not at all.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::directory::write_whole;

const FILE: &str = "NODE";

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct NodeIdentity {
    /// Empty until the node belongs to a cluster.
    pub(crate) cluster_id: String,
    /// 0 until then.
    pub(crate) node: u64,
    /// Random; made with the data directory.
    pub(crate) store: String,
    /// Starts so far.
    pub(crate) incarnation: u64,
    /// Nodes that have a member of the meta group.
    pub(crate) meta_members: Vec<u64>,
    /// The other nodes.
    pub(crate) nodes: Vec<KnownNode>,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownNode {
    pub(crate) id: u64,
    pub(crate) rpc_addr: String,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Files.
    #[error("could not {action} \"{}\": {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The file is damaged.
    #[error("\"{}\" does not say which node this is: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl NodeIdentity {
    /// Reads the file, or makes a new identity, and counts this start.
    pub(crate) fn begin(directory: &Path, store: impl FnOnce() -> String) -> Result<Self, IdentityError> {
        let path = directory.join(FILE);
        let mut identity = match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text)
                .map_err(|error| IdentityError::Damaged { path: path.clone(), reason: error.to_string() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self { store: store(), ..Self::default() },
            Err(source) => return Err(IdentityError::Io { action: "read", path, source }),
        };
        identity.incarnation += 1;
        identity.save(directory)?;
        Ok(identity)
    }

    /// Writes the file.
    pub(crate) fn save(&self, directory: &Path) -> Result<(), IdentityError> {
        let written = toml::to_string(self).map_err(io::Error::other);
        let written = written.and_then(|text| write_whole(directory, FILE, &text));
        written.map_err(|source| IdentityError::Io { action: "write", path: directory.join(FILE), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_kept_and_its_starts_are_counted() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut first = NodeIdentity::begin(directory.path(), || "one".to_owned()).expect("a new identity");
        assert_eq!((first.incarnation, first.store.as_str(), first.node), (1, "one", 0));
        first.node = 7;
        first.nodes = vec![KnownNode { id: 1, rpc_addr: "host:7433".to_owned() }];
        first.save(directory.path()).expect("written");
        let second = NodeIdentity::begin(directory.path(), || "two".to_owned()).expect("it is there");
        assert_eq!(second, NodeIdentity { incarnation: 2, ..first });
        fs::write(directory.path().join(FILE), "node = \"x\"").expect("written");
        let error = NodeIdentity::begin(directory.path(), String::new).expect_err("damaged");
        assert!(error.to_string().contains("does not say which node this is"), "{error}");
    }
}

//! What the meta group needs of its Raft group: the seam at which tests put a log of their own.

use bytes::Bytes;
use kv::BoxFuture;
use raft::{Group, Leadership, log::LogError};
use sharddb_kv as kv;
use sharddb_raft as raft;
use tokio::sync::watch;

/// One replica of a replicated log.
pub trait Replicated: Send + Sync + 'static {
    /// Replicates a command; answers its outcome once it is applied here.
    fn propose(&self, command: Bytes) -> BoxFuture<'_, Result<Bytes, raft::Error>>;

    /// The term in which this replica leads and no other one can, now.
    fn lease(&self) -> Option<u64>;

    /// Who leads, and whether this replica does and has applied everything of terms before.
    fn leadership(&self) -> watch::Receiver<Leadership>;

    /// The nodes that vote.
    fn voters(&self) -> Vec<u64>;

    /// The nodes that follow and do not vote.
    fn learners(&self) -> Vec<u64>;

    /// The failure that stopped the log, if one did.
    fn failure(&self) -> Option<LogError>;
}

impl Replicated for Group {
    fn propose(&self, command: Bytes) -> BoxFuture<'_, Result<Bytes, raft::Error>> {
        Box::pin(Self::propose(self, command))
    }

    fn lease(&self) -> Option<u64> {
        Self::lease(self)
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        Self::leadership(self)
    }

    fn voters(&self) -> Vec<u64> {
        self.members().voters.into_iter().collect()
    }

    fn learners(&self) -> Vec<u64> {
        self.members().learners.into_iter().collect()
    }

    fn failure(&self) -> Option<LogError> {
        Self::failure(self)
    }
}

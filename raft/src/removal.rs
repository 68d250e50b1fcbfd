//! Removing replicas of groups, and what makes it safe to remove one that seems to be left behind.
//!
//! A replica may be removed only if nobody counts on what it has taken. Whoever has learned that it is no member must be sure
//! that it has not become one again since: a member is sent entries or a snapshot, and then its log ends elsewhere.

use openraft::storage::RaftLogStorage;

use crate::{
    RaftHost,
    error::{Error, stopped},
    flushed::Flushed,
    log::GroupId,
    store::GroupLog,
    types::EntryId,
};

/// Where a log ends. It ends elsewhere as soon as its replica has taken anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEnd(Option<EntryId>);

impl RaftHost {
    /// Where the log of a group ends here.
    pub async fn log_end(&self, id: GroupId) -> Result<LogEnd, Error> {
        let (log, flushed) = (self.shared_log(), Flushed::new(&self.shared_log(), id));
        let mut log = GroupLog::new(id, log, flushed);
        log.get_log_state().await.map(|state| LogEnd(state.last_log_id)).map_err(stopped)
    }

    /// Stops a group, if it runs: it takes nothing any more.
    pub async fn stop_group(&self, id: GroupId) {
        let group = self.take_group(id);
        if let Some(group) = group {
            group.stop().await;
            group.replica().machine.stop();
        }
    }

    /// Stops a group, if it runs, and forgets its log for good. Its machine's state is the caller's to remove, before or
    /// in the same step of recovery: a state without its log does not start again.
    pub async fn remove_group(&self, id: GroupId) -> Result<(), Error> {
        self.stop_group(id).await;
        self.durable(|log, done| log.drop_group(id, done)).await
    }
}

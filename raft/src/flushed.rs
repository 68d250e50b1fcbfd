//! How far a group's log is durable here.
//!
//! # Invariants
//! * An entry is applied only once it is durable in this node's log, so that a state is never newer than the log beside it.
//!   openraft waits for a majority, which may be without this node.

use std::{io, sync::Arc};

use tokio::sync::watch;

use crate::log::{GroupId, LogError, SharedLog};

/// The last durable entry, or that there will be no further one. Clones share it.
#[derive(Clone)]
pub(crate) struct Flushed(Arc<watch::Sender<Result<u64, ()>>>);

impl Flushed {
    /// What a log that was opened holds is durable.
    pub(crate) fn new(log: &SharedLog, group: GroupId) -> Self {
        Self(Arc::new(watch::Sender::new(Ok(log.last_index(group).unwrap_or(0)))))
    }

    /// Takes note of a write that ended.
    pub(crate) fn note(&self, last: u64, succeeded: bool) {
        self.0.send_modify(|flushed| *flushed = if succeeded { flushed.map(|known| known.max(last)) } else { Err(()) });
    }

    /// Entries from here on are replaced.
    pub(crate) fn forget(&self, from: u64) {
        self.0.send_modify(|flushed| *flushed = flushed.map(|known| known.min(from.saturating_sub(1))));
    }

    /// Nothing is applied any more.
    pub(crate) fn stop(&self) {
        self.note(0, false);
    }

    /// Fails once nothing is applied any more.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.0.borrow().map(drop).map_err(|()| io::Error::other(LogError::Closed))
    }

    /// Waits until an entry is durable.
    pub(crate) async fn reach(&self, index: u64) -> io::Result<()> {
        let mut flushed = self.0.subscribe();
        let reached = flushed.wait_for(|flushed| flushed.is_err() || *flushed >= Ok(index)).await;
        let failed = |()| io::Error::other(LogError::Closed);
        // The sender is in this very value.
        reached.map_err(io::Error::other)?.map(drop).map_err(failed)
    }
}

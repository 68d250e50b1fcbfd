//! Shortening a group's log: what the state machine holds durably may go, except what a follower is about to need.

use std::{io, sync::atomic::Ordering, time::Duration};

use openraft::{
    async_runtime::watch::WatchReceiver,
    metrics::{RaftMetrics, WaitError},
};
use tokio::time::Instant;

use crate::{
    replica::Replica,
    types::{EntryId, Types},
};

/// A flush that takes longer than this has met a disk that stopped.
const COMPACTION_WAIT: Duration = Duration::from_secs(300);
/// Time after which a compaction is asked for again.
const COMPACTION_RETRY: Duration = Duration::from_millis(100);
/// Entries that a leader keeps for a follower that is alive and slow. Beyond that a snapshot is the shorter way.
const LAG_ENTRIES: u64 = 100_000;
/// Bytes that it keeps, at most.
const LAG_BYTES: u64 = 64 << 20;

/// Makes what was applied durable and drops what is not needed then.
pub(crate) async fn compact(replica: &Replica) -> io::Result<()> {
    let applied = replica.machine.applied_id();
    let flushed = |metrics: &RaftMetrics<Types>| metrics.snapshot >= applied;
    let deadline = Instant::now() + COMPACTION_WAIT;
    let raft = &replica.raft;
    while !flushed(&raft.metrics().borrow_watched()) {
        // Ignored while an older one is under way, so asked for until one reaches far enough.
        raft.trigger().snapshot().await.map_err(io::Error::other)?;
        match raft.wait(Some(COMPACTION_RETRY)).metrics(flushed, "flush").await {
            Ok(_) => {}
            Err(WaitError::Timeout(..)) if Instant::now() < deadline => {}
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    let Some(upto) = needless(replica, applied) else { return Ok(()) };
    purge(replica, upto).await
}

/// The newest entry that nobody needs.
fn needless(replica: &Replica, applied: Option<EntryId>) -> Option<u64> {
    let applied = applied?.index;
    let metrics = replica.raft.data_metrics();
    let slowest = metrics.borrow_watched().replication.as_ref().and_then(|progress| {
        let others = progress.iter().filter(|(node, _)| **node != replica.node());
        let support = &replica.host().support;
        let alive = others.filter(|(node, _)| support.peer(**node).support().1 > support.now_ns());
        alive.map(|(_, matched)| matched.map_or(0, |id| id.index)).min()
    });
    let Some(slowest) = slowest.filter(|slowest| *slowest < applied) else { return Some(applied) };
    let kept = (applied - slowest).min(LAG_ENTRIES);
    let within = replica.host().log.tail_within(replica.id(), LAG_BYTES).unwrap_or(0);
    Some((applied - kept).max(within.min(applied)))
}

async fn purge(replica: &Replica, upto: u64) -> io::Result<()> {
    let raft = &replica.raft;
    let purged = |metrics: &RaftMetrics<Types>| metrics.purged.is_some_and(|purged| purged.index >= upto);
    if purged(&raft.metrics().borrow_watched()) {
        return Ok(());
    }
    raft.trigger().purge_log(upto).await.map_err(io::Error::other)?;
    // With followers, openraft waits until none of them is being sent these entries.
    let alone = replica.standing.alone.load(Ordering::Acquire);
    let patience = if alone { COMPACTION_WAIT } else { COMPACTION_RETRY };
    match raft.wait(Some(patience)).metrics(purged, "purge").await {
        Ok(_) | Err(WaitError::Timeout(..)) => Ok(()),
        Err(error) => Err(io::Error::other(error)),
    }
}

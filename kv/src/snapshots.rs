//! Snapshots in use by this process, so that garbage collection spares what they can see.
//!
//! The process reports its oldest one now and then. One that could not for long is not counted any more: what its older
//! snapshots see may be gone, and reading at them fails.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::{Mutex, RwLock};
use proto::Timestamp;
use sharddb_proto as proto;
use tokio::time::Instant;

use crate::{Client, Error, Result};

/// Age of the last report from which snapshots taken before it are not used any more. The meta group counts those of a
/// silent node for three minutes; the rest is for requests on their way.
const REPORT_AGE_MAX: Duration = Duration::from_secs(150);

/// Keeps what a snapshot sees from being collected as garbage.
pub struct SnapshotPin {
    client: Client,
    snapshot: Timestamp,
}

impl SnapshotPin {
    pub(crate) fn new(client: Client, snapshot: Timestamp) -> Self {
        client.inner.snapshots.register(snapshot);
        Self { client, snapshot }
    }

    /// The snapshot.
    pub fn timestamp(&self) -> Timestamp {
        self.snapshot
    }
}

impl Drop for SnapshotPin {
    fn drop(&mut self) {
        self.client.inner.snapshots.release(self.snapshot);
    }
}

/// Timestamps that open transactions and statements read at, with how many use each.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    live: Mutex<BTreeMap<Timestamp, usize>>,
    /// When it was last reported, by both clocks.
    reported: RwLock<Option<(Instant, Timestamp)>>,
}

impl Snapshots {
    pub(crate) fn register(&self, timestamp: Timestamp) {
        *self.live.lock().entry(timestamp).or_default() += 1;
    }

    pub(crate) fn release(&self, timestamp: Timestamp) {
        let mut live = self.live.lock();
        let count = live.get_mut(&timestamp).expect("a released snapshot is registered");
        *count -= 1;
        if *count == 0 {
            live.remove(&timestamp);
        }
    }

    /// Notes a report that was begun at these times.
    pub(crate) fn reported(&self, at: Instant, now: Timestamp) {
        *self.reported.write() = Some((at, now));
    }

    fn is_kept(&self, snapshot: Timestamp, present: Instant) -> bool {
        // Whatever was taken since the report is newer than what the next reports allow to go.
        let reported = *self.reported.read();
        reported.is_none_or(|(at, now)| snapshot > now || present.duration_since(at) < REPORT_AGE_MAX)
    }

    /// The oldest snapshot in use.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.live.lock().first_key_value().map(|(timestamp, _)| *timestamp)
    }
}

impl Client {
    /// Makes sure that what a snapshot sees is still there; 0 stands for the latest state.
    pub fn check_snapshot(&self, read_ts: u64) -> Result<()> {
        let kept = read_ts == 0 || self.inner.snapshots.is_kept(Timestamp(read_ts), Instant::now());
        if kept { Ok(()) } else { Err(Error::SnapshotTooOld) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_from_before_an_old_report_are_not_used() {
        let snapshots = Snapshots::default();
        let now = Instant::now();
        assert!(snapshots.is_kept(Timestamp(5), now), "nothing is collected before every node has reported");
        snapshots.reported(now, Timestamp(9));
        assert!(snapshots.is_kept(Timestamp(5), now));
        let later = now + REPORT_AGE_MAX;
        assert_eq!([5, 9, 10].map(|ts| snapshots.is_kept(Timestamp(ts), later)), [false, false, true]);
    }

    #[test]
    fn the_oldest_snapshot_counts_until_its_last_user_is_gone() {
        let snapshots = Snapshots::default();
        for ts in [7, 5, 5] {
            snapshots.register(Timestamp(ts));
        }
        assert_eq!(snapshots.oldest(), Some(Timestamp(5)));
        snapshots.release(Timestamp(5));
        assert_eq!(snapshots.oldest(), Some(Timestamp(5)));
        snapshots.release(Timestamp(5));
        assert_eq!(snapshots.oldest(), Some(Timestamp(7)));
        snapshots.release(Timestamp(7));
        assert_eq!(snapshots.oldest(), None);
    }
}

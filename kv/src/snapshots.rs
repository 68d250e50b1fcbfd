//! Snapshots in use by this process, so that garbage collection spares what they can see.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use proto::Timestamp;
use sharddb_proto as proto;

use crate::Client;

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

    /// The oldest snapshot in use.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.live.lock().first_key_value().map(|(timestamp, _)| *timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! What the fragments of a scan have cost, one by one, for EXPLAIN (ANALYZE, VERBOSE).

use std::{fmt, sync::Arc};

use fragment::FragmentEnd;
use parking_lot::Mutex;
use proto::{NodeId, ShardId};
use sharddb_fragment as fragment;
use sharddb_proto as proto;

/// What all fragments of a scan have cost. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(in crate::general) struct Figures(Arc<Mutex<Vec<Sent>>>);

/// One fragment.
#[derive(Clone, Copy, Debug)]
struct Sent {
    shard: ShardId,
    node: NodeId,
    rows: u64,
    bytes: u64,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    /// Nobody wanted the rest.
    Open,
    /// The shard was lost.
    Lost,
    Done(FragmentEnd),
}

/// One fragment among them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry(usize);

impl Figures {
    pub(super) fn sent(&self, shard: ShardId, node: NodeId) -> Entry {
        let mut all = self.0.lock();
        all.push(Sent { shard, node, rows: 0, bytes: 0, end: End::Open });
        Entry(all.len() - 1)
    }

    pub(super) fn add(&self, entry: Entry, rows: u64, bytes: u64) {
        let sent = &mut self.0.lock()[entry.0];
        sent.rows += rows;
        sent.bytes += bytes;
    }

    pub(super) fn lost(&self, entry: Entry) {
        self.0.lock()[entry.0].end = End::Lost;
    }

    pub(super) fn done(&self, entry: Entry, end: FragmentEnd) {
        let sent = &mut self.0.lock()[entry.0];
        sent.bytes += end.bytes;
        sent.end = End::Done(end);
    }

    /// A line for each fragment that a shard began to answer, by shard.
    pub(in crate::general) fn lines(&self) -> Vec<String> {
        let mut all = self.0.lock().clone();
        all.retain(|sent| sent.rows > 0 || !matches!(sent.end, End::Lost));
        all.sort_by_key(|sent| sent.shard);
        all.iter().map(Sent::to_string).collect()
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, node, rows, bytes, end } = self;
        write!(f, "Shard {} on Node {}: ", shard.0, node.0)?;
        match end {
            End::Done(end) => {
                let time = end.time.as_secs_f64() * 1000.0;
                write!(f, "scanned={} rows={rows} bytes={bytes} time={time:.3}", end.rows_scanned)
            }
            End::Open => write!(f, "rows={rows} bytes={bytes} (not read to the end)"),
            End::Lost => write!(f, "rows={rows} bytes={bytes} (lost)"),
        }
    }
}

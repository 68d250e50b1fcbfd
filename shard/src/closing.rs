//! Reading at a replica that does not lead.
//!
//! # How a follower knows that it misses nothing
//! The shard's leader closes a timestamp ([`Replica::close`]): as for a reader there, nothing is committed at or below it any
//! more; and what is, stands among the versions, intents resolved. The answer names the log's position. Whoever has applied
//! the log up to there reads at or below that timestamp from versions alone, whoever leads by then: a later leader commits
//! above a timestamp that was handed out later.
//!
//! # Invariants
//! * A closed timestamp holds for the range as it was, which its epoch names: of one that was cut since nothing is read.
//! * A view is taken of a state that is not being replaced or removed, and does not change afterwards.
//!
//! Does not: keep closed timestamps. Who wants to read asks for them, so idle shards cost nothing.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use proto::{Epoch, Timestamp, kv};
use sharddb_proto as proto;
use sharddb_storage as storage;
use storage::Snapshot;
use tokio::time::Instant;

use crate::{
    read::Met,
    replica::{Failure, Replica},
};

/// Between looks how far a replica has applied the log.
const APPLIED_CHECK: Duration = Duration::from_millis(5);

impl Replica {
    /// Closes a timestamp: sees to it that versions alone tell what is committed at or below it, and names the position of
    /// the log from which on they do.
    pub(crate) async fn close(&self, header: &kv::Header, close: &kv::Close) -> Result<kv::Closed, Failure> {
        let at = self.check(header, std::iter::empty())?;
        let span = self.range().span.unwrap_or_default();
        self.settle(&span, Timestamp(close.ts)).await?;
        self.check_still(at)?;
        Ok(kv::Closed { index: self.group.applied() })
    }

    /// Resolves every intent that a reader at `ts` sees; the others are of transactions that commit above it, if at all.
    async fn settle(&self, span: &kv::Span, ts: Timestamp) -> Result<(), Failure> {
        self.shared.marks.raise_read_ts(ts);
        self.wait_for_span(span, ts).await;
        let mut known: HashMap<u64, Met> = HashMap::new();
        let mut rest = Some(span.clone()).filter(|_| !self.shared.intents.is_empty());
        while let Some(part) = rest {
            let matters =
                |intent: &kv::Intent| intent.prepare_ts <= ts.0 && !matches!(known.get(&intent.txn), Some(Met::Ignore));
            let (intents, next) = self.intents_in(&part, matters)?;
            let mut committed = BTreeMap::new();
            for (key, intent) in intents {
                let met = match known.get(&intent.txn) {
                    Some(met) => *met,
                    None => self.meet(&key, &intent, ts).await?,
                };
                known.insert(intent.txn, met);
                if let Met::Visible(commit_ts) = met {
                    committed.entry(intent.txn).or_insert_with(|| (commit_ts, Vec::new())).1.push(key);
                }
            }
            self.resolve_committed(committed).await?;
            rest = next;
        }
        Ok(())
    }

    /// Waits until the log is applied up to a position; answers whether it is.
    pub(crate) async fn applies(&self, index: u64, patience: Duration) -> bool {
        let since = Instant::now();
        while self.shared.generation().is_none() || self.group.applied() < index {
            if since.elapsed() >= patience {
                return false;
            }
            tokio::time::sleep(APPLIED_CHECK).await;
        }
        true
    }

    /// The state of a replica that has applied the log up to a position, in the range that the request was made for.
    pub(crate) fn view(
        &self,
        header: &kv::Header,
        spans: &[kv::Span],
        index: u64,
    ) -> Result<Box<dyn Snapshot>, Failure> {
        let generation = self.shared.generation();
        if generation.is_none() || self.group.applied() < index {
            return Err(self.not_leader());
        }
        self.check_inside(Epoch(header.epoch), spans)?;
        let view = self.engine().snapshot();
        // A cut, a removal or a new state that has begun meanwhile may be in the view.
        self.check_inside(Epoch(header.epoch), spans)?;
        if self.shared.generation() == generation { Ok(view) } else { Err(self.not_leader()) }
    }

    fn check_inside(&self, epoch: Epoch, spans: &[kv::Span]) -> Result<(), Failure> {
        let range = self.shared.range.read();
        let own = range.span.as_ref().expect("a range has a span");
        let inside = |span: &kv::Span| {
            span.start >= own.start && (own.end.is_empty() || (!span.end.is_empty() && span.end <= own.end))
        };
        if epoch.0 == range.epoch && spans.iter().all(inside) {
            Ok(())
        } else {
            Err(Failure::StaleEpoch(range.clone()))
        }
    }
}

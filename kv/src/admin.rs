//! Cutting shards and reporting the oldest snapshot: what DDL and housekeeping ask of the cluster.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use proto::{
    NodeId, ShardId, Timestamp, TxnId,
    kv::{self, request, response},
    meta::RangeDescriptor,
};
use sharddb_proto as proto;

use crate::{Attempts, Client, Error, Result, Route, client::Routed, retry::Stale};

/// How far behind the present the safe point stays: a snapshot being taken is never below it, nor is a decision that is
/// still being asked for (`retry`), whose record must not be swept.
const SAFE_POINT_LAG_MS: u64 = 30_000;

/// Shards that a node is asked about at once.
const DESCRIBED_MAX: usize = 64;

impl Client {
    /// Cuts shards so that each of these keys starts a shard. Keys that already do are left alone.
    pub async fn split_at(&self, keys: &[Bytes]) -> Result<()> {
        let mut attempts = Attempts::default();
        loop {
            let mut cuts: BTreeMap<ShardId, (Route, Vec<Bytes>)> = BTreeMap::new();
            for key in keys {
                let route = self.ranges().route(key).clone();
                if route.start != *key {
                    cuts.entry(route.shard).or_insert_with(|| (route, Vec::new())).1.push(key.clone());
                }
            }
            if cuts.is_empty() {
                return Ok(());
            }
            for (route, mut at) in cuts.into_values() {
                at.sort_unstable();
                at.dedup();
                if let Some(reason) = self.split_shard(&route, at).await? {
                    self.reroute(&mut attempts, reason).await?;
                }
            }
            self.refresh_ranges().await?;
        }
    }

    /// Cuts one shard and tells meta. Answers why not when the route was old.
    async fn split_shard(&self, route: &Route, at: Vec<Bytes>) -> Result<Option<Stale>> {
        let count = at.len() as u64;
        let first = self.meta().allocate_shards(count).await?;
        let new_shards: Vec<u64> = (first..first + count).collect();
        let split = kv::Split { at, new_shards: new_shards.clone() };
        if let Routed::Stale(reason) = self.send(route, TxnId::default(), request::Body::Split(split)).await? {
            return Ok(Some(reason));
        }
        let parts = std::iter::once(route.shard.0).chain(new_shards);
        let described = parts.map(|shard| self.describe(route.node, ShardId(shard)));
        let ranges = stream::iter(described).buffered(DESCRIBED_MAX).try_collect().await?;
        self.meta().put_ranges(ranges).await?;
        Ok(None)
    }

    /// What a node says of one of its shards.
    pub async fn describe_shard(&self, node: NodeId, shard: ShardId) -> Result<kv::ShardDescription> {
        let header = kv::Header { shard: shard.0, ..kv::Header::default() };
        match self.exchange(node, header, request::Body::Describe(kv::Describe {})).await {
            Some(response::Body::Description(description)) => Ok(description),
            Some(response::Body::Failure(kv::Failure { kind: Some(kind) })) => Err(Error::from_failure(kind)),
            _ => Err(crate::client::unexpected("Describe")),
        }
    }

    async fn describe(&self, node: NodeId, shard: ShardId) -> Result<RangeDescriptor> {
        let description = self.describe_shard(node, shard).await?;
        descriptor(description).ok_or_else(|| crate::client::unexpected("Describe"))
    }

    /// Tells meta the oldest timestamp this process still needs and answers that of the whole cluster.
    pub async fn report_safe_point(&self) -> Result<Timestamp> {
        let at = tokio::time::Instant::now();
        let now = self.timestamp().await?;
        let lagged = Timestamp::from_millis(now.millis().saturating_sub(SAFE_POINT_LAG_MS));
        let safe = self.oldest_snapshot().map_or(lagged, |oldest| oldest.min(lagged));
        let safe = self.meta().raise_safe_point(safe).await?;
        self.inner.snapshots.reported(at, now);
        Ok(safe)
    }

    /// Drops versions below `safe_ts` that no snapshot at or above it sees, on every shard.
    pub async fn collect_garbage(&self, safe_ts: Timestamp) -> Result<()> {
        for route in self.ranges().all() {
            let body = request::Body::CollectGarbage(kv::CollectGarbage { safe_ts: safe_ts.0 });
            // A shard that moved meanwhile is visited the next time.
            self.send(route, TxnId::default(), body).await?;
        }
        Ok(())
    }

    /// Removes every version in a span that nothing refers to any more.
    pub async fn delete_range(&self, span: kv::Span) -> Result<()> {
        let mut rest = Some(span);
        let mut attempts = Attempts::default();
        while let Some(span) = rest.take() {
            let (route, part) = self.ranges().routes(&span).swap_remove(0);
            let body = request::Body::DeleteRange(kv::DeleteRange { span: Some(part.clone()) });
            match self.send(&route, TxnId::default(), body).await? {
                Routed::Done(_) => {
                    let done = part.end.is_empty() || (!span.end.is_empty() && part.end >= span.end);
                    rest = (!done).then(|| kv::Span { start: part.end, end: span.end });
                }
                Routed::Stale(reason) => {
                    self.reroute(&mut attempts, reason).await?;
                    rest = Some(span);
                }
            }
        }
        Ok(())
    }
}

/// The range map's record of a shard, as one of its replicas describes it.
pub(crate) fn descriptor(description: kv::ShardDescription) -> Option<RangeDescriptor> {
    let range = description.range?;
    let span = range.span.unwrap_or_default();
    Some(RangeDescriptor {
        shard: range.shard,
        start: span.start,
        end: span.end,
        epoch: range.epoch,
        replicas: range.replicas,
        state: description.state,
        learners: description.learners,
        leader: description.leader_node,
        ..RangeDescriptor::default()
    })
}

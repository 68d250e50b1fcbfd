//! Reads of the past: at a timestamp that lies back, by the nearest replica.
//!
//! The shard's leader is asked once to close a timestamp and names the position of its log from which on any replica has all
//! of it (see the shard's `closing`). This process keeps that for later reads; with the leader lost, its followers still
//! answer at or below what is closed. A follower that cannot answer leaves it to the leader.

use std::{sync::Arc, time::Duration};

use ahash::AHashMap;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use proto::{
    Coordinator, Epoch, NodeId, ShardId, SqlState, Timestamp, TxnId,
    kv::{self, failure::Kind, request, response},
};
use sharddb_proto as proto;
use tokio::time::Instant;

use crate::{
    Client, Error, Result, Route,
    client::{Routed, failure_of, unexpected},
    retry::Stale,
};

/// How far behind the newest timestamp shards are closed: followers have most of that already, and whoever reads a little
/// later needs no further answer.
const CLOSE_LAG_MS: u64 = 1000;
/// Snapshots of up to this age are never collected: the cluster's safe point stays farther behind (`SAFE_POINT_LAG_MS`).
const KEPT_MS: u64 = 25_000;

/// What this process knows about the past.
#[derive(Default)]
pub(crate) struct Past {
    closed: Mutex<AHashMap<ShardId, Closed>>,
    /// Nodes at the place of this one.
    neighbours: ArcSwap<Vec<NodeId>>,
    /// A timestamp, and when it was asked for.
    sample: Mutex<Option<(Timestamp, Instant)>>,
}

/// How far a shard is closed.
#[derive(Clone, Copy)]
struct Closed {
    epoch: Epoch,
    ts: Timestamp,
    index: u64,
}

/// What a read sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadAt {
    /// Whose intents are its own.
    pub(crate) txn: TxnId,
    /// 0: the latest state.
    pub(crate) ts: u64,
    /// Whether the timestamp lies in the past for good, so that any replica may answer.
    pub(crate) past: bool,
}

impl Client {
    /// Notes which nodes are at the same place as this one.
    pub fn set_neighbours(&self, nodes: Vec<NodeId>) {
        self.inner.past.neighbours.store(Arc::new(nodes));
    }

    /// A timestamp that is older than the present by at most `staleness`, mostly without asking for it.
    pub async fn stale_timestamp(&self, staleness: Duration) -> Result<Timestamp> {
        let known = *self.inner.past.sample.lock();
        let (sample, since) = match known.filter(|(_, since)| since.elapsed() < staleness / 2) {
            Some(known) => known,
            None => {
                let since = Instant::now();
                let sample = self.timestamp().await?;
                *self.inner.past.sample.lock() = Some((sample, since));
                (sample, since)
            }
        };
        // The present is not later than this: the sample was handed out after it was asked for.
        let present = sample.millis() + since.elapsed().as_millis() as u64;
        Ok(Timestamp::from_millis(present.saturating_sub(staleness.as_millis() as u64)).min(sample))
    }

    /// Makes sure that what a registered snapshot sees is still there, everywhere, and stays there. `now` is the present.
    pub(crate) async fn check_kept(&self, snapshot: Timestamp, now: Timestamp) -> Result<()> {
        if snapshot.millis() + KEPT_MS >= now.millis() || self.report_safe_point().await? <= snapshot {
            return Ok(());
        }
        let message = "the requested time is too old: what was there then may have been removed".to_owned();
        Err(Error::Refused { state: SqlState::ObjectNotInPrerequisiteState, message })
    }

    /// The replica to ask for a read of the past, and the index up to which it must have applied the log; `None` for the
    /// leader.
    pub async fn past_route(&self, route: &Route, ts: Timestamp) -> Result<Option<(NodeId, u64)>> {
        let Some(node) = self.near(route) else { return Ok(None) };
        Ok(match self.close(route, ts).await? {
            Routed::Done(index) => Some((node, index)),
            Routed::Stale(_) => None,
        })
    }

    /// Sends a read to the nearest replica that may answer.
    pub(crate) async fn send_read(
        &self,
        route: &Route,
        at: ReadAt,
        body: request::Body,
    ) -> Result<Routed<response::Body>> {
        if !at.past {
            return self.send(route, at.txn, body).await;
        }
        let header = kv::Header { shard: route.shard.0, epoch: route.epoch.0, past: true, ..kv::Header::default() };
        if let Some((node, past_index)) = self.past_route(route, Timestamp(at.ts)).await? {
            let header = kv::Header { past_index, ..header.clone() };
            let answer = self.exchange(node, header, body.clone()).await.ok_or_else(|| unexpected("a read"))?;
            match failure_of(&answer) {
                None => return Ok(Routed::Done(answer)),
                Some(kind @ Kind::Refused(_)) => return Err(Error::from_failure(kind)),
                // Whatever keeps the follower from answering: the leader knows.
                Some(kind) => tracing::debug!(shard = %route.shard, %node, ?kind, "a replica could not read the past"),
            }
        }
        self.send_headed(route, header, body).await
    }

    /// A replica that is nearer than the leader.
    fn near(&self, route: &Route) -> Option<NodeId> {
        let is_own = |node: &&NodeId| Coordinator::new(**node, 0).node == self.inner.coordinator.node;
        let neighbours = self.inner.past.neighbours.load();
        let own = route.replicas.iter().find(is_own);
        let near = own.or_else(|| {
            // A leader nearby is as good as its neighbours.
            let mut around = route.replicas.iter().filter(|node| neighbours.contains(node));
            let leader = around.clone().find(|node| **node == route.node);
            leader.or_else(|| around.next())
        });
        near.copied().filter(|node| *node != route.node)
    }

    /// The index from which on a shard's log has everything up to a timestamp, as its leader says or has said.
    async fn close(&self, route: &Route, ts: Timestamp) -> Result<Routed<u64>> {
        let known = self.inner.past.closed.lock().get(&route.shard).copied();
        if let Some(known) = known.filter(|known| known.epoch == route.epoch && known.ts >= ts) {
            return Ok(Routed::Done(known.index));
        }
        let newest = self.inner.past.sample.lock().map_or(Timestamp::ZERO, |(sample, _)| sample);
        let ts = ts.max(Timestamp::from_millis(newest.millis().saturating_sub(CLOSE_LAG_MS)));
        let stale: Stale =
            match self.send(route, TxnId::default(), request::Body::Close(kv::Close { ts: ts.0 })).await? {
                Routed::Done(response::Body::Closed(closed)) => {
                    let closed = Closed { epoch: route.epoch, ts, index: closed.index };
                    self.inner.past.closed.lock().insert(route.shard, closed);
                    return Ok(Routed::Done(closed.index));
                }
                Routed::Done(_) => return Err(unexpected("Close")),
                Routed::Stale(stale) => stale,
            };
        Ok(Routed::Stale(stale))
    }
}

//! Routing a request anew: what is learned from a refusal, and for how long it is tried.

use std::time::Duration;

use proto::{NodeId, ShardId, kv::failure::Kind};
use sharddb_proto as proto;
use tokio::time::Instant;

use crate::{Client, Error, Result, Route};

/// Longest time that a request is routed anew. A shard that lost its leader has a new one in a fraction of it.
const ROUTE_TIME_MAX: Duration = Duration::from_secs(10);
/// First pause between attempts; doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(1);
/// Longest pause between attempts: a part of what a client notices of a failover.
const BACKOFF_MAX: Duration = Duration::from_millis(50);
/// Longest pause, as doublings of the first.
const BACKOFF_DOUBLINGS: u32 = 6;

/// Why a request did not reach the shard it was for; another attempt may.
#[derive(Clone, Debug)]
pub(crate) struct Stale {
    pub(crate) reason: String,
    /// The range map was old. Otherwise only the leader was not where it was thought to be.
    pub(crate) map_is_old: bool,
}

impl Stale {
    /// What a refusal says about the route; `None` for one that routing cannot mend.
    pub(crate) fn of(route: &Route, kind: &Kind) -> Option<Self> {
        let map_is_old = match kind {
            Kind::StaleEpoch(_) | Kind::UnknownShard(_) => true,
            Kind::NotLeader(_) | Kind::Unreachable(_) | Kind::Ambiguous(_) => false,
            _ => return None,
        };
        Some(Self { reason: format!("{} at {}: {kind:?}", route.shard, route.node), map_is_old })
    }

    pub(crate) fn old_map(reason: &str) -> Self {
        Self { reason: reason.to_owned(), map_is_old: true }
    }
}

/// Attempts of one request.
#[derive(Debug, Default)]
pub struct Attempts {
    made: u32,
    since: Option<Instant>,
}

impl Attempts {
    /// Whether nothing failed yet.
    pub(crate) fn is_first(&self) -> bool {
        self.made == 0
    }

    /// Waits before the next attempt; fails with the reason once the time is used up.
    pub(crate) async fn pause(&mut self, reason: &str) -> Result<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= ROUTE_TIME_MAX {
            return Err(Error::Unavailable { reason: reason.to_owned() });
        }
        if self.made > 0 {
            let doublings = (self.made - 1).min(BACKOFF_DOUBLINGS);
            tokio::time::sleep((BACKOFF_MIN * (1 << doublings)).min(BACKOFF_MAX)).await;
        }
        self.made += 1;
        Ok(())
    }
}

impl Client {
    /// Waits a moment and, if the range map was old, reads it again; fails once the time is used up.
    pub(crate) async fn reroute(&self, attempts: &mut Attempts, stale: Stale) -> Result<()> {
        attempts.pause(&stale.reason).await?;
        // A shard without a known leader may have moved altogether.
        if stale.map_is_old || attempts.made.is_multiple_of(BACKOFF_DOUBLINGS) {
            self.refresh_ranges().await?;
        }
        Ok(())
    }

    /// Learns from a fragment's refusal; answers whether it may be sent again, after a pause.
    pub async fn reroute_fragment(&self, attempts: &mut Attempts, route: &Route, kind: &Kind) -> Result<bool> {
        let Some(stale) = Stale::of(route, kind) else { return Ok(false) };
        self.learn(route, kind);
        self.reroute(attempts, stale).await?;
        Ok(true)
    }

    /// Notes where a shard's leader is, or at least where it is not.
    pub(crate) fn learn(&self, route: &Route, kind: &Kind) {
        let leader = match kind {
            Kind::NotLeader(not) if not.leader_node != 0 => NodeId(not.leader_node),
            Kind::NotLeader(_) | Kind::UnknownShard(_) | Kind::Unreachable(_) | Kind::Ambiguous(_) => {
                route.next_replica()
            }
            _ => return,
        };
        self.note_leader(route.shard, route.node, leader);
    }

    fn note_leader(&self, shard: ShardId, before: NodeId, leader: NodeId) {
        if before != leader {
            self.inner.router.note_leader(shard, before, leader);
        }
    }
}

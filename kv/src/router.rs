//! The cached range map: which shard and node a key belongs to.
//!
//! The cache may be old. A shard that no longer holds a key answers with a stale epoch, whereupon the map is read
//! again and the request grouped anew. A replica that does not lead says who does, and only that is noted. Loading the map is one atomic read, so routing costs a binary search.

use std::sync::Arc;

use ahash::AHashMap;
use arc_swap::ArcSwap;
use bytes::Bytes;
use proto::{Epoch, NodeId, ShardId, kv::Span, meta::RangeDescriptor};
use sharddb_proto as proto;

use crate::{Error, MetaClient, Result};

/// Where one contiguous key range lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// First key.
    pub start: Bytes,
    /// First key after the range; empty for the end of the key space.
    pub end: Bytes,
    /// Its shard.
    pub shard: ShardId,
    /// The shard's epoch.
    pub epoch: Epoch,
    /// The node to ask: its leader, as far as known.
    pub node: NodeId,
    /// The nodes that have a replica.
    pub replicas: Arc<[NodeId]>,
}

impl Route {
    /// Whether the key lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && (self.end.is_empty() || key < &self.end[..])
    }

    /// The replica to ask when the present one does not lead and knows no leader.
    pub(crate) fn next_replica(&self) -> NodeId {
        let present = self.replicas.iter().position(|node| *node == self.node);
        let next = present.map_or(0, |position| position + 1) % self.replicas.len().max(1);
        self.replicas.get(next).copied().unwrap_or(self.node)
    }

    /// The part of `span` inside the range; `None` when they do not meet.
    pub fn clip(&self, span: &Span) -> Option<Span> {
        let start = if span.start > self.start { span.start.clone() } else { self.start.clone() };
        let end = match (self.end.is_empty(), span.end.is_empty()) {
            (true, _) => span.end.clone(),
            (false, true) => self.end.clone(),
            (false, false) => self.end.clone().min(span.end.clone()),
        };
        (end.is_empty() || start < end).then_some(Span { start, end })
    }
}

/// The range map: sorted by start, without gaps, from the empty key to the end of the key space.
#[derive(Clone, Debug, Default)]
pub struct RangeMap {
    routes: Vec<Route>,
}

impl RangeMap {
    /// Checks and takes over meta's range map.
    pub fn new(ranges: Vec<RangeDescriptor>) -> Result<Self> {
        let mut expected = Bytes::new();
        let mut routes = Vec::with_capacity(ranges.len());
        let count = ranges.len();
        for (i, range) in ranges.into_iter().enumerate() {
            let last = i + 1 == count;
            if range.start != expected || range.end.is_empty() != last {
                return Err(Error::Internal("the range map has a gap or an overlap".to_owned()));
            }
            expected = range.end.clone();
            routes.push(route_of(range));
        }
        if routes.is_empty() {
            return Err(Error::Internal("the range map is empty".to_owned()));
        }
        Ok(Self { routes })
    }

    /// The route of a key.
    pub fn route(&self, key: &[u8]) -> &Route {
        let after = self.routes.partition_point(|route| &route.start[..] <= key);
        &self.routes[after - 1]
    }

    /// Routes that meet the span, in key order, each with its part of the span.
    pub fn routes(&self, span: &Span) -> Vec<(Route, Span)> {
        let first = self.routes.partition_point(|route| route.start <= span.start) - 1;
        self.routes[first..]
            .iter()
            .take_while(|route| span.end.is_empty() || route.start < span.end)
            .filter_map(|route| Some((route.clone(), route.clip(span)?)))
            .collect()
    }

    /// The same map with what another one knows of leaders.
    fn with_leaders_of(mut self, known: &Self) -> Self {
        let leaders: AHashMap<ShardId, NodeId> = known.routes.iter().map(|route| (route.shard, route.node)).collect();
        for route in &mut self.routes {
            if let Some(leader) = leaders.get(&route.shard).filter(|leader| route.replicas.contains(leader)) {
                route.node = *leader;
            }
        }
        self
    }

    /// Every route in key order.
    pub fn all(&self) -> &[Route] {
        &self.routes
    }
}

fn route_of(range: RangeDescriptor) -> Route {
    let replicas: Arc<[NodeId]> = range.replicas.iter().copied().map(NodeId).collect();
    Route {
        start: range.start,
        end: range.end,
        shard: ShardId(range.shard),
        epoch: Epoch(range.epoch),
        node: replicas
            .iter()
            .copied()
            .find(|node| node.0 == range.leader)
            .or(replicas.first().copied())
            .unwrap_or_default(),
        replicas,
    }
}

/// The range map as last read from meta.
pub(crate) struct Router {
    map: ArcSwap<RangeMap>,
}

impl Router {
    /// Reads the range map for the first time.
    pub(crate) async fn open(meta: &dyn MetaClient) -> Result<Self> {
        let map = RangeMap::new(meta.ranges().await?)?;
        Ok(Self { map: ArcSwap::from_pointee(map) })
    }

    pub(crate) fn map(&self) -> arc_swap::Guard<Arc<RangeMap>> {
        self.map.load()
    }

    pub(crate) async fn refresh(&self, meta: &dyn MetaClient) -> Result<()> {
        let map = RangeMap::new(meta.ranges().await?)?;
        self.map.rcu(|known| map.clone().with_leaders_of(known));
        Ok(())
    }

    /// Notes a shard's leader, unless somebody found another one since `before` was asked.
    pub(crate) fn note_leader(&self, shard: ShardId, before: NodeId, leader: NodeId) {
        self.map.rcu(|known| {
            let outdated = |route: &Route| route.shard == shard && route.node == before;
            let Some(position) = known.routes.iter().position(outdated) else { return Arc::clone(known) };
            let mut map = RangeMap::clone(known);
            map.routes[position].node = leader;
            Arc::new(map)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> RangeMap {
        let range = |start: &'static str, end: &'static str, shard| RangeDescriptor {
            shard,
            start: Bytes::from(start),
            end: Bytes::from(end),
            epoch: 1,
            replicas: vec![1],
            ..RangeDescriptor::default()
        };
        RangeMap::new(vec![range("", "g", 1), range("g", "p", 2), range("p", "", 3)]).expect("a map")
    }

    fn span(start: &'static str, end: &'static str) -> Span {
        Span { start: Bytes::from(start), end: Bytes::from(end) }
    }

    #[test]
    fn a_key_belongs_to_the_range_that_starts_at_or_before_it() {
        let map = map();
        for (key, shard) in [("", 1), ("a", 1), ("g", 2), ("o", 2), ("p", 3), ("z", 3)] {
            assert_eq!(map.route(key.as_bytes()).shard, ShardId(shard), "{key}");
        }
    }

    #[test]
    fn a_span_is_cut_at_range_borders() {
        let cut = |start, end| -> Vec<(u64, Span)> {
            map().routes(&span(start, end)).into_iter().map(|(route, part)| (route.shard.0, part)).collect()
        };
        assert_eq!(cut("a", "b"), [(1, span("a", "b"))]);
        assert_eq!(cut("a", "g"), [(1, span("a", "g"))]);
        assert_eq!(cut("h", ""), [(2, span("h", "p")), (3, span("p", ""))]);
        assert_eq!(cut("", ""), [(1, span("", "g")), (2, span("g", "p")), (3, span("p", ""))]);
    }

    #[test]
    fn gaps_and_overlaps_are_refused() {
        let range = |start: &'static str, end: &'static str| RangeDescriptor {
            start: Bytes::from(start),
            end: Bytes::from(end),
            ..RangeDescriptor::default()
        };
        assert!(RangeMap::new(vec![]).is_err());
        assert!(RangeMap::new(vec![range("", "g"), range("h", "")]).is_err());
        assert!(RangeMap::new(vec![range("", "g")]).is_err());
        assert!(RangeMap::new(vec![range("", ""), range("", "")]).is_err());
    }
}

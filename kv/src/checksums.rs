//! Whether the replicas of every shard hold the same at one timestamp.
//!
//! The shard's leader closes the timestamp and names the position of its log that has everything up to it (see the shard's
//! `closing`); each replica sums up what it holds once it has applied the log up to there.

use bytes::Bytes;
use futures::future;
use proto::{
    NodeId, ShardId, Timestamp, TxnId,
    kv::{self, failure::Kind, request, response},
};
use sharddb_proto as proto;

use crate::{
    Attempts, Client, Error, Result, Route, SnapshotPin,
    client::{Routed, failure_of, unexpected},
    retry::Stale,
};

/// What one replica holds.
#[derive(Clone, Debug)]
pub struct ReplicaChecksum {
    /// Its shard.
    pub shard: ShardId,
    /// First key of the shard.
    pub start: Bytes,
    /// Where the replica is.
    pub node: NodeId,
    /// `leader`, `voter` or `learner`.
    pub role: &'static str,
    /// What was committed later does not count.
    pub read_at: Timestamp,
    /// The sum over all parts; `None` if the replica did not answer.
    pub sum: Option<kv::ChecksumPart>,
    /// Whether it is that of the leader; `None` if one of them is not known.
    pub agrees: Option<bool>,
    /// Why there is no sum.
    pub error: Option<String>,
}

/// One shard while a timestamp is closed.
struct Closed {
    route: Route,
    ts: Timestamp,
    index: u64,
    leader: kv::ShardDescription,
}

impl Client {
    /// Sums up what every replica of every shard holds now. Reads everything there is.
    pub async fn check_replicas(&self) -> Result<Vec<ReplicaChecksum>> {
        let ts = self.timestamp().await?;
        let _kept = SnapshotPin::new(self.clone(), ts);
        let (mut sums, mut start) = (Vec::new(), Bytes::new());
        loop {
            let (of_shard, end) = self.check_shard(&start, ts).await?;
            sums.extend(of_shard);
            if end.is_empty() {
                return Ok(sums);
            }
            start = end;
        }
    }

    /// Checks the shard that holds a key; answers its end, too.
    async fn check_shard(&self, key: &Bytes, ts: Timestamp) -> Result<(Vec<ReplicaChecksum>, Bytes)> {
        let mut attempts = Attempts::default();
        loop {
            let route = self.ranges().route(key).clone();
            let stale = match self.close_shard(&route, ts).await? {
                Routed::Stale(stale) => stale,
                Routed::Done(closed) => match self.sum_replicas(&closed).await {
                    Ok(sums) => return Ok((sums, closed.route.end)),
                    Err(stale) => stale,
                },
            };
            self.reroute(&mut attempts, stale).await?;
        }
    }

    async fn close_shard(&self, route: &Route, ts: Timestamp) -> Result<Routed<Closed>> {
        let body = request::Body::Close(kv::Close { ts: ts.0 });
        let index = match self.send(route, TxnId::default(), body).await? {
            Routed::Done(response::Body::Closed(closed)) => closed.index,
            Routed::Done(_) => return Err(unexpected("Close")),
            Routed::Stale(stale) => return Ok(Routed::Stale(stale)),
        };
        let leader = self.shard_at_leader(route.shard).await?;
        Ok(Routed::Done(Closed { route: route.clone(), ts, index, leader }))
    }

    async fn sum_replicas(&self, closed: &Closed) -> std::result::Result<Vec<ReplicaChecksum>, Stale> {
        let voters = closed.leader.range.iter().flat_map(|range| &range.replicas);
        let nodes: Vec<u64> = voters.chain(&closed.leader.learners).copied().collect();
        let sums = future::join_all(nodes.iter().map(|node| self.sum_replica(closed, NodeId(*node)))).await;
        let mut replicas = Vec::with_capacity(nodes.len());
        for (node, sum) in nodes.into_iter().zip(sums) {
            let (sum, error) = match sum {
                Ok(sum) => (Some(sum), None),
                Err(kind @ Kind::StaleEpoch(_)) => {
                    let reason = format!("{} was cut meanwhile: {kind:?}", closed.route.shard);
                    return Err(Stale::old_map(&reason));
                }
                Err(kind) => (None, Some(reason(kind))),
            };
            replicas.push(closed.replica(node, sum, error));
        }
        let of_leader =
            replicas.iter().find(|replica| replica.role == "leader").and_then(|replica| replica.sum.clone());
        for replica in &mut replicas {
            let both = replica.sum.as_ref().zip(of_leader.as_ref());
            replica.agrees = both.map(|(own, leader)| (own.checksum, own.rows) == (leader.checksum, leader.rows));
        }
        Ok(replicas)
    }

    /// Sums up what a replica holds, part by part.
    async fn sum_replica(&self, closed: &Closed, node: NodeId) -> std::result::Result<kv::ChecksumPart, Kind> {
        let (route, mut sum) = (&closed.route, kv::ChecksumPart::default());
        let mut rest = Some(kv::Span { start: route.start.clone(), end: route.end.clone() });
        while let Some(span) = rest.take() {
            let before = sum.checksum;
            let part = kv::Checksum { span: Some(span), read_ts: closed.ts.0, min_index: closed.index, before };
            let header = kv::Header { shard: route.shard.0, epoch: route.epoch.0, ..kv::Header::default() };
            let part = match self.exchange(node, header, request::Body::Checksum(part)).await {
                Some(response::Body::Checksum(part)) => part,
                Some(answer) => return Err(failure_of(&answer).unwrap_or_else(wrong_kind)),
                None => return Err(wrong_kind()),
            };
            sum.checksum = part.checksum;
            sum.rows += part.rows;
            sum.bytes += part.bytes;
            sum.applied_index = part.applied_index;
            rest = part.rest;
        }
        Ok(sum)
    }
}

impl Closed {
    fn replica(&self, node: u64, sum: Option<kv::ChecksumPart>, error: Option<String>) -> ReplicaChecksum {
        let role = if node == self.leader.leader_node {
            "leader"
        } else if self.leader.learners.contains(&node) {
            "learner"
        } else {
            "voter"
        };
        let (shard, start) = (self.route.shard, self.route.start.clone());
        ReplicaChecksum { shard, start, node: NodeId(node), role, read_at: self.ts, sum, agrees: None, error }
    }
}

fn wrong_kind() -> Kind {
    Kind::Internal("an answer of the wrong kind to Checksum".to_owned())
}

/// Why a replica did not tell, for whoever reads it.
fn reason(kind: Kind) -> String {
    match kind {
        Kind::UnknownShard(_) => "the node has no replica of the shard".to_owned(),
        Kind::NotLeader(_) => "the replica has just been replaced".to_owned(),
        Kind::Refused(refused) => refused.message,
        Kind::Unreachable(reason) | Kind::Ambiguous(reason) => reason,
        other => Error::from_failure(other).to_string(),
    }
}

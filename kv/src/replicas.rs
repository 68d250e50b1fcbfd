//! Changing where a shard's replicas are, step by step. Every step may be repeated, so whoever asks for a change that broke
//! off asks again.

use std::{collections::BTreeSet, time::Duration};

use proto::{
    NodeId, ShardId, TxnId,
    kv::{self, request, response},
};
use sharddb_proto as proto;
use tokio::time::Instant;

use crate::{
    Attempts, Client, Error, Result, Route,
    client::{Routed, failure_of, unexpected},
    retry::Stale,
};

/// Entries that a learner may lack when it becomes a voter: it gets them while the change is agreed on.
const CATCH_UP_ENTRIES: u64 = 64;
/// Time between looks at how far a learner is.
const CATCH_UP_CHECK: Duration = Duration::from_millis(20);
/// Longest time without any progress of a learner.
const CATCH_UP_STALL_MAX: Duration = Duration::from_secs(60);

impl Client {
    /// Makes these nodes the voters of a shard: brings up replicas where there are none, and removes those on other nodes
    /// that can be reached. Fails with the first step before that does; what was done stays.
    pub async fn place_replicas(&self, shard: ShardId, voters: &BTreeSet<u64>) -> Result<()> {
        let before = self.shard_at_leader(shard).await?;
        let range = before.range.clone().unwrap_or_default();
        let present: BTreeSet<u64> = range.replicas.iter().copied().collect();
        let fresh: Vec<u64> = voters.difference(&present).copied().collect();
        for node in &fresh {
            self.create_replica(NodeId(*node), range.clone()).await?;
        }
        if !fresh.is_empty() {
            self.change_members(shard, kv::ChangeMembers { learners: fresh.clone(), ..Default::default() }).await?;
            self.catch_up(shard, &fresh).await?;
        }
        self.lead_within(shard, voters).await?;
        let all = voters.iter().copied().collect();
        self.change_members(shard, kv::ChangeMembers { voters: all, ..Default::default() }).await?;
        // Left by a change that broke off.
        let learners: Vec<u64> = before.learners.into_iter().filter(|node| !voters.contains(node)).collect();
        if !learners.is_empty() {
            self.change_members(shard, kv::ChangeMembers { dismissed: learners.clone(), ..Default::default() }).await?;
        }
        self.publish(shard).await?;
        for node in present.difference(voters).chain(&learners) {
            // The node may be gone for good, which is why its replica is replaced. One that comes back finds out by itself.
            if let Err(error) = self.delete_replica(NodeId(*node), shard).await {
                tracing::warn!(%shard, node, %error, "a replica that is out of its group keeps what it has for now");
            }
        }
        Ok(())
    }

    /// Hands a shard's leadership to one of its voters; nothing happens if it has it.
    pub async fn place_leader(&self, shard: ShardId, node: NodeId) -> Result<()> {
        if self.shard_at_leader(shard).await?.leader_node == node.0 {
            return Ok(());
        }
        self.to_leader(shard, request::Body::TransferLeader(kv::TransferLeader { to: node.0 })).await.map(drop)
    }

    /// What a shard's leader says of it.
    pub async fn shard_at_leader(&self, shard: ShardId) -> Result<kv::ShardDescription> {
        let mut attempts = Attempts::default();
        loop {
            let route = self.route_of(shard).await?;
            let stale = match self.send(&route, TxnId::default(), request::Body::Describe(kv::Describe {})).await? {
                Routed::Done(response::Body::Description(description)) if description.serves => return Ok(description),
                Routed::Done(response::Body::Description(description)) => {
                    let not = kv::NotLeader { leader_node: description.leader_node };
                    self.learn(&route, &kv::failure::Kind::NotLeader(not));
                    Stale { reason: format!("{shard} has no leader at {}", route.node), map_is_old: false }
                }
                Routed::Done(_) => return Err(unexpected("Describe")),
                Routed::Stale(stale) => stale,
            };
            self.reroute(&mut attempts, stale).await?;
        }
    }

    async fn route_of(&self, shard: ShardId) -> Result<Route> {
        let find = || self.ranges().all().iter().find(|route| route.shard == shard).cloned();
        if let Some(route) = find() {
            return Ok(route);
        }
        self.refresh_ranges().await?;
        find().ok_or_else(|| Error::Unavailable { reason: format!("there is no {shard}") })
    }

    async fn to_leader(&self, shard: ShardId, body: request::Body) -> Result<response::Body> {
        let mut attempts = Attempts::default();
        loop {
            let route = self.route_of(shard).await?;
            match self.send(&route, TxnId::default(), body.clone()).await? {
                Routed::Done(answer) => return Ok(answer),
                Routed::Stale(stale) => self.reroute(&mut attempts, stale).await?,
            }
        }
    }

    async fn change_members(&self, shard: ShardId, change: kv::ChangeMembers) -> Result<()> {
        self.to_leader(shard, request::Body::ChangeMembers(change)).await.map(drop)
    }

    async fn create_replica(&self, node: NodeId, range: kv::Range) -> Result<()> {
        let shard = ShardId(range.shard);
        let body = request::Body::CreateReplica(kv::CreateReplica { range: Some(range) });
        self.to_node(node, shard, body).await
    }

    async fn delete_replica(&self, node: NodeId, shard: ShardId) -> Result<()> {
        self.to_node(node, shard, request::Body::DeleteReplica(kv::DeleteReplica {})).await
    }

    async fn to_node(&self, node: NodeId, shard: ShardId, body: request::Body) -> Result<()> {
        let header = kv::Header { shard: shard.0, ..kv::Header::default() };
        let answer = self.exchange(node, header, body).await.ok_or_else(|| unexpected("a placement"))?;
        failure_of(&answer).map_or(Ok(()), |kind| Err(Error::from_failure(kind)))
    }

    /// Waits until learners have nearly all of the log.
    async fn catch_up(&self, shard: ShardId, learners: &[u64]) -> Result<()> {
        let (mut best, mut since) = (0, Instant::now());
        loop {
            let leader = self.shard_at_leader(shard).await?;
            let of = |node: &u64| leader.progress.iter().find(|progress| progress.node == *node);
            let matched = |node| of(node).map_or(0, |progress| progress.matched);
            let least = learners.iter().map(matched).min().unwrap_or(leader.committed_index);
            if least > 0 && least + CATCH_UP_ENTRIES >= leader.committed_index {
                return Ok(());
            }
            if least > best {
                (best, since) = (least, Instant::now());
            } else if since.elapsed() > CATCH_UP_STALL_MAX {
                let reason = format!("a new replica of {shard} does not catch up");
                return Err(Error::Unavailable { reason });
            }
            tokio::time::sleep(CATCH_UP_CHECK).await;
        }
    }

    /// Sees to it that one of these nodes leads: a leader cannot leave its group.
    async fn lead_within(&self, shard: ShardId, voters: &BTreeSet<u64>) -> Result<()> {
        let leader = self.shard_at_leader(shard).await?;
        if voters.contains(&leader.leader_node) {
            return Ok(());
        }
        let present: BTreeSet<u64> = leader.range.unwrap_or_default().replicas.into_iter().collect();
        let stays = present.intersection(voters).next().copied();
        let to = match stays.or_else(|| voters.first().copied()) {
            Some(to) => to,
            None => return Err(Error::Internal("a shard without voters".to_owned())),
        };
        if stays.is_none() {
            let voters = present.iter().copied().chain([to]).collect();
            self.change_members(shard, kv::ChangeMembers { voters, ..Default::default() }).await?;
        }
        self.place_leader(shard, NodeId(to)).await
    }

    /// Tells meta where the replicas are.
    async fn publish(&self, shard: ShardId) -> Result<()> {
        let route = self.route_of(shard).await?;
        let description = self.shard_at_leader(shard).await?;
        let range = crate::admin::descriptor(description).ok_or_else(|| unexpected("Describe"))?;
        if (&range.start, &range.end) != (&route.start, &route.end) {
            // Cut meanwhile; whoever cut it tells meta, with the replicas as they are then.
            return self.refresh_ranges().await;
        }
        self.meta().put_ranges(vec![range]).await?;
        self.refresh_ranges().await
    }
}

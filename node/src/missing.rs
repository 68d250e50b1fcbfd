//! Replicas that this node should have and has not. A shard was cut while the node was away, and its replica of what is left
//! was brought up to date by a snapshot, which knows nothing of the parts that were cut off.
//!
//! # Invariants
//! * An empty replica of a voter is made only where the node never had one, so that it has promised and acknowledged nothing:
//!   the log knows of every group that it ever had, but of those that it was taken off.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use kv::Client;
use proto::{
    NodeId, ShardId,
    kv::{self as wire, request, response},
};
use raft::{RaftHost, log::GroupId};
use shard::Node;
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_shard as shard;

use crate::looks::Looks;

/// Time between looks. Each is a walk over the range map in memory.
const INTERVAL: Duration = Duration::from_secs(3);
/// Makes such replicas, empty, for their leaders to bring up.
pub(crate) struct Missing {
    pub(crate) node: Node,
    pub(crate) client: Client,
    pub(crate) raft: Arc<RaftHost>,
    pub(crate) own: NodeId,
}

impl Missing {
    /// Works for as long as the task runs.
    pub(crate) async fn make(self) {
        let mut looks = Looks::default();
        loop {
            tokio::time::sleep(INTERVAL).await;
            for shard in looks.ripe(&self.missed()) {
                match self.make_if_voter(shard).await {
                    Ok(true) => tracing::info!(%shard, "made a replica that was missing since the shard was cut"),
                    Ok(false) => {}
                    Err(reason) => tracing::debug!(%shard, reason, "a replica may be missing"),
                }
            }
        }
    }

    /// Shards that the range map has here and this node has not.
    fn missed(&self) -> BTreeSet<ShardId> {
        let (map, present) = (self.client.ranges(), self.node.shards());
        let present: HashSet<ShardId> = present.into_iter().collect();
        let here = map.all().iter().filter(|route| route.replicas.contains(&self.own)).map(|route| route.shard);
        here.filter(|shard| !present.contains(shard)).collect()
    }

    async fn make_if_voter(&self, shard: ShardId) -> Result<bool, String> {
        let leader = self.client.shard_at_leader(shard).await.map_err(|error| error.to_string())?;
        let range = leader.range.unwrap_or_default();
        if !range.replicas.contains(&self.own.0) || leader.joint || !leader.members_committed {
            return Ok(false);
        }
        if self.raft.known_groups().contains(&GroupId(shard.0)) {
            return Err("its log is here, and its state is not".to_owned());
        }
        let header = Some(wire::Header { shard: shard.0, ..wire::Header::default() });
        let body = Some(request::Body::CreateReplica(wire::CreateReplica { range: Some(range) }));
        match self.node.execute(wire::Request { header, body }).await.body {
            Some(response::Body::Done(_)) => Ok(true),
            other => Err(format!("{other:?}")),
        }
    }
}

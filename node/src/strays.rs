//! Replicas that were left behind on this node: taken off their groups while it could not be reached.
//!
//! The range map tells which replicas may be; it may be old, and a change may be under way, so that a replica is looked at for
//! some time and its leader asked before it goes (see the shard's `strays`).

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use kv::Client;
use proto::{NodeId, ShardId, kv::ShardDescription};
use shard::Node;
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_shard as shard;

use crate::looks::Looks;

/// Time between looks. Each is a walk over the range map in memory.
const INTERVAL: Duration = Duration::from_secs(5);
/// Removes such replicas.
pub(crate) struct Strays {
    pub(crate) node: Node,
    pub(crate) client: Client,
    pub(crate) own: NodeId,
}

impl Strays {
    /// Works for as long as the task runs.
    pub(crate) async fn remove(self) {
        let mut looks = Looks::default();
        loop {
            tokio::time::sleep(INTERVAL).await;
            for shard in looks.ripe(&self.out_of_their_groups()) {
                match self.remove_if_stray(shard).await {
                    Ok(true) => tracing::info!(%shard, "removed a replica that was left behind"),
                    Ok(false) => {}
                    Err(reason) => tracing::debug!(%shard, reason, "a replica may have been left behind"),
                }
            }
        }
    }

    /// Replicas of this node that the range map knows nothing of. Shards that it does not know at all are left alone.
    fn out_of_their_groups(&self) -> BTreeSet<ShardId> {
        let map = self.client.ranges();
        let others = map.all().iter().filter(|route| !route.replicas.contains(&self.own));
        let others: HashSet<ShardId> = others.map(|route| route.shard).collect();
        self.node.shards().into_iter().filter(|shard| others.contains(shard)).collect()
    }

    async fn remove_if_stray(&self, shard: ShardId) -> Result<bool, String> {
        let suspect = self.node.suspect(shard).await.map_err(|error| error.to_string())?;
        let Some(suspect) = suspect else { return Ok(false) };
        let leader = self.client.shard_at_leader(shard).await.map_err(|error| error.to_string())?;
        if may_be_member(&leader, self.own) {
            return Ok(false);
        }
        self.node.remove_stray(&suspect).await.map_err(|error| error.to_string())
    }
}

/// Whether a node is a member of a group or may be one again without being asked, as the group's leader says.
fn may_be_member(leader: &ShardDescription, node: NodeId) -> bool {
    let voters = leader.range.iter().flat_map(|range| &range.replicas);
    let named = voters.chain(&leader.learners).any(|member| *member == node.0);
    named || leader.joint || !leader.members_committed
}

#[cfg(test)]
mod tests {
    use proto::kv::Range;

    use super::*;

    #[test]
    fn only_a_group_that_has_settled_without_a_node_lets_it_go() {
        let range = Range { replicas: vec![1, 2, 4], ..Range::default() };
        let settled = ShardDescription { range: Some(range), members_committed: true, ..ShardDescription::default() };
        assert!(!may_be_member(&settled, NodeId(3)));
        assert!(may_be_member(&settled, NodeId(4)));
        assert!(may_be_member(&ShardDescription { learners: vec![3], ..settled.clone() }, NodeId(3)));
        assert!(may_be_member(&ShardDescription { joint: true, ..settled.clone() }, NodeId(3)));
        assert!(may_be_member(&ShardDescription { members_committed: false, ..settled }, NodeId(3)));
    }
}

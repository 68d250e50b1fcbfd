//! Replicas that were left behind: they were taken off their groups while their node could not be told.
//!
//! # Why nobody misses one that is removed
//! A suspect is noted first, with the end of its log. Then the shard's leader says that its node is no member, that this is
//! agreed on, and that no change is under way. Had the node become a member since, its replica would have been asked for or
//! would have taken entries or a snapshot; then the suspicion is dropped. Whether it has is looked at after the replica was
//! stopped, so that nothing comes in between.

use std::sync::{Arc, atomic::Ordering};

use proto::ShardId;
use raft::{LogEnd, log::GroupId};
use sharddb_proto as proto;
use sharddb_raft as raft;

use crate::node::{Node, OpenError};

/// A replica that may have been left behind, as it was when this was noted.
#[derive(Debug)]
pub struct Suspect {
    shard: ShardId,
    log_end: LogEnd,
    wanted: u64,
}

impl Suspect {
    /// Its shard.
    pub fn shard(&self) -> ShardId {
        self.shard
    }
}

impl Node {
    /// The shards that have a replica here.
    pub fn shards(&self) -> Vec<ShardId> {
        self.inner.replicas().iter().map(|replica| replica.shared.shard).collect()
    }

    /// Notes a replica as it is now; `None` if there is none or it leads.
    pub async fn suspect(&self, shard: ShardId) -> Result<Option<Suspect>, OpenError> {
        let Some(replica) = self.replica(shard.0).filter(|replica| !replica.group.is_leader()) else { return Ok(None) };
        let wanted = replica.wanted.load(Ordering::SeqCst);
        let log_end = self.inner.environment.raft.log_end(GroupId(shard.0)).await?;
        Ok(Some(Suspect { shard, log_end, wanted }))
    }

    /// Removes a replica with everything it has, unless something has happened to it since it was noted. Whoever calls this
    /// has learned from the leader, after it was noted, that this node is no member of the group. Answers whether it is gone.
    pub async fn remove_stray(&self, suspect: &Suspect) -> Result<bool, OpenError> {
        let shard = suspect.shard;
        {
            let _one_at_a_time = self.inner.starting.lock().await;
            let Some(replica) = self.replica(shard.0) else { return Ok(true) };
            if replica.wanted.load(Ordering::SeqCst) != suspect.wanted || replica.group.is_leader() {
                return Ok(false);
            }
            let raft = Arc::clone(&self.inner.environment.raft);
            self.inner.leave(shard);
            raft.stop_group(GroupId(shard.0)).await;
            if raft.log_end(GroupId(shard.0)).await? == suspect.log_end {
                self.remove(&replica).await?;
                return Ok(true);
            }
        }
        // It has been taken back.
        self.start_known().await?;
        Ok(false)
    }
}

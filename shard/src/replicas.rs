//! Where a shard's replicas are: making and removing them here, and changing who belongs to the group.
//!
//! # The order of a move
//! An empty replica is made on the new node; the leader lets it follow the log and brings it up; it becomes a voter; the
//! one that is no longer one is removed. Whoever drives this (`kv::replicas`) may stop after any step and begin again.
//!
//! # Removing
//! The data goes in one batch with a tombstone, then the log, then the tombstone: what a crash leaves is removed at the next
//! start. No two replicas of a node overlap: their data shares one key space.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use prost::Message;
use proto::{
    ShardId,
    kv::{self, response},
    meta::RangeDescriptor,
};
use raft::log::GroupId;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_storage as storage;
use storage::{Batch, Cf};

use crate::{
    local,
    node::{Node, OpenError, read_descriptors},
    replica::{Failure, Replica, Start},
    requests::done,
};

impl Node {
    /// Makes an empty replica for the shard's leader to bring up. Nothing happens if there is one.
    pub(crate) async fn create_replica(&self, create: kv::CreateReplica) -> Result<response::Body, Failure> {
        let range = create.range.ok_or_else(|| Failure::Internal("a replica without a range".to_owned()))?;
        let _one_at_a_time = self.inner.starting.lock().await;
        if let Some(replica) = self.replica(range.shard) {
            replica.wanted.fetch_add(1, Ordering::SeqCst);
            return Ok(done());
        }
        if let Some(other) = self.overlapping(&range).map_err(internal)? {
            let message = format!("shard {} overlaps shard {other}, which has a replica on this node", range.shard);
            return Err(Failure::Refused(kv::Refused { sqlstate: "55006".to_owned(), message }));
        }
        let mut batch = Batch::default();
        batch.put(Cf::Local, local::descriptor(ShardId(range.shard)), range.encode_to_vec());
        self.write(&batch).map_err(internal)?;
        self.start(range, Start::Join).await.map_err(internal)?;
        Ok(done())
    }

    fn overlapping(&self, range: &kv::Range) -> Result<Option<u64>, OpenError> {
        let descriptors = read_descriptors(self.inner.environment.engine.as_ref())?;
        Ok(descriptors.iter().find(|other| overlap(other, range)).map(|other| other.shard))
    }

    /// Removes a replica that no longer belongs to its group, with everything it has. Nothing happens if there is none.
    pub(crate) async fn delete_replica(&self, shard: u64) -> Result<response::Body, Failure> {
        let _one_at_a_time = self.inner.starting.lock().await;
        let Some(replica) = self.replica(shard) else { return Ok(done()) };
        let members = replica.group.members();
        let node = self.inner.environment.raft.node();
        if replica.group.has_lease() && members.voters.contains(&node) {
            let message = format!("shard {shard} is led by the replica that is to be removed");
            return Err(Failure::Refused(kv::Refused { sqlstate: "55006".to_owned(), message }));
        }
        self.inner.leave(ShardId(shard));
        self.remove(&replica).await.map_err(internal)?;
        Ok(done())
    }

    pub(crate) async fn remove(&self, replica: &Arc<Replica>) -> Result<(), OpenError> {
        let shared = &replica.shared;
        let span = shared.retire();
        let mut batch = Batch::default();
        for (cf, span) in [
            (Cf::Data, span.clone()),
            (Cf::Intents, span.clone()),
            (Cf::Local, local::records(&span)),
            (Cf::Local, local::fences(shared.shard)),
            (Cf::Local, local::of_shard(shared.shard)),
        ] {
            batch.delete_range(cf, span);
        }
        batch.put(Cf::Local, local::tombstone(shared.shard), Vec::new());
        self.write(&batch)?;
        self.bury(shared.shard).await
    }

    /// Forgets the log of a removed replica, then that there was one.
    async fn bury(&self, shard: ShardId) -> Result<(), OpenError> {
        self.inner.environment.raft.remove_group(GroupId(shard.0)).await?;
        let mut batch = Batch::default();
        batch.delete(Cf::Local, local::tombstone(shard));
        self.write(&batch)
    }

    /// Finishes removals that a crash cut short.
    pub(crate) async fn bury_dead(&self) -> Result<(), OpenError> {
        let mut dead = Vec::new();
        {
            let mut cursor = self.inner.environment.engine.cursor(Cf::Local, &local::shards())?;
            let mut more = cursor.first()?;
            while more {
                dead.extend(local::parse_tombstone(cursor.key()));
                more = cursor.next()?;
            }
        }
        for shard in dead {
            self.bury(shard).await?;
        }
        Ok(())
    }

    fn write(&self, batch: &Batch) -> Result<(), OpenError> {
        self.inner.environment.engine.write(batch)?;
        Ok(self.inner.environment.engine.flush()?)
    }
}

impl Replica {
    /// Adds learners, or makes these nodes the voters. Returns once the group has agreed.
    pub(crate) async fn change_members(&self, change: kv::ChangeMembers) -> Result<response::Body, Failure> {
        self.serving_term()?;
        let members = self.group.members();
        if !change.learners.is_empty() {
            self.drop_beginning().await?;
        }
        for node in change.learners {
            if !members.learners.contains(&node) && !members.voters.contains(&node) {
                self.group.add_learner(node).await.map_err(|error| self.refused(&error))?;
            }
        }
        let voters: BTreeSet<u64> = change.voters.into_iter().collect();
        if !voters.is_empty() && (members.joint || members.voters != voters) {
            self.group.change_voters(voters).await.map_err(|error| self.refused(&error))?;
        }
        for node in change.dismissed {
            if self.group.members().learners.contains(&node) {
                self.group.remove_learner(node).await.map_err(|error| self.refused(&error))?;
            }
        }
        Ok(done())
    }

    /// Makes sure that empty replicas are brought up by a snapshot. One that is made knows the present range only and would
    /// pass over the entries of former epochs.
    async fn drop_beginning(&self) -> Result<(), Failure> {
        if !self.group.has_beginning() {
            return Ok(());
        }
        self.group.compact().await.map_err(|error| self.refused(&error))?;
        if self.group.has_beginning() {
            let message = format!("shard {}: its log could not be shortened yet", self.shared.shard.0);
            return Err(Failure::Refused(kv::Refused { sqlstate: "55006".to_owned(), message }));
        }
        Ok(())
    }

    /// Hands the leadership to another voter.
    pub(crate) async fn transfer(&self, transfer: &kv::TransferLeader) -> Result<response::Body, Failure> {
        self.serving_term()?;
        let bequest = || self.shared.locks.bequest(&self.shared.span());
        self.group.bequeath(transfer.to, bequest).await.map_err(|error| self.refused(&error))?;
        Ok(done())
    }

    /// What this replica is and knows of the others.
    pub(crate) fn describe(&self) -> kv::ShardDescription {
        let (span, members) = (self.shared.span(), self.group.members());
        let serves = self.serving_term().is_ok();
        let progress = self.group.progress().into_iter();
        kv::ShardDescription {
            range: Some(kv::Range { replicas: members.voters.iter().copied().collect(), ..self.range() }),
            state: if serves { "active" } else { "standby" }.to_owned(),
            applied_index: self.group.applied(),
            committed_index: self.group.committed(),
            intents: self.shared.intents.count(),
            row_locks: self.shared.locks.counts().0 as u64,
            approximate_bytes: self.engine().approximate_size(Cf::Data, &span),
            term: self.group.term(),
            leader_node: self.group.leader_node().unwrap_or_default(),
            serves,
            learners: members.learners.into_iter().collect(),
            joint: members.joint,
            members_committed: self.group.members_are_committed(),
            progress: progress
                .map(|progress| kv::Progress { node: progress.node, matched: progress.matched })
                .collect(),
        }
    }

    /// The range map's record of this shard, as far as this replica knows.
    pub(crate) fn descriptor(&self) -> RangeDescriptor {
        let (range, members) = (self.range(), self.group.members());
        let span = range.span.unwrap_or_default();
        RangeDescriptor {
            shard: range.shard,
            start: span.start,
            end: span.end,
            epoch: range.epoch,
            replicas: members.voters.into_iter().collect(),
            state: "active".to_owned(),
            learners: members.learners.into_iter().collect(),
            leader: self.group.leader_node().unwrap_or_default(),
            ..RangeDescriptor::default()
        }
    }

    fn refused(&self, error: &raft::Error) -> Failure {
        match error {
            raft::Error::Membership(_) | raft::Error::Transfer { .. } => Failure::Refused(kv::Refused {
                sqlstate: error.sqlstate().to_owned(),
                message: format!("shard {}: {error}", self.shared.shard.0),
            }),
            error => crate::serving::refusal(self, error),
        }
    }
}

fn overlap(a: &kv::Range, b: &kv::Range) -> bool {
    let (a, b) = (a.span.clone().unwrap_or_default(), b.span.clone().unwrap_or_default());
    (a.end.is_empty() || b.start < a.end) && (b.end.is_empty() || a.start < b.end)
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_overlap_if_a_key_lies_in_both() {
        let range = |start: &'static str, end: &'static str| kv::Range {
            span: Some(kv::Span { start: start.into(), end: end.into() }),
            ..kv::Range::default()
        };
        for (a, b, expected) in [
            (range("", ""), range("x", "y"), true),
            (range("a", "c"), range("b", "d"), true),
            (range("a", "c"), range("c", "d"), false),
            (range("a", ""), range("", "a"), false),
            (range("a", ""), range("b", ""), true),
        ] {
            assert_eq!((overlap(&a, &b), overlap(&b, &a)), (expected, expected), "{a:?} {b:?}");
        }
    }
}

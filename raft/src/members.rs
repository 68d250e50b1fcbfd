//! Who belongs to a group, and how far each replica is: reading and changing it.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{
    ChangeMembers, EmptyNode,
    async_runtime::watch::WatchReceiver,
    errors::{ChangeMembershipError, ClientWriteError, RaftError},
};

use crate::{
    error::Error,
    group::Group,
    inbox::Job,
    types::{Leader, Members as StoredMembers},
};

/// The members of a group, as the newest entry in this replica's log has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Nodes that vote. While a change is under way, those of the old and of the new configuration.
    pub voters: BTreeSet<u64>,
    /// Nodes that follow the log and do not vote.
    pub learners: BTreeSet<u64>,
    /// Whether a change is under way: every decision needs a majority of the old voters and one of the new.
    pub joint: bool,
}

impl Members {
    pub(crate) fn of(members: &StoredMembers) -> Self {
        let membership = members.membership();
        Self {
            voters: membership.voter_ids().collect(),
            learners: membership.learner_ids().collect(),
            joint: membership.get_joint_config().len() > 1,
        }
    }
}

/// How far a replica's log is, as its leader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The replica's node.
    pub node: u64,
    /// Index up to which its log is known to be the leader's.
    pub matched: u64,
}

impl Group {
    /// The members, as far as this replica knows.
    pub fn members(&self) -> Members {
        Members::of(&self.raft().server_metrics().borrow_watched().membership_config)
    }

    /// Whether what `members` answers is committed, so that no other configuration counts any more.
    pub fn members_are_committed(&self) -> bool {
        let metrics = self.raft().server_metrics();
        let entry = *metrics.borrow_watched().membership_config.log_id();
        entry.is_some_and(|entry| entry.index <= self.committed())
    }

    /// How far every member is; empty unless this replica leads.
    pub fn progress(&self) -> Vec<Progress> {
        let metrics = self.raft().data_metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.iter().flatten();
        replication.map(|(node, id)| Progress { node: *node, matched: id.map_or(0, |id| id.index) }).collect()
    }

    /// Lets a node follow the log. It must run an empty replica (`RaftHost::join_group`) or one of this group. Returns once
    /// the change is committed; `progress` tells when the node has caught up.
    pub async fn add_learner(&self, node: u64) -> Result<(), Error> {
        self.check_lease()?;
        self.change(ChangeMembers::AddNodes(BTreeMap::from([(node, EmptyNode {})]))).await
    }

    /// Takes a node off that does not vote.
    pub async fn remove_learner(&self, node: u64) -> Result<(), Error> {
        self.check_lease()?;
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([node]))).await
    }

    /// Makes these nodes the voters, all at once. Each of them must be a member already. Voters that are not among them leave
    /// the group; other learners stay. Returns once the new configuration is committed. After an error the group may be
    /// between the configurations; calling again finishes the change.
    ///
    /// The leader has to stay among them: hand the lead over first.
    pub async fn change_voters(&self, voters: BTreeSet<u64>) -> Result<(), Error> {
        let term = self.check_lease()?;
        if !voters.contains(&self.replica().node()) {
            return Err(Error::Membership("the leader is not among the new voters".to_owned()));
        }
        // Leases that were had by the old voters alone must have been had by the new ones too.
        let lease = &self.replica().channel.lease;
        lease.await_voters(voters.clone());
        self.replica().stir();
        self.assert();
        let changed = self.change(ChangeMembers::ReplaceAllVoters(voters.clone())).await;
        let members = self.members();
        if self.term() != term || (!members.joint && (members.voters == voters || is_without_effect(&changed))) {
            lease.await_nobody();
        }
        changed
    }

    /// Collects acceptance from members that were not asked so far.
    fn assert(&self) {
        // With a full inbox the pulse asks again soon.
        let _enqueued = self.replica().enqueue(Job::Assert);
    }

    async fn change(&self, change: ChangeMembers<u64, EmptyNode>) -> Result<(), Error> {
        match self.raft().change_membership(change, false).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Err(Error::NotLeader { leader: forward.leader_id })
            }
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error))) => Err(refused(&error)),
            Err(RaftError::APIError(ClientWriteError::LogEntryDiscarded(_))) => Err(Error::Lost),
            Err(error) => Err(self.halted(error)),
        }
    }
}

/// Whether an error says that nothing was proposed.
fn is_without_effect(changed: &Result<(), Error>) -> bool {
    matches!(changed, Err(Error::NotLeader { .. } | Error::Membership(_)))
}

fn refused(error: &ChangeMembershipError<Leader, u64>) -> Error {
    Error::Membership(error.to_string())
}

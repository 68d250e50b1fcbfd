//! Who may become leader when: the gate that every vote passes, and elections of this replica.
//!
//! # The gate
//! A vote, also this replica's own, is refused while this node's promise to the node of the leader it follows holds, and
//! while it holds the lease itself. Two things open the gate early: the leader's word that it leads no more, and its leave to
//! elect somebody else in its place.
//!
//! # Elections
//! A replica asks first whether it would be elected; so one that is cut off or behind disturbs nobody. The voters of a group
//! begin one after the other, in an order that differs from group to group.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use proto::raft::{LeaderQuestion, Transfer, VoteRequest, message::Body};
use sharddb_proto as proto;

use crate::{
    inbox::Job,
    link::Link,
    log::GroupId,
    replica::Replica,
    support::{PROMISE, ns},
    types::{EntryId, RaftVote, encode_id, invalid},
    wire,
};

/// Between the elections that different voters of a group begin: long enough for one to end.
const TURN: Duration = Duration::from_millis(150);
/// Chance is added up to this, so that two nodes do not stay in step.
const JITTER: Duration = Duration::from_millis(40);
/// Until an election that came to nothing is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long the others have to say whether they would vote.
const PRE_VOTE_WAIT: Duration = Duration::from_millis(300);
/// Between attempts of a leader to collect acceptance for its lease.
const ASSERT_AGAIN: Duration = Duration::from_millis(200);
/// Between questions to a node whether it still leads.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// What openraft knows, after everything that was handed to it so far.
pub(crate) struct View {
    pub(crate) vote: RaftVote,
    pub(crate) last: Option<EntryId>,
    /// Whether this node votes.
    pub(crate) votes: bool,
    /// The voters; two sets while they change.
    pub(crate) configs: Vec<BTreeSet<u64>>,
}

impl View {
    pub(crate) fn leads(&self, node: u64) -> bool {
        self.vote.committed && self.vote.leader_id.node_id == node
    }
}

pub(crate) async fn view(replica: &Replica) -> io::Result<View> {
    let node = replica.node();
    let view = replica.raft.with_raft_state(move |state| {
        let membership = state.membership_state.effective().membership().clone();
        View {
            vote: *state.vote_ref(),
            last: state.log_ids.last().copied(),
            votes: membership.voter_ids().any(|voter| voter == node),
            configs: membership.get_joint_config().clone(),
        }
    });
    view.await.map_err(io::Error::other)
}

/// Who wants to lead.
pub(crate) struct Candidate {
    pub(crate) node: u64,
    pub(crate) term: u64,
    /// The leave of the present leader.
    pub(crate) transfer: Option<Transfer>,
    /// Term and generation of the newest append seen here.
    pub(crate) newest: (u64, u64),
}

impl Candidate {
    pub(crate) fn read(request: &VoteRequest, newest: (u64, u64)) -> io::Result<Self> {
        let vote = request.vote.as_ref().ok_or_else(|| invalid("a vote request without a vote"))?;
        Ok(Self { node: vote.node, term: vote.term, transfer: request.transfer, newest })
    }

    /// Whether the leader of a term gave its leave, and has not taken it back as far as this replica knows.
    fn has_leave(&self, term: u64) -> bool {
        let newest = if self.newest.0 == term { self.newest.1 } else { 0 };
        self.transfer.is_some_and(|transfer| transfer.term == term && transfer.generation >= newest)
    }
}

/// Whether a vote for the candidate may be given. If so, what could speak against it is over for good.
pub(crate) fn gate(replica: &Replica, view: &View, candidate: &Candidate) -> bool {
    if !would_pass(replica, view, candidate) {
        return false;
    }
    let support = &replica.host().support;
    if candidate.node != replica.node() && replica.channel.lease.forfeit_unless_held(candidate.term, support) {
        return false;
    }
    match bound_to(replica, view, candidate) {
        Some(leader) => !support.is_bound_to(leader),
        None => true,
    }
}

/// The same without consequences.
pub(crate) fn would_pass(replica: &Replica, view: &View, candidate: &Candidate) -> bool {
    let support = &replica.host().support;
    let others = view.configs.iter().any(|voters| voters.len() > 1);
    if replica.channel.has_past && others && support.is_bound_by_the_past() {
        return false;
    }
    if candidate.node != replica.node() && (replica.holds_lease() || replica.channel.lease.holds(support)) {
        return false;
    }
    match bound_to(replica, view, candidate) {
        Some(leader) => support.peer(leader).promised_until() <= support.now_ns(),
        None => true,
    }
}

/// The node of the leader that stands in the candidate's way if this node has promised it support.
fn bound_to(replica: &Replica, view: &View, candidate: &Candidate) -> Option<u64> {
    let followed = view.vote.leader_id;
    let free = !view.vote.committed
        || [candidate.node, replica.node()].contains(&followed.node_id)
        || replica.standing.resigned.load(Ordering::Acquire) >= followed.term
        || candidate.has_leave(followed.term);
    (!free).then_some(followed.node_id)
}

/// Asks the other voters whether they would elect this replica; if a majority would, the inbox is told to begin.
pub(crate) async fn campaign(replica: &Arc<Replica>) -> io::Result<()> {
    let view = view(replica).await?;
    let node = replica.node();
    let term = view.vote.leader_id.term + 1;
    let candidate = Candidate { node, term, transfer: None, newest: (0, 0) };
    if view.leads(node) || !view.votes || !would_pass(replica, &view, &candidate) {
        return Ok(());
    }
    if has_quorum(&view.configs, &BTreeSet::from([node])) {
        replica.enqueue(Job::Elect);
        return Ok(());
    }
    tokio::spawn(pre_vote(Arc::clone(replica), view, term));
    Ok(())
}

async fn pre_vote(replica: Arc<Replica>, view: View, term: u64) {
    let node = replica.node();
    let vote = RaftVote::new(term, node);
    let request =
        VoteRequest { vote: Some(wire::vote(&vote)), last: view.last.as_ref().map(encode_id), transfer: None };
    let voters: BTreeSet<u64> = view.configs.iter().flatten().copied().filter(|voter| *voter != node).collect();
    let ask = |target: u64| {
        let link = Link { channel: Arc::clone(&replica.channel), target };
        let answer = link.ask(Body::PreVote(request), PRE_VOTE_WAIT);
        async move { (target, answer.await) }
    };
    let mut answers: FuturesUnordered<_> = voters.into_iter().map(ask).collect();
    let mut granted = BTreeSet::from([node]);
    while let Some((target, answer)) = answers.next().await {
        if let Ok(Body::PreVoteAnswer(answer)) = answer
            && answer.granted
        {
            granted.insert(target);
        }
        if has_quorum(&view.configs, &granted) {
            // With a full inbox the next attempt finds more room.
            let _enqueued = replica.enqueue(Job::Elect);
            return;
        }
    }
}

fn has_quorum(configs: &[BTreeSet<u64>], granted: &BTreeSet<u64>) -> bool {
    configs.iter().all(|voters| voters.intersection(granted).count() > voters.len() / 2)
}

/// What a look at a replica has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is nothing to do until it is stirred or something happens between its node and another one.
    Rest,
    /// It is to be looked at again soon.
    Unrest,
    /// The same; and it would like to campaign.
    Due,
}

impl Replica {
    /// Looks whether something is to be done.
    pub(crate) fn look(&self, now_ns: u64) -> Found {
        match (self.leads(), self.standing.alone.load(Ordering::Acquire)) {
            (true, true) => Found::Rest,
            (true, false) => self.look_as_leader(now_ns),
            (false, _) if self.standing.votes.load(Ordering::Acquire) => self.look_as_voter(now_ns),
            (false, _) => Found::Rest,
        }
    }

    fn look_as_leader(&self, now_ns: u64) -> Found {
        if !self.channel.troubled.load(Ordering::Acquire) && self.holds_lease() {
            return Found::Rest;
        }
        if self.is_due(now_ns) {
            self.channel.troubled.store(false, Ordering::Release);
            self.enqueue(Job::Assert);
            self.due_ns.store(now_ns + ns(ASSERT_AGAIN), Ordering::Release);
        }
        Found::Unrest
    }

    fn look_as_voter(&self, now_ns: u64) -> Found {
        let Some(delay) = self.delay(now_ns) else {
            self.due_ns.store(0, Ordering::Release);
            return if self.doubts_leader() { Found::Unrest } else { Found::Rest };
        };
        if self.due_ns.load(Ordering::Acquire) == 0 {
            self.due_ns.store(now_ns + delay + self.turn_ns(), Ordering::Release);
            return Found::Unrest;
        }
        if self.is_due(now_ns) { Found::Due } else { Found::Unrest }
    }

    /// Begins to campaign. If it comes to nothing, it is due again later.
    pub(crate) fn begin_campaign(&self) {
        self.enqueue(Job::Campaign);
        self.postpone_campaign();
    }

    /// A node is back. Followers may have missed how far the log is committed, and wait for entries.
    pub(crate) fn revive(&self, node: u64) {
        if self.leads() && self.members().membership().get_node(&node).is_some() {
            // With a full inbox there are entries on their way, which tell the same.
            let _enqueued = self.enqueue(Job::Revive(node));
        }
    }

    fn is_due(&self, now_ns: u64) -> bool {
        self.due_ns.load(Ordering::Acquire) <= now_ns
    }

    /// How long to wait before this replica's turn to campaign comes; nothing while there is a leader to follow.
    fn delay(&self, now_ns: u64) -> Option<u64> {
        let leader = self.leader().filter(|leader| *leader != self.node());
        let Some(leader) = leader.filter(|_| self.standing.resigned.load(Ordering::Acquire) < self.term()) else {
            return Some(0);
        };
        let peer = self.host().support.peer(leader);
        match peer.promised_until() {
            // It sends entries, and its first heartbeat is on its way.
            0 => Some(ns(PROMISE)),
            until if until <= now_ns => Some(0),
            _ => None,
        }
    }

    /// Asks the leader whether it leads still, where nothing says so since either of the two has started again: it may have
    /// lost what others have, so that only they can be elected. Answers whether there is such doubt.
    fn doubts_leader(&self) -> bool {
        let Some(leader) = self.leader() else { return false };
        let process = self.host().support.peer(leader).incarnation();
        let doubts = self.standing.leader_process.load(Ordering::Acquire) != process;
        if doubts {
            self.ask_leader_at(leader, self.term());
        }
        doubts
    }

    /// Time until this replica's turn, counted from when an election is called for.
    fn turn_ns(&self) -> u64 {
        let members = self.members();
        let gone = self.leader();
        let order = |node: u64| (mixed(self.id(), node), node);
        let own = order(self.node());
        let others = members.membership().voter_ids().filter(|voter| Some(*voter) != gone);
        let before = others.filter(|voter| order(*voter) < own).count() as u64;
        before * ns(TURN) + self.host().random() % ns(JITTER)
    }

    /// Leaves time for an election under way.
    pub(crate) fn postpone_campaign(&self) {
        let now = self.host().support.now_ns();
        self.due_ns.store(now + ns(AGAIN) + self.turn_ns(), Ordering::Release);
    }

    /// Asks the leader that this replica follows whether it still leads.
    pub(crate) fn ask_leader(&self, vote: &RaftVote) {
        self.ask_leader_at(vote.leader_id.node_id, vote.leader_id.term);
    }

    fn ask_leader_at(&self, leader: u64, term: u64) {
        let now = self.host().support.now_ns();
        let asked = self.asked_ns.load(Ordering::Acquire);
        if now < asked + ns(ASK_AGAIN) {
            return;
        }
        self.asked_ns.store(now, Ordering::Release);
        self.channel.exchange.tell(leader, 0, Body::LeaderQuestion(LeaderQuestion { term }));
    }
}

/// Puts the nodes of each group into an order of its own.
fn mixed(group: GroupId, node: u64) -> u64 {
    let mut value = group.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ node.wrapping_mul(0xd1b5_4a32_d192_ed03);
    for _ in 0..2 {
        value = (value ^ (value >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    value ^ (value >> 32)
}

//! A leader's lease: the time in which no other replica of its group can be leader.
//!
//! It holds while a majority of voters, of both configurations while they change, have each accepted the leader's term in the
//! epoch of support they are in now, and that support has not run out (see `support`). Accepting a term means that the voter
//! has voted for nobody later; the unbroken promise since means that it has not done so up to now. So every majority that
//! could elect another leader contains a node that would not.
//!
//! What is computed stays true until the moment it names, whatever happens later. Only this node itself could break it, by
//! voting or campaigning, or by asking another one to take over: whoever does that revokes the lease first.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use proto::raft::Transfer;
use sharddb_proto as proto;

use crate::{
    support::{Epoch, Support},
    types::Members,
};

/// A lease that no clock ends: no other node votes.
const FOR_EVER: u64 = u64::MAX;

/// The lease of one replica.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    /// By the node's clock, when it ends; 0 when there is none. Changed under `terms` only.
    until_ns: AtomicU64,
    terms: Mutex<Terms>,
}

#[derive(Debug, Default)]
struct Terms {
    /// The term this replica leads in; 0 while it does not.
    term: u64,
    /// Rises whenever a revoked lease may be had again: answers to older appends say nothing about what a voter did since.
    generation: u64,
    /// Terms below this one are given up: this replica has voted in it, or may have.
    forfeited: u64,
    /// Others were told that this replica leads no more in terms up to this one, and act on it.
    resigned: u64,
    /// Another replica was asked to take over.
    handing_over: bool,
    /// In which epoch each node has accepted the term.
    accepted: HashMap<u64, Epoch>,
    /// Voters to be, while a change is under way: a majority of them is needed too.
    incoming: Option<BTreeSet<u64>>,
}

impl Lease {
    /// Whether it holds now, by what was computed last.
    pub(crate) fn holds(&self, support: &Support) -> bool {
        match self.until_ns.load(Ordering::Acquire) {
            0 => false,
            FOR_EVER => true,
            until => support.now_ns() < until,
        }
    }

    /// This replica leads in a term from now on.
    pub(crate) fn begin(&self, term: u64) {
        let mut terms = self.terms.lock();
        if terms.term == term {
            return;
        }
        self.until_ns.store(0, Ordering::Release);
        let Terms { generation, forfeited, resigned, .. } = *terms;
        *terms = Terms { term, generation, forfeited, resigned, ..Terms::default() };
    }

    /// This replica does not lead. What it held goes on until it ends or is revoked: nobody was told otherwise.
    pub(crate) fn end(&self) {
        self.terms.lock().term = 0;
    }

    /// What a request to append carries.
    pub(crate) fn generation(&self) -> u64 {
        self.terms.lock().generation
    }

    /// A node has accepted the term.
    pub(crate) fn accept(&self, node: u64, term: u64, generation: u64, epoch: Epoch) {
        let mut terms = self.terms.lock();
        if terms.term == term && terms.generation == generation {
            terms.accepted.insert(node, epoch);
        }
    }

    /// Looks again whether it holds, and until when.
    pub(crate) fn renew(&self, node: u64, members: &Members, support: &Support) -> bool {
        let terms = self.terms.lock();
        if terms.term <= terms.resigned || terms.term < terms.forfeited || terms.handing_over {
            return false;
        }
        let expiry = |voter: u64| {
            if voter == node {
                return FOR_EVER;
            }
            let (epoch, until) = support.peer(voter).support();
            if terms.accepted.get(&voter) == Some(&epoch) { until } else { 0 }
        };
        let configs = members.membership().get_joint_config().iter().chain(&terms.incoming);
        let until = configs.map(|voters| majority_until(voters, expiry)).min().unwrap_or(0);
        self.until_ns.store(until, Ordering::Release);
        support.now_ns() < until
    }

    /// Ends it at once and for good, unless this replica leads in `term` or later: it is about to campaign for that.
    pub(crate) fn forfeit(&self, term: u64) {
        let mut terms = self.terms.lock();
        terms.forfeited = terms.forfeited.max(term);
        self.until_ns.store(0, Ordering::Release);
    }

    /// Ends it at once: others are about to be told that this replica leads no more in `term`. Nothing brings it back.
    pub(crate) fn resign(&self, term: u64) {
        self.forfeit(term + 1);
        let mut terms = self.terms.lock();
        terms.resigned = terms.resigned.max(term);
    }

    /// The same unless it holds: this replica is about to vote for somebody else in `term`. Answers whether it holds.
    pub(crate) fn forfeit_unless_held(&self, term: u64, support: &Support) -> bool {
        let mut terms = self.terms.lock();
        if self.holds(support) {
            return true;
        }
        terms.forfeited = terms.forfeited.max(term);
        self.until_ns.store(0, Ordering::Release);
        false
    }

    /// The vote was not given, and this replica still leads in `term`, whether or not it has begun that here: acceptance from
    /// now on counts again.
    pub(crate) fn reclaim(&self, term: u64) {
        let mut terms = self.terms.lock();
        if terms.term <= term {
            terms.forfeited = term;
            terms.generation += 1;
            terms.accepted.clear();
        }
    }

    /// Below which term it has given up.
    pub(crate) fn forfeited(&self) -> u64 {
        self.terms.lock().forfeited
    }

    /// A vote in `term` was not given: what was given up for it alone is not. This replica may be elected in a term before.
    pub(crate) fn restore(&self, term: u64, forfeited: u64) {
        let mut terms = self.terms.lock();
        if terms.forfeited == term && terms.term == 0 {
            terms.forfeited = forfeited;
        }
    }

    /// Ends it at once: another replica is asked to take over. Answers which leave that one gets, unless it leads no more
    /// or another one was asked already.
    pub(crate) fn hand_over(&self) -> Option<Transfer> {
        let mut terms = self.terms.lock();
        if terms.term == 0 || terms.handing_over {
            return None;
        }
        terms.handing_over = true;
        self.until_ns.store(0, Ordering::Release);
        Some(Transfer { term: terms.term, generation: terms.generation })
    }

    /// The other one did not take over. From now on its leave is worth nothing where a newer append has been accepted, and
    /// only such acceptance counts.
    pub(crate) fn take_back(&self, transfer: Transfer) {
        let mut terms = self.terms.lock();
        if terms.term == transfer.term {
            terms.handing_over = false;
            terms.generation += 1;
            terms.accepted.clear();
        }
    }

    /// From now on it takes a majority of these too: they are about to become the voters.
    pub(crate) fn await_voters(&self, voters: BTreeSet<u64>) {
        let mut terms = self.terms.lock();
        terms.incoming = Some(voters);
        self.until_ns.store(0, Ordering::Release);
    }

    /// The change is over: the members are what the log says.
    pub(crate) fn await_nobody(&self) {
        self.terms.lock().incoming = None;
    }
}

/// Until when a majority of voters supports, by when each does.
fn majority_until(voters: &BTreeSet<u64>, expiry: impl Fn(u64) -> u64) -> u64 {
    let mut expiries: Vec<u64> = voters.iter().map(|voter| expiry(*voter)).collect();
    expiries.sort_unstable_by(|a, b| b.cmp(a));
    expiries.get(voters.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use openraft::{EmptyNode, Membership};

    use super::*;
    use crate::{surroundings::Hand, types};

    struct Three {
        hand: Arc<Hand>,
        own: Support,
        others: Vec<Support>,
        lease: Lease,
    }

    impl Three {
        fn new() -> Self {
            let hand = Arc::new(Hand::default());
            hand.set(Duration::from_secs(5));
            let support = |incarnation| Support::new(hand.clone(), incarnation);
            let (own, others) = (support(1), vec![support(2), support(3)]);
            Self { hand, own, others, lease: Lease::default() }
        }

        fn wait(&self, milliseconds: u64) {
            self.hand.go_on(Duration::from_millis(milliseconds));
        }

        fn supported_by(&self, node: u64) {
            self.own.count(node, &self.others[node as usize - 2].promise(1, &self.own.heartbeat()));
        }

        fn accepted_by(&self, node: u64, term: u64) {
            let epoch = self.others[node as usize - 2].epoch(1);
            self.lease.accept(node, term, self.lease.generation(), epoch);
        }

        fn renew(&self, configs: &[&[u64]]) -> bool {
            let configs: Vec<BTreeSet<u64>> = configs.iter().map(|voters| voters.iter().copied().collect()).collect();
            let nodes: std::collections::BTreeMap<u64, EmptyNode> =
                configs.iter().flatten().map(|node| (*node, EmptyNode {})).collect();
            let members = types::Members::new(None, Membership::new(configs, nodes).expect("the nodes are there"));
            self.lease.renew(1, &members, &self.own)
        }
    }

    #[test]
    fn it_takes_acceptance_and_support_of_a_majority() {
        let three = Three::new();
        three.lease.begin(4);
        assert!(!three.renew(&[&[1, 2, 3]]));
        three.supported_by(2);
        assert!(!three.renew(&[&[1, 2, 3]]), "nobody has accepted the term");
        three.accepted_by(2, 3);
        assert!(!three.renew(&[&[1, 2, 3]]), "an older term was accepted");
        three.accepted_by(2, 4);
        assert!(three.renew(&[&[1, 2, 3]]) && three.lease.holds(&three.own));
        three.wait(899);
        assert!(three.lease.holds(&three.own));
        three.wait(1);
        assert!(!three.lease.holds(&three.own) && !three.renew(&[&[1, 2, 3]]));
        three.wait(100);
        three.supported_by(2);
        assert!(!three.renew(&[&[1, 2, 3]]), "in between it may have voted for somebody else");
        three.accepted_by(2, 4);
        assert!(three.renew(&[&[1, 2, 3]]));
    }

    #[test]
    fn while_voters_change_both_majorities_are_needed() {
        let three = Three::new();
        three.lease.begin(4);
        three.supported_by(2);
        three.accepted_by(2, 4);
        assert!(!three.renew(&[&[1, 2], &[1, 3]]));
        assert!(three.renew(&[&[1, 2]]));
        three.lease.await_voters(BTreeSet::from([1, 3]));
        assert!(!three.lease.holds(&three.own) && !three.renew(&[&[1, 2]]));
        three.lease.await_nobody();
        assert!(three.renew(&[&[1, 2]]));
    }

    #[test]
    fn a_revoked_lease_comes_back_only_by_new_acceptance() {
        let three = Three::new();
        three.lease.begin(4);
        three.supported_by(2);
        let late = three.lease.generation();
        three.accepted_by(2, 4);
        assert!(three.renew(&[&[1, 2, 3]]));
        assert!(three.lease.forfeit_unless_held(5, &three.own), "it holds");
        let leave = three.lease.hand_over().expect("it leads");
        assert!(!three.lease.holds(&three.own) && !three.renew(&[&[1, 2, 3]]));
        three.lease.take_back(leave);
        three.lease.accept(2, 4, late, three.others[0].epoch(1));
        assert!(!three.renew(&[&[1, 2, 3]]), "the answer is older than the restored lease");
        three.accepted_by(2, 4);
        assert!(three.renew(&[&[1, 2, 3]]));
    }

    #[test]
    fn a_term_below_one_voted_in_never_has_a_lease_even_if_it_begins_late() {
        let three = Three::new();
        assert!(!three.lease.forfeit_unless_held(6, &three.own));
        three.lease.begin(5);
        three.supported_by(2);
        three.accepted_by(2, 5);
        assert!(!three.renew(&[&[1, 2, 3]]));
        three.lease.reclaim(5);
        three.accepted_by(2, 5);
        assert!(three.renew(&[&[1, 2, 3]]), "the vote was not given after all");
    }

    #[test]
    fn a_vote_that_was_not_given_costs_nothing_even_if_the_lead_begins_late() {
        let three = Three::new();
        three.supported_by(2);
        assert!(!three.lease.forfeit_unless_held(6, &three.own));
        three.lease.reclaim(5);
        three.lease.begin(5);
        three.accepted_by(2, 5);
        assert!(three.renew(&[&[1, 2, 3]]), "it led in 5 already");
        three.lease.end();
        let before = three.lease.forfeited();
        three.wait(1000);
        assert!(!three.lease.forfeit_unless_held(9, &three.own));
        three.lease.restore(9, before);
        three.lease.begin(7);
        three.supported_by(2);
        three.accepted_by(2, 7);
        assert!(three.renew(&[&[1, 2, 3]]), "it was elected later, in a lower term");
    }

    #[test]
    fn a_term_that_was_resigned_never_has_a_lease_again() {
        let three = Three::new();
        three.lease.begin(5);
        three.supported_by(2);
        three.lease.forfeit(6);
        three.lease.reclaim(5);
        three.accepted_by(2, 5);
        assert!(three.renew(&[&[1, 2, 3]]), "the election in 6 was not held");
        three.lease.resign(5);
        three.lease.reclaim(5);
        three.accepted_by(2, 5);
        assert!(!three.renew(&[&[1, 2, 3]]), "others may have been elected since");
    }

    #[test]
    fn a_single_voter_needs_nobody_and_a_new_term_begins_without() {
        let three = Three::new();
        three.lease.begin(4);
        assert!(three.renew(&[&[1]]));
        three.wait(1_000_000);
        assert!(three.lease.holds(&three.own));
        three.lease.begin(5);
        assert!(!three.lease.holds(&three.own));
    }
}

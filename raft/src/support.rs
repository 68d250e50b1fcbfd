//! Support between pairs of nodes: who promises whom to elect nobody else, and until when.
//!
//! A node asks every node that it shares a group with for support, again and again, with one heartbeat for all groups. The
//! answer is a promise: for [`PROMISE`] after the heartbeat came, by its own clock, the supporter grants no vote against a
//! leader on the asking node. The asking node counts the support from when it sent the heartbeat, and for [`DRIFT`] less:
//! so it ends here before the promise ends there, if the clocks' rates differ by less than a tenth.
//!
//! An *epoch* names one unbroken promise. It changes when a promise has lapsed and is renewed or its end is made use of, and
//! with the supporter's process. A leader counts a supporter only if that has accepted its term in the epoch it is in now
//! (see `lease`): so it has voted for nobody else in between.
//!
//! After a process has started, its former life's promises are unknown; it keeps to them all for as long as one lasts.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use proto::raft::{Heartbeat, HeartbeatAnswer, SupportEpoch};
use sharddb_proto as proto;

use crate::surroundings::MonotonicClock;

/// How long a supporter keeps its promise after a heartbeat came. A failed leader is replaced once it has lapsed, so this is
/// most of a failover; shorter ones would take a busy network for a failure.
pub(crate) const PROMISE: Duration = Duration::from_millis(1000);
/// What the asking node counts less: a tenth of the promise, for clocks that do not run at the same rate.
pub(crate) const DRIFT: Duration = Duration::from_millis(100);
/// Time between heartbeats to a node. Three in a row may be lost before support lapses.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(200);

/// Nanoseconds of a duration that is a constant here.
pub(crate) const fn ns(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// Which unbroken promise is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epoch {
    pub(crate) incarnation: u64,
    pub(crate) counter: u64,
}

impl Epoch {
    pub(crate) fn encode(self) -> SupportEpoch {
        SupportEpoch { incarnation: self.incarnation, counter: self.counter }
    }

    pub(crate) fn decode(epoch: &SupportEpoch) -> Self {
        Self { incarnation: epoch.incarnation, counter: epoch.counter }
    }
}

/// What this node has promised to another one.
#[derive(Debug, Default)]
struct Promise {
    until_ns: u64,
    counter: u64,
}

/// What another node has promised to this one.
#[derive(Clone, Copy, Debug, Default)]
struct Granted {
    epoch: Epoch,
    /// When the heartbeat was sent that brought it.
    sent_ns: u64,
}

/// Another node.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    promise: Mutex<Promise>,
    granted: Mutex<Granted>,
    /// The process that the last heartbeat came from; 0 before the first.
    incarnation: AtomicU64,
    /// Memberships of groups here in which the node is.
    shared: AtomicU64,
}

impl Peer {
    /// The epoch of its support for this node and when that ends.
    pub(crate) fn support(&self) -> (Epoch, u64) {
        let granted = *self.granted.lock();
        let until = if granted.epoch == Epoch::default() { 0 } else { granted.sent_ns + ns(PROMISE) - ns(DRIFT) };
        (granted.epoch, until)
    }

    /// When this node's promise to it lapses.
    pub(crate) fn promised_until(&self) -> u64 {
        self.promise.lock().until_ns
    }

    /// The process that its last heartbeat came from.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Acquire)
    }
}

/// What groups make of another node. As long as it stays the same, the node gives none of them anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tie {
    node: u64,
    /// Whether this node's promise to it holds, and to which of its processes.
    promised: bool,
    incarnation: u64,
    /// Whether its support for this node holds, and in which epoch.
    supports: bool,
    epoch: Epoch,
}

/// All other nodes, as this one knows them.
pub(crate) struct Support {
    pub(crate) clock: Arc<dyn MonotonicClock>,
    /// This process.
    incarnation: u64,
    started_ns: u64,
    peers: RwLock<HashMap<u64, Arc<Peer>>>,
    /// Nodes that were not heard for a while or have started anew, and are heard again.
    returned: Mutex<BTreeSet<u64>>,
}

impl Support {
    pub(crate) fn new(clock: Arc<dyn MonotonicClock>, incarnation: u64) -> Self {
        let started_ns = clock.now_ns();
        Self { clock, incarnation, started_ns, peers: RwLock::default(), returned: Mutex::default() }
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// Whether promises of this node's former life may still hold.
    pub(crate) fn is_bound_by_the_past(&self) -> bool {
        self.now_ns() < self.started_ns + ns(PROMISE)
    }

    pub(crate) fn peer(&self, node: u64) -> Arc<Peer> {
        if let Some(peer) = self.peers.read().get(&node) {
            return Arc::clone(peer);
        }
        Arc::clone(self.peers.write().entry(node).or_default())
    }

    /// Notes that a group here has or no longer has this member.
    pub(crate) fn share(&self, node: u64, more: bool) {
        let shared = &self.peer(node).shared;
        if more {
            shared.fetch_add(1, Ordering::AcqRel);
        } else {
            let before = shared.fetch_sub(1, Ordering::AcqRel);
            assert!(before > 0, "a member leaves a group once");
        }
    }

    /// The nodes to ask for support, in order.
    pub(crate) fn shared(&self) -> Vec<u64> {
        let peers = self.peers.read();
        let shared = peers.iter().filter(|(_, peer)| peer.shared.load(Ordering::Acquire) > 0);
        let mut nodes: Vec<u64> = shared.map(|(node, _)| *node).collect();
        nodes.sort_unstable();
        nodes
    }

    /// What groups make of all other nodes now, in order.
    pub(crate) fn ties(&self) -> Vec<Tie> {
        let now = self.now_ns();
        let tie = |(node, peer): (&u64, &Arc<Peer>)| {
            let (epoch, until) = peer.support();
            let (promised, supports) = (now < peer.promised_until(), now < until);
            Tie { node: *node, promised, incarnation: peer.incarnation(), supports, epoch }
        };
        let mut ties: Vec<Tie> = self.peers.read().iter().map(tie).collect();
        ties.sort_unstable_by_key(|tie| tie.node);
        ties
    }

    /// The nodes that are heard again since the last call.
    pub(crate) fn returned(&self) -> BTreeSet<u64> {
        std::mem::take(&mut *self.returned.lock())
    }

    /// Whether a node supports this one now.
    pub(crate) fn is_supported_by(&self, node: u64) -> bool {
        self.now_ns() < self.peer(node).support().1
    }

    pub(crate) fn heartbeat(&self) -> Heartbeat {
        Heartbeat { sent_ns: self.now_ns(), incarnation: self.incarnation }
    }

    /// Promises support to the node that asks for it.
    pub(crate) fn promise(&self, node: u64, heartbeat: &Heartbeat) -> HeartbeatAnswer {
        let peer = self.peer(node);
        let known = peer.incarnation.swap(heartbeat.incarnation, Ordering::AcqRel);
        let mut promise = peer.promise.lock();
        let now = self.now_ns();
        let lapsed = promise.until_ns <= now;
        if lapsed {
            promise.counter += 1;
        }
        if lapsed || known != heartbeat.incarnation {
            self.returned.lock().insert(node);
        }
        promise.until_ns = now + ns(PROMISE);
        let epoch = Epoch { incarnation: self.incarnation, counter: promise.counter };
        let Heartbeat { sent_ns, incarnation } = *heartbeat;
        HeartbeatAnswer { sent_ns, incarnation, epoch: Some(epoch.encode()) }
    }

    /// Counts a promise that this node got.
    pub(crate) fn count(&self, node: u64, answer: &HeartbeatAnswer) {
        let Some(epoch) = answer.epoch.as_ref().map(Epoch::decode) else { return };
        if answer.incarnation != self.incarnation || answer.sent_ns > self.now_ns() {
            return;
        }
        let peer = self.peer(node);
        let mut granted = peer.granted.lock();
        if granted.sent_ns < answer.sent_ns {
            *granted = Granted { epoch, sent_ns: answer.sent_ns };
        }
    }

    /// The epoch of this node's promise to another one.
    pub(crate) fn epoch(&self, node: u64) -> Epoch {
        Epoch { incarnation: self.incarnation, counter: self.peer(node).promise.lock().counter }
    }

    /// Whether this node is bound by a promise to another one. If it is not, it is about to make use of that: whatever that
    /// node had of it is over.
    pub(crate) fn is_bound_to(&self, node: u64) -> bool {
        let peer = self.peer(node);
        let mut promise = peer.promise.lock();
        if self.now_ns() < promise.until_ns {
            return true;
        }
        promise.counter += 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::Hand;

    fn pair() -> (Arc<Hand>, Support, Support) {
        let hand = Arc::new(Hand::default());
        hand.set(Duration::from_secs(1));
        (hand.clone(), Support::new(hand.clone(), 11), Support::new(hand, 22))
    }

    #[test]
    fn support_ends_before_the_promise_and_is_counted_from_when_it_was_asked_for() {
        let (hand, one, two) = pair();
        let asked = one.heartbeat();
        hand.set(Duration::from_millis(1300));
        let answer = two.promise(1, &asked);
        hand.set(Duration::from_millis(1600));
        one.count(2, &answer);
        let (epoch, until) = one.peer(2).support();
        assert_eq!((epoch, until), (two.epoch(1), ns(Duration::from_millis(1900))));
        assert_eq!(two.peer(1).promised_until(), ns(Duration::from_millis(2300)));
        assert!(two.is_bound_to(1));
        assert_eq!(two.epoch(1), epoch, "asking changes nothing while the promise holds");
    }

    #[test]
    fn an_epoch_is_one_unbroken_promise() {
        let (hand, one, two) = pair();
        let first = two.promise(1, &one.heartbeat()).epoch;
        hand.set(Duration::from_millis(1999));
        assert_eq!(two.promise(1, &one.heartbeat()).epoch, first);
        hand.set(Duration::from_millis(3000));
        let renewed = two.promise(1, &one.heartbeat()).epoch;
        assert_ne!(renewed, first, "it had lapsed");
        hand.set(Duration::from_millis(4000));
        assert!(!two.is_bound_to(1));
        assert_ne!(Some(two.epoch(1).encode()), renewed, "its end was made use of");
    }

    #[test]
    fn an_answer_to_a_former_life_or_from_before_the_last_one_counts_nothing() {
        let (hand, one, two) = pair();
        let early = one.heartbeat();
        hand.set(Duration::from_millis(1100));
        let late = two.promise(1, &one.heartbeat());
        one.count(2, &late);
        let before = one.peer(2).support();
        one.count(2, &two.promise(1, &early));
        assert_eq!(one.peer(2).support(), before);
        let reborn = Support::new(hand, 33);
        reborn.count(2, &late);
        assert_eq!(reborn.peer(2).support().1, 0);
        assert!(reborn.is_bound_by_the_past());
    }
}

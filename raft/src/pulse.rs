//! The one task that looks after all groups of a host: asks for support and calls elections.
//!
//! Thousands of groups are at rest most of the time. It looks at a group when something has happened to it (`Host::stir`), and
//! again until the group is at rest; at all of them when something has happened between this node and another one. Whatever
//! might have been missed is found in rounds over all groups, a few with each look.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::{Arc, atomic::Ordering},
};

use proto::raft::{Message, message::Body};
use sharddb_proto as proto;
use tokio::time::{Duration, Instant, sleep_until};

use crate::{
    election::Found,
    group::Group,
    host::{Groups, Host},
    log::GroupId,
    support::{HEARTBEAT, Tie, ns},
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Looks in which a round passes all groups: one takes a second.
const ROUND: usize = 20;
/// Elections of this node under way. After a failure, thousands of groups may be without a leader; if all began at once, on a
/// machine that is slow already, each would take so long that it came to nothing.
const ELECTIONS_MAX: usize = 128;
/// The group that waits for no others: by custom, leaders of all others ask its leader before they begin.
const FOREMOST: GroupId = GroupId(0);
/// How long an election is waited for before others begin in its place.
const ELECTION_TIME: Duration = Duration::from_millis(500);

/// The task's state.
pub(crate) struct Pulse {
    host: Arc<Host>,
    groups: Arc<Groups>,
    /// How it stood with other nodes at the last look.
    ties: Vec<Tie>,
    /// The group that the round has come to.
    passed: Option<GroupId>,
    /// Groups that this node wants to lead, and until when their elections count as under way.
    elections: BTreeMap<GroupId, u64>,
}

impl Pulse {
    pub(crate) fn new(host: Arc<Host>, groups: Arc<Groups>) -> Self {
        Self { host, groups, ties: Vec::new(), passed: None, elections: BTreeMap::new() }
    }

    /// Runs until it is aborted. Sleeps while no group has members on other nodes.
    pub(crate) async fn run(mut self) {
        let mut next_heartbeat = Instant::now();
        loop {
            while self.host.support.shared().is_empty() {
                self.host.woken().await;
            }
            let now = Instant::now();
            if next_heartbeat <= now {
                self.ask_for_support();
                next_heartbeat = now + HEARTBEAT;
            }
            self.look();
            sleep_until(now + LOOK).await;
        }
    }

    fn ask_for_support(&self) {
        for node in self.host.support.shared() {
            let body = Some(Body::Heartbeat(self.host.support.heartbeat()));
            self.host.surroundings.transport.send(node, Message { group: 0, id: 0, body });
        }
    }

    fn look(&mut self) {
        let (support, groups) = (&self.host.support, Arc::clone(&self.groups));
        let (now_ns, returned, ties) = (support.now_ns(), support.returned(), support.ties());
        let mut restless = self.host.restless();
        let groups = groups.read();
        let all = ties != self.ties || !returned.is_empty();
        let share = if all { groups.len() } else { groups.len().div_ceil(ROUND) };
        let from = self.passed.filter(|_| !all).map_or(Unbounded, Excluded);
        let round: Vec<(&GroupId, &Group)> = groups.range((from, Unbounded)).take(share).collect();
        self.passed = round.last().map(|(id, _)| **id).filter(|_| !all && round.len() == share);
        self.ties = ties;
        restless.extend(round.into_iter().map(|(id, _)| *id));
        let mut due = Vec::new();
        restless.retain(|id| {
            let Some(group) = groups.get(id) else { return false };
            let found = group.replica().look(now_ns);
            returned.iter().for_each(|node| group.replica().revive(*node));
            match found {
                Found::Rest => drop(self.elections.remove(id)),
                Found::Due => due.push((group.replica().due_ns.load(Ordering::Acquire), *id)),
                Found::Unrest => {}
            }
            found != Found::Rest
        });
        self.host.stir(restless);
        self.hold_elections(now_ns, due, &groups);
    }

    /// Lets groups begin their elections, those first that have waited longest: others may come to nothing again and again.
    fn hold_elections(&mut self, now_ns: u64, mut due: Vec<(u64, GroupId)>, groups: &BTreeMap<GroupId, Group>) {
        self.elections.retain(|_, until_ns| *until_ns > now_ns);
        due.sort_unstable_by_key(|(due_ns, id)| (*id != FOREMOST, *due_ns, *id));
        for (_, id) in due {
            let may_begin = id == FOREMOST || self.elections.len() < ELECTIONS_MAX;
            if let Some(group) = groups.get(&id).filter(|_| may_begin) {
                group.replica().begin_campaign();
                self.elections.insert(id, now_ns + ns(ELECTION_TIME));
            }
        }
    }
}

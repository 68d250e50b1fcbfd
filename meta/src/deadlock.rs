//! Deadlocks over several nodes: finds cycles in the waits that nodes report.
//!
//! Within a node waits that close a cycle are refused at once. A cycle over several nodes is visible only here: each node
//! reports its waits that have lasted for a while, again and again, and is answered which of them to end.
//!
//! # No deadlock is imagined
//! Waits of different nodes are seen at different times, and a cycle put together from what was true at different times
//! may never have existed. So every report says which answer its sender had seen before it looked (`turn`), and a cycle
//! counts only when each of its waits was seen to last still after the youngest of them was first reported. At that
//! moment all of them stood.
//!
//! # One victim
//! The youngest transaction of the cycle (the highest id among equals) ends. From then on its waits count for nothing, so
//! that no second victim is taken for the same cycle.
//!
//! Pure: time comes with each report. The leader of the meta group keeps one; after a change of leader nodes report anew.

use std::collections::{BTreeMap, BTreeSet};

use proto::meta::{Victim, Wait, WaitAnswer, WaitReport};
use sharddb_proto as proto;

/// How old a wait must be to be reported. Most waits are shorter and cost nothing here.
pub const REPORT_AFTER_MS: u64 = 100;
/// Time between reports of a node that has waits to report.
pub const REPORT_INTERVAL_MS: u64 = 200;
/// A node that was silent for this long is gone, and its waits with it.
const EXPIRY_MS: u64 = 1000;
/// Turns of one term: a hundred nodes that report all the time need a thousand years for them.
const TURN_BITS: u32 = 40;
/// Waits of one report that are looked at. So many transactions that wait for each other need no detector.
const WAITS_MAX: usize = 10_000;

/// Where a wait is: node and the node's id for it.
type Place = (u64, u64);

#[derive(Clone, Debug)]
struct Known {
    waiter: u64,
    began: u64,
    holders: BTreeSet<u64>,
    /// Turn of the report that brought it first.
    first: u64,
    /// It still stood when this turn's answer had arrived.
    confirmed: u64,
    seen_ms: u64,
}

/// The waits of all nodes.
#[derive(Debug, Default)]
pub struct Detector {
    /// Counts reports.
    turn: u64,
    waits: BTreeMap<Place, Known>,
    /// Transactions that were chosen to end, with the cycle and when their waits were reported last.
    victims: BTreeMap<u64, (Vec<u64>, u64)>,
}

impl Detector {
    /// A detector that knows of no waits. `term` is the leader's: answers of former leaders prove nothing to this one.
    pub fn new(term: u64) -> Self {
        Self { turn: term << TURN_BITS, ..Self::default() }
    }

    /// Takes a node's waits in place of those it reported before, and answers which of them are to end.
    pub fn report(&mut self, now_ms: u64, report: WaitReport) -> WaitAnswer {
        self.turn += 1;
        self.expire(now_ms);
        let (node, turn) = (report.node, report.turn.min(self.turn - 1));
        let waits: Vec<Wait> = report.waits.into_iter().take(WAITS_MAX).collect();
        let reported: BTreeSet<u64> = waits.iter().map(|wait| wait.id).collect();
        self.waits.retain(|(from, id), _| *from != node || reported.contains(id));
        for wait in &waits {
            self.note(node, wait, turn, now_ms);
        }
        let waiters: BTreeSet<u64> = waits.iter().map(|wait| wait.waiter).collect();
        for waiter in waiters {
            while let Some(cycle) = self.proven_cycle(waiter) {
                self.end(&cycle, now_ms);
            }
        }
        WaitAnswer { turn: self.turn, victims: self.victims_among(&waits, now_ms) }
    }

    /// How many waits are known.
    pub fn len(&self) -> usize {
        self.waits.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    fn expire(&mut self, now_ms: u64) {
        let fresh = |seen_ms: u64| now_ms.saturating_sub(seen_ms) < EXPIRY_MS;
        self.waits.retain(|_, wait| fresh(wait.seen_ms));
        self.victims.retain(|_, (_, seen_ms)| fresh(*seen_ms));
    }

    fn note(&mut self, node: u64, wait: &Wait, turn: u64, now_ms: u64) {
        let holders: BTreeSet<u64> = wait.holders.iter().copied().filter(|holder| *holder != wait.waiter).collect();
        let known = self.waits.get(&(node, wait.id)).filter(|known| known.waiter == wait.waiter);
        // Somebody new to wait for makes a new wait; somebody less leaves the rest as old as it was.
        let first = known.filter(|known| holders.is_subset(&known.holders)).map_or(self.turn, |known| known.first);
        let news = Known { waiter: wait.waiter, began: wait.began, holders, first, confirmed: turn, seen_ms: now_ms };
        self.waits.insert((node, wait.id), news);
    }

    /// Waits of a transaction that count.
    fn waits_of(&self, txn: u64) -> impl Iterator<Item = &Known> {
        self.waits.values().filter(move |wait| wait.waiter == txn && !self.victims.contains_key(&txn))
    }

    /// A cycle through `start` that has been proven: the transactions, beginning and ending with `start`.
    fn proven_cycle(&self, start: u64) -> Option<Vec<u64>> {
        // Every path is tried in order of ids; a transaction that leads nowhere is not tried twice.
        let edges = self.edges();
        let mut path = vec![(start, self.next_of(&edges, start))];
        let mut seen = BTreeSet::from([start]);
        while let Some((_, ahead)) = path.last_mut() {
            let Some(next) = ahead.pop_first() else {
                path.pop();
                continue;
            };
            if next == start {
                let mut cycle: Vec<u64> = path.iter().map(|(txn, _)| *txn).collect();
                cycle.push(start);
                return Some(cycle).filter(|cycle| self.is_proven(cycle));
            }
            if seen.insert(next) {
                let ahead = self.next_of(&edges, next);
                path.push((next, ahead));
            }
        }
        None
    }

    fn edges(&self) -> BTreeMap<u64, BTreeSet<u64>> {
        let mut edges: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for wait in self.waits.values() {
            edges.entry(wait.waiter).or_default().extend(&wait.holders);
        }
        edges
    }

    fn next_of(&self, edges: &BTreeMap<u64, BTreeSet<u64>>, txn: u64) -> BTreeSet<u64> {
        let ended = self.victims.contains_key(&txn);
        edges.get(&txn).filter(|_| !ended).cloned().unwrap_or_default()
    }

    /// Whether all waits of a cycle stood at one moment.
    fn is_proven(&self, cycle: &[u64]) -> bool {
        let waits = cycle.windows(2).map(|pair| {
            let waits = self.waits_of(pair[0]).filter(move |wait| wait.holders.contains(&pair[1]));
            waits.min_by_key(|wait| wait.first).expect("a cycle is made of waits")
        });
        let waits: Vec<&Known> = waits.collect();
        let youngest = waits.iter().map(|wait| wait.first).max().unwrap_or(0);
        waits.iter().all(|wait| wait.confirmed >= youngest)
    }

    /// Chooses who of a cycle ends.
    fn end(&mut self, cycle: &[u64], now_ms: u64) {
        let began = |txn: u64| self.waits_of(txn).map(|wait| wait.began).max().unwrap_or(0);
        let victim = cycle.iter().copied().max_by_key(|txn| (began(*txn), *txn)).expect("a cycle has members");
        let members = &cycle[..cycle.len() - 1];
        let at = members.iter().position(|txn| *txn == victim).expect("the victim is one of them");
        let around = members[at..].iter().chain(&members[..=at]).copied().collect();
        self.victims.insert(victim, (around, now_ms));
    }

    fn victims_among(&mut self, waits: &[Wait], now_ms: u64) -> Vec<Victim> {
        let mut victims = Vec::new();
        for wait in waits {
            if let Some((cycle, seen_ms)) = self.victims.get_mut(&wait.waiter) {
                *seen_ms = now_ms;
                victims.push(Victim { wait: wait.id, txn: wait.waiter, cycle: cycle.clone() });
            }
        }
        victims
    }
}

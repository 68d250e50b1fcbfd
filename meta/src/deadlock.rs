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
/// Holders of one wait that are looked at. Naming the nearest is enough: what those wait for they report themselves.
const HOLDERS_MAX: usize = 256;
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
        loop {
            let graph = Graph::new(&self.waits, &self.victims);
            let Some(cycle) = graph.proven_cycle(&waiters) else { break };
            let cycle = graph.around_victim(&cycle);
            self.victims.insert(cycle[0], (cycle, now_ms));
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
        let others = wait.holders.iter().copied().filter(|holder| *holder != wait.waiter);
        let holders: BTreeSet<u64> = others.take(HOLDERS_MAX).collect();
        let known = self.waits.get(&(node, wait.id)).filter(|known| known.waiter == wait.waiter);
        // Somebody new to wait for makes a new wait; somebody less leaves the rest as old as it was.
        let first = known.filter(|known| holders.is_subset(&known.holders)).map_or(self.turn, |known| known.first);
        let news = Known { waiter: wait.waiter, began: wait.began, holders, first, confirmed: turn, seen_ms: now_ms };
        self.waits.insert((node, wait.id), news);
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

/// Who waits for whom.
struct Graph<'a> {
    waits: BTreeMap<u64, Vec<&'a Known>>,
}

impl<'a> Graph<'a> {
    /// All waits but those of transactions that are to end.
    fn new(waits: &'a BTreeMap<Place, Known>, victims: &BTreeMap<u64, (Vec<u64>, u64)>) -> Self {
        let mut graph = Self { waits: BTreeMap::new() };
        for wait in waits.values().filter(|wait| !victims.contains_key(&wait.waiter)) {
            graph.waits.entry(wait.waiter).or_default().push(wait);
        }
        graph
    }

    /// Those a transaction waits for and who wait themselves; the others are in no cycle.
    fn next(&self, txn: u64) -> BTreeSet<u64> {
        let holders = self.waits.get(&txn).into_iter().flatten().flat_map(|wait| wait.holders.iter().copied());
        holders.filter(|holder| self.waits.contains_key(holder)).collect()
    }

    /// A cycle that has been proven and is reached from one of these, as the transactions of which each waits for the next
    /// and the last for the first. Every transaction is visited once, in order of ids.
    fn proven_cycle(&self, starts: &BTreeSet<u64>) -> Option<Vec<u64>> {
        let mut seen = BTreeSet::new();
        for start in starts {
            let mut path: Vec<u64> = Vec::new();
            let mut depths: BTreeMap<u64, usize> = BTreeMap::new();
            let mut ahead = vec![BTreeSet::from([*start])];
            while let Some(next) = ahead.last_mut() {
                let Some(txn) = next.pop_first() else {
                    ahead.pop();
                    path.pop().and_then(|txn| depths.remove(&txn));
                    continue;
                };
                if seen.insert(txn) {
                    depths.insert(txn, path.len());
                    path.push(txn);
                    ahead.push(self.next(txn));
                } else if let Some(depth) = depths.get(&txn)
                    && self.is_proven(&path[*depth..])
                {
                    return Some(path.split_off(*depth));
                }
            }
        }
        None
    }

    /// Whether all waits of a cycle stood at one moment.
    fn is_proven(&self, cycle: &[u64]) -> bool {
        let waits = cycle.iter().zip(cycle.iter().cycle().skip(1)).map(|(waiter, holder)| {
            let waits = self.waits[waiter].iter().filter(|wait| wait.holders.contains(holder));
            waits.min_by_key(|wait| wait.first).expect("a cycle is made of waits")
        });
        let waits: Vec<&&Known> = waits.collect();
        let youngest = waits.iter().map(|wait| wait.first).max().unwrap_or(0);
        waits.iter().all(|wait| wait.confirmed >= youngest)
    }

    /// The cycle from the transaction that is to end to itself.
    fn around_victim(&self, cycle: &[u64]) -> Vec<u64> {
        let began = |txn: &u64| self.waits[txn].iter().map(|wait| wait.began).max();
        let victim = cycle.iter().enumerate().max_by_key(|(_, txn)| (began(txn), **txn));
        let at = victim.map_or(0, |(at, _)| at);
        cycle[at..].iter().chain(&cycle[..=at]).copied().collect()
    }
}

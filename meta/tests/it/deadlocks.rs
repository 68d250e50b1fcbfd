//! Goldenscripts of the deadlock detector, see `scripts/deadlock`.
//!
//! `report NODE WAITER=HOLDER/… [turn=last|N] [at=MS]` reports a node's waits in place of its former ones; the wait's id is
//! the waiter's, and the waiter's age its id, unless given as `WAITER@BEGAN`. By default the report was made after the
//! node's last answer had arrived.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt::Write as _,
};

use meta::deadlock::Detector;
use proptest::{collection::vec, prelude::*};
use proto::meta::{Victim, Wait, WaitReport};
use sharddb_meta as meta;
use sharddb_proto as proto;

#[derive(Default)]
struct Runner {
    detector: Detector,
    now_ms: u64,
    answered: BTreeMap<u64, u64>,
}

impl goldenscript::Runner for Runner {
    fn run(&mut self, command: &goldenscript::Command) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let mut out = String::new();
        match command.name.as_str() {
            "wait" => {
                let ms: u64 = args.next_pos().ok_or("milliseconds are missing")?.parse()?;
                self.now_ms += ms;
            }
            "report" => {
                let node: u64 = args.next_pos().ok_or("a node is missing")?.parse()?;
                let turn = args.lookup_parse("turn")?.unwrap_or(self.answered.get(&node).copied().unwrap_or(0));
                let waits = args.rest_key().into_iter().map(wait).collect::<Result<Vec<_>, _>>()?;
                let answer = self.detector.report(self.now_ms, WaitReport { node, waits, turn });
                self.answered.insert(node, answer.turn);
                for victim in answer.victims {
                    let cycle: Vec<String> = victim.cycle.iter().map(u64::to_string).collect();
                    writeln!(out, "ends {} of {}", victim.txn, cycle.join(" → "))?;
                }
            }
            other => return Err(format!("unknown command {other}").into()),
        }
        args.reject_rest()?;
        Ok(out)
    }
}

fn wait(argument: &goldenscript::Argument) -> Result<Wait, Box<dyn Error>> {
    let key = argument.key.as_deref().ok_or("a waiter is missing")?;
    let (waiter, began) = key.split_once('@').unwrap_or((key, key));
    let (waiter, began) = (waiter.parse()?, began.parse()?);
    let holders = argument.value.split('/').map(str::parse).collect::<Result<_, _>>()?;
    Ok(Wait { id: waiter, waiter, began, holders })
}

#[test]
fn cycles_are_found_once_and_only_if_they_exist() {
    for entry in std::fs::read_dir("tests/scripts/deadlock").expect("the scripts are there") {
        let path = entry.expect("the directory can be read").path();
        goldenscript::run(&mut Runner::default(), &path).expect("the script runs");
    }
}

/// Nodes whose transactions wait for each other, and reports that take their time.
#[derive(Default)]
struct World {
    detector: Detector,
    step: u64,
    next_wait: u64,
    /// Waits by node and id, with the steps from which and up to which they stood.
    waits: Vec<(u64, Wait, u64, Option<u64>)>,
    turns: BTreeMap<u64, u64>,
    under_way: Vec<WaitReport>,
    victims: BTreeSet<u64>,
}

impl World {
    fn begin(&mut self, node: u64, waiter: u64, holder: u64) {
        let waits = |known: &(u64, Wait, u64, Option<u64>)| known.1.waiter == waiter && known.3.is_none();
        if waiter == holder || self.waits.iter().any(waits) || self.victims.contains(&waiter) {
            return;
        }
        self.next_wait += 1;
        let wait = Wait { id: self.next_wait, waiter, began: waiter, holders: vec![holder] };
        self.waits.push((node, wait, self.step, None));
    }

    fn end(&mut self, waiter: u64) {
        let step = self.step;
        for known in self.waits.iter_mut().filter(|known| known.1.waiter == waiter && known.3.is_none()) {
            known.3 = Some(step);
        }
    }

    fn send(&mut self, node: u64) {
        let present = self.waits.iter().filter(|known| known.0 == node && known.3.is_none());
        let waits = present.map(|known| known.1.clone()).collect();
        let turn = self.turns.get(&node).copied().unwrap_or(0);
        self.under_way.push(WaitReport { node, waits, turn });
    }

    /// One of the reports under way arrives, in whatever order.
    fn deliver(&mut self, which: usize) {
        if self.under_way.is_empty() {
            return;
        }
        let report = self.under_way.swap_remove(which % self.under_way.len());
        let node = report.node;
        let answer = self.detector.report(0, report);
        self.turns.insert(node, answer.turn);
        for victim in answer.victims {
            self.check(&victim);
            self.victims.insert(victim.txn);
            self.end(victim.txn);
        }
    }

    /// There must have been a moment at which all of them waited.
    fn check(&self, victim: &Victim) {
        let pairs: Vec<(u64, u64)> = victim.cycle.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let stood = |(waiter, holder): &(u64, u64), step: u64| {
            let lasts =
                |known: &&(u64, Wait, u64, Option<u64>)| known.2 <= step && known.3.is_none_or(|end| step < end);
            let same =
                |known: &(u64, Wait, u64, Option<u64>)| known.1.waiter == *waiter && known.1.holders == [*holder];
            self.waits.iter().filter(lasts).any(same)
        };
        let moment = (0..=self.step).find(|step| pairs.iter().all(|pair| stood(pair, *step)));
        assert!(moment.is_some(), "{:?} never was a cycle", victim.cycle);
    }

    /// Whether somebody waits for itself in the end.
    fn is_deadlocked(&self) -> bool {
        let present = self.waits.iter().filter(|known| known.3.is_none());
        let waits: BTreeMap<u64, u64> = present.map(|known| (known.1.waiter, known.1.holders[0])).collect();
        waits.keys().any(|start| {
            let path = std::iter::successors(Some(*start), |txn| waits.get(txn).copied());
            path.skip(1).take(waits.len()).any(|txn| txn == *start)
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn no_deadlock_is_imagined_and_none_is_missed(steps in vec((0..7u8, 1..4u64, 1..6u64, 1..6u64), 1..200)) {
        let mut world = World::default();
        for (what, node, left, right) in steps {
            world.step += 1;
            match what {
                0 | 1 => world.begin(node, left, right),
                2 => world.end(left),
                3 | 4 => world.send(node),
                _ => world.deliver((left + right) as usize),
            }
        }
        // Nothing changes any more, and every node reports in turn.
        while !world.under_way.is_empty() {
            world.deliver(0);
        }
        for _ in 0..10 {
            for node in 1..4 {
                world.step += 1;
                world.send(node);
                world.deliver(0);
            }
        }
        prop_assert!(!world.is_deadlocked());
    }
}

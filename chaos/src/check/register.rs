//! Whether the operations on single values could have happened one after the other, each between its start and its end.
//!
//! A search over the orders that time allows, after Wing and Gong, which remembers every set of operations and value that led
//! nowhere, after Lowe. Keys are independent of each other. An operation of unknown outcome may happen at any time after its
//! start, or never.

use std::collections::{BTreeMap, HashSet};

use super::Violation;
use crate::history::{Micros, Operation, Outcome};

/// Remembered states of one key after which the search gives up: memory is the bound.
const STATES_MAX: usize = 3_000_000;

/// What was done with a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// What was read.
    Read(i64),
    /// What was written.
    Write(i64),
    /// A new value where an expected one was.
    Exchange {
        /// The value that had to be there.
        expected: i64,
        /// What replaces it.
        new: i64,
        /// Whether it was there.
        done: bool,
    },
}

/// An operation of one key.
#[derive(Clone, Copy, Debug)]
struct Step {
    start: Micros,
    end: Micros,
    call: Call,
    /// It need not happen, and if it does its answer is not known.
    maybe: bool,
}

/// Checks all keys, which begin as 0.
pub fn check(history: &[Operation<(i64, Call)>]) -> Vec<Violation> {
    let mut keys: BTreeMap<i64, Vec<Step>> = BTreeMap::new();
    for operation in history {
        let (key, call) = operation.action;
        let maybe = operation.outcome == Outcome::Unknown;
        // Nobody knows what such a read saw, and it changes nothing.
        if operation.outcome == Outcome::Failed || (maybe && matches!(call, Call::Read(_))) {
            continue;
        }
        let end = if maybe { Micros::MAX } else { operation.end };
        keys.entry(key).or_default().push(Step { start: operation.start, end, call, maybe });
    }
    keys.into_iter().filter_map(|(key, steps)| check_key(key, steps)).collect()
}

fn check_key(key: i64, mut steps: Vec<Step>) -> Option<Violation> {
    steps.sort_by_key(|step| step.start);
    match search(&steps) {
        Verdict::Linearizable => None,
        Verdict::Undecided => Some(Violation::new("undecided", format!("key {key}: {} operations", steps.len()))),
        Verdict::Impossible(furthest) => {
            // What follows the furthest the search came is where to look.
            let from = furthest.saturating_sub(3);
            let around: Vec<String> = steps.iter().skip(from).take(8).map(|step| format!("{step:?}")).collect();
            Some(Violation::new("not linearizable", format!("key {key}, about here: {}", around.join("; "))))
        }
    }
}

enum Verdict {
    Linearizable,
    /// No order; the number of operations that the longest attempt could place.
    Impossible(usize),
    Undecided,
}

/// A set of operations that have happened.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Set(Vec<u64>);

impl Set {
    fn has(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    fn with(&self, index: usize) -> Self {
        let mut set = self.clone();
        set.0[index / 64] |= 1 << (index % 64);
        set
    }
}

fn search(steps: &[Step]) -> Verdict {
    let certain = steps.iter().filter(|step| !step.maybe).count();
    let empty = Set(vec![0; steps.len() / 64 + 1]);
    let mut known = HashSet::new();
    // The set, its value, how many certain operations are in it.
    let mut stack = vec![(empty, 0i64, 0usize)];
    let mut furthest = 0;
    while let Some((set, value, placed)) = stack.pop() {
        if placed == certain {
            return Verdict::Linearizable;
        }
        furthest = furthest.max(placed);
        if known.len() > STATES_MAX {
            return Verdict::Undecided;
        }
        let open = || steps.iter().enumerate().filter(|(index, _)| !set.has(*index));
        // Nothing may happen that began after the end of something that has yet to happen.
        let horizon = open().map(|(_, step)| step.end).min().unwrap_or(Micros::MAX);
        let first = stack.len();
        for (index, step) in open().take_while(|(_, step)| step.start <= horizon) {
            let Some(next) = apply(step, value) else { continue };
            let after = (set.with(index), next);
            if known.insert(after.clone()) {
                stack.push((after.0, after.1, placed + usize::from(!step.maybe)));
            }
        }
        // What is tried first is on top: certain ones in the order of time, others only if nothing else helps.
        stack[first..].reverse();
        stack[first..].sort_by_key(|(_, _, after)| *after);
    }
    Verdict::Impossible(furthest)
}

/// The value after an operation, if it can have been answered so.
fn apply(step: &Step, value: i64) -> Option<i64> {
    match step.call {
        Call::Read(seen) => (seen == value).then_some(value),
        Call::Write(new) => Some(new),
        Call::Exchange { expected, new, .. } if step.maybe => (expected == value).then_some(new),
        Call::Exchange { expected, new, done: true } => (expected == value).then_some(new),
        Call::Exchange { expected, done: false, .. } => (expected != value).then_some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::{Call::*, *};

    /// Start, end and outcome of each call on one key.
    fn kinds(calls: &[(Micros, Micros, Outcome, Call)]) -> Vec<&'static str> {
        let operation = |(client, call): (usize, &(Micros, Micros, Outcome, Call))| {
            let (start, end, outcome, action) = *call;
            Operation { client, start, end, outcome, action: (1, action) }
        };
        let history: Vec<_> = calls.iter().enumerate().map(operation).collect();
        check(&history).iter().map(|violation| violation.kind).collect()
    }

    const OK: Outcome = Outcome::Ok;
    const UNKNOWN: Outcome = Outcome::Unknown;

    #[test]
    fn operations_at_the_same_time_may_happen_in_any_order() {
        for seen in [0, 1, 2] {
            let last = [Read(1), Read(2), Read(1)][seen];
            let calls =
                [(0, 10, OK, Write(1)), (0, 10, OK, Write(2)), (5, 9, OK, Read([0, 1, 2][seen])), (20, 21, OK, last)];
            assert!(kinds(&calls).is_empty(), "{seen}");
        }
    }

    #[test]
    fn an_old_value_is_no_longer_there() {
        let calls = [(0, 1, OK, Write(1)), (2, 3, OK, Write(2)), (4, 5, OK, Read(1))];
        assert_eq!(kinds(&calls), ["not linearizable"]);
        let calls = [(0, 9, OK, Write(1)), (1, 2, OK, Read(1)), (3, 4, OK, Read(0))];
        assert_eq!(kinds(&calls), ["not linearizable"]);
    }

    #[test]
    fn an_unknown_write_may_happen_late_or_never_but_once() {
        let begun = (0, 1, UNKNOWN, Write(1));
        assert!(kinds(&[begun, (2, 3, OK, Read(0)), (4, 5, OK, Read(1))]).is_empty());
        assert!(kinds(&[begun, (2, 3, OK, Read(0)), (4, 5, OK, Read(0))]).is_empty());
        let again = [begun, (2, 3, OK, Read(1)), (4, 5, OK, Write(2)), (6, 7, OK, Read(1))];
        assert_eq!(kinds(&again), ["not linearizable"]);
        assert_eq!(kinds(&[(0, 1, Outcome::Failed, Write(1)), (2, 3, OK, Read(1))]), ["not linearizable"]);
    }

    #[test]
    fn exchanges_happen_only_where_the_value_is_the_expected_one() {
        let exchange = |new, done| Exchange { expected: 0, new, done };
        assert!(kinds(&[(0, 9, OK, exchange(1, true)), (0, 9, OK, exchange(2, false))]).is_empty());
        assert_eq!(kinds(&[(0, 9, OK, exchange(1, true)), (0, 9, OK, exchange(2, true))]), ["not linearizable"]);
        assert_eq!(kinds(&[(0, 9, OK, exchange(1, false))]), ["not linearizable"]);
        // Only the unknown one explains why this one failed.
        assert!(kinds(&[(0, 1, UNKNOWN, exchange(1, false)), (5, 9, OK, exchange(2, false))]).is_empty());
    }

    #[test]
    fn long_histories_are_decided() {
        let calls: Vec<_> = (0..400i64)
            .map(|n| {
                let start = Micros::try_from(n).expect("small") * 10;
                (start, start + 35, if n % 20 == 19 { UNKNOWN } else { OK }, Write(n))
            })
            .collect();
        assert!(kinds(&calls).is_empty());
    }
}

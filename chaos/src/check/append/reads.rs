//! Lists that were read: the order of each key's writers, and what is wrong without looking at any cycle.

use std::collections::{HashMap, HashSet};

use super::{Anomaly, Found, Op, Txn, describe};
use crate::history::{Micros, Operation, Outcome};

/// A read, without what its own transaction had appended before.
pub(super) struct Read {
    pub(super) txn: usize,
    pub(super) key: i32,
    /// Length of the list without own values; its last value is that of this version.
    pub(super) length: usize,
}

/// What lists say.
pub(super) struct Reads<'a> {
    history: &'a [Operation<Txn>],
    /// Who wrote a value of a key.
    pub(super) writers: HashMap<(i32, i32), usize>,
    /// Values of each key in the order of their writers.
    pub(super) orders: HashMap<i32, &'a [i32]>,
    /// Whether each transaction has taken effect, as far as anybody knows.
    pub(super) committed: Vec<bool>,
}

impl<'a> Reads<'a> {
    pub(super) fn new(history: &'a [Operation<Txn>]) -> Self {
        let mut writers = HashMap::new();
        for (txn, operation) in history.iter().enumerate() {
            for op in &operation.action {
                if let Op::Append(key, value) = op {
                    writers.insert((*key, *value), txn);
                }
            }
        }
        let mut committed: Vec<bool> = history.iter().map(|operation| operation.outcome == Outcome::Ok).collect();
        let mut orders: HashMap<i32, &[i32]> = HashMap::new();
        for operation in history.iter().filter(|operation| operation.outcome == Outcome::Ok) {
            for op in &operation.action {
                let Op::Read(key, list) = op else { continue };
                // Who is read by an acknowledged transaction has committed, even if it was told nothing.
                for txn in list.iter().filter_map(|value| writers.get(&(*key, *value))) {
                    committed[*txn] |= history[*txn].outcome == Outcome::Unknown;
                }
                let order = orders.entry(*key).or_default();
                if list.len() > order.len() {
                    *order = list;
                }
            }
        }
        Self { history, writers, orders, committed }
    }

    /// Every read of a committed transaction that fits the order of its key.
    pub(super) fn external(&self) -> Vec<Read> {
        let mut reads = Vec::new();
        self.each(|txn, key, list, own| {
            let length = list.len().saturating_sub(own.len());
            if list.strip_suffix(own).is_some_and(|base| self.order(key).starts_with(base)) {
                reads.push(Read { txn, key, length });
            }
        });
        reads
    }

    pub(super) fn order(&self, key: i32) -> &[i32] {
        self.orders.get(&key).copied().unwrap_or_default()
    }

    /// Calls with each read of committed transactions and what the transaction had appended to the key before.
    fn each(&self, mut call: impl FnMut(usize, i32, &'a [i32], &[i32])) {
        for (txn, operation) in self.history.iter().enumerate().filter(|(txn, _)| self.committed[*txn]) {
            let mut own: HashMap<i32, Vec<i32>> = HashMap::new();
            for op in &operation.action {
                match op {
                    Op::Append(key, value) => own.entry(*key).or_default().push(*value),
                    Op::Read(key, list) => call(txn, *key, list, own.get(key).map_or(&[], Vec::as_slice)),
                }
            }
        }
    }

    pub(super) fn check(&self, found: &mut Found) {
        let acknowledged = self.acknowledged();
        let mut first: HashMap<(usize, i32), &[i32]> = HashMap::new();
        self.each(|txn, key, list, own| {
            let detail = || format!("key {key}, {}", describe(self.history, txn));
            self.check_values(found, txn, key, list);
            let Some(base) = list.strip_suffix(own) else { return found.tell(Anomaly::Internal, detail) };
            if *first.entry((txn, key)).or_insert(base) != base {
                found.tell(Anomaly::Unrepeatable, detail);
            }
            if !self.order(key).starts_with(base) {
                found.tell(Anomaly::IncompatibleOrder, detail);
            }
            if let Some(value) = base.last()
                && let Some(writer) = self.writers.get(&(key, *value))
                && last_append(&self.history[*writer].action, key) != Some(*value)
            {
                found.tell(Anomaly::IntermediateRead, detail);
            }
            let since = acknowledged.get(&key).and_then(|ends| ends.get(base.len()));
            if since.is_some_and(|end| *end < self.history[txn].start) {
                found.tell(Anomaly::StaleRead, detail);
            }
        });
        self.check_lost(found);
    }

    fn check_values(&self, found: &mut Found, txn: usize, key: i32, list: &[i32]) {
        let mut seen = HashSet::new();
        for value in list {
            let detail = || format!("value {value} of key {key}, {}", describe(self.history, txn));
            if !seen.insert(value) {
                found.tell(Anomaly::Duplicate, detail);
            }
            match self.writers.get(&(key, *value)).map(|writer| self.history[*writer].outcome) {
                None => found.tell(Anomaly::Phantom, detail),
                Some(Outcome::Failed) => found.tell(Anomaly::AbortedRead, detail),
                Some(Outcome::Ok | Outcome::Unknown) => {}
            }
        }
    }

    /// For each key and place in its order: when the first of the values from there on had been acknowledged.
    fn acknowledged(&self) -> HashMap<i32, Vec<Micros>> {
        let ends = |(key, order): (&i32, &&[i32])| {
            let mut first = Micros::MAX;
            let mut ends: Vec<Micros> = Vec::new();
            for value in order.iter().rev() {
                let writer = self.writers.get(&(*key, *value)).map(|writer| &self.history[*writer]);
                if let Some(writer) = writer.filter(|writer| writer.outcome == Outcome::Ok) {
                    first = first.min(writer.end);
                }
                ends.push(first);
            }
            ends.reverse();
            (*key, ends)
        };
        self.orders.iter().map(ends).collect()
    }

    /// Acknowledged values that nobody sees although somebody looked later.
    fn check_lost(&self, found: &mut Found) {
        let mut looked: HashMap<i32, Micros> = HashMap::new();
        self.each(|txn, key, _, _| {
            let start = looked.entry(key).or_default();
            *start = (*start).max(self.history[txn].start);
        });
        let orders: HashMap<i32, HashSet<i32>> =
            self.orders.iter().map(|(key, order)| (*key, order.iter().copied().collect())).collect();
        for (txn, operation) in self.history.iter().enumerate() {
            for op in &operation.action {
                let Op::Append(key, value) = op else { continue };
                let seen = orders.get(key).is_some_and(|values| values.contains(value));
                let late = looked.get(key).is_some_and(|start| *start > operation.end);
                if operation.outcome == Outcome::Ok && !seen && late {
                    found.tell(Anomaly::LostAppend, || {
                        format!("value {value} of key {key}, {}", describe(self.history, txn))
                    });
                }
            }
        }
    }
}

fn last_append(txn: &[Op], key: i32) -> Option<i32> {
    let appended = |op: &Op| match op {
        Op::Append(to, value) if *to == key => Some(*value),
        _ => None,
    };
    txn.iter().rev().find_map(appended)
}

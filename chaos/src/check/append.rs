//! Anomalies of transactions that read and append to lists, found from what the clients saw alone.
//!
//! Values are unique, so the longest list read of a key is the order of its writers, and every other read a place in it. That
//! gives a graph of who came before whom, in which each cycle is an anomaly with a name: G0 (only overwritten writes), G1c
//! (also reads), G-single (exactly one overwritten read), G-nonadjacent (several, no two in a row), G2-item (any). What needs
//! no cycle: G1a (a read of a failed write), G1b (of a write that its transaction went on to change), reads that miss what had
//! been acknowledged before they began, lists that contradict each other, appended values that are gone.
//!
//! Not covered: predicates, as there are only keys.

mod dependencies;
mod reads;

use std::fmt::Write;

use self::{dependencies::Dependencies, reads::Reads};
use super::{
    Violation,
    graph::{Cycle, Edge},
};
use crate::{history::Operation, workload::Isolation};

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Adds a value to the end of a key's list.
    Append(i32, i32),
    /// The list of a key as it was read.
    Read(i32, Vec<i32>),
}

/// The steps of a transaction.
pub type Txn = Vec<Op>;

/// Anomalies of one kind to tell; the first says enough.
const TOLD_MAX: usize = 5;

/// What must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anomaly {
    AbortedRead,
    IntermediateRead,
    Phantom,
    Duplicate,
    IncompatibleOrder,
    Internal,
    Unrepeatable,
    LostAppend,
    StaleRead,
    DirtyWrite,
    CircularFlow,
    LostUpdate,
    Single,
    Nonadjacent,
    AntiDependency,
    RealTime,
}

impl Anomaly {
    fn name(self) -> &'static str {
        match self {
            Self::AbortedRead => "G1a",
            Self::IntermediateRead => "G1b",
            Self::Phantom => "value nobody wrote",
            Self::Duplicate => "value twice",
            Self::IncompatibleOrder => "incompatible orders",
            Self::Internal => "own write not seen",
            Self::Unrepeatable => "unrepeatable read",
            Self::LostAppend => "lost write",
            Self::StaleRead => "stale read",
            Self::DirtyWrite => "G0",
            Self::CircularFlow => "G1c",
            Self::LostUpdate => "lost update",
            Self::Single => "G-single",
            Self::Nonadjacent => "G-nonadjacent",
            Self::AntiDependency => "G2-item",
            Self::RealTime => "real-time cycle",
        }
    }

    /// The lowest level at which it must not happen.
    fn forbidden_from(self) -> Isolation {
        match self {
            Self::AbortedRead
            | Self::IntermediateRead
            | Self::Phantom
            | Self::Duplicate
            | Self::IncompatibleOrder
            | Self::Internal
            | Self::LostAppend
            | Self::StaleRead
            | Self::DirtyWrite
            | Self::CircularFlow => Isolation::ReadCommitted,
            Self::Unrepeatable | Self::LostUpdate | Self::Single | Self::Nonadjacent => Isolation::RepeatableRead,
            Self::AntiDependency | Self::RealTime => Isolation::Serializable,
        }
    }
}

/// Checks a history against what an isolation level promises.
pub fn check(history: &[Operation<Txn>], isolation: Isolation) -> Vec<Violation> {
    let mut found = Found { isolation, told: Vec::new() };
    let reads = Reads::new(history);
    reads.check(&mut found);
    let dependencies = Dependencies::new(history, &reads, isolation == Isolation::Serializable);
    dependencies.check(&mut found, history);
    let violation = |(anomaly, detail): (Anomaly, String)| Violation::new(anomaly.name(), detail);
    found.told.into_iter().map(violation).collect()
}

/// Anomalies that the level forbids.
struct Found {
    isolation: Isolation,
    told: Vec<(Anomaly, String)>,
}

impl Found {
    fn forbids(&self, anomaly: Anomaly) -> bool {
        anomaly.forbidden_from() <= self.isolation
    }

    fn tell(&mut self, anomaly: Anomaly, detail: impl FnOnce() -> String) {
        let told = self.told.iter().filter(|(known, _)| *known == anomaly).count();
        if self.forbids(anomaly) && told < TOLD_MAX {
            self.told.push((anomaly, detail()));
        }
    }
}

/// A transaction in a few words: lists by their ends.
fn describe(history: &[Operation<Txn>], txn: usize) -> String {
    let operation = &history[txn];
    let mut text = format!("T{txn} (client {}, {}..{} µs, ", operation.client, operation.start, operation.end);
    let _ = write!(text, "{:?}:", operation.outcome);
    for op in &operation.action {
        // Writing to a string cannot fail.
        let _ = match op {
            Op::Append(key, value) => write!(text, " append {key} {value}"),
            Op::Read(key, list) => write!(text, " read {key} …{:?}", &list[list.len().saturating_sub(3)..]),
        };
    }
    text + ")"
}

fn describe_cycle(history: &[Operation<Txn>], cycle: &Cycle) -> String {
    let name = |edge: &Edge| match edge {
        Edge::WriteWrite => "ww",
        Edge::WriteRead => "wr",
        Edge::ReadWrite => "rw",
        Edge::RealTime => "time",
    };
    // Nodes beyond the transactions stand for moments.
    let known = cycle.iter().filter(|(node, _)| *node < history.len());
    known.map(|(node, edge)| format!("{} -{}→ ", describe(history, *node), name(edge))).collect()
}

#[cfg(test)]
mod tests;

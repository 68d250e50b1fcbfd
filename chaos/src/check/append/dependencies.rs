//! The graph of who came before whom, and the cycles in it.

use std::collections::HashSet;

use super::{
    super::graph::{Cycle, Edge, Graph},
    Anomaly, Found, Op, Txn, describe_cycle,
    reads::Reads,
};
use crate::history::{Operation, Outcome};

/// Edges between the transactions of a history, numbered as there; moments have the numbers after these.
pub(super) struct Dependencies {
    graph: Graph,
}

fn is_flow(edge: Edge) -> bool {
    matches!(edge, Edge::WriteWrite | Edge::WriteRead)
}

impl Dependencies {
    pub(super) fn new(history: &[Operation<Txn>], reads: &Reads<'_>, real_time: bool) -> Self {
        let mut graph = Graph::new(history.len());
        let writer =
            |key: i32, value: i32| reads.writers.get(&(key, value)).copied().filter(|writer| reads.committed[*writer]);
        for (key, order) in &reads.orders {
            for pair in order.windows(2) {
                if let (Some(before), Some(after)) = (writer(*key, pair[0]), writer(*key, pair[1])) {
                    graph.add(before, after, Edge::WriteWrite);
                }
            }
        }
        for read in reads.external() {
            let order = reads.order(read.key);
            let last = read.length.checked_sub(1).and_then(|place| writer(read.key, order[place]));
            if let Some(writer) = last {
                graph.add(writer, read.txn, Edge::WriteRead);
            }
            if let Some(writer) = order.get(read.length).and_then(|value| writer(read.key, *value)) {
                graph.add(read.txn, writer, Edge::ReadWrite);
            }
        }
        if real_time {
            add_moments(&mut graph, history, &reads.committed);
        }
        Self { graph }
    }

    pub(super) fn check(&self, found: &mut Found, history: &[Operation<Txn>]) {
        let always = |_: Edge| true;
        self.search(
            found,
            history,
            |edge| edge == Edge::WriteWrite,
            |edge, component| {
                let cycle = self.graph.close(edge, component, |_, next| next == Edge::WriteWrite, always)?;
                Some((Anomaly::DirtyWrite, cycle))
            },
        );
        self.search(found, history, is_flow, |edge, component| {
            let cycle = self.graph.close(edge, component, |_, next| is_flow(next), always)?;
            (edge.2 == Edge::WriteRead).then_some((Anomaly::CircularFlow, cycle))
        });
        if found.forbids(Anomaly::Single) {
            self.search(
                found,
                history,
                |edge| edge != Edge::RealTime,
                |edge, component| self.anti_dependency(edge, component, history),
            );
        }
        if found.forbids(Anomaly::RealTime) {
            let plain = self.graph.components(|edge| edge != Edge::RealTime);
            self.search(
                found,
                history,
                |_| true,
                |edge, component| {
                    // Without the order of time there would be no such cycle.
                    let new = edge.2 != Edge::RealTime && plain[edge.0] != plain[edge.1];
                    let cycle = if new { self.graph.close(edge, component, |_, _| true, always) } else { None };
                    cycle.map(|cycle| (Anomaly::RealTime, cycle))
                },
            );
        }
    }

    /// Tells at most one cycle of each kind for each component of the graph of some edges.
    fn search(
        &self,
        found: &mut Found,
        history: &[Operation<Txn>],
        allowed: impl Fn(Edge) -> bool,
        close: impl Fn((usize, usize, Edge), &[usize]) -> Option<(Anomaly, Cycle)>,
    ) {
        let component = self.graph.components(&allowed);
        let mut told = HashSet::new();
        for edge in self.graph.edges() {
            let inside = allowed(edge.2) && component[edge.0] == component[edge.1];
            if !inside || told.contains(&(component[edge.0], edge.2)) {
                continue;
            }
            if let Some((anomaly, cycle)) = close(edge, &component) {
                if found.forbids(anomaly) {
                    told.insert((component[edge.0], edge.2));
                }
                found.tell(anomaly, || describe_cycle(history, &cycle));
            }
        }
    }

    /// The worst cycle that an overwritten read closes.
    fn anti_dependency(
        &self,
        edge: (usize, usize, Edge),
        component: &[usize],
        history: &[Operation<Txn>],
    ) -> Option<(Anomaly, Cycle)> {
        if edge.2 != Edge::ReadWrite {
            return None;
        }
        let plain = |edge: Edge| edge != Edge::RealTime;
        if let Some(cycle) = self.graph.close(edge, component, |_, next| is_flow(next), |_| true) {
            let lost = cycle.len() == 2 && cycle[1].1 == Edge::WriteWrite && same_key(&history[edge.0].action);
            return Some((if lost { Anomaly::LostUpdate } else { Anomaly::Single }, cycle));
        }
        let apart = |last: Edge, next: Edge| plain(next) && (last, next) != (Edge::ReadWrite, Edge::ReadWrite);
        if let Some(cycle) = self.graph.close(edge, component, apart, |last| last != Edge::ReadWrite) {
            return Some((Anomaly::Nonadjacent, cycle));
        }
        let cycle = self.graph.close(edge, component, |_, next| plain(next), |_| true)?;
        Some((Anomaly::AntiDependency, cycle))
    }
}

/// Whether a transaction appends to what it has read.
fn same_key(txn: &[Op]) -> bool {
    let mut read = HashSet::new();
    txn.iter().any(|op| match op {
        Op::Read(key, _) => {
            read.insert(*key);
            false
        }
        Op::Append(key, _) => read.contains(key),
    })
}

/// Who was acknowledged before another began comes before it. A chain of moments, one for each acknowledgement, says so with
/// an edge or two for each transaction instead of one for each pair.
fn add_moments(graph: &mut Graph, history: &[Operation<Txn>], committed: &[bool]) {
    let mut ended: Vec<usize> = (0..history.len()).filter(|txn| history[*txn].outcome == Outcome::Ok).collect();
    ended.sort_by_key(|txn| history[*txn].end);
    let moments: Vec<usize> = ended.iter().map(|_| graph.add_node()).collect();
    for (txn, moment) in ended.iter().zip(&moments) {
        graph.add(*txn, *moment, Edge::RealTime);
    }
    for pair in moments.windows(2) {
        graph.add(pair[0], pair[1], Edge::RealTime);
    }
    for txn in (0..history.len()).filter(|txn| committed[*txn]) {
        let before = ended.partition_point(|other| history[*other].end < history[txn].start);
        if let Some(last) = before.checked_sub(1) {
            graph.add(moments[last], txn, Edge::RealTime);
        }
    }
}

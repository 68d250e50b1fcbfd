//! Directed graphs of who came before whom: strongly connected components and shortest cycles.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Edge {
    /// The second overwrote what the first wrote.
    WriteWrite,
    /// The second read what the first wrote.
    WriteRead,
    /// The second overwrote what the first read.
    ReadWrite,
    /// The second began after the first had been acknowledged.
    RealTime,
}

/// Edges by the node they leave.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    edges: Vec<Vec<(usize, Edge)>>,
}

/// A cycle: each node with the edge that leaves it.
pub(crate) type Cycle = Vec<(usize, Edge)>;

impl Graph {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { edges: vec![Vec::new(); nodes] }
    }

    pub(crate) fn add_node(&mut self) -> usize {
        self.edges.push(Vec::new());
        self.edges.len() - 1
    }

    /// Adds an edge; none leads from a node to itself.
    pub(crate) fn add(&mut self, from: usize, to: usize, edge: Edge) {
        if from != to && !self.edges[from].contains(&(to, edge)) {
            self.edges[from].push((to, edge));
        }
    }

    pub(crate) fn edges(&self) -> impl Iterator<Item = (usize, usize, Edge)> {
        let of = |(from, edges): (usize, &Vec<(usize, Edge)>)| {
            edges.iter().map(move |(to, edge)| (from, *to, *edge)).collect::<Vec<_>>()
        };
        self.edges.iter().enumerate().flat_map(of)
    }

    /// Number of each node's strongly connected component, looking only at some edges. Tarjan's algorithm without recursion.
    pub(crate) fn components(&self, allowed: impl Fn(Edge) -> bool) -> Vec<usize> {
        const NONE: usize = usize::MAX;
        let count = self.edges.len();
        let (mut index, mut low, mut component) = (vec![NONE; count], vec![0; count], vec![NONE; count]);
        let (mut stack, mut next, mut components) = (Vec::new(), 0, 0);
        for root in 0..count {
            if index[root] != NONE {
                continue;
            }
            let mut calls = vec![(root, 0)];
            while let Some((node, edge)) = calls.pop() {
                if edge == 0 {
                    (index[node], low[node]) = (next, next);
                    next += 1;
                    stack.push(node);
                }
                let Some((to, kind)) = self.edges[node].get(edge) else {
                    if low[node] == index[node] {
                        while let Some(member) = stack.pop() {
                            component[member] = components;
                            if member == node {
                                break;
                            }
                        }
                        components += 1;
                    }
                    if let Some((caller, _)) = calls.last() {
                        low[*caller] = low[*caller].min(low[node]);
                    }
                    continue;
                };
                calls.push((node, edge + 1));
                if !allowed(*kind) || component[*to] != NONE {
                    continue;
                }
                if index[*to] == NONE {
                    calls.push((*to, 0));
                } else {
                    low[node] = low[node].min(index[*to]);
                }
            }
        }
        component
    }

    /// The shortest way back that closes a cycle with an edge. `follows` says whether an edge may come after another one on
    /// that way, `closes` whether one may be its last.
    pub(crate) fn close(
        &self,
        first: (usize, usize, Edge),
        component: &[usize],
        follows: impl Fn(Edge, Edge) -> bool,
        closes: impl Fn(Edge) -> bool,
    ) -> Option<Cycle> {
        let (from, to, edge) = first;
        // By which edge the way came to a node matters: what may follow depends on it.
        let mut came = HashMap::from([((to, edge), (from, edge))]);
        let mut queue = VecDeque::from([(to, edge)]);
        while let Some((node, last)) = queue.pop_front() {
            for (next, kind) in &self.edges[node] {
                if component[*next] != component[from] || !follows(last, *kind) {
                    continue;
                }
                if *next == from && closes(*kind) {
                    return Some(walk(&came, first, (node, last), *kind));
                }
                if let Entry::Vacant(entry) = came.entry((*next, *kind)) {
                    entry.insert((node, last));
                    queue.push_back((*next, *kind));
                }
            }
        }
        None
    }
}

/// Follows the way back from its end.
fn walk(
    came: &HashMap<(usize, Edge), (usize, Edge)>,
    (from, to, first): (usize, usize, Edge),
    end: (usize, Edge),
    closing: Edge,
) -> Cycle {
    let mut at = end;
    let mut cycle = vec![(at.0, closing)];
    while at != (to, first) {
        let before = came[&at];
        cycle.push((before.0, at.1));
        at = before;
    }
    cycle.push((from, first));
    cycle.reverse();
    cycle
}

#[cfg(test)]
mod tests {
    use super::{Edge::*, *};

    #[test]
    fn components_are_what_reaches_itself() {
        let mut graph = Graph::new(5);
        for (from, to) in [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4)] {
            graph.add(from, to, WriteWrite);
        }
        graph.add(4, 3, ReadWrite);
        let component = graph.components(|edge| edge == WriteWrite);
        assert!(component[0] == component[1] && component[1] == component[2]);
        assert!(component[3] != component[0] && component[3] != component[4]);
        let component = graph.components(|_| true);
        assert_eq!(component[3], component[4]);
    }

    #[test]
    fn a_cycle_is_the_shortest_of_those_allowed() {
        let mut graph = Graph::new(4);
        for (from, to, edge) in
            [(0, 1, ReadWrite), (1, 0, ReadWrite), (1, 2, WriteRead), (2, 3, ReadWrite), (3, 0, WriteWrite)]
        {
            graph.add(from, to, edge);
        }
        let component = graph.components(|_| true);
        let first = (0, 1, ReadWrite);
        let any = graph.close(first, &component, |_, _| true, |_| true);
        assert_eq!(any, Some(vec![(0, ReadWrite), (1, ReadWrite)]));
        let apart = graph.close(first, &component, |a, b| (a, b) != (ReadWrite, ReadWrite), |last| last != ReadWrite);
        assert_eq!(apart, Some(vec![(0, ReadWrite), (1, WriteRead), (2, ReadWrite), (3, WriteWrite)]));
        let none = graph.close(first, &component, |_, b| b != ReadWrite, |_| true);
        assert_eq!(none, None);
    }
}

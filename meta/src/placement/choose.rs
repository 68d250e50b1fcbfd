//! Choosing nodes: which gets a replica, which loses one, which leads.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::view::{Action, Group, Node, View, distance};

/// A view and what is decided so far, as though it were done.
pub(super) struct Board<'a> {
    pub(super) view: &'a View,
    /// Replicas and leaders of shards on each node.
    pub(super) replicas: BTreeMap<u64, usize>,
    pub(super) leaders: BTreeMap<u64, usize>,
    /// Replicas on their way to each node.
    incoming: BTreeMap<u64, usize>,
    incoming_max: usize,
    /// Whether any node says where it is.
    pub(super) has_localities: bool,
}

impl<'a> Board<'a> {
    pub(super) fn new(view: &'a View, incoming_max: usize) -> Self {
        let mut board = Self {
            view,
            replicas: view.nodes.keys().map(|node| (*node, 0)).collect(),
            leaders: view.nodes.keys().map(|node| (*node, 0)).collect(),
            incoming: BTreeMap::new(),
            incoming_max,
            has_localities: view.nodes.values().any(|node| !node.locality.is_empty()),
        };
        for group in &view.groups {
            for node in group.voters.union(&group.learners) {
                *board.replicas.entry(*node).or_default() += 1;
            }
            if let Some(leader) = group.leader {
                *board.leaders.entry(leader).or_default() += 1;
            }
        }
        board
    }

    /// Counts a step as done.
    pub(super) fn count(&mut self, action: &Action) {
        match action {
            Action::Change { add, remove, .. } => {
                for node in add {
                    *self.replicas.entry(*node).or_default() += 1;
                    *self.incoming.entry(*node).or_default() += 1;
                }
                for node in remove {
                    let count = self.replicas.entry(*node).or_default();
                    *count = count.saturating_sub(1);
                }
            }
            Action::MoveLeader { from, to, .. } => {
                let count = self.leaders.entry(*from).or_default();
                *count = count.saturating_sub(1);
                *self.leaders.entry(*to).or_default() += 1;
            }
        }
    }

    pub(super) fn node(&self, id: u64) -> Option<&'a Node> {
        self.view.nodes.get(&id)
    }

    pub(super) fn is_live(&self, id: u64) -> bool {
        self.node(id).is_some_and(Node::is_live)
    }

    /// Whether a replica is to leave its node. Nodes that are not there have been left.
    pub(super) fn is_leaving(&self, id: u64) -> bool {
        self.node(id).is_none_or(Node::is_leaving)
    }

    pub(super) fn count_of(&self, id: u64) -> usize {
        self.replicas.get(&id).copied().unwrap_or(0)
    }

    pub(super) fn leads(&self, id: u64) -> usize {
        self.leaders.get(&id).copied().unwrap_or(0)
    }

    /// Whether a majority of these is live.
    pub(super) fn has_quorum(&self, voters: &BTreeSet<u64>) -> bool {
        voters.iter().filter(|node| self.is_live(**node)).count() > voters.len() / 2
    }

    /// How far apart these nodes are, all pairs together.
    pub(super) fn spread(&self, nodes: &BTreeSet<u64>) -> usize {
        let localities: Vec<&[String]> = nodes.iter().filter_map(|id| Some(&self.node(*id)?.locality[..])).collect();
        let pairs = localities.iter().enumerate();
        pairs.map(|(at, left)| localities[at + 1..].iter().map(|right| distance(left, right)).sum::<usize>()).sum()
    }

    /// Nodes that may get a replica of a group now.
    pub(super) fn candidates(&self, group: &'a Group) -> impl Iterator<Item = u64> {
        let busy = |id: u64| self.incoming.get(&id).copied().unwrap_or(0) >= self.incoming_max;
        let fit = move |(id, node): (&u64, &Node)| {
            let free = !group.voters.contains(id) && !group.learners.contains(id);
            (free && node.may_grow() && !busy(*id)).then_some(*id)
        };
        self.view.nodes.iter().filter_map(fit)
    }

    /// The best node to add beside `others`: the farthest from them, then the one with the fewest replicas.
    pub(super) fn best_to_add(&self, group: &Group, others: &BTreeSet<u64>) -> Option<u64> {
        let with = |id: u64| others.iter().copied().chain([id]).collect();
        let free = self.candidates(group).filter(|id| !others.contains(id));
        free.min_by_key(|id| (Reverse(self.spread(&with(*id))), self.count_of(*id), *id))
    }

    /// The best of `voters` to remove: one without which the rest is still far apart, not the leader, on the fullest node.
    pub(super) fn best_to_remove(&self, group: &Group, voters: &BTreeSet<u64>) -> Option<u64> {
        let without = |id: u64| voters.iter().copied().filter(|node| *node != id).collect();
        voters.iter().copied().max_by_key(|id| {
            let spread = self.spread(&without(*id));
            (!self.is_live(*id), spread, self.count_of(*id), group.leader != Some(*id), *id)
        })
    }

    /// The best voter to lead: the one that leads the fewest.
    pub(super) fn best_to_lead(&self, voters: impl Iterator<Item = u64>) -> Option<u64> {
        let fit = voters.filter(|id| self.node(*id).is_some_and(Node::may_lead));
        fit.min_by_key(|id| (self.leads(*id), *id))
    }
}

//! The planner.
//!
//! In order of urgency: leaders leave nodes that are to stop; groups get back or get the voters they are to have; too many
//! go; then, when nothing of that is left to do, replicas are spread over localities, over nodes, and leaders over nodes.
//!
//! # Invariants
//! * A group is changed only while a majority of its voters is live, and so that a majority of the new ones is.
//! * Voters are added before, or in the same change as, others are removed; their number grows only to an odd one, save
//!   for the time in which a group of one moves.
//! * A leader is not removed: the lead moves first.
//! * A group has one step under way at a time.

use std::collections::{BTreeMap, BTreeSet};

use proto::meta::NodeState;
use sharddb_proto as proto;

use super::{
    choose::Board,
    view::{Action, Group, META, Node, View},
};

/// How much may be under way at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Changes of replicas. Each copies a shard.
    pub changes: usize,
    /// Replicas on their way to one node.
    pub incoming: usize,
    /// Moves of leaders. Each is one message.
    pub leader_moves: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { changes: 8, incoming: 2, leader_moves: 32 }
    }
}

/// The next steps, given those under way. Groups in `held` are left alone for now.
pub fn plan(view: &View, running: &[Action], held: &BTreeSet<u64>, limits: Limits) -> Vec<Action> {
    let mut planner = Planner::new(view, running, held, limits);
    let urgent: [fn(&Board<'_>, &Group) -> Option<Action>; 3] = [unlead, repair, tidy];
    for step in urgent {
        planner.visit(step);
    }
    let rest: [fn(&Board<'_>, &Group) -> Option<Action>; 3] = [spread_out, level_replicas, level_leaders];
    for step in rest {
        if planner.planned.is_empty() {
            planner.visit(step);
        }
    }
    planner.planned
}

/// Nodes that are to be decommissioned and have nothing left.
pub fn emptied(view: &View) -> Vec<u64> {
    let used: BTreeSet<u64> =
        view.groups.iter().flat_map(|group| group.voters.union(&group.learners)).copied().collect();
    let leaves = |node: &Node| node.state == NodeState::Decommissioning;
    view.nodes.iter().filter(|(id, node)| leaves(node) && !used.contains(id)).map(|(id, _)| *id).collect()
}

struct Planner<'a> {
    board: Board<'a>,
    /// Groups without a step under way, the most endangered first.
    groups: Vec<&'a Group>,
    planned: Vec<Action>,
    changes_left: usize,
    leader_moves_left: usize,
}

impl<'a> Planner<'a> {
    fn new(view: &'a View, running: &[Action], held: &BTreeSet<u64>, limits: Limits) -> Self {
        let mut board = Board::new(view, limits.incoming);
        running.iter().for_each(|action| board.count(action));
        let busy: BTreeSet<u64> = running.iter().map(Action::shard).chain(held.iter().copied()).collect();
        let mut groups: Vec<&Group> = view.groups.iter().filter(|group| !busy.contains(&group.shard)).collect();
        groups.sort_by_cached_key(|group| {
            let live = group.voters.iter().filter(|node| !board.is_leaving(**node)).count();
            (group.shard != META, live >= group.wanted, live, group.shard)
        });
        let moves = running.iter().filter(|action| matches!(action, Action::MoveLeader { .. })).count();
        Self {
            board,
            groups,
            planned: Vec::new(),
            changes_left: limits.changes.saturating_sub(running.len() - moves),
            leader_moves_left: limits.leader_moves.saturating_sub(moves),
        }
    }

    /// Asks for a step of each group.
    fn visit(&mut self, step: impl Fn(&Board<'_>, &Group) -> Option<Action>) {
        let mut rest = Vec::new();
        for group in std::mem::take(&mut self.groups) {
            let action = step(&self.board, group).filter(|action| self.has_room(action));
            match action {
                Some(action) => {
                    self.board.count(&action);
                    self.planned.push(action);
                }
                None => rest.push(group),
            }
        }
        self.groups = rest;
    }

    fn has_room(&mut self, action: &Action) -> bool {
        let left = match action {
            Action::Change { .. } => &mut self.changes_left,
            Action::MoveLeader { .. } => &mut self.leader_moves_left,
        };
        let room = *left > 0;
        *left = left.saturating_sub(1);
        room
    }
}

/// Leaders leave nodes that are to stop.
fn unlead(board: &Board<'_>, group: &Group) -> Option<Action> {
    let from = group.leader?;
    let node = board.node(from)?;
    if node.may_lead() || !node.is_live() {
        return None;
    }
    let to = board.best_to_lead(others(&group.voters, from))?;
    Some(Action::MoveLeader { shard: group.shard, from, to })
}

fn others(voters: &BTreeSet<u64>, but: u64) -> impl Iterator<Item = u64> {
    voters.iter().copied().filter(move |node| *node != but)
}

/// A group gets the voters it is to have.
fn repair(board: &Board<'_>, group: &Group) -> Option<Action> {
    let staying: BTreeSet<u64> = group.voters.iter().copied().filter(|node| !board.is_leaving(*node)).collect();
    let mut goal = staying;
    while goal.len() > group.wanted {
        let surplus = board.best_to_remove(group, &goal)?;
        goal.remove(&surplus);
    }
    while goal.len() < group.wanted {
        let Some(new) = board.best_to_add(group, &goal) else { break };
        goal.insert(new);
    }
    // Whoever is to leave stays until there is somebody else.
    let mut leaving: Vec<u64> = group.voters.iter().copied().filter(|node| board.is_leaving(*node)).collect();
    leaving.sort_by_key(|node| (!board.is_live(*node), *node));
    let missing = group.wanted.saturating_sub(goal.len());
    goal.extend(leaving.into_iter().take(missing));
    if goal.len().is_multiple_of(2) && goal.len() > group.voters.len() {
        let added: BTreeSet<u64> = goal.difference(&group.voters).copied().collect();
        goal.remove(&board.best_to_remove(group, &added)?);
    }
    change(board, group, goal)
}

/// Learners that no change is bringing up go.
fn tidy(board: &Board<'_>, group: &Group) -> Option<Action> {
    let remove: Vec<u64> = group.learners.iter().copied().collect();
    let useless = !remove.is_empty() && board.has_quorum(&group.voters);
    useless.then_some(Action::Change { shard: group.shard, add: Vec::new(), remove })
}

/// The step towards other voters; `None` if there is none or it is not safe.
fn change(board: &Board<'_>, group: &Group, goal: BTreeSet<u64>) -> Option<Action> {
    let shard = group.shard;
    if goal == group.voters || goal.is_empty() || !board.has_quorum(&group.voters) || !board.has_quorum(&goal) {
        return None;
    }
    let add: Vec<u64> = goal.difference(&group.voters).copied().collect();
    let remove: Vec<u64> = group.voters.difference(&goal).copied().collect();
    // Who does not live does not lead.
    match group.leader.filter(|leader| board.is_live(*leader)) {
        None if remove.iter().any(|node| board.is_live(*node)) => None,
        Some(from) if remove.contains(&from) => {
            let stays = goal.intersection(&group.voters).copied().filter(|node| board.is_live(*node));
            match board.best_to_lead(stays.clone()).or(stays.min()) {
                Some(to) => Some(Action::MoveLeader { shard, from, to }),
                None => keep_leader(group, from, add),
            }
        }
        _ => Some(Action::Change { shard, add, remove }),
    }
}

/// The step when every voter is to go: all but the leader are exchanged, and one that is alone gets company. The lead moves
/// once there is somebody to take it.
fn keep_leader(group: &Group, leader: u64, mut add: Vec<u64>) -> Option<Action> {
    let remove: Vec<u64> = others(&group.voters, leader).collect();
    if !remove.is_empty() {
        add.pop();
    }
    let moves = !add.is_empty() || !remove.is_empty();
    moves.then_some(Action::Change { shard: group.shard, add, remove })
}

/// Whether a group is as it is to be, so that it may be moved about.
fn is_settled(board: &Board<'_>, group: &Group) -> bool {
    // What is about to stop is not made to send its replicas away.
    let sound = |id: &u64| board.node(*id).is_some_and(Node::may_lead);
    group.voters.len() == group.wanted && group.learners.is_empty() && group.voters.iter().all(sound)
}

/// The voters with one of them exchanged.
fn exchanged(voters: &BTreeSet<u64>, from: u64, to: u64) -> BTreeSet<u64> {
    others(voters, from).chain([to]).collect()
}

/// A replica moves where it is farther from the others.
fn spread_out(board: &Board<'_>, group: &Group) -> Option<Action> {
    if !board.has_localities || group.voters.len() == 1 || !is_settled(board, group) {
        return None;
    }
    let mut best: BTreeMap<(usize, std::cmp::Reverse<usize>), BTreeSet<u64>> = BTreeMap::new();
    for to in board.candidates(group) {
        for from in &group.voters {
            let goal = exchanged(&group.voters, *from, to);
            let rank = (board.spread(&goal), std::cmp::Reverse(board.count_of(to)));
            best.entry(rank).or_insert(goal);
        }
    }
    let ((spread, _), goal) = best.pop_last()?;
    if spread <= board.spread(&group.voters) { None } else { change(board, group, goal) }
}

/// Whether moving one from a node to another makes things more even, and by enough to be worth it.
fn is_lopsided(more: usize, less: usize) -> bool {
    let difference = more.saturating_sub(less);
    difference >= 2 && difference * 20 >= more
}

/// A replica moves from a node with many to one with few.
fn level_replicas(board: &Board<'_>, group: &Group) -> Option<Action> {
    if group.shard == META || !board.view.levels || !is_settled(board, group) {
        return None;
    }
    let to = board.candidates(group).min_by_key(|id| (board.count_of(*id), *id))?;
    let spread = board.spread(&group.voters);
    let fit = |from: &u64| {
        let lopsided = is_lopsided(board.count_of(*from), board.count_of(to));
        lopsided && board.spread(&exchanged(&group.voters, *from, to)) >= spread
    };
    let fuller = group.voters.iter().copied().filter(fit);
    let from = fuller.max_by_key(|id| (board.count_of(*id), group.leader != Some(*id), *id))?;
    change(board, group, exchanged(&group.voters, from, to))
}

/// The lead moves from a node that leads many to one that leads few.
fn level_leaders(board: &Board<'_>, group: &Group) -> Option<Action> {
    let from = group.leader.filter(|_| group.shard != META)?;
    let grown = |id: &u64| board.node(*id).is_some_and(|node| !node.young);
    let to = board.best_to_lead(others(&group.voters, from).filter(grown))?;
    let shard = group.shard;
    is_lopsided(board.leads(from), board.leads(to)).then_some(Action::MoveLeader { shard, from, to })
}

//! What the planner sees and says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use proto::meta::NodeState;
use sharddb_proto as proto;

/// The meta group, among shards.
pub const META: u64 = 0;

/// Whether a node can be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It was heard of a moment ago.
    Live,
    /// It has not been heard of for a while, and may come back.
    Silent,
    /// It is not waited for any longer.
    Dead,
}

/// A node as the planner sees it.
#[derive(Clone, Debug)]
pub struct Node {
    /// What an operator wants of it.
    pub state: NodeState,
    /// Whether it can be counted on.
    pub liveness: Liveness,
    /// Its tiers, from the widest to the narrowest.
    pub locality: Vec<String>,
    /// Whether its disk has no room for more replicas.
    pub full: bool,
    /// Whether it has started again a moment ago: its replicas have to catch up.
    pub young: bool,
}

impl Node {
    /// Whether replicas are to leave it.
    pub(super) fn is_leaving(&self) -> bool {
        self.liveness == Liveness::Dead || !super::factor::counts(self.state)
    }

    pub(super) fn is_live(&self) -> bool {
        self.liveness == Liveness::Live
    }

    /// Whether it may lead.
    pub(super) fn may_lead(&self) -> bool {
        self.is_live() && self.state == NodeState::Active
    }

    /// Whether it may get new replicas.
    pub(super) fn may_grow(&self) -> bool {
        self.may_lead() && !self.full
    }
}

/// A replicated group: a shard, or the meta group.
#[derive(Clone, Debug)]
pub struct Group {
    /// The shard, or [`META`].
    pub shard: u64,
    /// Nodes with voters.
    pub voters: BTreeSet<u64>,
    /// Nodes with learners.
    pub learners: BTreeSet<u64>,
    /// The node that leads, if known.
    pub leader: Option<u64>,
    /// How many voters there are to be: an odd number, no more than there are nodes.
    pub wanted: usize,
}

/// A cluster at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Nodes that are not gone.
    pub nodes: BTreeMap<u64, Node>,
    /// Every group.
    pub groups: Vec<Group>,
    /// Whether replicas are to be even over nodes.
    pub levels: bool,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Brings replicas up on `add`, then makes voters of them and of nobody on `remove`, in one change.
    Change {
        /// The group.
        shard: u64,
        /// Nodes that get a replica.
        add: Vec<u64>,
        /// Nodes that lose theirs; never the leader's.
        remove: Vec<u64>,
    },
    /// Hands the lead from one voter to another.
    MoveLeader {
        /// The group.
        shard: u64,
        /// The node that leads.
        from: u64,
        /// The node that is to.
        to: u64,
    },
}

impl Action {
    /// The group that it changes.
    pub fn shard(&self) -> u64 {
        match self {
            Self::Change { shard, .. } | Self::MoveLeader { shard, .. } => *shard,
        }
    }

    /// What it is, in two words.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Change { add, remove, .. } => match (add.is_empty(), remove.is_empty()) {
                (false, true) => "add replica",
                (true, _) => "remove replica",
                (false, false) => "replace replica",
            },
            Self::MoveLeader { .. } => "move leader",
        }
    }

    /// Carries it out in a view.
    pub fn apply(&self, group: &mut Group) {
        match self {
            Self::Change { add, remove, .. } => {
                group.voters.extend(add);
                for node in remove {
                    group.voters.remove(node);
                    group.learners.remove(node);
                }
                group.learners.retain(|node| !add.contains(node));
            }
            Self::MoveLeader { to, .. } => group.leader = Some(*to),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change { shard, add, remove } => {
                write!(f, "s{shard}:")?;
                add.iter().try_for_each(|node| write!(f, " +n{node}"))?;
                remove.iter().try_for_each(|node| write!(f, " -n{node}"))
            }
            Self::MoveLeader { shard, from, to } => write!(f, "s{shard}: leader n{from} → n{to}"),
        }
    }
}

/// Splits a locality like "region=eu,zone=a" into its tiers.
pub fn parse_locality(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|tier| !tier.is_empty()).map(str::to_owned).collect()
}

/// How far apart two nodes are: tiers from the first in which they differ.
pub(super) fn distance(left: &[String], right: &[String]) -> usize {
    let common = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    left.len().max(right.len()) - common
}

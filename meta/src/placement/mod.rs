//! Where replicas and leaders are to be.
//!
//! [`plan`] is pure: from what is ([`View`]) and what is under way it answers what to do next, a bounded list. It keeps no
//! plan of its own: what it sees after a step, or after a failure, decides the next one. So a move of several steps (a
//! replica is added, the leader moves, the old replica goes) is a matter of seeing the same need again. The leader of the
//! meta group has its steps carried out by a [`Mover`] (`Meta::keep_placement`).

mod choose;
mod drive;
pub mod factor;
mod mover;
mod plan;
mod view;

pub use drive::DEAD_NODE_AFTER;
pub(crate) use mover::Jobs;
pub use mover::{Mover, Progress};
pub use plan::{Limits, emptied, plan};
pub use view::{Action, Group, Liveness, META, Node, View, parse_locality};

//! The meta group's parts together, over a log and a network of the tests' own.

mod deadlocks;
mod driving;
mod failover;
mod log;
mod member;
mod placement;
mod remote;
mod reports;

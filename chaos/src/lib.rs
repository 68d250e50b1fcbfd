//! Faults on clusters of real processes, and checkers of what their clients saw.
//!
//! A run is a workload whose clients log every operation, a schedule of faults from a seed, and at the end a look at
//! everything by every node. Checkers know nothing of the database: they get histories. The server does not depend on this.

pub mod check;
pub mod cluster;
pub mod coordinator;
pub mod drain;
pub mod failover;
pub mod history;
pub mod nemesis;
pub mod network;
pub mod report;
pub mod runner;
pub mod session;
pub mod workload;

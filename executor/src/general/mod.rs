//! The general path: any query, run by DataFusion over fragments at the shards.
//!
//! # Life of a query
//! 1. `convert` turns the bound query into a tree of relations: WITH, subqueries and LATERAL become nodes.
//! 2. `optimize` rewrites the tree: constants are folded, filters pushed down, subqueries become joins, joins ordered.
//! 3. `lower` makes physical operators of it; filters, projections, limits and partial aggregates go into the fragments
//!    that the shards run (`scan`).
//! 4. DataFusion pulls batches through; `operators` adds what it does not have.
//!
//! Types, NULLs, order and errors are PostgreSQL's: expressions are our own functions except where DataFusion's mean
//! exactly the same, and values are compared through keys (see the `fragment` crate).
//!
//! Does not: bind, write, lock rows, or know sessions.

mod context;
mod convert;
mod explain;
mod expr;
mod ir;
mod lower;
mod operators;
mod optimize;
mod run;
mod scan;

pub(crate) use context::{Frozen, RunContext, VirtualTables};
pub use context::{General, GeneralOptions};
pub(crate) use explain::Showing;
pub(crate) use run::{explain, run, run_with_keys};

#[cfg(test)]
mod tests;

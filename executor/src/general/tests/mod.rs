//! Queries end to end: bound, converted, optimized, lowered and run over real shards.
//!
//! A script (`scripts/*.sql`) holds statements separated by lines of a single semicolon; its expectation (`*.out`) holds
//! for each statement what PostgreSQL 15 answers. Rows of statements that do not start with `--ordered` are compared as
//! sets.

mod fixture;
mod plans;
mod resuming;
mod scripts;
mod transactions;

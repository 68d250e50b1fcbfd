//! Runs bound statements against the transactional client: sessions, transactions, catalog, DML, DDL, COPY.
//!
//! Called by the frontend through [`Engine`] and [`Session`]; calls the planner to bind and `kv` to read and write.
//!
//! # Life of a statement
//! 1. [`Session::parse`] splits a query string; a text that was seen before is recognized without parsing.
//! 2. [`Session::prepare`] binds it against the catalog snapshot of the session's transaction.
//! 3. [`Session::execute`] runs it: transaction control in the session itself, statements whose rows are named by key
//!    directly against `kv`, everything else through DataFusion.
//! 4. The caller drains the [`Outcome`].
//!
//! Does not: speak the wire protocol (the frontend does); know shards or Raft.

#![allow(clippy::disallowed_methods, reason = "sessions tell the time; nothing here is applied by a state machine")]

mod access;
mod activity;
mod bind;
mod catalog;
mod cluster_tables;
mod copy;
mod ddl;
mod dml;
mod engine;
mod eval;
mod general;
mod keyed;
mod normalize;
mod plan_cache;
mod reclaim;
mod rows;
mod scram;
mod sequence;
mod session;
mod statistics;
mod system_catalog;
mod text;
mod virtuals;

pub use engine::{Engine, EngineOptions, Signals};
pub use general::{General, GeneralOptions};
pub use session::{
    CancelHandle, CommandTag, CopyIn, CopyOut, Notice, Outcome, Parsed, Prepared, RowBatch, RowStream, Session,
    SessionStart, Severity, TransactionStatus,
};

//! Storage engines: an ordered key-value store with column families, behind one trait.
//!
//! A volume has one engine, shared by its shards. [`RocksEngine`] keeps data on disk; [`MemoryEngine`] serves tests and
//! simulation; [`FaultyEngine`] makes any engine fail on purpose. All pass the same [`conformance`] suite.
//!
//! Durability: writes reach the disk with the next [`Engine::flush`], all column families at one point in time. Until
//! then they are replayed from the Raft log, which is the only write-ahead log.
//!
//! Does not: know versions, transactions or shards.

mod batch;
pub mod conformance;
mod engine;
mod error;
mod export;
mod faulty;
mod memory;
mod plain_table;
mod rocks;
mod rocks_view;

pub use batch::{Batch, Operation};
pub use engine::{Cf, Cursor, Engine, Snapshot, Span};
pub use error::{Error, Result};
pub use export::export;
pub use faulty::{Fault, FaultyEngine};
pub use memory::MemoryEngine;
pub use rocks::{RocksEngine, RocksOptions};

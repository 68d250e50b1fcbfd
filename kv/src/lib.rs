//! The transactional client: routes requests to shards and coordinates transactions.
//!
//! Called by the executor. Speaks to shards through [`Transport`] (a direct call in one process, gRPC between
//! nodes) and to the meta group through [`MetaClient`]. Holds no data of its own besides a cached range map and the
//! write buffers of open transactions.
//!
//! # Life of a transaction
//! 1. [`Client::begin`] makes a [`Txn`]; nothing is sent.
//! 2. [`Txn::get`] and [`Txn::scan`] read at the statement's snapshot, the own buffered writes laid over it.
//! 3. [`Txn::lock`] takes row locks at the shards' leaders; [`Txn::put`] and [`Txn::delete`] only buffer.
//! 4. [`Txn::commit`] sends one request when one shard was written (one-phase commit). Otherwise it prepares every
//!    shard in parallel. Mostly that is all, and the record of the transaction follows in the background. With reads to
//!    validate (SERIALIZABLE) it fixes the commit timestamp above every answer, validates, and writes the commit record at
//!    the primary's shard before it answers. The intents are resolved in the background.
//!
//! Does not: know tables, rows or SQL; keep locks (shards do); decide timestamps (the oracle does).

mod admin;
mod buffer;
mod checksums;
mod client;
mod cluster_client;
mod commit;
mod error;
mod holdings;
mod intents;
mod locks;
mod meta_client;
mod one_phase;
mod past;
mod reads;
mod replicas;
mod retry;
mod router;
mod scan;
mod snapshot_reader;
mod snapshots;
mod staged;
mod transport;
mod two_phase;
mod txn;

pub use buffer::Savepoint;
pub use checksums::ReplicaChecksum;
pub use client::Client;
pub use cluster_client::ClusterClient;
pub use error::{Error, Result};
pub use locks::{LockedRow, RowLock};
pub use meta_client::MetaClient;
pub use retry::Attempts;
pub use router::{RangeMap, Route};
pub use scan::{KeyValue, ScanOptions, Scanner};
pub use snapshot_reader::SnapshotReader;
pub use snapshots::SnapshotPin;
pub use transport::{BoxFuture, Transport};
pub use txn::{Isolation, Txn, TxnOptions};

//! The catalog: descriptors as transactional rows of a system range, and snapshots of them in memory.
//!
//! # How a change becomes visible
//! DDL transactions run one at a time: the first DDL statement locks the version row. At commit the version at meta is
//! raised, the version row is set to the new number, and then the transaction commits. Whoever sees the new number reads
//! the descriptors again. As long as the version row is behind the number (the commit is under way, or its coordinator
//! died), a snapshot is not stable: it may be used, but the version row is looked at again for each statement.
//!
//! Does not: check names or dependencies (`ddl` does); plan.

mod bootstrap;
mod cache;
mod codec;
mod keys;
mod snapshot;

pub(crate) use bootstrap::bootstrap;
pub(crate) use cache::{Cache, encode_version};
pub(crate) use codec::encode;
pub(crate) use keys::{descriptor_key, dropped_key, dropped_span, parse_dropped_key, sequence_key, version_key};
pub(crate) use snapshot::Snapshot;

use schema::Oid;
use sharddb_schema as schema;

/// Schema of the system tables.
pub(crate) const PG_CATALOG: Oid = Oid(11);
/// Schema `information_schema`.
pub(crate) const INFORMATION_SCHEMA: Oid = Oid(13_000);
/// Schema of ShardDB's own system tables.
pub(crate) const SHARDDB_SCHEMA: Oid = Oid(13_001);
/// Role `postgres`, which owns what a fresh cluster has.
pub(crate) const BOOTSTRAP_ROLE: Oid = Oid(10);
/// Database `postgres`.
pub(crate) const POSTGRES_DATABASE: Oid = Oid(5);
/// Schema `public` of the first database.
pub(crate) const PUBLIC_SCHEMA: Oid = Oid(2200);

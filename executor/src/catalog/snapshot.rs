//! The catalog of one database as a statement sees it.

use std::sync::Arc;

use schema::{Catalog, DatabaseDescriptor};
use sharddb_schema as schema;

/// An immutable catalog with the version it stands for. Plans hold on to the snapshot they were made from: as long as
/// the session's snapshot is the same object, the plan is good.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) database: Arc<DatabaseDescriptor>,
    /// Meta's number when it was read.
    pub(super) version: u64,
    /// Whether the change with that number is in it.
    pub(super) stable: bool,
}

impl Snapshot {
    /// A private one: holds the uncommitted changes of a DDL transaction, which locks all others out.
    pub(crate) fn with_changes(&self, catalog: Arc<Catalog>) -> Self {
        Self { catalog, database: Arc::clone(&self.database), version: self.version, stable: false }
    }

    /// Whether plans made from it may be kept for other statements.
    pub(crate) fn is_stable(&self) -> bool {
        self.stable
    }
}

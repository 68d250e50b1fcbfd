//! Prepared statements of all sessions, by text.

use std::sync::Arc;

use moka::sync::Cache;
use schema::Oid;
use sharddb_schema as schema;

use crate::session::Prepared;

/// Statements kept. A plan takes a few kilobytes.
const PLANS_MAX: u64 = 4096;
/// Longest text that is kept: longer ones are loads, not statements that come again.
const TEXT_BYTES_MAX: usize = 8192;

/// What a plan depends on besides the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlanKey {
    text: Arc<str>,
    declared: Vec<Oid>,
    fingerprint: u64,
}

impl PlanKey {
    pub(crate) fn new(text: &str, declared: &[Oid], fingerprint: u64) -> Self {
        Self { text: Arc::from(text), declared: declared.to_vec(), fingerprint }
    }
}

/// Prepared statements by key; the least used go first.
pub(crate) struct PlanCache {
    plans: Cache<PlanKey, Arc<Prepared>, ahash::RandomState>,
}

impl Default for PlanCache {
    fn default() -> Self {
        Self { plans: Cache::builder().max_capacity(PLANS_MAX).build_with_hasher(ahash::RandomState::new()) }
    }
}

impl PlanCache {
    pub(crate) fn get(&self, key: &PlanKey) -> Option<Arc<Prepared>> {
        if key.text.len() > TEXT_BYTES_MAX { None } else { self.plans.get(key) }
    }

    pub(crate) fn insert(&self, key: PlanKey, prepared: Arc<Prepared>) {
        if key.text.len() <= TEXT_BYTES_MAX {
            self.plans.insert(key, prepared);
        }
    }
}

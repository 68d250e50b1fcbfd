//! Rewrites a relation into one that is cheaper to run and has the same rows.

pub(super) mod estimate;
mod normalize;

use std::sync::Arc;

use proto::SqlResult;
use sharddb_proto as proto;

use super::{context::Statement, ir::Rel};

/// Optimizes a relation whose outer columns are bound.
pub(super) fn optimize(statement: &Arc<Statement>, rel: Rel) -> SqlResult<Rel> {
    let _ = statement;
    let rel = normalize::normalize(rel);
    Ok(rel)
}

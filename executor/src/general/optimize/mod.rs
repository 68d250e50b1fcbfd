//! Rewrites a relation into one that is cheaper to run and has the same rows.
//!
//! In order: constants are folded; forms that lowering does not know are rewritten; subqueries become joins; conditions go
//! down to where they can be applied first and inner joins are put in order; columns that nobody reads go.
//! Subqueries that stay, LATERAL and recursive terms are optimized when they run, with their outer values as constants.

mod decorrelate;
mod derive;
pub(super) mod estimate;
mod fold;
mod graph;
mod initial;
mod normalize;
mod order;
mod prune;
mod pull;
mod pushdown;
mod reduce;
mod selectivity;

use std::sync::Arc;

pub(super) use initial::{InitialPlan, name_initial_plans, run_initial_plans};
use planner::plan::Expr;
use proto::SqlResult;
use sharddb_planner as planner;
use sharddb_proto as proto;

use super::{context::Statement, ir::Rel};

/// Narrows an optimized relation by further conditions over its columns.
pub(super) fn push(statement: &Arc<Statement>, rel: Rel, conditions: Vec<Expr>) -> Rel {
    prune::prune_all(pushdown::push(&statement.eval, rel, conditions))
}

/// Optimizes a relation whose outer columns are bound.
pub(super) fn optimize(statement: &Arc<Statement>, rel: Rel) -> SqlResult<Rel> {
    let mut rel = rel;
    fold::fold(&statement.eval, &mut rel);
    let rel = normalize::normalize(rel);
    let mut rel = decorrelate::decorrelate(&statement.eval, rel)?;
    rel = decorrelate::marks(&statement.eval, rel)?;
    fold::fold(&statement.eval, &mut rel);
    let rel = pushdown::push(&statement.eval, rel, Vec::new());
    Ok(prune::prune_all(rel))
}

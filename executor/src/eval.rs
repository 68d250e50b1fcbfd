//! Evaluating bound expressions over rows of datums.

use planner::plan::Expr;
use proto::SqlResult;
use schema::{Datum, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

/// What an expression may refer to besides its row.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) session: &'a EvalContext,
    pub(crate) params: &'a [Datum],
}

impl Context<'_> {
    /// The expression's value for a row.
    pub(crate) fn value(&self, expr: &Expr, row: &[Datum]) -> SqlResult<Datum> {
        planner::eval(expr, row, self.params, self.session)
    }

    /// Whether a condition is true for a row; NULL is not.
    pub(crate) fn condition(&self, expr: &Expr, row: &[Datum]) -> SqlResult<bool> {
        Ok(matches!(self.value(expr, row)?, Datum::Bool(true)))
    }
}

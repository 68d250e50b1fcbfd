//! Aggregates: accumulators over datums with mergeable states.

mod collect;
mod count;
mod extremes;
mod json;
mod logic;
mod ordered;
mod regression;
mod sum;
mod variance;

pub(super) use collect::COLLECT;
pub(super) use count::COUNT;
pub(super) use extremes::EXTREMES;
pub(super) use json::JSON;
pub use json::ROWS_JSON_AGG;
pub(super) use logic::LOGIC;
pub(super) use ordered::ORDERED;
pub(super) use regression::REGRESSION;
pub(super) use sum::{AVERAGE, SUM};
pub(super) use variance::VARIANCE;

use super::{Accumulator, Aggregate};
use crate::{Oid, SqlType};

/// An aggregate that skips rows with NULLs.
pub(super) const fn aggregate(
    name: &'static str,
    args: &'static [Oid],
    result: Oid,
    state: &'static [Oid],
    accumulator: fn(&[SqlType]) -> Box<dyn Accumulator>,
) -> Aggregate {
    Aggregate { name, args, variadic: None, result, state, strict: true, accumulator }
}

impl Aggregate {
    /// Sees NULLs too.
    pub(super) const fn lenient(mut self) -> Self {
        self.strict = false;
        self
    }
}

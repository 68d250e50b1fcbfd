//! Set-returning functions: rows made one after the other, as far as they are asked for.

mod json;
mod lists;
mod partitions;
mod series;

pub(super) use json::JSON;
pub(super) use lists::LISTS;
pub(super) use partitions::PARTITIONS;
pub(super) use series::SERIES;

use super::{SetFn, SetFunction, SetRows, Volatility};
use crate::{Datum, Oid, SqlType};

/// A strict, immutable function with one column that is named as it is.
const fn set(
    name: &'static str,
    args: &'static [Oid],
    result: Oid,
    columns: fn(&[SqlType]) -> Vec<(String, SqlType)>,
    eval: SetFn,
) -> SetFunction {
    SetFunction { name, args, variadic: None, result, columns, strict: true, volatility: Volatility::Immutable, eval }
}

impl SetFunction {
    /// Also called with NULLs.
    const fn lenient(mut self) -> Self {
        self.strict = false;
        self
    }

    /// Depends on the session.
    const fn stable(mut self) -> Self {
        self.volatility = Volatility::Stable;
        self
    }
}

/// A single column.
fn column(name: &str, oid: Oid) -> Vec<(String, SqlType)> {
    vec![(name.to_owned(), SqlType::new(oid))]
}

/// Rows of one column from values that are all there.
fn rows(values: impl IntoIterator<Item = Datum, IntoIter: Send + 'static>) -> SetRows {
    Box::new(values.into_iter().map(|value| Ok(vec![value])))
}

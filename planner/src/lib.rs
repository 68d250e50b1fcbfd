//! SQL text to bound plans: parse, resolve names, decide types.
//!
//! [`parse`] splits and reads a query string, [`bind`] resolves one statement against a catalog snapshot, [`eval`]
//! computes a bound expression for one row. Pure: reads what it is given and nothing else. Does not touch network,
//! clock or disk, and knows nothing of DataFusion, keys or shards.

mod bind;
mod eval;
mod parse;
pub mod plan;
mod show;
pub mod system_catalog;

pub use bind::{
    BindContext, Bound, RowUse, bind, bind_constant_expression, bind_conversion, bind_row_expression,
    check_row_expression, columns_of, each_subquery, has_subquery, is_constant, output_fields, remap_columns,
    rename_in_expression, show_view,
};
pub use eval::eval;
pub use parse::{Parsed, parse};
pub use show::show_expression;

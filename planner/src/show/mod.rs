//! Bound expressions as SQL text, in the words and with the brackets that PostgreSQL shows definitions with.
//!
//! Two forms: the plain one puts brackets around every operation, the pretty one only where they are needed. Implicit
//! conversions are shown where they decide which operator is meant and left out where the reader cannot miss them.

mod constant;
mod expression;
mod simple;

use proto::{SqlError, SqlResult};
use schema::{SqlType, TableDescriptor, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::bind::{BindContext, bind_shown};
pub(crate) use expression::{Names, Writer};

/// Values that are called without brackets; alone they are shown as they are written.
const KEYWORDS: [&str; 11] = [
    "CURRENT_CATALOG",
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_SCHEMA",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "SESSION_USER",
    "USER",
];

/// An expression over a table's row as `pg_get_expr` shows it. `expected` is the type of the column that a DEFAULT is
/// for.
pub fn show_expression(
    text: &str,
    table: &TableDescriptor,
    expected: Option<SqlType>,
    pretty: bool,
    context: &BindContext<'_>,
) -> SqlResult<String> {
    let upper = text.trim().to_uppercase();
    if KEYWORDS.contains(&upper.as_str()) {
        return Ok(upper);
    }
    let expr = bind_shown(text, table, expected, context)?;
    let names = RowNames(table);
    let mut writer = Writer::new(&names, pretty, &context.eval.format, 0);
    writer.expr(&expr, false);
    writer.finish().ok_or_else(|| SqlError::unsupported("showing this expression"))
}

/// Columns of one table, by their bare names.
struct RowNames<'a>(&'a TableDescriptor);

impl Names for RowNames<'_> {
    fn column(&self, index: usize) -> String {
        let name = self.0.columns.get(index).map(|column| functions::quote_identifier(&column.name).into_owned());
        name.unwrap_or_default()
    }

    fn outer(&self, _: usize, index: usize) -> String {
        self.column(index)
    }
}

//! The seam to the planner: texts kept in the catalog to bound expressions.

use planner::{BindContext, plan::Expr};
use proto::SqlResult;
use schema::{Catalog, SqlType, TableDescriptor, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

/// An expression over a table's row, as a descriptor keeps it: CHECK, the condition of a partial index.
pub(crate) fn row_expression(
    catalog: &Catalog,
    eval: &EvalContext,
    table: &TableDescriptor,
    text: &str,
) -> SqlResult<Expr> {
    planner::bind_row_expression(text, table, None, &BindContext { catalog, eval })
}

/// Checks an expression over a row before a descriptor keeps it.
pub(crate) fn check_row_expression(
    catalog: &Catalog,
    eval: &EvalContext,
    table: &TableDescriptor,
    (text, sql_type): (&str, SqlType),
    purpose: planner::RowUse,
) -> SqlResult<()> {
    planner::check_row_expression(text, table, sql_type, purpose, &BindContext { catalog, eval })
}

/// A generated column's value over a table's row.
pub(crate) fn generated_expression(
    catalog: &Catalog,
    eval: &EvalContext,
    table: &TableDescriptor,
    text: &str,
    sql_type: SqlType,
) -> SqlResult<Expr> {
    planner::bind_row_expression(text, table, Some(sql_type), &BindContext { catalog, eval })
}

/// A DEFAULT, converted to the column's type.
pub(crate) fn default_expression(
    catalog: &Catalog,
    eval: &EvalContext,
    text: &str,
    sql_type: SqlType,
) -> SqlResult<Expr> {
    planner::bind_constant_expression(text, sql_type, &BindContext { catalog, eval })
}

/// The value of a column after ALTER COLUMN TYPE, over the old row: USING, or an assignment cast.
pub(crate) fn conversion(
    catalog: &Catalog,
    eval: &EvalContext,
    table: &TableDescriptor,
    at: usize,
    sql_type: SqlType,
    using: Option<&str>,
) -> SqlResult<Expr> {
    planner::bind_conversion(table, at, sql_type, using, &BindContext { catalog, eval })
}

/// Whether a view's query still binds.
pub(crate) fn check_view(catalog: &Catalog, eval: &EvalContext, query: &str) -> SqlResult<()> {
    for statement in planner::parse(query)? {
        planner::bind(&statement, &BindContext { catalog, eval }, &[])?;
    }
    Ok(())
}

/// Whether an expression has one value for all rows and all time: nothing volatile in it.
pub(crate) fn is_constant(expr: &Expr) -> bool {
    planner::is_constant(expr)
}

//! Expressions that stand in the catalog and not in a statement.

use std::ops::ControlFlow;

use proto::{SqlError, SqlResult, SqlState};
use schema::{
    Category, SqlType, TableDescriptor,
    functions::{CastContext, Volatility},
};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast;

use super::{
    BindContext, Binder, fold,
    scope::{Clause, Scope},
    types::type_name,
    visit,
};
use crate::{parse, plan::Expr};

/// Binds a condition or value over a table's row: CHECK, a generated column, the predicate of an index. Columns are
/// addressed by position in `table.columns`.
pub fn bind_row_expression(
    text: &str,
    table: &TableDescriptor,
    expected: Option<SqlType>,
    context: &BindContext<'_>,
) -> SqlResult<Expr> {
    let tree = parse::parse_expression(text)?;
    let mut binder = Binder::new(context, text);
    let scope = Scope::of_table(table, &table.name, 0, None);
    let expr = binder.expr(&tree, &scope)?;
    match expected {
        Some(expected) => binder.coerce(expr, expected, CastContext::Assignment),
        None => Ok(expr),
    }
}

/// Binds an expression over a table's row to be shown: what was written stays apart from the conversions around it.
pub(crate) fn bind_shown(
    text: &str,
    table: &TableDescriptor,
    expected: Option<SqlType>,
    context: &BindContext<'_>,
) -> SqlResult<Expr> {
    let tree = parse::parse_expression(text)?;
    let mut binder = Binder::new(context, text);
    binder.keeps_conversions = true;
    let expr = binder.expr(&tree, &Scope::of_table(table, &table.name, 0, None))?;
    match expected {
        Some(expected) => binder.coerce(expr, SqlType::new(expected.oid), CastContext::Assignment),
        None => Ok(expr),
    }
}

/// What an expression over a row is for, which decides what it may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowUse {
    /// A CHECK constraint.
    Check,
    /// The value of a generated column.
    Generated,
    /// The condition of a partial index.
    IndexPredicate,
}

/// Binds an expression over a table's row that is about to enter the catalog, and refuses what must not be in it.
///
/// # Errors
/// 42804 for a condition that is not boolean, 0A000 for subqueries, 42P17 for what is not immutable or reads a
/// generated column where that must not be.
pub fn check_row_expression(
    text: &str,
    table: &TableDescriptor,
    expected: SqlType,
    purpose: RowUse,
    context: &BindContext<'_>,
) -> SqlResult<()> {
    let tree = parse::parse_expression(text)?;
    let mut binder = Binder::new(context, text);
    let expr = binder.expr(&tree, &Scope::of_table(table, &table.name, 0, None))?;
    if visit::any(&expr, &|node, _| matches!(node, Expr::Subquery { .. })) {
        let place = match purpose {
            RowUse::Check => "check constraint",
            RowUse::Generated => "column generation expression",
            RowUse::IndexPredicate => "index predicate",
        };
        return Err(SqlError::new(SqlState::FeatureNotSupported, format!("cannot use subquery in {place}")));
    }
    let changes = |node: &Expr, _: usize| {
        matches!(node, Expr::Call { function, args, .. }
            if function.volatility != Volatility::Immutable && !concatenates_fixed(function.name, args))
    };
    let expr = match purpose {
        RowUse::Check => return binder.condition(expr, "CHECK").map(drop),
        RowUse::IndexPredicate => binder.condition(expr, "WHERE")?,
        RowUse::Generated => binder.coerce(expr, expected, CastContext::Assignment)?,
    };
    if visit::any(&expr, &changes) {
        let message = match purpose {
            RowUse::IndexPredicate => "functions in index predicate must be marked IMMUTABLE",
            RowUse::Generated | RowUse::Check => "generation expression is not immutable",
        };
        return Err(SqlError::new(SqlState::InvalidObjectDefinition, message));
    }
    let generated = |node: &Expr, _: usize| matches!(node, Expr::Column { index, .. } if table.columns.get(*index).is_some_and(|c| c.generated.is_some()));
    if purpose == RowUse::Generated && visit::any(&expr, &generated) {
        let message = "cannot use generated column in column generation expression";
        return Err(SqlError::new(SqlState::InvalidObjectDefinition, message)
            .with_detail("A generated column cannot reference another generated column."));
    }
    Ok(())
}

/// Whether `||` appends a value whose text no setting changes: only dates, times and names of objects depend on any.
fn concatenates_fixed(name: &str, args: &[Expr]) -> bool {
    let fixed = |arg: &Expr| {
        let category = arg.sql_type().oid.type_info().map(|info| info.category);
        matches!(category, Some(Category::Numeric | Category::String | Category::Boolean))
    };
    matches!(name, "textanycat" | "anytextcat") && args.iter().all(fixed)
}

/// Binds a value without input, converted as an assignment does: DEFAULT.
pub fn bind_constant_expression(text: &str, expected: SqlType, context: &BindContext<'_>) -> SqlResult<Expr> {
    let tree = parse::parse_expression(text)?;
    let mut binder = Binder::new(context, text);
    let expr = binder.expr(&tree, &Scope::empty(Clause::Default))?;
    binder.coerce(expr, expected, CastContext::Assignment)
}

/// The value of a column that gets another type, over the old row: USING if given, else the column itself, converted
/// as an assignment does.
///
/// # Errors
/// 42804 when there is no such conversion.
pub fn bind_conversion(
    table: &TableDescriptor,
    column: usize,
    sql_type: SqlType,
    using: Option<&str>,
    context: &BindContext<'_>,
) -> SqlResult<Expr> {
    let mut binder = Binder::new(context, using.unwrap_or_default());
    let expr = match using {
        Some(text) => {
            let tree = parse::parse_expression(text)?;
            binder.expr(&tree, &Scope::of_table(table, &table.name, 0, None))?
        }
        None => Expr::Column { index: column, sql_type: table.columns[column].sql_type },
    };
    binder.coerce(expr, sql_type, CastContext::Assignment).map_err(|error| {
        if error.state() != SqlState::DatatypeMismatch {
            return error;
        }
        let (name, target) = (&table.columns[column].name, type_name(sql_type));
        let (subject, hint) = match using {
            Some(_) => ("result of USING clause for column", "You might need to add an explicit cast.".to_owned()),
            None => ("column", format!("You might need to specify \"USING {name}::{target}\".")),
        };
        let message = format!("{subject} \"{name}\" cannot be cast automatically to type {target}");
        SqlError::new(SqlState::DatatypeMismatch, message).with_hint(hint)
    })
}

/// Whether an expression has one value within a statement, whatever the row: no column, no subquery, nothing volatile.
pub fn is_constant(expr: &Expr) -> bool {
    let varies = |node: &Expr, _: usize| match node {
        Expr::Column { .. } | Expr::Outer { .. } | Expr::Subquery { .. } | Expr::Default => true,
        Expr::Call { function, .. } => function.volatility == Volatility::Volatile,
        _ => false,
    };
    !visit::any(expr, &varies)
}

/// An expression's text with a column renamed.
pub fn rename_in_expression(text: &str, name: &str, new_name: &str) -> SqlResult<String> {
    let mut tree = parse::parse_expression(text)?;
    let _ = ast::visit_expressions_mut(&mut tree, |expr| {
        let ident = match expr {
            ast::Expr::Identifier(ident) => Some(ident),
            ast::Expr::CompoundIdentifier(parts) => parts.last_mut(),
            _ => None,
        };
        if let Some(ident) = ident.filter(|ident| fold(ident) == name) {
            *ident = ast::Ident::with_quote('"', new_name);
        }
        ControlFlow::<()>::Continue(())
    });
    Ok(tree.to_string())
}

//! INSERT, UPDATE and DELETE.

mod conflict;
mod insert;
mod update;

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use schema::{ConstraintDescriptor, ConstraintKind, SqlType, TableDescriptor};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, TableFactor};

use super::{
    Binder, bind_constant_expression, bind_row_expression, fold,
    names::Name,
    scope::{Clause, Scope},
};
use crate::plan::{Expr, Field, Returning};

impl Binder<'_> {
    /// The table that a DML statement writes to, with its alias.
    fn target<'t>(
        &mut self,
        factor: &'t TableFactor,
    ) -> SqlResult<(Arc<TableDescriptor>, Option<&'t ast::TableAlias>)> {
        let TableFactor::Table { name, alias, args: None, sample: None, .. } = factor else {
            return Err(SqlError::new(SqlState::SyntaxError, "syntax error: a table is expected here"));
        };
        let name: Name = self.object_name(name)?;
        Ok((self.table(&name)?, alias.as_ref()))
    }

    /// Default values of all columns; NULL for one without.
    pub(super) fn column_defaults(&self, table: &TableDescriptor) -> SqlResult<Vec<Expr>> {
        let default = |column: &schema::ColumnDescriptor| match &column.default {
            Some(text) => bind_constant_expression(text, column.sql_type, self.context),
            None => Ok(Expr::null(column.sql_type)),
        };
        table.columns.iter().map(default).collect()
    }

    /// Generated columns with their values over the row.
    pub(super) fn generated_columns(&self, table: &TableDescriptor) -> SqlResult<Vec<(usize, Expr)>> {
        let generated = table.columns.iter().enumerate();
        generated
            .filter_map(|(at, column)| Some((at, column.generated.as_ref()?, column.sql_type)))
            .map(|(at, text, sql_type)| Ok((at, bind_row_expression(text, table, Some(sql_type), self.context)?)))
            .collect()
    }

    /// CHECK constraints over the row.
    pub(super) fn check_constraints(&self, table: &TableDescriptor) -> SqlResult<Vec<(ConstraintDescriptor, Expr)>> {
        let boolean = SqlType::new(schema::Oid::BOOL);
        table
            .constraints
            .iter()
            .filter_map(|constraint| match &constraint.kind {
                ConstraintKind::Check { expression, .. } => Some((constraint, expression)),
                _ => None,
            })
            .map(|(constraint, text)| {
                Ok((constraint.clone(), bind_row_expression(text, table, Some(boolean), self.context)?))
            })
            .collect()
    }

    /// RETURNING over the rows that a scope describes.
    fn returning(&mut self, items: Option<&Vec<ast::SelectItem>>, scope: &Scope<'_>) -> SqlResult<Option<Returning>> {
        let Some(items) = items else { return Ok(None) };
        scope.clause.set(Clause::Returning);
        let items = self.select_items(items, scope)?;
        let mut exprs = Vec::with_capacity(items.len());
        let mut fields = Vec::with_capacity(items.len());
        for item in items {
            let expr = self.known_type(item.expr)?;
            fields.push(Field { sql_type: expr.sql_type(), ..item.field });
            exprs.push(expr);
        }
        Ok(Some(Returning { exprs, fields }))
    }

    /// Position of the column that an INSERT or SET names.
    fn target_column(&self, table: &TableDescriptor, ident: &ast::Ident) -> SqlResult<usize> {
        let name = fold(ident);
        table.position_by_name(&name).ok_or_else(|| {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            self.at(ident.span, SqlError::new(SqlState::UndefinedColumn, message))
        })
    }

    /// The value of a column: converted, or DEFAULT.
    fn column_value(
        &mut self,
        tree: &ast::Expr,
        table: &TableDescriptor,
        column: usize,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        if is_default(tree) {
            return Ok(Expr::Default);
        }
        let value = self.expr(tree, scope)?;
        let column = &table.columns[column];
        self.assign(value, &column.name, column.sql_type)
            .map_err(|error| self.at(sqlparser::ast::Spanned::span(tree), error))
    }
}

/// Whether an expression is the bare word DEFAULT.
fn is_default(tree: &ast::Expr) -> bool {
    matches!(tree, ast::Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

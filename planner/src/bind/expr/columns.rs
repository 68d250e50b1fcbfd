//! Column references.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;
use sqlparser::{ast, tokenizer::Span};

use super::super::{
    Binder, fold,
    scope::{Scope, ScopeColumn},
};
use crate::plan::Expr;

impl Binder<'_> {
    /// A name without qualifier.
    pub(super) fn column(&mut self, ident: &ast::Ident, scope: &Scope<'_>) -> SqlResult<Expr> {
        let name = fold(ident);
        if ident.quote_style.is_none() && matches!(name.as_str(), "current_role" | "current_schema") {
            let function = if name == "current_role" { "current_user" } else { "current_schema" };
            return self.call(function, Vec::new());
        }
        match self.find_column(None, &name, ident.span, scope)? {
            Some(column) => Ok(column.expr),
            None if name == "default" && ident.quote_style.is_none() => {
                let message = "DEFAULT is not allowed in this context";
                Err(self.at(ident.span, SqlError::new(SqlState::SyntaxError, message)))
            }
            None => {
                if let Some(row) = self.whole_row(&None, &name, scope) {
                    return Ok(row);
                }
                let message = format!("column \"{name}\" does not exist");
                Err(self.at(ident.span, SqlError::new(SqlState::UndefinedColumn, message)))
            }
        }
    }

    fn find_column(
        &self,
        qualifier: Option<(&Option<String>, &str)>,
        name: &str,
        span: Span,
        scope: &Scope<'_>,
    ) -> SqlResult<Option<ScopeColumn>> {
        scope.find(qualifier, name).map_err(|error| self.at(span, error))
    }

    /// A name with a table, and perhaps a schema and database, in front.
    pub(super) fn qualified_column(&mut self, parts: &[ast::Ident], scope: &Scope<'_>) -> SqlResult<Expr> {
        let span = parts.first().map_or_else(Span::empty, |first| first.span);
        let names: Vec<String> = parts.iter().map(fold).collect();
        let (schema, table, name) = match names.as_slice() {
            [table, name] => (None, table, name),
            [schema, table, name] | [_, schema, table, name] => (Some(schema.clone()), table, name),
            _ => {
                let message = format!("improper qualified name (too many dotted names): {}", names.join("."));
                return Err(self.at(span, SqlError::new(SqlState::SyntaxError, message)));
            }
        };
        match self.find_column(Some((&schema, table)), name, span, scope)? {
            Some(column) => Ok(column.expr),
            None if scope.find_table(&schema, table).is_some() => {
                let message = format!("column {table}.{name} does not exist");
                Err(self.at(span, SqlError::new(SqlState::UndefinedColumn, message)))
            }
            None => Err(self.missing_table(table, span)),
        }
    }

    /// 42P01 for a qualifier that names no relation of FROM.
    pub(in crate::bind) fn missing_table(&self, table: &str, span: Span) -> SqlError {
        let message = format!("missing FROM-clause entry for table \"{table}\"");
        self.at(span, SqlError::new(SqlState::UndefinedTable, message))
    }
}

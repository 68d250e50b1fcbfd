//! CREATE INDEX.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;
use sqlparser::ast;

use super::super::{Binder, fold};
use crate::plan::{CreateIndex, Ddl};

impl Binder<'_> {
    pub(super) fn create_index(&mut self, create: &ast::CreateIndex) -> SqlResult<Ddl> {
        match &create.using {
            None | Some(ast::IndexType::BTree) => {}
            Some(other) => {
                return Err(SqlError::unsupported(format!("access method \"{}\"", other.to_string().to_lowercase())));
            }
        }
        if !create.include.is_empty() {
            return Err(SqlError::unsupported("indexes with INCLUDE"));
        }
        if !create.index_options.is_empty() || !create.alter_options.is_empty() {
            return Err(SqlError::new(SqlState::SyntaxError, "syntax error: index options of another SQL dialect"));
        }
        for option in &create.with {
            if let ast::Expr::BinaryOp { left, .. } = option {
                super::options::storage_parameter(&super::options::option_text(left))?;
            }
        }
        let table = self.object_name(&create.table_name)?;
        let name = match &create.name {
            Some(name) => Some(self.object_name(name)?.name),
            None => None,
        };
        Ok(Ddl::CreateIndex(Box::new(CreateIndex {
            name,
            table: self.existing_name(&table)?,
            columns: create.columns.iter().map(index_column).collect::<SqlResult<_>>()?,
            unique: create.unique,
            nulls_not_distinct: create.nulls_distinct == Some(false),
            if_not_exists: create.if_not_exists,
            predicate: create.predicate.as_ref().map(ToString::to_string),
        })))
    }
}

/// Column, DESC and NULLS FIRST.
fn index_column(column: &ast::IndexColumn) -> SqlResult<(String, bool, bool)> {
    if let Some(class) = &column.operator_class {
        // The default classes order as the types do.
        let name = class.to_string().to_lowercase();
        if !name.ends_with("_ops") || name.contains("pattern") || name.contains("trgm") {
            return Err(SqlError::unsupported(format!("operator class {name}")));
        }
    }
    let ast::Expr::Identifier(name) = &column.column.expr else {
        return Err(SqlError::unsupported("indexes on expressions"));
    };
    let descending = column.column.options.asc == Some(false);
    Ok((fold(name), descending, column.column.options.nulls_first.unwrap_or(descending)))
}

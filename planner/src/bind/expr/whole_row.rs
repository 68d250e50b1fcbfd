//! A relation's name as a value: the whole row.
//!
//! Rows have no type of their own here, so what shows the names of their columns (the JSON functions) is given them as
//! arguments.

use proto::SqlResult;
use schema::{Datum, Oid, SqlType, functions::CastContext};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast;

use super::super::{
    Binder, fold,
    scope::{Scope, outer},
};
use crate::plan::Expr;

impl Binder<'_> {
    /// The row of the relation with this name, if there is one.
    pub(super) fn whole_row(&self, name: &str, scope: &Scope<'_>) -> Option<Expr> {
        let columns = columns_of(name, scope)?;
        let values = columns.into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        Some(unless_missing(values.clone(), Expr::Row(values), SqlType::new(Oid::RECORD)))
    }

    /// Arguments of a function, to which a JSON function's rows come with the names of their columns.
    pub(super) fn arguments(
        &mut self,
        function: &str,
        trees: &[&ast::Expr],
        scope: &Scope<'_>,
    ) -> SqlResult<Vec<Expr>> {
        let json = function.starts_with("json") || matches!(function, "to_json" | "to_jsonb" | "row_to_json");
        let mut args = Vec::with_capacity(trees.len());
        for tree in trees {
            let row = if json { self.named_row(tree, scope)? } else { None };
            args.push(match row {
                Some(row) if function.starts_with("jsonb") || function == "to_jsonb" => {
                    self.coerce(row, SqlType::new(Oid::JSONB), CastContext::Explicit)?
                }
                Some(row) => row,
                None => self.expr(tree, scope)?,
            });
        }
        Ok(args)
    }

    /// The row that a bare relation name stands for, as a JSON object.
    fn named_row(&mut self, tree: &ast::Expr, scope: &Scope<'_>) -> SqlResult<Option<Expr>> {
        let ast::Expr::Identifier(ident) = tree else { return Ok(None) };
        let name = fold(ident);
        if !matches!(scope.find(None, &name), Ok(None)) {
            return Ok(None);
        }
        let Some(columns) = columns_of(&name, scope) else { return Ok(None) };
        let mut args = Vec::with_capacity(2 * columns.len());
        let mut values = Vec::with_capacity(columns.len());
        for (name, value) in columns {
            args.push(Expr::Constant { value: Datum::text(name), sql_type: SqlType::new(Oid::TEXT) });
            let value = self.known_type(value)?;
            args.push(value.clone());
            values.push(value);
        }
        let object = self.call("named_row_to_json", args)?;
        Ok(Some(unless_missing(values, object, SqlType::new(Oid::JSON))))
    }
}

/// Names and values of a relation's columns, here or in an outer query.
fn columns_of(name: &str, scope: &Scope<'_>) -> Option<Vec<(String, Expr)>> {
    let (depth, at, found) = scope.find_table(&None, name)?;
    let columns = found.columns.iter().filter(|column| column.table == Some(at));
    let value = |expr: &Expr| if depth == 0 { expr.clone() } else { outer(expr.clone(), depth) };
    Some(columns.map(|column| (column.name.clone(), value(&column.expr))).collect())
}

/// NULL for a row without any value: that an outer join found none.
fn unless_missing(values: Vec<Expr>, row: Expr, sql_type: SqlType) -> Expr {
    if values.is_empty() {
        return row;
    }
    let missing = values.into_iter().map(|value| Expr::IsNull { input: Box::new(value), negated: false }).collect();
    Expr::Case { branches: vec![(Expr::And(missing), Expr::null(sql_type))], otherwise: Box::new(row), sql_type }
}

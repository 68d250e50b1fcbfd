//! Scalar expressions.

mod arguments;
mod arrays;
mod call;
mod columns;
mod literal;
mod naming;
mod operator;
mod ordered_set;
mod predicate;
mod special;
mod subquery;
mod whole_row;

use proto::{SqlError, SqlResult, SqlState};
use schema::{Oid, SqlType, functions::CastContext};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast;

pub(super) use call::function_name;
pub(super) use naming::output_name;
pub(super) use whole_row::Shape;

use super::{Binder, fold, scope::Scope, types};
use crate::plan::Expr;

impl Binder<'_> {
    /// Binds an expression. Its type may be unknown when it is an untyped literal or parameter.
    pub(super) fn expr(&mut self, tree: &ast::Expr, scope: &Scope<'_>) -> SqlResult<Expr> {
        self.nested(|binder| binder.expr_node(tree, scope))
    }

    /// Binds several expressions.
    pub(super) fn exprs<'t>(
        &mut self,
        trees: impl IntoIterator<Item = &'t ast::Expr>,
        scope: &Scope<'_>,
    ) -> SqlResult<Vec<Expr>> {
        trees.into_iter().map(|tree| self.expr(tree, scope)).collect()
    }

    fn expr_node(&mut self, tree: &ast::Expr, scope: &Scope<'_>) -> SqlResult<Expr> {
        use ast::Expr as E;
        match tree {
            E::Identifier(name) => self.column(name, scope),
            E::CompoundIdentifier(parts) => self.qualified_column(parts, scope),
            E::CompoundFieldAccess { root, access_chain } => self.subscript(root, access_chain, scope),
            E::Value(value) => self.value(value),
            E::TypedString(typed) => self.typed_string(typed),
            E::Interval(interval) => self.interval(interval),
            E::Nested(inner) => self.expr(inner, scope),
            E::Cast { kind, expr, data_type, .. } => self.cast(kind, expr, data_type, scope),
            E::UnaryOp { op, expr } => self.unary(*op, expr, scope),
            E::BinaryOp { left, op, right } => self.binary(left, op, right, scope),
            E::Function(function) => self.function(function, scope),
            E::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), scope)
            }
            E::Exists { subquery, negated } => self.exists(subquery, *negated, scope),
            E::Subquery(query) => self.scalar_subquery(query, scope),
            E::Tuple(items) => Ok(Expr::Row(self.row_items(items, scope)?)),
            E::Array(array) => self.array(&array.elem, scope),
            E::AnyOp { left, compare_op, right, .. } => self.quantified(left, compare_op, right, false, scope),
            E::AllOp { left, compare_op, right } => self.quantified(left, compare_op, right, true, scope),
            E::Collate { expr, collation } => self.collate(expr, collation, scope),
            E::QualifiedWildcard(name, _) => {
                let name = self.object_name(name)?;
                let row = self.whole_row(&name.schema, &name.name, scope);
                row.ok_or_else(|| self.missing_table(&name.name, name.span))
            }
            _ => match self.predicate(tree, scope)? {
                Some(expr) => Ok(expr),
                None => self.special(tree, scope),
            },
        }
    }

    fn row_items(&mut self, items: &[ast::Expr], scope: &Scope<'_>) -> SqlResult<Vec<Expr>> {
        let items = self.expanded(items, scope)?;
        items.into_iter().map(|item| self.known_type(item)).collect()
    }

    /// Binds expressions among which `t.*` stands for all columns of `t`.
    pub(super) fn expanded<'t>(
        &mut self,
        trees: impl IntoIterator<Item = &'t ast::Expr>,
        scope: &Scope<'_>,
    ) -> SqlResult<Vec<Expr>> {
        let mut bound = Vec::new();
        for tree in trees {
            match tree {
                ast::Expr::QualifiedWildcard(name, _) => {
                    let name = self.object_name(name)?;
                    let Some((depth, table, found)) = scope.find_table(&name.schema, &name.name) else {
                        return Err(self.missing_table(&name.name, name.span));
                    };
                    bound.extend(found.table_columns(table, depth).into_iter().map(|(_, column)| column));
                }
                tree => bound.push(self.expr(tree, scope)?),
            }
        }
        Ok(bound)
    }

    /// An expression that must be boolean.
    pub(in crate::bind) fn boolean(&mut self, tree: &ast::Expr, clause: &str, scope: &Scope<'_>) -> SqlResult<Expr> {
        let expr = self.expr(tree, scope)?;
        self.condition(expr, clause)
    }

    fn cast(
        &mut self,
        kind: &ast::CastKind,
        tree: &ast::Expr,
        data_type: &ast::DataType,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        if matches!(kind, ast::CastKind::TryCast | ast::CastKind::SafeCast) {
            return Err(SqlError::unsupported("TRY_CAST"));
        }
        let target = types::sql_type(data_type)?;
        let expr = match (tree, target.oid.element_type()) {
            // An empty ARRAY[] gets its type from the cast around it.
            (ast::Expr::Array(array), Some(_)) if array.elem.is_empty() => {
                return Ok(Expr::Array { elements: Vec::new(), sql_type: target });
            }
            _ => self.expr(tree, scope)?,
        };
        let is_numeric_constant = matches!(&expr, Expr::Constant { sql_type, .. } if sql_type.oid == Oid::NUMERIC);
        if is_numeric_constant && target.oid == Oid::NUMERIC && target.modifier < 0 {
            return Ok(expr);
        }
        self.coerce(expr, target, CastContext::Explicit)
    }

    fn collate(&mut self, tree: &ast::Expr, collation: &ast::ObjectName, scope: &Scope<'_>) -> SqlResult<Expr> {
        let name = collation.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
        let expr = self.expr(tree, scope)?;
        // Text is ordered by its bytes, as these do.
        if matches!(name.as_str(), "C" | "POSIX" | "default" | "ucs_basic") {
            return self.known_type(expr);
        }
        let message = format!("collation \"{name}\" for encoding \"UTF8\" does not exist");
        Err(SqlError::new(SqlState::UndefinedObject, message))
    }

    /// Converts to a type implicitly.
    pub(super) fn implicit(&mut self, expr: Expr, oid: Oid) -> SqlResult<Expr> {
        self.coerce(expr, SqlType::new(oid), CastContext::Implicit)
    }
}

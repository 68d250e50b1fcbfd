//! IS, BETWEEN, IN, LIKE and CASE.

use proto::{SqlError, SqlResult};
use schema::{Datum, Oid, SqlType, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, Spanned};

use super::{
    super::{Binder, scope::Scope},
    operator::{combine, row_of},
};
use crate::plan::Expr;

impl Binder<'_> {
    /// The expression if it is one of the predicates with a syntax of their own.
    pub(super) fn predicate(&mut self, tree: &ast::Expr, scope: &Scope<'_>) -> SqlResult<Option<Expr>> {
        use ast::Expr as E;
        let truth = |expected, negated| (expected, negated);
        let (input, (expected, negated)) = match tree {
            E::IsNull(input) => return self.null_test(input, false, scope).map(Some),
            E::IsNotNull(input) => return self.null_test(input, true, scope).map(Some),
            E::IsTrue(input) => (input, truth(Some(true), false)),
            E::IsNotTrue(input) => (input, truth(Some(true), true)),
            E::IsFalse(input) => (input, truth(Some(false), false)),
            E::IsNotFalse(input) => (input, truth(Some(false), true)),
            E::IsUnknown(input) => (input, truth(None, false)),
            E::IsNotUnknown(input) => (input, truth(None, true)),
            E::IsDistinctFrom(left, right) => return self.distinct_from(left, right, false, scope).map(Some),
            E::IsNotDistinctFrom(left, right) => return self.distinct_from(left, right, true, scope).map(Some),
            E::Between { expr, negated, low, high } => {
                return self.between(expr, *negated, low, high, scope).map(Some);
            }
            E::InList { expr, list, negated } => return self.in_list(expr, list, *negated, scope).map(Some),
            E::InSubquery { expr, subquery, negated } => {
                return self.in_subquery(expr, subquery, *negated, scope).map(Some);
            }
            E::Like { negated, expr, pattern, escape_char: None, any: true } => {
                let operator =
                    if *negated { ast::BinaryOperator::PGNotLikeMatch } else { ast::BinaryOperator::PGLikeMatch };
                return self.quantified(expr, &operator, pattern, false, scope).map(Some);
            }
            E::ILike { negated, expr, pattern, escape_char: None, any: true } => {
                let operator =
                    if *negated { ast::BinaryOperator::PGNotILikeMatch } else { ast::BinaryOperator::PGILikeMatch };
                return self.quantified(expr, &operator, pattern, false, scope).map(Some);
            }
            E::Like { negated, expr, pattern, escape_char, any: false } => {
                let operator = if *negated { "!~~" } else { "~~" };
                return self.like(operator, expr, pattern, escape_char.as_ref(), scope).map(Some);
            }
            E::ILike { negated, expr, pattern, escape_char, any: false } => {
                let operator = if *negated { "!~~*" } else { "~~*" };
                return self.like(operator, expr, pattern, escape_char.as_ref(), scope).map(Some);
            }
            E::SimilarTo { negated, expr, pattern, escape_char } => {
                return self.similar(*negated, expr, pattern, escape_char.as_ref(), scope).map(Some);
            }
            _ => return Ok(None),
        };
        let input = Box::new(self.boolean(input, "IS", scope)?);
        Ok(Some(Expr::IsBool { input, expected, negated }))
    }

    fn null_test(&mut self, tree: &ast::Expr, negated: bool, scope: &Scope<'_>) -> SqlResult<Expr> {
        if let Some(items) = row_of(tree) {
            // A row is null when all of it is, and not null when none of it is.
            let items = self.exprs(items, scope)?;
            let tests = items.into_iter().map(|item| Expr::IsNull { input: Box::new(item), negated }).collect();
            return Ok(combine(tests, true));
        }
        let input = self.expr(tree, scope)?;
        if input.sql_type().oid == Oid::RECORD {
            return self.record_null_test(input, negated);
        }
        let input = Box::new(self.known_type(input)?);
        Ok(Expr::IsNull { input, negated })
    }

    fn distinct_from(
        &mut self,
        left: &ast::Expr,
        right: &ast::Expr,
        negated: bool,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let left = self.expr(left, scope)?;
        let right = self.expr(right, scope)?;
        let found = functions::resolve_operator("=", Some(left.sql_type()), right.sql_type())?;
        let left = Box::new(self.argument(left, found.args[0])?);
        let right = Box::new(self.argument(right, found.args[1])?);
        Ok(Expr::IsDistinct { left, right, equal: found.function, negated })
    }

    fn between(
        &mut self,
        tree: &ast::Expr,
        negated: bool,
        low: &ast::Expr,
        high: &ast::Expr,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let input = self.expr(tree, scope)?;
        let low = self.expr(low, scope)?;
        let high = self.expr(high, scope)?;
        let above = self.operator(">=", input.clone(), low).map_err(|error| self.at(tree.span(), error))?;
        let below = self.operator("<=", input, high).map_err(|error| self.at(tree.span(), error))?;
        let inside = Expr::And(vec![above, below]);
        Ok(if negated { Expr::Not(Box::new(inside)) } else { inside })
    }

    fn in_list(&mut self, tree: &ast::Expr, list: &[ast::Expr], negated: bool, scope: &Scope<'_>) -> SqlResult<Expr> {
        if let Some(items) = row_of(tree) {
            return self.row_in_list(&items, list, negated, scope);
        }
        let input = self.expr(tree, scope)?;
        let items = self.exprs(list, scope)?;
        let mut all = vec![input];
        all.extend(items);
        let (mut all, common) = self.unify(all, "IN").map_err(|error| self.at(tree.span(), error))?;
        let common = SqlType::new(common.oid);
        let found = functions::resolve_operator("=", Some(common), common)?;
        for expr in &mut all {
            *expr = self.argument(std::mem::replace(expr, Expr::Default), found.args[0])?;
        }
        let input = Box::new(all.remove(0));
        Ok(Expr::InList { input, list: all, equal: found.function, negated })
    }

    fn row_in_list(
        &mut self,
        items: &[&ast::Expr],
        list: &[ast::Expr],
        negated: bool,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let left = self.exprs(items.iter().copied(), scope)?;
        let mut parts = Vec::with_capacity(list.len());
        for candidate in list {
            let right = row_of(candidate).filter(|right| right.len() == left.len()).ok_or_else(|| {
                SqlError::new(proto::SqlState::SyntaxError, "unequal number of entries in row expressions")
            })?;
            let right = self.exprs(right, scope)?;
            parts.push(self.compare_rows(left.clone(), "=", right)?);
        }
        let any = combine(parts, false);
        Ok(if negated { Expr::Not(Box::new(any)) } else { any })
    }

    fn like(
        &mut self,
        operator: &str,
        tree: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::ValueWithSpan>,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let input = self.expr(tree, scope)?;
        let mut pattern = self.expr(pattern, scope)?;
        if let Some(escape) = escape {
            let escape = self.value(escape)?;
            pattern = self.call("like_escape", vec![pattern, escape])?;
        }
        self.operator(operator, input, pattern).map_err(|error| self.at(tree.span(), error))
    }

    fn similar(
        &mut self,
        negated: bool,
        tree: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::ValueWithSpan>,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let input = self.expr(tree, scope)?;
        let mut args = vec![self.expr(pattern, scope)?];
        args.extend(escape.map(|escape| self.value(escape)).transpose()?);
        let pattern = self.call("similar_to_escape", args)?;
        self.operator(if negated { "!~" } else { "~" }, input, pattern).map_err(|error| self.at(tree.span(), error))
    }

    pub(super) fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        branches: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let operand = operand.map(|operand| self.expr(operand, scope)).transpose()?;
        let operand = operand.map(|operand| self.known_type(operand)).transpose()?;
        let mut conditions = Vec::with_capacity(branches.len());
        let mut results = Vec::with_capacity(branches.len() + 1);
        for branch in branches {
            let condition = match &operand {
                Some(operand) => {
                    let value = self.expr(&branch.condition, scope)?;
                    self.operator("=", operand.clone(), value)?
                }
                None => self.boolean(&branch.condition, "CASE/WHEN", scope)?,
            };
            conditions.push(condition);
            results.push(self.expr(&branch.result, scope)?);
        }
        results.push(match otherwise {
            Some(otherwise) => self.expr(otherwise, scope)?,
            None => Expr::Constant { value: Datum::Null, sql_type: SqlType::new(Oid::UNKNOWN) },
        });
        // PostgreSQL looks at ELSE first.
        results.rotate_right(1);
        let (mut results, sql_type) = self.unify(results, "CASE")?;
        let otherwise = Box::new(results.remove(0));
        Ok(Expr::Case { branches: conditions.into_iter().zip(results).collect(), otherwise, sql_type })
    }
}

//! Operators.

use proto::{SqlError, SqlResult};
use schema::{Datum, Oid, SqlType, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, BinaryOperator, Spanned, UnaryOperator};

use super::super::{Binder, fold, scope::Scope};
use crate::plan::Expr;

impl Binder<'_> {
    pub(super) fn binary(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        match op {
            BinaryOperator::And | BinaryOperator::Or => self.connective(left, op, right, scope),
            BinaryOperator::Overlaps => self.overlaps(left, right, scope),
            _ => {
                let symbol = symbol(op);
                if let Some(expr) = self.row_comparison(left, &symbol, right, scope)? {
                    return Ok(expr);
                }
                let left_expr = self.expr(left, scope)?;
                let right_expr = self.expr(right, scope)?;
                self.operator(&symbol, left_expr, right_expr).map_err(|error| self.at(left.span(), error))
            }
        }
    }

    /// AND and OR, whose chains become one node.
    fn connective(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let clause = if *op == BinaryOperator::And { "AND" } else { "OR" };
        // A chain leans to the left; walking down it in a loop spares the stack.
        let mut trees = vec![right];
        let mut rest = left;
        while let ast::Expr::BinaryOp { left, op: inner, right } = without_brackets(rest)
            && inner == op
        {
            trees.push(right);
            rest = left;
        }
        trees.push(rest);
        let mut conditions = Vec::with_capacity(trees.len());
        for tree in trees.into_iter().rev() {
            match (self.boolean(tree, clause, scope)?, op) {
                (Expr::And(inner), BinaryOperator::And) | (Expr::Or(inner), BinaryOperator::Or)
                    if !self.keeps_conversions =>
                {
                    conditions.extend(inner);
                }
                (condition, _) => conditions.push(condition),
            }
        }
        Ok(if *op == BinaryOperator::And { Expr::And(conditions) } else { Expr::Or(conditions) })
    }

    /// Applies a binary operator, converting both sides as PostgreSQL's resolution says.
    pub(in crate::bind) fn operator(&mut self, symbol: &str, left: Expr, right: Expr) -> SqlResult<Expr> {
        let is_array = |expr: &Expr| expr.sql_type().oid.element_type().is_some();
        let (left, right) = match symbol {
            "||" if !is_array(&left) && !is_array(&right) => (self.shown(left)?, self.shown(right)?),
            _ => (left, right),
        };
        let found = functions::resolve_operator(symbol, Some(left.sql_type()), right.sql_type())?;
        let left = self.argument(left, found.args[0])?;
        let right = self.argument(right, found.args[1])?;
        Ok(Expr::Call { function: found.function, args: vec![left, right], sql_type: found.result })
    }

    /// Converts an argument to the type a resolved function takes.
    pub(super) fn argument(&mut self, expr: Expr, target: SqlType) -> SqlResult<Expr> {
        if expr.sql_type().oid == target.oid {
            return Ok(expr);
        }
        self.coerce(expr, SqlType::new(target.oid), functions::CastContext::Implicit)
    }

    pub(super) fn unary(&mut self, op: UnaryOperator, tree: &ast::Expr, scope: &Scope<'_>) -> SqlResult<Expr> {
        if op == UnaryOperator::Not {
            let condition = self.boolean(tree, "NOT", scope)?;
            return Ok(Expr::Not(Box::new(condition)));
        }
        let operand = self.expr(tree, scope)?;
        if op == UnaryOperator::Minus
            && let Some(negated) = negated(&operand)
        {
            return Ok(negated);
        }
        let found = functions::resolve_operator(&op.to_string(), None, operand.sql_type())
            .map_err(|error| self.at(tree.span(), error))?;
        let operand = self.argument(operand, found.args[0])?;
        Ok(Expr::Call { function: found.function, args: vec![operand], sql_type: found.result })
    }

    /// Comparison of rows, column by column.
    fn row_comparison(
        &mut self,
        left: &ast::Expr,
        symbol: &str,
        right: &ast::Expr,
        scope: &Scope<'_>,
    ) -> SqlResult<Option<Expr>> {
        if !matches!(symbol, "=" | "<>" | "<" | "<=" | ">" | ">=") {
            return Ok(None);
        }
        let (Some(left_items), Some(right_items)) = (row_of(left), row_of(right)) else {
            if let (Some(items), ast::Expr::Subquery(query)) = (row_of(left), right) {
                return self.row_subquery(&items, symbol, query, scope).map(Some);
            }
            return Ok(None);
        };
        if left_items.len() != right_items.len() {
            return Err(SqlError::new(proto::SqlState::SyntaxError, "unequal number of entries in row expressions"));
        }
        let left = self.exprs(left_items, scope)?;
        let right = self.exprs(right_items, scope)?;
        self.compare_rows(left, symbol, right).map(Some)
    }

    /// `(a, b) op (c, d)` spelled out.
    pub(super) fn compare_rows(&mut self, left: Vec<Expr>, symbol: &str, right: Vec<Expr>) -> SqlResult<Expr> {
        let pairs = left.into_iter().zip(right);
        match symbol {
            "=" | "<>" => {
                let parts = pairs.map(|(l, r)| self.operator(symbol, l, r)).collect::<SqlResult<Vec<_>>>()?;
                Ok(combine(parts, symbol == "="))
            }
            _ => {
                // The last column decides with the operator itself, the ones before strictly.
                let strict = &symbol[..1];
                let mut pairs: Vec<_> = pairs.collect();
                let Some((l, r)) = pairs.pop() else {
                    return Err(SqlError::new(
                        proto::SqlState::FeatureNotSupported,
                        "cannot compare rows of zero length",
                    ));
                };
                let mut result = self.operator(symbol, l, r)?;
                for (l, r) in pairs.into_iter().rev() {
                    let before = self.operator(strict, l.clone(), r.clone())?;
                    let equal = self.operator("=", l, r)?;
                    result = Expr::Or(vec![before, Expr::And(vec![equal, result])]);
                }
                Ok(result)
            }
        }
    }

    fn overlaps(&mut self, left: &ast::Expr, right: &ast::Expr, scope: &Scope<'_>) -> SqlResult<Expr> {
        let (Some(left), Some(right)) = (row_of(left), row_of(right)) else {
            return Err(SqlError::new(proto::SqlState::SyntaxError, "OVERLAPS needs two rows of two values"));
        };
        let args = self.exprs(left.into_iter().chain(right), scope)?;
        self.call("overlaps", args)
    }
}

/// One condition, or several joined by AND (`conjunction`) or OR.
pub(super) fn combine(mut parts: Vec<Expr>, conjunction: bool) -> Expr {
    match (parts.len(), conjunction) {
        (1, _) => parts.remove(0),
        (_, true) => Expr::And(parts),
        (_, false) => Expr::Or(parts),
    }
}

fn without_brackets(tree: &ast::Expr) -> &ast::Expr {
    match tree {
        ast::Expr::Nested(inner) => without_brackets(inner),
        other => other,
    }
}

/// Items of a row constructor.
pub(super) fn row_of(tree: &ast::Expr) -> Option<Vec<&ast::Expr>> {
    match tree {
        ast::Expr::Tuple(items) => Some(items.iter().collect()),
        ast::Expr::Nested(inner) => row_of(inner),
        ast::Expr::Function(function) if is_row(function) => match &function.args {
            ast::FunctionArguments::List(list) => list
                .args
                .iter()
                .map(|arg| match arg {
                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr),
                    _ => None,
                })
                .collect(),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn is_row(function: &ast::Function) -> bool {
    match function.name.0.as_slice() {
        [name] => name.as_ident().is_some_and(|name| name.quote_style.is_none() && fold(name) == "row"),
        _ => false,
    }
}

/// The operator's symbol.
pub(super) fn symbol(op: &BinaryOperator) -> String {
    match op {
        // `OPERATOR(pg_catalog.~)`
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last().cloned().unwrap_or_default(),
        BinaryOperator::NotEq => "<>".to_owned(),
        other => other.to_string(),
    }
}

/// A number constant with its sign changed; `None` for all else and where that would overflow.
fn negated(expr: &Expr) -> Option<Expr> {
    let Expr::Constant { value, sql_type } = expr else { return None };
    let value = match value {
        Datum::Int4(value) => Datum::Int4(value.checked_neg()?),
        Datum::Int8(value) => Datum::Int8(value.checked_neg()?),
        Datum::Numeric(value) if sql_type.oid == Oid::NUMERIC => Datum::Numeric(value.neg()),
        _ => return None,
    };
    Some(Expr::Constant { value, sql_type: *sql_type })
}

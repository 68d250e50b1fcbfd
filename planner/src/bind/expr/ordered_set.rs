//! Aggregates called WITHIN GROUP (ORDER BY …).
//!
//! percentile_cont, percentile_disc and mode take their direct arguments and then the sorted values. The hypothetical
//! ones (rank and its like) ask where a row would stand: they are spelled out as counts of the rows before it.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Datum, Oid, SqlType, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast;

use super::{
    super::{Binder, scope::Scope, visit},
    call::refuse_outer_level,
};
use crate::plan::{AggregateCall, Expr, SortKey};

/// Whether a name stands for an aggregate that needs WITHIN GROUP.
pub(super) fn is_ordered_set(name: &str) -> bool {
    matches!(name, "percentile_cont" | "percentile_disc" | "mode")
}

/// Whether WITHIN GROUP gives the name its second meaning.
fn is_hypothetical(name: &str) -> bool {
    matches!(name, "rank" | "dense_rank" | "percent_rank" | "cume_dist")
}

impl Binder<'_> {
    /// `name(direct …) WITHIN GROUP (ORDER BY …) FILTER (…)`
    pub(super) fn ordered_set(
        &mut self,
        name: &str,
        direct: &[&ast::Expr],
        sorted: &[ast::OrderByExpr],
        filter: Option<&ast::Expr>,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let (direct, keys, filter) = self.in_aggregate(scope, |binder| {
            let direct = binder.exprs(direct.iter().copied(), scope)?;
            let mut keys = Vec::with_capacity(sorted.len());
            for item in sorted {
                let expr = binder.expr(&item.expr, scope)?;
                keys.push((expr, item.options));
            }
            let filter = filter.map(|filter| binder.boolean(filter, "FILTER", scope)).transpose()?;
            Ok((direct, keys, filter))
        })?;
        let reads = |expr: &&Expr| visit::any(expr, &|node, depth| depth == 0 && matches!(node, Expr::Column { .. }));
        scope.calls.borrow_mut().direct.extend(direct.iter().filter(reads).cloned());
        refuse_outer_level(keys.iter().map(|(key, _)| key).chain(&filter))?;
        if is_hypothetical(name) {
            return self.hypothetical(name, direct, keys, filter, scope);
        }
        let types = |exprs: &[Expr]| -> Vec<SqlType> { exprs.iter().map(Expr::sql_type).collect() };
        let sorted: Vec<Expr> = keys.iter().map(|(key, _)| key.clone()).collect();
        if !is_ordered_set(name) {
            return Err(not_ordered_set(name, &[types(&direct), types(&sorted)].concat()));
        }
        let found = functions::resolve_ordered_set(name, &types(&direct), &types(&sorted))?;
        let args = direct.into_iter().chain(sorted).zip(&found.args);
        let args = args
            .map(|(arg, target)| {
                let arg = self.argument(arg, *target)?;
                self.known_type(arg)
            })
            .collect::<SqlResult<Vec<_>>>()?;
        let first = args.len() - keys.len();
        let order_by = args[first..]
            .iter()
            .zip(&keys)
            .map(|(arg, (_, options))| self.sort_key(arg.clone(), options))
            .collect::<SqlResult<Vec<_>>>()?;
        let sql_type = found.result;
        let call = AggregateCall { function: found.function, args, distinct: false, filter, order_by, sql_type };
        Ok(self.collect_aggregate(call, scope))
    }

    fn hypothetical(
        &mut self,
        name: &str,
        direct: Vec<Expr>,
        keys: Vec<(Expr, ast::OrderByOptions)>,
        filter: Option<Expr>,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        if direct.len() != keys.len() {
            let message = format!("function {name} with these arguments does not exist");
            let hint = format!(
                "To use the hypothetical-set aggregate {name}, the number of hypothetical direct arguments (here {}) \
                 must match the number of ordering columns (here {}).",
                direct.len(),
                keys.len()
            );
            return Err(SqlError::new(SqlState::UndefinedFunction, message).with_hint(hint));
        }
        let mut pairs = Vec::with_capacity(keys.len());
        for (value, (key, options)) in direct.into_iter().zip(keys) {
            let (mut both, _) = self.unify(vec![value, key], "WITHIN GROUP")?;
            let (key, value) = (both.pop().unwrap_or(Expr::Default), both.pop().unwrap_or(Expr::Default));
            pairs.push((value, self.sort_key(key, &options)?));
        }
        let row = Expr::Row(pairs.iter().map(|(_, key)| key.expr.clone()).collect());
        let before = self.before(&pairs, name == "cume_dist")?;
        let counted = with_condition(before, filter.clone());
        let one = integer(1);
        if name == "dense_rank" {
            let count = self.count(Some(row), Some(counted), scope)?;
            return self.operator("+", count, one);
        }
        let count = self.count(None, Some(counted), scope)?;
        let float =
            |binder: &mut Self, expr| binder.coerce(expr, SqlType::new(Oid::FLOAT8), functions::CastContext::Explicit);
        match name {
            "rank" => self.operator("+", count, one),
            "percent_rank" => {
                // A group without rows has nothing that the row could be behind.
                let all = self.count(None, filter, scope)?;
                let (count, all) = (float(self, count)?, float(self, all)?);
                let zero = Expr::Constant { value: Datum::Float8(0.0), sql_type: SqlType::new(Oid::FLOAT8) };
                let none = self.operator("=", all.clone(), zero.clone())?;
                let share = self.operator("/", count, all)?;
                let sql_type = SqlType::new(Oid::FLOAT8);
                Ok(Expr::Case { branches: vec![(none, zero)], otherwise: Box::new(share), sql_type })
            }
            _ => {
                let all = self.count(None, filter, scope)?;
                let (count, all) = (self.operator("+", count, one.clone())?, self.operator("+", all, one)?);
                let (count, all) = (float(self, count)?, float(self, all)?);
                self.operator("/", count, all)
            }
        }
    }

    /// `count(*)` or `count(DISTINCT row)` of the rows that pass a condition.
    fn count(&mut self, row: Option<Expr>, filter: Option<Expr>, scope: &Scope<'_>) -> SqlResult<Expr> {
        let args: Vec<Expr> = row.into_iter().collect();
        let found = functions::resolve_aggregate("count", &args.iter().map(Expr::sql_type).collect::<Vec<_>>())?;
        let call = AggregateCall {
            function: found.function,
            distinct: !args.is_empty(),
            args,
            filter,
            order_by: Vec::new(),
            sql_type: found.result,
        };
        Ok(self.collect_aggregate(call, scope))
    }

    /// Whether a row sorts before the hypothetical one, or with `peers` together with it.
    fn before(&mut self, pairs: &[(Expr, SortKey)], peers: bool) -> SqlResult<Expr> {
        let mut alternatives = Vec::with_capacity(pairs.len() + 1);
        let mut equal: Vec<Expr> = Vec::new();
        for (value, key) in pairs {
            let symbol = if key.descending { ">" } else { "<" };
            let ordered = self.operator(symbol, key.expr.clone(), value.clone())?;
            let is_null = |expr: &Expr, negated| Expr::IsNull { input: Box::new(expr.clone()), negated };
            let one_null = vec![is_null(&key.expr, !key.nulls_first), is_null(value, key.nulls_first)];
            let mut conditions = equal.clone();
            conditions.push(Expr::Or(vec![Expr::And(one_null), ordered]));
            alternatives.push(Expr::And(conditions));
            let same = functions::resolve_operator("=", Some(key.expr.sql_type()), value.sql_type())?;
            equal.push(Expr::IsDistinct {
                left: Box::new(key.expr.clone()),
                right: Box::new(value.clone()),
                equal: same.function,
                negated: true,
            });
        }
        if peers {
            alternatives.push(Expr::And(equal));
        }
        Ok(Expr::Or(alternatives))
    }
}

/// Why a function cannot have WITHIN GROUP: there is none with these arguments, or it is of another kind.
fn not_ordered_set(name: &str, args: &[SqlType]) -> SqlError {
    let message = match functions::is_aggregate(name) {
        true => match functions::resolve_aggregate(name, args) {
            Ok(_) => format!("{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP"),
            Err(error) => return error,
        },
        false => match functions::resolve_function(name, args) {
            Ok(_) => format!("WITHIN GROUP specified, but {name} is not an aggregate function"),
            Err(error) => return error,
        },
    };
    SqlError::new(SqlState::WrongObjectType, message)
}

fn with_condition(condition: Expr, filter: Option<Expr>) -> Expr {
    match filter {
        Some(filter) => Expr::And(vec![condition, filter]),
        None => condition,
    }
}

fn integer(value: i64) -> Expr {
    Expr::Constant { value: Datum::Int8(value), sql_type: SqlType::new(Oid::INT8) }
}

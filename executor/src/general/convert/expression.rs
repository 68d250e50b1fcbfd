//! Expressions: parameters become constants, subqueries columns of an `Apply` below.

use planner::plan::{self, Expr, SubqueryKind};
use proto::{SqlError, SqlResult};
use schema::Datum;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::Converter;
use crate::general::{
    expr::{any, children_mut, conjunction},
    ir::{Call, CallKind, Rel},
};

/// Subqueries met in the expressions of one node.
pub(super) struct Calls {
    /// Columns of the input, behind which the calls' columns come.
    base: usize,
    pub(super) calls: Vec<Call>,
    /// What must hold for the present place to be evaluated.
    guards: Vec<Expr>,
}

impl Calls {
    pub(super) fn over(input: &Rel) -> Self {
        Self::behind(input.arity())
    }

    pub(super) fn behind(base: usize) -> Self {
        Self { base, calls: Vec::new(), guards: Vec::new() }
    }

    fn push(&mut self, call: Call) -> Expr {
        let (index, sql_type) = (self.base + self.calls.len(), call.sql_type);
        self.calls.push(call);
        Expr::Column { index, sql_type }
    }

    fn guarded<T>(&mut self, guards: Vec<Expr>, inner: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.guards.len();
        self.guards.extend(guards);
        let result = inner(self);
        self.guards.truncate(before);
        result
    }
}

/// Whether there is a subquery in an expression.
pub(super) fn has_subquery(expr: &Expr) -> bool {
    any(expr, &mut |node| matches!(node, Expr::Subquery { .. }))
}

impl Converter<'_> {
    /// Converts expressions over one input. The calls they need go below.
    pub(super) fn exprs<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        calls: &mut Calls,
    ) -> SqlResult<Vec<Expr>> {
        exprs.into_iter().map(|expr| self.expr(expr, calls)).collect()
    }

    /// Converts an expression that must not hold a subquery.
    pub(super) fn plain(&mut self, expr: &Expr, place: &str) -> SqlResult<Expr> {
        let mut calls = Calls::behind(0);
        let converted = self.expr(expr, &mut calls)?;
        if calls.calls.is_empty() {
            Ok(converted)
        } else {
            Err(SqlError::unsupported(format!("a subquery in {place}")))
        }
    }

    pub(super) fn expr(&mut self, expr: &Expr, calls: &mut Calls) -> SqlResult<Expr> {
        if has_subquery(expr) {
            return self.with_subqueries(expr, calls);
        }
        let mut converted = expr.clone();
        self.bind(&mut converted)?;
        Ok(converted)
    }

    /// Parameters become constants.
    fn bind(&self, expr: &mut Expr) -> SqlResult<()> {
        match expr {
            Expr::Parameter { index, sql_type } => {
                let value = self.params.get(*index).cloned();
                let value = value.ok_or_else(|| SqlError::internal("a parameter has no value"))?;
                *expr = Expr::Constant { value, sql_type: *sql_type };
            }
            Expr::Default => return Err(SqlError::internal("DEFAULT inside a query")),
            other => {
                for child in children_mut(other) {
                    self.bind(child)?;
                }
            }
        }
        Ok(())
    }

    fn with_subqueries(&mut self, expr: &Expr, calls: &mut Calls) -> SqlResult<Expr> {
        match expr {
            Expr::Subquery { kind, query, sql_type } => self.subquery(kind, query, *sql_type, calls),
            Expr::And(args) => Ok(Expr::And(self.in_turn(args, calls, |arg| is_bool(arg, false, true))?)),
            Expr::Or(args) => Ok(Expr::Or(self.in_turn(args, calls, |arg| is_bool(arg, true, true))?)),
            Expr::Coalesce { args, sql_type } => {
                let is_null = |arg| Expr::IsNull { input: Box::new(arg), negated: false };
                Ok(Expr::Coalesce { args: self.in_turn(args, calls, is_null)?, sql_type: *sql_type })
            }
            Expr::Case { branches, otherwise, sql_type } => {
                let (branches, otherwise) = self.case(branches, otherwise, calls)?;
                Ok(Expr::Case { branches, otherwise: Box::new(otherwise), sql_type: *sql_type })
            }
            other => {
                let mut converted = other.clone();
                for child in children_mut(&mut converted) {
                    *child = self.expr(child, calls)?;
                }
                Ok(converted)
            }
        }
    }

    /// Operands of which each is evaluated only if the earlier ones left the result open.
    fn in_turn(&mut self, args: &[Expr], calls: &mut Calls, open: impl Fn(Expr) -> Expr) -> SqlResult<Vec<Expr>> {
        let mut converted: Vec<Expr> = Vec::with_capacity(args.len());
        for arg in args {
            let guards = if has_subquery(arg) { converted.iter().cloned().map(&open).collect() } else { Vec::new() };
            converted.push(calls.guarded(guards, |calls| self.expr(arg, calls))?);
        }
        Ok(converted)
    }

    fn case(
        &mut self,
        branches: &[(Expr, Expr)],
        otherwise: &Expr,
        calls: &mut Calls,
    ) -> SqlResult<(Vec<(Expr, Expr)>, Expr)> {
        let mut passed: Vec<Expr> = Vec::new();
        let mut converted = Vec::with_capacity(branches.len());
        for (when, then) in branches {
            let when = calls.guarded(passed.clone(), |calls| self.expr(when, calls))?;
            let mut guards = passed.clone();
            guards.push(is_bool(when.clone(), true, false));
            let then = calls.guarded(guards, |calls| self.expr(then, calls))?;
            passed.push(is_bool(when.clone(), true, true));
            converted.push((when, then));
        }
        let otherwise = calls.guarded(passed, |calls| self.expr(otherwise, calls))?;
        Ok((converted, otherwise))
    }

    fn subquery(
        &mut self,
        kind: &SubqueryKind,
        query: &plan::Query,
        sql_type: schema::SqlType,
        calls: &mut Calls,
    ) -> SqlResult<Expr> {
        let kind = match kind {
            SubqueryKind::Scalar => CallKind::Scalar,
            SubqueryKind::Array => CallKind::Array,
            SubqueryKind::Exists => CallKind::Exists,
            SubqueryKind::Any { inputs, operators } => {
                CallKind::Compare { inputs: self.exprs(inputs, calls)?, operators: operators.clone(), all: false }
            }
            SubqueryKind::All { inputs, operators } => {
                CallKind::Compare { inputs: self.exprs(inputs, calls)?, operators: operators.clone(), all: true }
            }
        };
        let rel = self.query(query)?.visible_only();
        let guard = (!calls.guards.is_empty()).then(|| conjunction(calls.guards.clone()));
        Ok(calls.push(Call { kind, rel, sql_type, guard }))
    }
}

/// `input IS [NOT] TRUE / FALSE`.
fn is_bool(input: Expr, expected: bool, negated: bool) -> Expr {
    if let Expr::Constant { value: Datum::Bool(value), sql_type } = &input {
        return Expr::Constant { value: Datum::Bool((*value == expected) != negated), sql_type: *sql_type };
    }
    Expr::IsBool { input: Box::new(input), expected: Some(expected), negated }
}

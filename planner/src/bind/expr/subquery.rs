//! Subqueries as values and conditions.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Oid, SqlType, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast;

use super::{
    super::{Binder, scope::Scope, types},
    operator::row_of,
};
use crate::plan::{Expr, Query, Relation, SubqueryKind};

impl Binder<'_> {
    pub(super) fn exists(&mut self, query: &ast::Query, negated: bool, scope: &Scope<'_>) -> SqlResult<Expr> {
        let shown = self.shown_query(query, scope)?;
        let query = Box::new(Query { shown, ..self.query(query, Some(scope))? });
        let exists = Expr::Subquery { kind: SubqueryKind::Exists, query, sql_type: SqlType::new(Oid::BOOL) };
        Ok(if negated { Expr::Not(Box::new(exists)) } else { exists })
    }

    pub(super) fn scalar_subquery(&mut self, query: &ast::Query, scope: &Scope<'_>) -> SqlResult<Expr> {
        let shown = self.shown_query(query, scope)?;
        let query = Query { shown, ..self.one_column(query, scope)? };
        let sql_type = query.fields[0].sql_type;
        Ok(Expr::Subquery { kind: SubqueryKind::Scalar, query: Box::new(query), sql_type })
    }

    /// `ARRAY(SELECT …)`
    pub(super) fn array_subquery(&mut self, query: &ast::Query, scope: &Scope<'_>) -> SqlResult<Expr> {
        let shown = self.shown_query(query, scope)?;
        let query = Query { shown, ..self.one_column(query, scope)? };
        let sql_type = types::array_of(query.fields[0].sql_type)?;
        Ok(Expr::Subquery { kind: SubqueryKind::Array, query: Box::new(query), sql_type })
    }

    fn one_column(&mut self, query: &ast::Query, scope: &Scope<'_>) -> SqlResult<Query> {
        let query = self.query(query, Some(scope))?;
        if query.fields.len() == 1 {
            return Ok(query);
        }
        Err(SqlError::new(SqlState::SyntaxError, "subquery must return only one column"))
    }

    pub(super) fn in_subquery(
        &mut self,
        tree: &ast::Expr,
        query: &ast::Query,
        negated: bool,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        // NOT IN is `<> ALL`.
        self.quantified_subquery(tree, if negated { "<>" } else { "=" }, query, negated, scope)
    }

    pub(super) fn quantified_subquery(
        &mut self,
        left: &ast::Expr,
        symbol: &str,
        query: &ast::Query,
        all: bool,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let items = row_of(left).unwrap_or_else(|| vec![left]);
        if items.len() > 1 && !matches!(symbol, "=" | "<>") {
            return Err(SqlError::unsupported("ordering comparison of a row with a subquery"));
        }
        let inputs = self.exprs(items, scope)?;
        let shown = self.shown_query(query, scope)?;
        let mut query = Query { shown, ..self.query(query, Some(scope))? };
        if inputs.len() != query.fields.len() {
            let which = if inputs.len() < query.fields.len() { "many" } else { "few" };
            return Err(SqlError::new(SqlState::SyntaxError, format!("subquery has too {which} columns")));
        }
        let mut operators = Vec::with_capacity(inputs.len());
        let mut targets = Vec::with_capacity(inputs.len());
        let mut converted = Vec::with_capacity(inputs.len());
        for (input, field) in inputs.into_iter().zip(&query.fields) {
            let found = functions::resolve_operator(symbol, Some(input.sql_type()), field.sql_type)?;
            converted.push(self.argument(input, found.args[0])?);
            targets.push(found.args[1]);
            operators.push(found.function);
        }
        self.convert_query(&mut query, &targets, functions::CastContext::Implicit)?;
        let kind = match all {
            true => SubqueryKind::All { inputs: converted, operators },
            false => SubqueryKind::Any { inputs: converted, operators },
        };
        Ok(Expr::Subquery { kind, query: Box::new(query), sql_type: SqlType::new(Oid::BOOL) })
    }

    /// `(a, b) = (SELECT …)`
    pub(super) fn row_subquery(
        &mut self,
        items: &[&ast::Expr],
        symbol: &str,
        query: &ast::Query,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let left = self.exprs(items.iter().copied(), scope)?;
        let right = self.subquery_columns(query, scope)?;
        if left.len() != right.len() {
            let which = if left.len() < right.len() { "many" } else { "few" };
            return Err(SqlError::new(SqlState::SyntaxError, format!("subquery has too {which} columns")));
        }
        self.compare_rows(left, symbol, right)
    }

    /// The columns of a subquery with at most one row, each as a value.
    pub(in crate::bind) fn subquery_columns(&mut self, query: &ast::Query, scope: &Scope<'_>) -> SqlResult<Vec<Expr>> {
        let query = self.query(query, Some(scope))?;
        let column = |index: usize| {
            let field = query.fields[index].clone();
            let sql_type = field.sql_type;
            let mut one = query.clone();
            one.fields = vec![field];
            one.body = Relation::Project {
                input: Box::new(one.body),
                exprs: vec![Expr::Column { index, sql_type }],
                fields: one.fields.clone(),
            };
            Expr::Subquery { kind: SubqueryKind::Scalar, query: Box::new(one), sql_type }
        };
        Ok((0..query.fields.len()).map(column).collect())
    }
}

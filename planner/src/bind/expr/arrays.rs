//! Arrays: constructors, subscripts, ANY and ALL.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Oid, SqlType, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, AccessExpr, BinaryOperator, Subscript};

use super::{
    super::{Binder, fold, scope::Scope, types},
    operator::symbol,
};
use crate::plan::Expr;

impl Binder<'_> {
    pub(super) fn array(&mut self, elements: &[ast::Expr], scope: &Scope<'_>) -> SqlResult<Expr> {
        if elements.is_empty() {
            return Err(SqlError::new(SqlState::IndeterminateDatatype, "cannot determine type of empty array")
                .with_hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."));
        }
        let elements = self.exprs(elements, scope)?;
        let (elements, common) = self.unify(elements, "ARRAY")?;
        let sql_type = types::array_of(SqlType::new(common.oid))?;
        Ok(Expr::Array { elements, sql_type })
    }

    pub(super) fn subscript(&mut self, root: &ast::Expr, chain: &[AccessExpr], scope: &Scope<'_>) -> SqlResult<Expr> {
        // `t.a[1]` comes as the root `t` followed by a field.
        let fields = chain.iter().take_while(|access| matches!(access, AccessExpr::Dot(_))).count();
        if let ast::Expr::Nested(record) = root
            && fields > 0
        {
            return self.fields_of(record, &chain[..fields], &chain[fields..], scope);
        }
        let mut names = Vec::new();
        if let ast::Expr::Identifier(name) = root {
            names.push(name.clone());
        }
        for access in &chain[..fields] {
            match access {
                AccessExpr::Dot(ast::Expr::Identifier(name)) if !names.is_empty() => names.push(name.clone()),
                _ => return Err(SqlError::unsupported("fields of composite values")),
            }
        }
        let array = match names.len() {
            0 | 1 => self.expr(root, scope)?,
            _ => self.qualified_column(&names, scope)?,
        };
        self.subscripted(array, &chain[fields..], scope)
    }

    /// `(row).a.b[…]`
    fn fields_of(
        &mut self,
        record: &ast::Expr,
        fields: &[AccessExpr],
        rest: &[AccessExpr],
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let mut names = Vec::with_capacity(fields.len());
        for field in fields {
            match field {
                AccessExpr::Dot(ast::Expr::Identifier(name)) => names.push(name),
                _ => return Err(SqlError::unsupported("this kind of field access")),
            }
        }
        let mut names = names.into_iter();
        let mut value = match record {
            // `(t).a` is `t.a`, and not a field of a row that an outer join has made NULL.
            ast::Expr::Identifier(table)
                if scope.find(None, &fold(table))?.is_none() && scope.find_table(&None, &fold(table)).is_some() =>
            {
                let column = names.next().cloned();
                let parts: Vec<ast::Ident> = [table.clone()].into_iter().chain(column).collect();
                self.qualified_column(&parts, scope)?
            }
            record => self.expr(record, scope)?,
        };
        for name in names {
            value = self.field(value, &fold(name)).map_err(|error| self.at(name.span, error))?;
        }
        self.subscripted(value, rest, scope)
    }

    fn subscripted(&mut self, array: Expr, chain: &[AccessExpr], scope: &Scope<'_>) -> SqlResult<Expr> {
        if chain.is_empty() {
            return Ok(array);
        }
        let Some(element) = functions::element_of(array.sql_type().oid) else {
            let message = format!(
                "cannot subscript type {} because it does not support subscripting",
                types::type_name(array.sql_type())
            );
            return Err(SqlError::new(SqlState::DatatypeMismatch, message));
        };
        let mut indexes = Vec::new();
        for access in chain {
            match access {
                AccessExpr::Subscript(subscript) => indexes.push(self.subscript_bounds(subscript, scope)?),
                AccessExpr::Dot(_) => return Err(SqlError::unsupported("fields of composite values")),
            }
        }
        let slice = indexes.iter().any(|(_, upper)| upper.is_some());
        let sql_type =
            if slice { array.sql_type() } else { SqlType::with_modifier(element, array.sql_type().modifier) };
        Ok(Expr::Subscript { array: Box::new(array), indexes, sql_type })
    }

    fn subscript_bounds(
        &mut self,
        subscript: &Subscript,
        scope: &Scope<'_>,
    ) -> SqlResult<(Option<Expr>, Option<Option<Expr>>)> {
        let mut bound = |tree: &ast::Expr| {
            let expr = self.expr(tree, scope)?;
            self.coerce(expr, SqlType::new(Oid::INT4), functions::CastContext::Assignment)
        };
        match subscript {
            Subscript::Index { index } => Ok((Some(bound(index)?), None)),
            Subscript::Slice { lower_bound, upper_bound, stride: None } => Ok((
                lower_bound.as_ref().map(&mut bound).transpose()?,
                Some(upper_bound.as_ref().map(&mut bound).transpose()?),
            )),
            Subscript::Slice { .. } => Err(SqlError::new(SqlState::SyntaxError, "a slice has no stride")),
        }
    }

    /// `x op ANY (…)` and `x op ALL (…)` over an array or a subquery.
    pub(super) fn quantified(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        all: bool,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let symbol = symbol(op);
        if let Some(query) = subquery_of(right) {
            return self.quantified_subquery(left, &symbol, query, all, scope);
        }
        let input = self.expr(left, scope)?;
        let array = self.expr(right, scope)?;
        let array = match array.sql_type().oid {
            Oid::UNKNOWN => {
                let element =
                    if input.sql_type().oid == Oid::UNKNOWN { SqlType::new(Oid::TEXT) } else { input.sql_type() };
                self.implicit(array, types::array_of(SqlType::new(element.oid))?.oid)?
            }
            _ => array,
        };
        let Some(element) = functions::element_of(array.sql_type().oid) else {
            let message = "op ANY/ALL (array) requires array on right side";
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        };
        let found = functions::resolve_operator(&symbol, Some(input.sql_type()), SqlType::new(element))?;
        if found.result.oid != Oid::BOOL {
            let message = "op ANY/ALL (array) requires operator to yield boolean";
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        let input = Box::new(self.argument(input, found.args[0])?);
        let array_type = types::array_of(SqlType::new(found.args[1].oid))?;
        let array = Box::new(self.argument(array, array_type)?);
        Ok(Expr::Quantified { input, array, operator: found.function, all })
    }
}

fn subquery_of(tree: &ast::Expr) -> Option<&ast::Query> {
    match tree {
        ast::Expr::Subquery(query) => Some(query),
        ast::Expr::Nested(inner) => subquery_of(inner),
        _ => None,
    }
}

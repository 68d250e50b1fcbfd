//! Queries: WITH, set operations, VALUES, ORDER BY, LIMIT and row locks.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Oid, SqlType, functions::CastContext};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, SetExpr, SetQuantifier, Spanned};

use super::{
    Binder, changes, fold, recursion,
    scope::{Clause, Scope},
    types::type_name,
};
use crate::{
    parse::lock_target,
    plan::{Cte, Expr, Field, LockStrength, LockWait, Query, Relation, RowLock, SetOperator, SortKey},
};

/// A WITH query that can be referred to.
#[derive(Clone)]
pub(super) struct VisibleCte {
    name: String,
    fields: Vec<Field>,
    /// It is being bound right now, as the recursive term of itself.
    recursive: bool,
    /// Position in its WITH.
    index: usize,
    /// It changes data without RETURNING rows.
    silent: bool,
}

/// A query's body while types of its columns may still be unknown.
pub(super) struct Body {
    pub(super) relation: Relation,
    pub(super) fields: Vec<Field>,
    /// References of the tables that FOR UPDATE can lock, with their names; `None` where rows are not a table's any more, with
    /// the word that says why.
    pub(super) lockable: Result<Vec<(String, usize)>, &'static str>,
}

impl Binder<'_> {
    /// Binds a query. Columns of unknown type become text.
    pub(super) fn query(&mut self, query: &ast::Query, parent: Option<&Scope<'_>>) -> SqlResult<Query> {
        let mut bound = self.open_query(query, parent)?;
        self.close_types(&mut bound)?;
        Ok(bound)
    }

    /// Unknown columns become text.
    pub(super) fn close_types(&mut self, query: &mut Query) -> SqlResult<()> {
        if query.fields.iter().all(|field| field.sql_type.oid != Oid::UNKNOWN) {
            return Ok(());
        }
        let targets: Vec<SqlType> = query.fields.iter().map(|field| known(field.sql_type)).collect();
        self.convert_query(query, &targets, CastContext::Implicit)
    }

    /// Binds a query whose columns may be of unknown type.
    pub(super) fn open_query(&mut self, query: &ast::Query, parent: Option<&Scope<'_>>) -> SqlResult<Query> {
        self.ctes.push(Vec::new());
        let result = self.nested_query(|binder| {
            let ctes = binder.with(query.with.as_ref(), parent)?;
            let (body, locks) = binder.query_body(query, parent)?;
            Ok(Query { ctes, fields: body.fields, body: body.relation, locks, shown: None })
        });
        self.ctes.pop();
        result
    }

    /// Binds WITH; the queries become visible in the innermost frame.
    pub(super) fn with(&mut self, with: Option<&ast::With>, parent: Option<&Scope<'_>>) -> SqlResult<Vec<Cte>> {
        self.with_behind(with, parent, Vec::new())
    }

    /// Binds WITH behind queries that stand in the innermost frame already.
    pub(super) fn with_behind(
        &mut self,
        with: Option<&ast::With>,
        parent: Option<&Scope<'_>>,
        mut ctes: Vec<Cte>,
    ) -> SqlResult<Vec<Cte>> {
        let Some(with) = with else { return Ok(ctes) };
        let order = match with.recursive {
            true => recursion::order(&with.cte_tables)?,
            false => (0..with.cte_tables.len()).collect(),
        };
        for tree in order.into_iter().map(|at| &with.cte_tables[at]) {
            let name = fold(&tree.alias.name);
            if self.ctes.last().is_some_and(|frame| frame.iter().any(|known| known.name == name)) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                return Err(self.at(tree.alias.name.span, SqlError::new(SqlState::DuplicateAlias, message)));
            }
            if changes::is_change(tree) {
                let fields = self.change(tree, &ctes, parent)?;
                let fields = cte_fields(&fields, &tree.alias, &name)?;
                let (index, silent) = (ctes.len(), fields.is_empty());
                ctes.push(changes::placeholder(&name, fields.clone()));
                self.cte_frame().push(VisibleCte { name, fields, recursive: false, index, silent });
                continue;
            }
            let terms = if with.recursive { recursion::recursive_terms(tree, &name)? } else { None };
            let cte = match terms {
                Some(terms) => self.recursive_cte(tree, &name, &terms, ctes.len(), parent)?,
                None => self.plain_cte(tree, &name, parent)?,
            };
            let visible =
                VisibleCte { name, fields: cte.fields.clone(), recursive: false, index: ctes.len(), silent: false };
            self.cte_frame().push(visible);
            ctes.push(cte);
        }
        Ok(ctes)
    }

    fn cte_frame(&mut self) -> &mut Vec<VisibleCte> {
        if self.ctes.is_empty() {
            self.ctes.push(Vec::new());
        }
        let last = self.ctes.len() - 1;
        &mut self.ctes[last]
    }

    fn plain_cte(&mut self, tree: &ast::Cte, name: &str, parent: Option<&Scope<'_>>) -> SqlResult<Cte> {
        let query = self.query(&tree.query, parent)?;
        let fields = cte_fields(&query.fields, &tree.alias, name)?;
        Ok(Cte {
            name: name.to_owned(),
            query: Box::new(query),
            recursive: None,
            recursive_distinct: false,
            fields,
            materialized: materialized(tree),
        })
    }

    fn recursive_cte(
        &mut self,
        tree: &ast::Cte,
        name: &str,
        terms: &recursion::Terms<'_>,
        index: usize,
        parent: Option<&Scope<'_>>,
    ) -> SqlResult<Cte> {
        let with = tree.query.with.as_ref();
        let query = self.term(with, terms.first, parent)?;
        let fields = cte_fields(&query.fields, &tree.alias, name)?;
        let visible =
            VisibleCte { name: name.to_owned(), fields: fields.clone(), recursive: true, index, silent: false };
        self.cte_frame().push(visible);
        let recursive = self.term(with, terms.second, parent);
        self.cte_frame().pop();
        let mut recursive = recursive?;
        recursion::refuse_aggregates(&recursive.body)?;
        if recursive.fields.len() != fields.len() {
            let message = "each UNION query must have the same number of columns";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        for (number, (ours, theirs)) in fields.iter().zip(&recursive.fields).enumerate() {
            let (ours, theirs) = (ours.sql_type, theirs.sql_type);
            let common = schema::functions::common_type("UNION", &[ours, theirs])?;
            if common.oid != ours.oid {
                let message = format!(
                    "recursive query \"{name}\" column {} has type {} in non-recursive term but type {} overall",
                    number + 1,
                    type_name(ours),
                    type_name(common)
                );
                let hint = "Cast the output of the non-recursive term to the correct type.";
                return Err(SqlError::new(SqlState::DatatypeMismatch, message).with_hint(hint));
            }
        }
        let targets: Vec<SqlType> = fields.iter().map(|field| SqlType::new(field.sql_type.oid)).collect();
        self.convert_query(&mut recursive, &targets, CastContext::Implicit)?;
        Ok(Cte {
            name: name.to_owned(),
            query: Box::new(query),
            recursive: Some(Box::new(recursive)),
            recursive_distinct: !terms.all,
            fields,
            materialized: materialized(tree),
        })
    }

    /// A term of a recursive query as a query of its own, with the WITH queries that both terms see.
    fn term(&mut self, with: Option<&ast::With>, tree: &SetExpr, parent: Option<&Scope<'_>>) -> SqlResult<Query> {
        self.ctes.push(Vec::new());
        let bound = self.nested_query(|binder| Ok((binder.with(with, parent)?, binder.set_expr(tree, parent)?)));
        self.ctes.pop();
        let (ctes, body) = bound?;
        let mut query = Query { ctes, fields: body.fields, body: body.relation, locks: Vec::new(), shown: None };
        self.close_types(&mut query)?;
        Ok(query)
    }

    /// The WITH query of this name, if one can be seen.
    pub(super) fn visible_cte(&self, name: &str) -> SqlResult<Option<(Relation, Vec<Field>)>> {
        for (depth, frame) in self.ctes.iter().rev().enumerate() {
            if let Some(cte) = frame.iter().rev().find(|cte| cte.name == name) {
                if cte.silent {
                    let message = format!("WITH query \"{name}\" does not have a RETURNING clause");
                    return Err(SqlError::new(SqlState::FeatureNotSupported, message));
                }
                let (index, recursive, fields) = (cte.index, cte.recursive, cte.fields.clone());
                let relation = Relation::CteScan { depth, index, recursive, fields: fields.clone() };
                return Ok(Some((relation, fields)));
            }
        }
        Ok(None)
    }

    /// A query without its WITH.
    fn query_body(&mut self, query: &ast::Query, parent: Option<&Scope<'_>>) -> SqlResult<(Body, Vec<RowLock>)> {
        refuse_foreign_clauses(query)?;
        let order_by = order_items(query.order_by.as_ref())?;
        let mut body = match &*query.body {
            SetExpr::Select(select) => self.select(select, order_by, query, parent)?,
            other => {
                let body = self.set_expr(other, parent)?;
                let body = self.sort_output(body, order_by)?;
                self.limit(body, query)?
            }
        };
        let locks = self.locks(&query.locks, &mut body)?;
        Ok((body, locks))
    }

    /// A SELECT, VALUES, set operation or query in brackets.
    pub(super) fn set_expr(&mut self, tree: &SetExpr, parent: Option<&Scope<'_>>) -> SqlResult<Body> {
        match tree {
            SetExpr::Select(select) => {
                let nothing = plain_query();
                self.select(select, &[], &nothing, parent)
            }
            SetExpr::Query(query) if query.with.is_none() && query.locks.is_empty() => {
                self.nested_query(|binder| binder.query_body(query, parent).map(|(body, _)| body))
            }
            SetExpr::Query(query) => {
                let query = self.open_query(query, parent)?;
                let fields = query.fields.clone();
                let relation = Relation::Derived { query: Box::new(query), lateral: false };
                Ok(Body { relation, fields, lockable: Ok(Vec::new()) })
            }
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                self.set_operation(left, *op, *set_quantifier, right, parent)
            }
            SetExpr::Values(values) => self.values(values, parent),
            SetExpr::Table(table) => {
                let parts = table.schema_name.iter().chain(&table.table_name).map(|part| part.to_lowercase());
                let idents = parts.map(ast::Ident::new).collect::<Vec<_>>();
                let select = format!("SELECT * FROM {}", ast::ObjectName::from(idents));
                let tree = crate::parse::parse_query(&select)?;
                self.set_expr(&tree.body, parent)
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(SqlError::unsupported("data-modifying statements inside a query"))
            }
        }
    }

    fn set_operation(
        &mut self,
        left: &SetExpr,
        op: ast::SetOperator,
        quantifier: SetQuantifier,
        right: &SetExpr,
        parent: Option<&Scope<'_>>,
    ) -> SqlResult<Body> {
        let (operator, word) = match op {
            ast::SetOperator::Union => (SetOperator::Union, "UNION"),
            ast::SetOperator::Intersect => (SetOperator::Intersect, "INTERSECT"),
            ast::SetOperator::Except | ast::SetOperator::Minus => (SetOperator::Except, "EXCEPT"),
        };
        let all = match quantifier {
            SetQuantifier::All => true,
            SetQuantifier::Distinct | SetQuantifier::None => false,
            _ => return Err(SqlError::unsupported("BY NAME in set operations")),
        };
        let (mut left_body, mut right_body) =
            self.nested_query(|binder| Ok((binder.set_expr(left, parent)?, binder.set_expr(right, parent)?)))?;
        if left_body.fields.len() != right_body.fields.len() {
            let message = format!("each {word} query must have the same number of columns");
            return Err(self.at(right.span(), SqlError::new(SqlState::SyntaxError, message)));
        }
        let mut fields = left_body.fields.clone();
        let mut targets = Vec::with_capacity(fields.len());
        for (field, theirs) in fields.iter_mut().zip(&right_body.fields) {
            let both = [field.sql_type, theirs.sql_type];
            // Untyped on both sides stays so: the query around decides.
            let mut common = match both.iter().all(|one| one.oid == Oid::UNKNOWN) && all {
                true => SqlType::new(Oid::UNKNOWN),
                false => schema::functions::common_type(word, &both)?,
            };
            common.modifier = if both[0] == both[1] { both[0].modifier } else { -1 };
            field.sql_type = common;
            field.origin = (0, 0);
            targets.push(SqlType::new(common.oid));
        }
        self.convert_body(&mut left_body, &targets, CastContext::Implicit)?;
        self.convert_body(&mut right_body, &targets, CastContext::Implicit)?;
        let (left, right) = (Box::new(left_body.relation), Box::new(right_body.relation));
        let relation = Relation::SetOperation { operator, all, left, right, fields: fields.clone() };
        Ok(Body { relation, fields, lockable: Err("UNION/INTERSECT/EXCEPT") })
    }

    fn values(&mut self, values: &ast::Values, parent: Option<&Scope<'_>>) -> SqlResult<Body> {
        let scope = Scope::new(Vec::new(), Vec::new(), 0, parent, Clause::Values);
        let mut rows = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            rows.push(self.expanded(&row.content, &scope)?);
        }
        let width = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != width) {
            return Err(SqlError::new(SqlState::SyntaxError, "VALUES lists must all be the same length"));
        }
        let mut fields = Vec::with_capacity(width);
        for column in 0..width {
            let items: Vec<Expr> =
                rows.iter_mut().map(|row| std::mem::replace(&mut row[column], Expr::Default)).collect();
            let untyped = items.iter().all(|item| item.sql_type().oid == Oid::UNKNOWN);
            let (items, sql_type) = match untyped {
                true => (items, SqlType::new(Oid::UNKNOWN)),
                false => self.unify(items, "VALUES")?,
            };
            for (row, item) in rows.iter_mut().zip(items) {
                row[column] = item;
            }
            fields.push(Field { name: format!("column{}", column + 1), sql_type, origin: (0, 0) });
        }
        let relation = Relation::Values { rows, fields: fields.clone() };
        Ok(Body { relation, fields, lockable: Err("VALUES") })
    }

    /// Converts the columns of a query.
    pub(super) fn convert_query(
        &mut self,
        query: &mut Query,
        targets: &[SqlType],
        context: CastContext,
    ) -> SqlResult<()> {
        let relation = std::mem::replace(&mut query.body, Relation::Unit);
        let fields = std::mem::take(&mut query.fields);
        let mut body = Body { relation, fields, lockable: Ok(Vec::new()) };
        self.convert_body(&mut body, targets, context)?;
        query.body = body.relation;
        query.fields = body.fields;
        Ok(())
    }

    /// Converts the columns of a body, where they are computed if possible so that literals are read as the type.
    pub(super) fn convert_body(&mut self, body: &mut Body, targets: &[SqlType], context: CastContext) -> SqlResult<()> {
        let same = |field: &Field, target: &SqlType| {
            field.sql_type.oid == target.oid && (target.modifier < 0 || field.sql_type.modifier == target.modifier)
        };
        if body.fields.iter().zip(targets).all(|(field, target)| same(field, target)) {
            return Ok(());
        }
        if !self.convert_inside(&mut body.relation, targets, context)? {
            let input = Box::new(std::mem::replace(&mut body.relation, Relation::Unit));
            let columns = body.fields.iter().enumerate();
            let columns = columns.map(|(index, field)| Expr::Column { index, sql_type: field.sql_type });
            let exprs = columns
                .zip(targets)
                .map(|(column, target)| self.coerce(column, *target, context))
                .collect::<SqlResult<Vec<_>>>()?;
            let fields = converted_fields(&body.fields, targets);
            body.relation = Relation::Project { input, exprs, fields };
        }
        body.fields = converted_fields(&body.fields, targets);
        Ok(())
    }

    /// Converts at the place where columns are computed; answers false if there is none.
    fn convert_inside(
        &mut self,
        relation: &mut Relation,
        targets: &[SqlType],
        context: CastContext,
    ) -> SqlResult<bool> {
        match relation {
            Relation::Project { exprs, fields, .. } if exprs.len() == targets.len() => {
                for (expr, target) in exprs.iter_mut().zip(targets) {
                    *expr = self.coerce(std::mem::replace(expr, Expr::Default), *target, context)?;
                }
                *fields = converted_fields(fields, targets);
                Ok(true)
            }
            Relation::Values { rows, fields } => {
                for row in rows {
                    for (expr, target) in row.iter_mut().zip(targets) {
                        *expr = self.coerce(std::mem::replace(expr, Expr::Default), *target, context)?;
                    }
                }
                *fields = converted_fields(fields, targets);
                Ok(true)
            }
            Relation::SetOperation { all: true, operator: SetOperator::Union, left, right, fields } => {
                let done =
                    self.convert_inside(left, targets, context)? && self.convert_inside(right, targets, context)?;
                if done {
                    *fields = converted_fields(fields, targets);
                }
                Ok(done)
            }
            Relation::Limit { input, with_ties: None, .. } => self.convert_inside(input, targets, context),
            _ => Ok(false),
        }
    }

    /// ORDER BY over output columns only, as set operations and VALUES have it.
    fn sort_output(&mut self, body: Body, order_by: &[ast::OrderByExpr]) -> SqlResult<Body> {
        if order_by.is_empty() {
            return Ok(body);
        }
        let mut keys = Vec::with_capacity(order_by.len());
        for item in order_by {
            let column = match output_position(&item.expr, &body.fields, "ORDER BY")? {
                Some(index) => index,
                None => {
                    let message = "invalid UNION/INTERSECT/EXCEPT ORDER BY clause";
                    return Err(SqlError::new(SqlState::FeatureNotSupported, message)
                        .with_detail("Only result column names can be used, not expressions or functions.")
                        .with_hint(
                            "Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
                        ));
                }
            };
            let expr = Expr::Column { index: column, sql_type: body.fields[column].sql_type };
            keys.push(self.sort_key(expr, &item.options)?);
        }
        Ok(Body { relation: Relation::Sort { input: Box::new(body.relation), keys }, ..body })
    }

    /// A sort key with PostgreSQL's NULL order. The type must have an order.
    pub(super) fn sort_key(&mut self, expr: Expr, options: &ast::OrderByOptions) -> SqlResult<SortKey> {
        let sql_type = SqlType::new(known(expr.sql_type()).oid);
        if schema::functions::resolve_operator("<", Some(sql_type), sql_type).is_err() {
            let message = format!("could not identify an ordering operator for type {}", type_name(sql_type));
            let hint = "Use an explicit ordering operator or modify the query.";
            return Err(SqlError::new(SqlState::UndefinedFunction, message).with_hint(hint));
        }
        let descending = options.asc == Some(false);
        Ok(SortKey { expr, descending, nulls_first: options.nulls_first.unwrap_or(descending) })
    }

    /// LIMIT, OFFSET and FETCH around a body.
    pub(super) fn limit(&mut self, body: Body, query: &ast::Query) -> SqlResult<Body> {
        let (mut limit, mut offset) = (None, None);
        match &query.limit_clause {
            None => {}
            Some(ast::LimitClause::LimitOffset { limit: count, offset: skip, limit_by }) if limit_by.is_empty() => {
                limit = count.as_ref().map(|count| self.row_count(count, "LIMIT")).transpose()?;
                offset = skip.as_ref().map(|skip| self.row_count(&skip.value, "OFFSET")).transpose()?;
            }
            Some(_) => {
                return Err(SqlError::new(SqlState::SyntaxError, "LIMIT #,# syntax is not supported")
                    .with_hint("Use separate LIMIT and OFFSET clauses."));
            }
        }
        let mut ties = false;
        if let Some(fetch) = &query.fetch {
            if fetch.percent {
                return Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \"PERCENT\""));
            }
            ties = fetch.with_ties;
            limit = Some(match &fetch.quantity {
                Some(count) => self.row_count(count, "LIMIT")?,
                None => Expr::Constant { value: schema::Datum::Int8(1), sql_type: SqlType::new(Oid::INT8) },
            });
        }
        if limit.is_none() && offset.is_none() {
            return Ok(body);
        }
        let with_ties = match (&body.relation, ties) {
            (Relation::Sort { keys, .. }, true) => Some(keys.clone()),
            (_, true) => {
                let message = "WITH TIES cannot be specified without ORDER BY clause";
                return Err(SqlError::new(SqlState::SyntaxError, message));
            }
            (_, false) => None,
        };
        let relation = Relation::Limit { input: Box::new(body.relation), limit, offset, with_ties };
        Ok(Body { relation, ..body })
    }

    fn row_count(&mut self, tree: &ast::Expr, clause: &str) -> SqlResult<Expr> {
        let scope = Scope::empty(Clause::Limit);
        let expr = match self.expr(tree, &scope) {
            Err(error) if error.state() == SqlState::UndefinedColumn => {
                let message = format!("argument of {clause} must not contain variables");
                return Err(SqlError::new(SqlState::InvalidColumnReference, message));
            }
            other => other?,
        };
        self.coerce(expr, SqlType::new(Oid::INT8), CastContext::Assignment)
    }

    fn locks(&mut self, clauses: &[ast::LockClause], body: &mut Body) -> SqlResult<Vec<RowLock>> {
        let mut locks = Vec::with_capacity(clauses.len());
        for clause in clauses {
            let (strength, table) = lock_target(clause);
            let tables = match &body.lockable {
                Ok(tables) => tables,
                Err(why) => {
                    let message = format!("{} is not allowed with {why}", lock_name(strength));
                    return Err(SqlError::new(SqlState::FeatureNotSupported, message));
                }
            };
            let references: Vec<usize> = match table {
                None => tables.iter().map(|(_, reference)| *reference).collect(),
                Some(table) => {
                    let name = fold(table);
                    let found = tables.iter().find(|(alias, _)| *alias == name).map(|(_, reference)| *reference);
                    vec![found.ok_or_else(|| {
                        let message =
                            format!("relation \"{name}\" in {} clause not found in FROM clause", lock_name(strength));
                        self.at(table.span, SqlError::new(SqlState::UndefinedTable, message))
                    })?]
                }
            };
            let wait = match clause.nonblock {
                None => LockWait::Block,
                Some(ast::NonBlock::Nowait) => LockWait::Nowait,
                Some(ast::NonBlock::SkipLocked) => LockWait::SkipLocked,
            };
            locks.push(RowLock { strength, wait, references });
        }
        Ok(locks)
    }
}

fn lock_name(strength: LockStrength) -> &'static str {
    match strength {
        LockStrength::KeyShare => "FOR KEY SHARE",
        LockStrength::Share => "FOR SHARE",
        LockStrength::NoKeyUpdate => "FOR NO KEY UPDATE",
        LockStrength::Update => "FOR UPDATE",
    }
}

/// Unknown becomes text.
pub(super) fn known(sql_type: SqlType) -> SqlType {
    if sql_type.oid == Oid::UNKNOWN { SqlType::new(Oid::TEXT) } else { sql_type }
}

fn converted_fields(fields: &[Field], targets: &[SqlType]) -> Vec<Field> {
    let convert = |(field, target): (&Field, &SqlType)| {
        let keeps = field.sql_type.oid == target.oid && target.modifier < 0;
        let sql_type = if keeps { field.sql_type } else { *target };
        Field { name: field.name.clone(), sql_type, origin: field.origin }
    };
    fields.iter().zip(targets).map(convert).collect()
}

/// The output column that an ORDER BY or GROUP BY item names or numbers.
///
/// # Errors
/// 42P10 for a number out of range, 42702 for a name that several columns have.
pub(super) fn output_position(tree: &ast::Expr, fields: &[Field], clause: &str) -> SqlResult<Option<usize>> {
    match tree {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let number: usize = digits.parse().unwrap_or(usize::MAX);
                match number.checked_sub(1).filter(|index| *index < fields.len()) {
                    Some(index) => Ok(Some(index)),
                    None => {
                        let message = format!("{clause} position {digits} is not in select list");
                        Err(SqlError::new(SqlState::InvalidColumnReference, message))
                    }
                }
            }
            _ => Ok(None),
        },
        ast::Expr::Identifier(ident) => {
            let name = fold(ident);
            let mut matching = fields.iter().enumerate().filter(|(_, field)| field.name == name);
            let first = matching.next().map(|(index, _)| index);
            if matching.next().is_some() {
                return Err(SqlError::new(SqlState::AmbiguousColumn, format!("{clause} \"{name}\" is ambiguous")));
            }
            Ok(first)
        }
        _ => Ok(None),
    }
}

/// Items of an ORDER BY clause.
pub(super) fn order_items(order_by: Option<&ast::OrderBy>) -> SqlResult<&[ast::OrderByExpr]> {
    match order_by.map(|order_by| &order_by.kind) {
        None => Ok(&[]),
        Some(ast::OrderByKind::Expressions(items)) => Ok(items),
        Some(ast::OrderByKind::All(_)) => Err(SqlError::unsupported("ORDER BY ALL")),
    }
}

fn refuse_foreign_clauses(query: &ast::Query) -> SqlResult<()> {
    let foreign = query.for_clause.is_some()
        || query.settings.is_some()
        || query.format_clause.is_some()
        || !query.pipe_operators.is_empty();
    if foreign {
        Err(SqlError::new(SqlState::SyntaxError, "syntax error: clause of another SQL dialect"))
    } else {
        Ok(())
    }
}

/// A query with no clauses, for a SELECT that stands inside a set operation.
pub(super) fn plain_query() -> ast::Query {
    ast::Query {
        with: None,
        body: Box::new(SetExpr::Values(ast::Values { explicit_row: false, value_keyword: false, rows: Vec::new() })),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

fn materialized(tree: &ast::Cte) -> Option<bool> {
    tree.materialized.as_ref().map(|how| matches!(how, ast::CteAsMaterialized::Materialized))
}

/// A WITH query's columns under the names its alias gives.
fn cte_fields(fields: &[Field], alias: &ast::TableAlias, name: &str) -> SqlResult<Vec<Field>> {
    if alias.columns.len() > fields.len() {
        let message = format!(
            "WITH query \"{name}\" has {} columns available but {} columns specified",
            fields.len(),
            alias.columns.len()
        );
        return Err(SqlError::new(SqlState::InvalidColumnReference, message));
    }
    let mut fields = fields.to_vec();
    for (field, column) in fields.iter_mut().zip(&alias.columns) {
        field.name = fold(&column.name);
    }
    Ok(fields)
}

//! FROM: tables, views, subqueries, functions and joins.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use schema::{
    ConstraintKind, Descriptor, Oid, SequenceDescriptor, SqlType, TableDescriptor, ViewDescriptor, functions,
};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, JoinConstraint, JoinOperator, Spanned, TableFactor};

use super::{
    Binder, fold,
    names::{self, Name},
    scope::{Clause, Scope, ScopeColumn, ScopeTable, TABLE_OID, table_fields},
};
use crate::{
    parse,
    plan::{Expr, Field, JoinKind, Relation, TableScan},
    system_catalog::VirtualTable,
};

/// A relation of FROM with the names it brings. The scope's columns count from 0.
pub(super) struct Source<'s> {
    pub(super) relation: Relation,
    pub(super) scope: Scope<'s>,
}

impl Binder<'_> {
    /// The whole FROM clause; one row without columns when there is none.
    pub(super) fn from<'s>(
        &mut self,
        from: &[ast::TableWithJoins],
        parent: Option<&'s Scope<'s>>,
    ) -> SqlResult<Source<'s>> {
        let mut result: Option<Source<'s>> = None;
        for item in from {
            result = Some(match result {
                None => self.joined(None, item, parent)?,
                Some(left) if is_lateral(item) => self.joined(Some(left), item, parent)?,
                Some(left) => {
                    let right = self.joined(None, item, parent)?;
                    self.cross(left, right)?
                }
            });
        }
        Ok(result.unwrap_or_else(|| Source {
            relation: Relation::Unit,
            scope: Scope::new(Vec::new(), Vec::new(), 0, parent, Clause::From),
        }))
    }

    /// An item with its joins; `left` is what stands before it when it refers to that.
    pub(super) fn joined<'s>(
        &mut self,
        left: Option<Source<'s>>,
        item: &ast::TableWithJoins,
        parent: Option<&'s Scope<'s>>,
    ) -> SqlResult<Source<'s>> {
        let mut result = match left {
            None => self.factor(&item.relation, None, parent)?,
            Some(left) => {
                let right = self.factor(&item.relation, Some(&left.scope), parent)?;
                self.cross(left, right)?
            }
        };
        for join in &item.joins {
            result = self.join(result, join, parent)?;
        }
        Ok(result)
    }

    fn cross<'s>(&mut self, left: Source<'s>, right: Source<'s>) -> SqlResult<Source<'s>> {
        self.combine(left, right, JoinKind::Inner, None)
    }

    /// Joins two sources; `on` is bound over both.
    fn combine<'s>(
        &mut self,
        left: Source<'s>,
        right: Source<'s>,
        kind: JoinKind,
        on: Option<&ast::Expr>,
    ) -> SqlResult<Source<'s>> {
        let scope = merge(left.scope, right.scope, kind)?;
        scope.clause.set(Clause::JoinOn);
        let on = on.map(|on| self.boolean(on, "JOIN/ON", &scope)).transpose()?;
        scope.clause.set(Clause::From);
        let (left, right) = (Box::new(left.relation), Box::new(right.relation));
        Ok(Source { relation: Relation::Join { left, right, kind, on }, scope })
    }

    fn join<'s>(&mut self, left: Source<'s>, join: &ast::Join, parent: Option<&'s Scope<'s>>) -> SqlResult<Source<'s>> {
        use JoinOperator as J;
        let (kind, constraint) = match &join.join_operator {
            J::Join(constraint) | J::Inner(constraint) => (JoinKind::Inner, constraint),
            J::CrossJoin(constraint) => (JoinKind::Inner, constraint),
            J::Left(constraint) | J::LeftOuter(constraint) => (JoinKind::Left, constraint),
            J::Right(constraint) | J::RightOuter(constraint) => (JoinKind::Right, constraint),
            J::FullOuter(constraint) => (JoinKind::Full, constraint),
            _ => return Err(SqlError::unsupported("this kind of join")),
        };
        let lateral = matches!(kind, JoinKind::Inner | JoinKind::Left);
        let right = self.factor(&join.relation, lateral.then_some(&left.scope), parent)?;
        match constraint {
            JoinConstraint::On(on) => self.combine(left, right, kind, Some(on)),
            JoinConstraint::None if matches!(join.join_operator, J::CrossJoin(_)) => self.cross(left, right),
            JoinConstraint::None => Err(self.at(
                join.relation.span(),
                SqlError::new(SqlState::SyntaxError, "syntax error: a join needs ON or USING"),
            )),
            JoinConstraint::Using(columns) => {
                let names: Vec<String> =
                    columns.iter().filter_map(|name| name.0.last()?.as_ident()).map(fold).collect();
                self.join_using(left, right, kind, &names)
            }
            JoinConstraint::Natural => {
                let bare = |scope: &Scope<'_>| -> Vec<String> {
                    scope.columns.iter().filter(|column| column.bare).map(|column| column.name.clone()).collect()
                };
                let theirs = bare(&right.scope);
                let mut names = bare(&left.scope);
                names.retain(|name| theirs.contains(name));
                self.join_using(left, right, kind, &names)
            }
        }
    }

    /// USING: equal columns are compared and stand as one in front of all others.
    fn join_using<'s>(
        &mut self,
        left: Source<'s>,
        right: Source<'s>,
        kind: JoinKind,
        names: &[String],
    ) -> SqlResult<Source<'s>> {
        let shift = left.scope.width;
        let mut merged = Vec::with_capacity(names.len());
        let mut conditions = Vec::with_capacity(names.len());
        for name in names {
            let l = using_column(&left.scope, name, "left")?;
            let mut r = using_column(&right.scope, name, "right")?;
            shift_columns(&mut r, shift);
            conditions.push(self.operator("=", l.clone(), r.clone())?);
            let (both, sql_type) = self.unify(vec![l, r], "JOIN/USING")?;
            let mut both = both.into_iter();
            let (l, r) = (both.next().unwrap_or(Expr::Default), both.next().unwrap_or(Expr::Default));
            let expr = match kind {
                JoinKind::Inner | JoinKind::Left => l,
                JoinKind::Right => r,
                JoinKind::Full => Expr::Coalesce { args: vec![l, r], sql_type },
            };
            merged.push(ScopeColumn { table: None, name: name.clone(), expr, origin: (0, 0), bare: true });
        }
        let mut scope = merge(left.scope, right.scope, kind)?;
        for column in &mut scope.columns {
            column.bare &= !names.contains(&column.name);
        }
        merged.append(&mut scope.columns);
        scope.columns = merged;
        let on = match conditions.len() {
            0 => None,
            1 => conditions.pop(),
            _ => Some(Expr::And(conditions)),
        };
        let (left, right) = (Box::new(left.relation), Box::new(right.relation));
        Ok(Source { relation: Relation::Join { left, right, kind, on }, scope })
    }

    /// One item of FROM. `left` is what a lateral item may refer to.
    fn factor<'s>(
        &mut self,
        factor: &TableFactor,
        left: Option<&Scope<'_>>,
        parent: Option<&'s Scope<'s>>,
    ) -> SqlResult<Source<'s>> {
        match factor {
            TableFactor::Table { name, alias, args: None, sample: None, with_ordinality: false, .. } => {
                let name = self.object_name(name)?;
                self.named(&name, alias.as_ref(), parent)
            }
            TableFactor::Table { sample: Some(_), .. } => Err(SqlError::unsupported("TABLESAMPLE")),
            TableFactor::Table { name, alias, args, with_ordinality, .. } => {
                let args = args.as_ref().map(|args| args.args.as_slice()).unwrap_or_default();
                let exprs = function_args(args)?;
                let name = super::expr::function_name(name)?;
                self.function_source(&name, &exprs, *with_ordinality, alias.as_ref(), left, parent)
            }
            TableFactor::Function { name, args, with_ordinality, alias, .. } => {
                let exprs = function_args(args)?;
                let name = super::expr::function_name(name)?;
                self.function_source(&name, &exprs, *with_ordinality, alias.as_ref(), left, parent)
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, with_offset: false, .. } => {
                let exprs: Vec<&ast::Expr> = array_exprs.iter().collect();
                self.function_source("unnest", &exprs, *with_ordinality, alias.as_ref(), left, parent)
            }
            TableFactor::Derived { lateral, subquery, alias, sample: None } => {
                self.derived(*lateral, subquery, alias.as_ref(), left, parent)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let mut source = self.joined(None, table_with_joins, parent)?;
                if let Some(alias) = alias {
                    rename_all(&mut source.scope, alias)?;
                }
                Ok(source)
            }
            _ => Err(SqlError::unsupported("this kind of item in FROM")),
        }
    }

    /// A table, view or WITH query by name.
    fn named<'s>(
        &mut self,
        name: &Name,
        alias: Option<&ast::TableAlias>,
        parent: Option<&'s Scope<'s>>,
    ) -> SqlResult<Source<'s>> {
        if name.schema.is_none()
            && let Some((relation, fields)) = self.visible_cte(&name.name)?
        {
            return source(relation, fields, ScopeTable::plain(&name.name), alias, parent);
        }
        let table = match self.find_relation(name) {
            Some(names::Relation::Object(Descriptor::Table(table))) => {
                self.check_own(table)?;
                table.clone()
            }
            Some(names::Relation::Object(Descriptor::View(view))) => {
                let view = view.clone();
                return self.view(&view, alias, parent);
            }
            Some(names::Relation::Object(Descriptor::Sequence(sequence))) => {
                let sequence = sequence.clone();
                return self.sequence(&sequence, alias, parent);
            }
            Some(names::Relation::Virtual(table)) => return virtual_source(table, alias, parent),
            Some(names::Relation::Object(_)) => return Err(self.unknown_relation(name)),
            None => return Err(self.unknown_relation(name)),
        };
        let (scan, named) = self.scan(table, alias);
        let fields = scan.fields.clone();
        source(Relation::Scan(scan), fields, named, alias, parent)
    }

    /// The one row of a sequence.
    fn sequence<'s>(
        &mut self,
        sequence: &SequenceDescriptor,
        alias: Option<&ast::TableAlias>,
        parent: Option<&'s Scope<'s>>,
    ) -> SqlResult<Source<'s>> {
        let columns = [("last_value", Oid::INT8), ("log_cnt", Oid::INT8), ("is_called", Oid::BOOL)];
        let fields = columns.into_iter().zip(1..).map(|((name, oid), number)| Field {
            name: name.to_owned(),
            sql_type: SqlType::new(oid),
            origin: (sequence.oid.0, number),
        });
        let fields: Vec<Field> = fields.collect();
        let schema = self.schema_name(sequence.schema);
        let relation =
            Relation::Virtual { schema: schema.clone(), name: sequence.name.clone(), fields: fields.clone() };
        let named = ScopeTable { schema: Some(schema), ..ScopeTable::plain(&sequence.name) };
        source(relation, fields, named, alias, parent)
    }

    /// A reference to a table, with the names it can be called by.
    pub(super) fn scan(
        &mut self,
        table: Arc<TableDescriptor>,
        alias: Option<&ast::TableAlias>,
    ) -> (TableScan, ScopeTable) {
        self.relations.push(table.oid);
        let reference = self.next_reference;
        self.next_reference += 1;
        let key = table.constraints.iter().find_map(|constraint| match &constraint.kind {
            ConstraintKind::PrimaryKey { columns } => {
                Some(columns.iter().filter_map(|column| table.position(*column)).collect())
            }
            _ => None,
        });
        let name = alias.map_or_else(|| table.name.clone(), |alias| fold(&alias.name));
        let named = ScopeTable {
            schema: Some(self.schema_name(table.schema)),
            reference: Some(reference),
            key: key.unwrap_or_default(),
            not_null: table.columns.iter().position(|column| column.not_null),
            ..ScopeTable::plain(&name)
        };
        let fields = table_fields(&table);
        (TableScan { table, alias: name, reference, fields }, named)
    }

    /// A view's query, bound where only the catalog can be seen.
    fn view<'s>(
        &mut self,
        view: &ViewDescriptor,
        alias: Option<&ast::TableAlias>,
        parent: Option<&'s Scope<'s>>,
    ) -> SqlResult<Source<'s>> {
        self.relations.push(view.oid);
        let tree = parse::parse_query(&view.query)?;
        let outside = std::mem::take(&mut self.ctes);
        let relations = self.relations.len();
        let query = self.query(&tree, None);
        self.relations.truncate(relations);
        self.ctes = outside;
        let mut query = query?;
        let targets: Vec<_> = view.columns.iter().map(|(_, sql_type)| *sql_type).collect();
        self.convert_query(&mut query, &targets, functions::CastContext::Assignment)?;
        for (field, (name, _)) in query.fields.iter_mut().zip(&view.columns) {
            field.name.clone_from(name);
            field.origin = (0, 0);
        }
        for (field, number) in query.fields.iter_mut().zip(1..) {
            field.origin = (view.oid.0, number);
        }
        let fields = query.fields.clone();
        let named = ScopeTable { schema: Some(self.schema_name(view.schema)), ..ScopeTable::plain(&view.name) };
        let relation = Relation::Derived { query: Box::new(query), lateral: false };
        source(relation, fields, named, alias, parent)
    }

    fn derived<'s>(
        &mut self,
        lateral: bool,
        subquery: &ast::Query,
        alias: Option<&ast::TableAlias>,
        left: Option<&Scope<'_>>,
        parent: Option<&'s Scope<'s>>,
    ) -> SqlResult<Source<'s>> {
        let Some(alias) = alias else {
            return Err(self
                .at(subquery.span(), SqlError::new(SqlState::SyntaxError, "subquery in FROM must have an alias"))
                .with_hint("For example, FROM (SELECT ...) [AS] foo."));
        };
        let left = left.filter(|_| lateral);
        let query = match left {
            Some(left) => self.query(subquery, Some(left))?,
            None => self.query(subquery, parent)?,
        };
        let fields = query.fields.clone();
        let relation = Relation::Derived { query: Box::new(query), lateral: left.is_some() };
        let named = ScopeTable::plain(&fold(&alias.name));
        source(relation, fields, named, Some(alias), parent)
    }

    fn function_source<'s>(
        &mut self,
        name: &str,
        args: &[&ast::Expr],
        ordinality: bool,
        alias: Option<&ast::TableAlias>,
        left: Option<&Scope<'_>>,
        parent: Option<&'s Scope<'s>>,
    ) -> SqlResult<Source<'s>> {
        let beside = Scope::new(Vec::new(), Vec::new(), 0, parent, Clause::From);
        let inside = Scope::new(Vec::new(), Vec::new(), 0, Some(left.unwrap_or(&beside)), Clause::From);
        let bound = self.exprs(args.iter().copied(), &inside)?;
        let call_name = alias.map_or_else(|| name.to_owned(), |alias| fold(&alias.name));
        let (relation, mut fields) = if functions::is_set_returning(name) {
            if name == "unnest" && bound.len() > 1 {
                check_arrays(&bound)?;
            }
            let (args, fields) = self.set_call(name, bound)?;
            let function = Relation::Function { name: name.to_owned(), args, fields: Vec::new(), ordinality };
            (function, fields)
        } else {
            // A plain function is a table of one row.
            let expr = self.call(name, bound)?;
            let field = Field { name: name.to_owned(), sql_type: expr.sql_type(), origin: (0, 0) };
            let fields = vec![field];
            let project =
                Relation::Project { input: Box::new(Relation::Unit), exprs: vec![expr], fields: fields.clone() };
            let query = crate::plan::Query {
                ctes: Vec::new(),
                body: project,
                fields: fields.clone(),
                locks: Vec::new(),
                shown: None,
            };
            (Relation::Derived { query: Box::new(query), lateral: true }, fields)
        };
        // A single column is named like the function, or its alias.
        // Elements of JSON arrays have a name of their own.
        let named = name.starts_with("json") && name.contains("array_elements");
        if let ([only], false) = (fields.as_mut_slice(), named) {
            only.name.clone_from(&call_name);
        }
        if ordinality {
            let sql_type = schema::SqlType::new(schema::Oid::INT8);
            fields.push(Field { name: "ordinality".to_owned(), sql_type, origin: (0, 0) });
        }
        let relation = match relation {
            Relation::Function { name, args, ordinality, .. } => {
                Relation::Function { name, args, fields: fields.clone(), ordinality }
            }
            other => other,
        };
        let scalar = fields.len() == 1 && fields[0].sql_type.oid != schema::Oid::RECORD;
        source(relation, fields, ScopeTable { scalar, ..ScopeTable::plain(name) }, alias, parent)
    }
}

/// unnest takes any number of arrays, of any types.
fn check_arrays(args: &[Expr]) -> SqlResult<()> {
    match args.iter().find(|arg| functions::element_of(arg.sql_type().oid).is_none()) {
        Some(arg) => functions::resolve_set_function("unnest", &[arg.sql_type()]).map(|_| ()),
        None => Ok(()),
    }
}

fn function_args(args: &[ast::FunctionArg]) -> SqlResult<Vec<&ast::Expr>> {
    args.iter()
        .map(|arg| match arg {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Ok(expr),
            _ => Err(SqlError::unsupported("named arguments")),
        })
        .collect()
}

/// A virtual table; behind its columns stands `tableoid`, which is no part of `*`.
fn virtual_source<'s>(
    table: &'static VirtualTable,
    alias: Option<&ast::TableAlias>,
    parent: Option<&'s Scope<'s>>,
) -> SqlResult<Source<'s>> {
    let fields = table.columns.iter().zip(1..).map(|(column, number)| Field {
        name: column.name.to_owned(),
        sql_type: column.sql_type,
        origin: (table.oid.0, number),
    });
    let fields: Vec<Field> = fields.collect();
    let own = Field { name: TABLE_OID.to_owned(), sql_type: SqlType::new(Oid::OID), origin: (0, 0) };
    let relation = Relation::Virtual {
        schema: table.schema.to_owned(),
        name: table.name.to_owned(),
        fields: fields.iter().cloned().chain([own.clone()]).collect(),
    };
    let named = ScopeTable { schema: Some(table.schema.to_owned()), ..ScopeTable::plain(table.name) };
    let mut found = source(relation, fields, named, alias, parent)?;
    found.scope.add_hidden(own);
    Ok(found)
}

/// A relation with its alias applied.
fn source<'s>(
    relation: Relation,
    mut fields: Vec<Field>,
    mut table: ScopeTable,
    alias: Option<&ast::TableAlias>,
    parent: Option<&'s Scope<'s>>,
) -> SqlResult<Source<'s>> {
    if let Some(alias) = alias {
        table.alias = fold(&alias.name);
        table.schema = None;
        rename(&mut fields, alias)?;
    }
    let mut scope = Scope::new(Vec::new(), Vec::new(), 0, parent, Clause::From);
    scope.add(table, &fields, 0);
    Ok(Source { relation, scope })
}

fn rename(fields: &mut [Field], alias: &ast::TableAlias) -> SqlResult<()> {
    if alias.columns.len() > fields.len() {
        return Err(too_many_aliases(&fold(&alias.name), fields.len(), alias.columns.len()));
    }
    for (field, column) in fields.iter_mut().zip(&alias.columns) {
        field.name = fold(&column.name);
    }
    Ok(())
}

fn too_many_aliases(name: &str, available: usize, specified: usize) -> SqlError {
    let message = format!("table \"{name}\" has {available} columns available but {specified} columns specified");
    SqlError::new(SqlState::InvalidColumnReference, message)
}

/// An alias of a join in brackets hides the names inside.
fn rename_all(scope: &mut Scope<'_>, alias: &ast::TableAlias) -> SqlResult<()> {
    let mut bare: Vec<&mut ScopeColumn> = scope.columns.iter_mut().filter(|column| column.bare).collect();
    if alias.columns.len() > bare.len() {
        return Err(too_many_aliases(&fold(&alias.name), bare.len(), alias.columns.len()));
    }
    let number = scope.tables.len();
    for column in &mut bare {
        column.table = Some(number);
    }
    for (column, name) in bare.into_iter().zip(&alias.columns) {
        column.name = fold(&name.name);
    }
    scope.columns.retain(|column| column.bare);
    scope.tables.iter_mut().for_each(|table| table.hidden = true);
    scope.tables.push(ScopeTable::plain(&fold(&alias.name)));
    Ok(())
}

/// The names of both sides; 42712 when a table name occurs on both.
pub(super) fn merge<'s>(mut left: Scope<'s>, mut right: Scope<'s>, kind: JoinKind) -> SqlResult<Scope<'s>> {
    if matches!(kind, JoinKind::Left | JoinKind::Full) {
        right.tables.iter_mut().for_each(|table| table.nullable = true);
    }
    if matches!(kind, JoinKind::Right | JoinKind::Full) {
        left.tables.iter_mut().for_each(|table| table.nullable = true);
    }
    let visible = |scope: &Scope<'_>| -> Vec<(String, Option<String>)> {
        let tables = scope.tables.iter().filter(|table| !table.hidden);
        tables.map(|table| (table.alias.clone(), table.schema.clone())).collect()
    };
    let known = visible(&left);
    for (alias, schema) in visible(&right) {
        let clash =
            |(a, s): &(String, Option<String>)| *a == alias && (s.is_none() || schema.is_none() || *s == schema);
        if known.iter().any(clash) {
            let message = format!("table name \"{alias}\" specified more than once");
            return Err(SqlError::new(SqlState::DuplicateAlias, message));
        }
    }
    let Scope { mut tables, mut columns, width, parent, .. } = left;
    let first_table = tables.len();
    for mut column in right.columns {
        column.table = column.table.map(|table| table + first_table);
        shift_columns(&mut column.expr, width);
        columns.push(column);
    }
    tables.extend(right.tables);
    Ok(Scope::new(tables, columns, width + right.width, parent, Clause::From))
}

/// Moves an expression's columns `by` positions to the right.
pub(super) fn shift_columns(expr: &mut Expr, by: usize) {
    super::visit::walk_mut(expr, 0, &mut |node, depth| match node {
        Expr::Column { index, .. } if depth == 0 => *index += by,
        Expr::Outer { depth: level, index, .. } if depth > 0 && *level == depth => *index += by,
        _ => {}
    });
}

fn using_column(scope: &Scope<'_>, name: &str, side: &str) -> SqlResult<Expr> {
    let mut found = scope.columns.iter().filter(|column| column.bare && column.name == name);
    let Some(column) = found.next() else {
        let message = format!("column \"{name}\" specified in USING clause does not exist in {side} table");
        return Err(SqlError::new(SqlState::UndefinedColumn, message));
    };
    if found.next().is_some() {
        let message = format!("common column name \"{name}\" appears more than once in {side} table");
        return Err(SqlError::new(SqlState::AmbiguousColumn, message));
    }
    Ok(column.expr.clone())
}

/// Whether an item refers to what stands to its left: LATERAL, or a function with arguments.
fn is_lateral(item: &ast::TableWithJoins) -> bool {
    let lateral = |factor: &TableFactor| match factor {
        TableFactor::Derived { lateral, .. } => *lateral,
        TableFactor::Function { .. } | TableFactor::UNNEST { .. } => true,
        TableFactor::Table { args, .. } => args.is_some(),
        _ => false,
    };
    lateral(&item.relation)
}

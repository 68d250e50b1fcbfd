//! UPDATE and DELETE.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Identity, TableDescriptor};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, AssignmentTarget};

use super::{
    super::{
        Binder, fold, from,
        scope::{Clause, Scope, table_fields},
    },
    is_default,
};
use crate::plan::{Delete, Expr, JoinKind, Query, Relation, SubqueryKind, TableScan, Update};

impl Binder<'_> {
    pub(in crate::bind) fn update(&mut self, update: &ast::Update, with: Option<&ast::With>) -> SqlResult<Update> {
        if update.or.is_some()
            || !update.order_by.is_empty()
            || update.limit.is_some()
            || !update.table.joins.is_empty()
        {
            return Err(SqlError::new(SqlState::SyntaxError, "syntax error: clause of another SQL dialect"));
        }
        let from = match &update.from {
            None => None,
            Some(ast::UpdateTableFromKind::AfterSet(from)) => Some(from),
            Some(ast::UpdateTableFromKind::BeforeSet(_)) => {
                return Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \"FROM\""));
            }
        };
        let ctes = self.with_inherited(with)?;
        let (target, from, scope) = self.target_and_sources(&update.table.relation, from)?;
        scope.clause.set(Clause::Set);
        let assignments = self.assignments(&update.assignments, &target.table, &scope)?;
        scope.clause.set(Clause::Where);
        let condition = update.selection.as_ref().map(|tree| self.boolean(tree, "WHERE", &scope)).transpose()?;
        let returning = self.returning(update.returning.as_ref(), &scope)?;
        self.ctes.pop();
        Ok(Update {
            ctes,
            from,
            condition,
            assignments,
            defaults: self.column_defaults(&target.table)?,
            generated: self.generated_columns(&target.table)?,
            checks: self.check_constraints(&target.table)?,
            returning,
            target,
        })
    }

    pub(in crate::bind) fn delete(&mut self, delete: &ast::Delete, with: Option<&ast::With>) -> SqlResult<Delete> {
        let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) = &delete.from;
        let [table] = tables.as_slice() else {
            return Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \",\""));
        };
        let foreign = !delete.tables.is_empty()
            || !delete.order_by.is_empty()
            || delete.limit.is_some()
            || !table.joins.is_empty()
            || matches!(delete.from, ast::FromTable::WithoutKeyword(_));
        if foreign {
            return Err(SqlError::new(SqlState::SyntaxError, "syntax error: clause of another SQL dialect"));
        }
        let ctes = self.with_inherited(with)?;
        let (target, using, scope) = self.target_and_sources(&table.relation, delete.using.as_ref())?;
        scope.clause.set(Clause::Where);
        let condition = delete.selection.as_ref().map(|tree| self.boolean(tree, "WHERE", &scope)).transpose()?;
        let returning = self.returning(delete.returning.as_ref(), &scope)?;
        self.ctes.pop();
        Ok(Delete { ctes, target, using, condition, returning })
    }

    /// The written table, the relations of FROM or USING, and the names of both.
    fn target_and_sources(
        &mut self,
        target: &ast::TableFactor,
        sources: Option<&Vec<ast::TableWithJoins>>,
    ) -> SqlResult<(TableScan, Option<Relation>, Scope<'static>)> {
        let (table, alias) = self.target(target)?;
        let (scan, named) = self.scan(table, alias);
        let mut scope = Scope::new(Vec::new(), Vec::new(), 0, None, Clause::Where);
        scope.add(named, &table_fields(&scan.table), 0);
        let Some(sources) = sources.filter(|sources| !sources.is_empty()) else { return Ok((scan, None, scope)) };
        let source = self.from(sources, None)?;
        let scope = from::merge(scope, source.scope, JoinKind::Inner)?;
        Ok((scan, Some(source.relation), scope))
    }

    /// SET clauses as position and value.
    pub(super) fn assignments(
        &mut self,
        assignments: &[ast::Assignment],
        table: &TableDescriptor,
        scope: &Scope<'_>,
    ) -> SqlResult<Vec<(usize, Expr)>> {
        let mut bound: Vec<(usize, Expr)> = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            match &assignment.target {
                AssignmentTarget::ColumnName(name) => {
                    let column = self.set_column(name, table)?;
                    let value = self.column_value(&assignment.value, table, column, scope)?;
                    bound.push((column, value));
                }
                AssignmentTarget::Tuple(names) if subquery_of(&assignment.value).is_some() => {
                    self.assign_subquery(names, &assignment.value, table, scope, &mut bound)?;
                }
                AssignmentTarget::Tuple(names) => {
                    let values = row_values(&assignment.value)?;
                    if values.len() != names.len() {
                        let message = "number of columns does not match number of values";
                        return Err(SqlError::new(SqlState::SyntaxError, message));
                    }
                    for (name, value) in names.iter().zip(values) {
                        let column = self.set_column(name, table)?;
                        let value = self.column_value(value, table, column, scope)?;
                        bound.push((column, value));
                    }
                }
            }
        }
        for (at, (column, value)) in bound.iter().enumerate() {
            let column_of = &table.columns[*column];
            if bound[..at].iter().any(|(other, _)| other == column) {
                let message = format!("multiple assignments to same column \"{}\"", column_of.name);
                return Err(SqlError::new(SqlState::SyntaxError, message));
            }
            let always = column_of.generated.is_some() || column_of.identity == Some(Identity::Always);
            if always && !matches!(value, Expr::Default) {
                let message = format!("column \"{}\" can only be updated to DEFAULT", column_of.name);
                let detail = match column_of.generated {
                    Some(_) => format!("Column \"{}\" is a generated column.", column_of.name),
                    None => {
                        format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column_of.name)
                    }
                };
                return Err(SqlError::new(SqlState::GeneratedAlways, message).with_detail(detail));
            }
        }
        Ok(bound)
    }

    /// `(a, b) = (SELECT …)`: each column takes its own from the subquery.
    fn assign_subquery(
        &mut self,
        names: &[ast::ObjectName],
        tree: &ast::Expr,
        table: &TableDescriptor,
        scope: &Scope<'_>,
        bound: &mut Vec<(usize, Expr)>,
    ) -> SqlResult<()> {
        let query = subquery_of(tree).ok_or_else(|| SqlError::internal("no subquery to assign"))?;
        let query = self.query(query, Some(scope))?;
        if query.fields.len() != names.len() {
            let message = "number of columns does not match number of values";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        for (at, name) in names.iter().enumerate() {
            let column = self.set_column(name, table)?;
            let field = query.fields[at].clone();
            let sql_type = field.sql_type;
            let exprs = vec![Expr::Column { index: at, sql_type }];
            let body = Relation::Project { input: Box::new(query.body.clone()), exprs, fields: vec![field.clone()] };
            let one = Query { body, fields: vec![field], ..query.clone() };
            let value = Expr::Subquery { kind: SubqueryKind::Scalar, query: Box::new(one), sql_type };
            let target = &table.columns[column];
            bound.push((column, self.assign(value, &target.name, target.sql_type)?));
        }
        Ok(())
    }

    fn set_column(&self, name: &ast::ObjectName, table: &TableDescriptor) -> SqlResult<usize> {
        let idents: Vec<&ast::Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        match idents.as_slice() {
            [column] => self.target_column(table, column),
            [first, ..] => {
                // PostgreSQL reads a qualifier as a column with a field.
                self.target_column(table, first)?;
                Err(SqlError::unsupported(format!("assigning to a field of column \"{}\"", fold(first))))
            }
            [] => Err(SqlError::unsupported("computed names")),
        }
    }
}

fn subquery_of(tree: &ast::Expr) -> Option<&ast::Query> {
    match tree {
        ast::Expr::Subquery(query) => Some(query),
        ast::Expr::Nested(inner) => subquery_of(inner),
        _ => None,
    }
}

/// The values of `(a, b) = …`.
fn row_values(tree: &ast::Expr) -> SqlResult<Vec<&ast::Expr>> {
    match tree {
        ast::Expr::Tuple(values) => Ok(values.iter().collect()),
        ast::Expr::Nested(inner) => match &**inner {
            ast::Expr::Tuple(values) => Ok(values.iter().collect()),
            single => Ok(vec![single]),
        },
        ast::Expr::Function(function) => match &function.args {
            ast::FunctionArguments::List(list) => list
                .args
                .iter()
                .map(|arg| match arg {
                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Ok(expr),
                    _ => Err(SqlError::unsupported("whole-row references")),
                })
                .collect(),
            _ => Err(SqlError::unsupported("this source of a multiple-column SET")),
        },
        tree if is_default(tree) => Ok(vec![tree]),
        _ => {
            let message = "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression";
            Err(SqlError::new(SqlState::FeatureNotSupported, message))
        }
    }
}

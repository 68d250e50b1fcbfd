//! INSERT.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Identity, TableDescriptor, functions::CastContext};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, SetExpr};

use super::super::{
    Binder, fold,
    scope::{Clause, Scope, ScopeTable, table_fields},
};
use crate::{
    parse::InsertClauses,
    plan::{Expr, Insert, InsertSource, Query},
};

impl Binder<'_> {
    /// INSERT; `with` is the WITH in front of it.
    pub(in crate::bind) fn insert(
        &mut self,
        insert: &ast::Insert,
        with: Option<&ast::With>,
        clauses: &InsertClauses,
    ) -> SqlResult<Insert> {
        let overriding = clauses.overriding;
        refuse_foreign_clauses(insert)?;
        let ast::TableObject::TableName(name) = &insert.table else {
            return Err(SqlError::unsupported("INSERT into something other than a table"));
        };
        let name = self.object_name(name)?;
        let table = self.table(&name)?;
        let ctes = self.with_inherited(with)?;
        let listed = self.insert_columns(insert, &table)?;
        let (mut source, given) = self.insert_source(insert, &table, listed.as_deref())?;
        let columns = match listed {
            Some(columns) => columns,
            None => (0..given).collect(),
        };
        check_generated(&mut source, &table, &columns, overriding)?;
        let alias = insert.table_alias.as_ref().map_or_else(|| table.name.clone(), |alias| fold(&alias.alias));
        let mut scope = Scope::new(Vec::new(), Vec::new(), 0, None, Clause::Returning);
        let named = ScopeTable { schema: Some(self.schema_name(table.schema)), ..ScopeTable::plain(&alias) };
        scope.add(named, &table_fields(&table), 0);
        let on_conflict = match &insert.on {
            None => None,
            Some(ast::OnInsert::OnConflict(conflict)) => {
                Some(self.on_conflict(conflict, clauses.conflict_condition.as_ref(), &table, &alias)?)
            }
            Some(_) => return Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \"DUPLICATE\"")),
        };
        let returning = self.returning(insert.returning.as_ref(), &scope)?;
        self.ctes.pop();
        Ok(Insert {
            ctes,
            columns,
            source,
            defaults: self.column_defaults(&table)?,
            generated: self.generated_columns(&table)?,
            checks: self.check_constraints(&table)?,
            overriding_system: overriding == Some(true),
            overriding_user: overriding == Some(false),
            on_conflict,
            returning,
            table,
        })
    }

    fn insert_columns(&self, insert: &ast::Insert, table: &TableDescriptor) -> SqlResult<Option<Vec<usize>>> {
        if insert.columns.is_empty() {
            return Ok(None);
        }
        let mut columns = Vec::with_capacity(insert.columns.len());
        for name in &insert.columns {
            let [part] = name.0.as_slice() else {
                return Err(SqlError::unsupported("assigning to a part of a column"));
            };
            let ident = part.as_ident().ok_or_else(|| SqlError::unsupported("computed names"))?;
            let column = self.target_column(table, ident)?;
            if columns.contains(&column) {
                let message = format!("column \"{}\" specified more than once", fold(ident));
                return Err(self.at(ident.span, SqlError::new(SqlState::DuplicateColumn, message)));
            }
            columns.push(column);
        }
        Ok(Some(columns))
    }

    /// The rows, converted to the columns, and how many columns they have.
    fn insert_source(
        &mut self,
        insert: &ast::Insert,
        table: &TableDescriptor,
        listed: Option<&[usize]>,
    ) -> SqlResult<(InsertSource, usize)> {
        let Some(query) = &insert.source else { return Ok((InsertSource::Defaults, 0)) };
        let all: Vec<usize> = (0..table.columns.len()).collect();
        let columns = listed.unwrap_or(&all);
        let plain =
            query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
        if let (SetExpr::Values(values), true) = (&*query.body, plain) {
            return self.insert_values(values, table, columns, listed.is_some());
        }
        let mut query = self.open_query(query, None)?;
        check_width(query.fields.len(), columns.len(), listed.is_some())?;
        let given = query.fields.len();
        self.convert_insert_query(&mut query, table, &columns[..given])?;
        Ok((InsertSource::Query(Box::new(query)), given))
    }

    fn convert_insert_query(&mut self, query: &mut Query, table: &TableDescriptor, columns: &[usize]) -> SqlResult<()> {
        let mut targets = Vec::with_capacity(columns.len());
        for (field, column) in query.fields.iter().zip(columns) {
            let column = &table.columns[*column];
            let probe = Expr::null(field.sql_type);
            self.assign(probe, &column.name, column.sql_type)?;
            targets.push(column.sql_type);
        }
        self.convert_query(query, &targets, CastContext::Assignment)
    }

    fn insert_values(
        &mut self,
        values: &ast::Values,
        table: &TableDescriptor,
        columns: &[usize],
        listed: bool,
    ) -> SqlResult<(InsertSource, usize)> {
        let scope = Scope::empty(Clause::Values);
        let given = values.rows.first().map_or(0, |row| row.content.len());
        let mut rows = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            if row.content.len() != given {
                return Err(SqlError::new(SqlState::SyntaxError, "VALUES lists must all be the same length"));
            }
            check_width(given, columns.len(), listed)?;
            let exprs = row.content.iter().zip(columns);
            rows.push(
                exprs
                    .map(|(tree, column)| self.column_value(tree, table, *column, &scope))
                    .collect::<SqlResult<_>>()?,
            );
        }
        Ok((InsertSource::Values(rows), given))
    }
}

fn check_width(given: usize, columns: usize, listed: bool) -> SqlResult<()> {
    if given > columns {
        return Err(SqlError::new(SqlState::SyntaxError, "INSERT has more expressions than target columns"));
    }
    if listed && given < columns {
        return Err(SqlError::new(SqlState::SyntaxError, "INSERT has more target columns than expressions"));
    }
    Ok(())
}

/// Refuses values for generated columns and GENERATED ALWAYS identities; OVERRIDING USER VALUE ignores them.
fn check_generated(
    source: &mut InsertSource,
    table: &TableDescriptor,
    columns: &[usize],
    overriding: Option<bool>,
) -> SqlResult<()> {
    for (at, column) in columns.iter().enumerate() {
        let column = &table.columns[*column];
        let always = column.identity == Some(Identity::Always);
        if overriding == Some(false) && column.identity.is_some() {
            if let InsertSource::Values(rows) = source {
                rows.iter_mut().for_each(|row| row[at] = Expr::Default);
            }
            continue;
        }
        if column.generated.is_none() && (!always || overriding == Some(true)) {
            continue;
        }
        let only_defaults = match source {
            InsertSource::Values(rows) => rows.iter().all(|row| matches!(row[at], Expr::Default)),
            InsertSource::Query(_) => false,
            InsertSource::Defaults => true,
        };
        if !only_defaults {
            let message = format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name);
            let error = SqlError::new(SqlState::GeneratedAlways, message);
            return Err(match always {
                true => error
                    .with_detail(format!(
                        "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
                        column.name
                    ))
                    .with_hint("Use OVERRIDING SYSTEM VALUE to override."),
                false => error.with_detail(format!("Column \"{}\" is a generated column.", column.name)),
            });
        }
    }
    Ok(())
}

fn refuse_foreign_clauses(insert: &ast::Insert) -> SqlResult<()> {
    let foreign = insert.or.is_some()
        || insert.ignore
        || insert.overwrite
        || !insert.assignments.is_empty()
        || insert.partitioned.is_some()
        || !insert.after_columns.is_empty()
        || insert.replace_into
        || insert.insert_alias.is_some()
        || insert.output.is_some();
    if foreign {
        Err(SqlError::new(SqlState::SyntaxError, "syntax error: clause of another SQL dialect"))
    } else {
        Ok(())
    }
}

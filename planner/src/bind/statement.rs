//! Statements: which part of the binder binds which.

use std::sync::Arc;

use proto::{SqlError, SqlResult};
use schema::{Oid, SqlType, TableDescriptor};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::{
    ast::{self, SetExpr},
    tokenizer::Span,
};

use super::{Binder, scope, types};
use crate::{
    parse::{Command, InsertClauses, RelationName},
    plan::{Explain, Field, Statement},
};

impl Binder<'_> {
    /// Binds any statement.
    pub(super) fn command(&mut self, command: &Command) -> SqlResult<Statement> {
        Ok(match command {
            Command::Plain(statement) => statement.clone(),
            Command::Sql(statement) => self.sql(statement, &InsertClauses::default())?,
            Command::Insert { clauses, statement } => self.sql(statement, clauses)?,
            Command::CreateTableLike { statement, likes } => {
                Statement::Ddl(Box::new(self.create_table_like(statement, likes)?))
            }
            Command::CreateTableAs { statement, with_data } => {
                Statement::Ddl(Box::new(self.create_table_as(statement, *with_data)?))
            }
            Command::Vacuum { tables, analyze } => {
                Statement::Vacuum { tables: self.tables(tables)?, analyze: *analyze }
            }
            Command::Analyze { tables } => Statement::Analyze(self.tables(tables)?),
            Command::LockTable { tables, exclusive, nowait } => {
                Statement::LockTable { tables: self.tables(tables)?, exclusive: *exclusive, nowait: *nowait }
            }
            Command::Prepare { name, types, statement } => Statement::Prepare {
                name: name.clone(),
                parameters: types.iter().map(types::sql_type).collect::<SqlResult<_>>()?,
                statement: statement.clone(),
            },
            Command::Execute { name, arguments } => {
                let empty = scope::Scope::empty(scope::Clause::Values);
                let mut bound = Vec::with_capacity(arguments.len());
                for (tree, _) in arguments {
                    bound.push(self.expr(tree, &empty)?);
                }
                let texts = arguments.iter().map(|(_, text)| text.clone()).collect();
                Statement::Execute { name: name.clone(), arguments: bound, texts }
            }
            Command::Declare { name, hold, query } => {
                Statement::DeclareCursor { name: name.clone(), hold: *hold, query: Box::new(self.query(query, None)?) }
            }
            Command::Copy(copy) => self.copy(copy)?,
            Command::Explain { options, command } => {
                let statement = self.command(command)?;
                let explainable = matches!(
                    statement,
                    Statement::Query(_)
                        | Statement::Insert(_)
                        | Statement::Update(_)
                        | Statement::Delete(_)
                        | Statement::DeclareCursor { .. }
                        | Statement::Execute { .. }
                );
                if !explainable {
                    return Err(SqlError::unsupported("EXPLAIN of this statement"));
                }
                Statement::Explain(Box::new(Explain {
                    statement,
                    analyze: options.analyze,
                    verbose: options.verbose,
                    costs: options.costs,
                    json: options.json,
                }))
            }
            _ => Statement::Ddl(Box::new(self.utility_ddl(command)?)),
        })
    }

    fn sql(&mut self, statement: &ast::Statement, clauses: &InsertClauses) -> SqlResult<Statement> {
        use ast::Statement as S;
        Ok(match statement {
            S::Query(query) => self.query_statement(query, clauses)?,
            S::Insert(insert) => Statement::Insert(Box::new(self.insert(insert, None, clauses)?)),
            S::Update(update) => Statement::Update(Box::new(self.update(update, None)?)),
            S::Delete(delete) => Statement::Delete(Box::new(self.delete(delete, None)?)),
            S::Merge(_) => return Err(SqlError::unsupported("MERGE")),
            S::LISTEN { .. } | S::UNLISTEN { .. } | S::NOTIFY { .. } => {
                return Err(SqlError::unsupported("LISTEN and NOTIFY"));
            }
            S::Grant(_) | S::Revoke(_) => return Err(SqlError::unsupported("GRANT and REVOKE")),
            S::CreateFunction(_) | S::DropFunction(_) | S::CreateProcedure { .. } | S::Call(_) => {
                return Err(SqlError::unsupported("user-defined functions and procedures"));
            }
            S::CreateTrigger(_) | S::DropTrigger(_) => return Err(SqlError::unsupported("triggers")),
            S::CreateType { .. } | S::CreateDomain(_) | S::AlterType(_) | S::DropDomain(_) => {
                return Err(SqlError::unsupported("user-defined types"));
            }
            S::CreateExtension(_) | S::DropExtension(_) => return Err(SqlError::unsupported("extensions")),
            S::CreatePolicy(_) | S::AlterPolicy(_) | S::DropPolicy(_) => {
                return Err(SqlError::unsupported("row security policies"));
            }
            other => Statement::Ddl(Box::new(self.ddl(other)?)),
        })
    }

    /// A query, or INSERT, UPDATE or DELETE with WITH in front.
    fn query_statement(&mut self, query: &ast::Query, clauses: &InsertClauses) -> SqlResult<Statement> {
        let with = query.with.as_ref();
        let inserts = |cte: &ast::Cte| matches!(&*cte.query.body, SetExpr::Insert(_));
        let elsewhere = with.is_some_and(|with| with.cte_tables.iter().any(inserts));
        if !clauses.is_empty() && (elsewhere || !matches!(&*query.body, SetExpr::Insert(_))) {
            return Err(SqlError::unsupported("OVERRIDING and conditions of conflict targets inside WITH"));
        }
        Ok(match &*query.body {
            SetExpr::Insert(ast::Statement::Insert(insert)) => {
                Statement::Insert(Box::new(self.insert(insert, with, clauses)?))
            }
            SetExpr::Update(ast::Statement::Update(update)) => Statement::Update(Box::new(self.update(update, with)?)),
            SetExpr::Delete(ast::Statement::Delete(delete)) => Statement::Delete(Box::new(self.delete(delete, with)?)),
            SetExpr::Select(select) if select.into.is_some() => {
                Statement::Ddl(Box::new(self.select_into(query, select)?))
            }
            _ => Statement::Query(Box::new(self.query(query, None)?)),
        })
    }

    fn tables(&self, names: &[RelationName]) -> SqlResult<Vec<Arc<TableDescriptor>>> {
        let table = |name: &RelationName| {
            let name = self.name_of_parts(name.clone(), Span::empty())?;
            self.table(&name)
        };
        names.iter().map(table).collect()
    }
}

/// Columns of a statement's rows; `None` for a statement without rows.
pub fn fields(statement: &Statement) -> Option<Vec<Field>> {
    let text = |name: &str| vec![Field { name: name.to_owned(), sql_type: SqlType::new(Oid::TEXT), origin: (0, 0) }];
    match statement {
        Statement::Query(query) => Some(query.fields.clone()),
        Statement::Insert(insert) => insert.returning.as_ref().map(|returning| returning.fields.clone()),
        Statement::Update(update) => update.returning.as_ref().map(|returning| returning.fields.clone()),
        Statement::Delete(delete) => delete.returning.as_ref().map(|returning| returning.fields.clone()),
        Statement::WithChanges(with) => fields(&with.main),
        Statement::Explain(explain) => {
            let sql_type = SqlType::new(if explain.json { Oid::JSON } else { Oid::TEXT });
            Some(vec![Field { name: "QUERY PLAN".to_owned(), sql_type, origin: (0, 0) }])
        }
        Statement::Show(name) if name == "all" => {
            Some(["name", "setting", "description"].into_iter().flat_map(text).collect())
        }
        Statement::Show(name) => Some(text(name)),
        _ => None,
    }
}

//! INSERT, UPDATE and DELETE inside WITH.
//!
//! Such a statement runs before the one that it stands in, which then finds its RETURNING rows where the WITH query
//! was. All parts see the database as it was before, which is the executor's care.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;
use sqlparser::ast::{self, SetExpr};

use super::{Binder, query::VisibleCte, scope::Scope, statement};
use crate::{
    parse::InsertClauses,
    plan::{Cte, Field, Query, Relation, Statement, WithChanges},
};

/// A data-modifying statement of a WITH.
pub(super) struct Change {
    /// Its position in the WITH.
    at: usize,
    statement: Statement,
}

/// What a data-modifying statement inside WITH sees of the queries before it.
#[derive(Default)]
pub(super) struct Inherited {
    pub(super) frame: Vec<VisibleCte>,
    pub(super) ctes: Vec<Cte>,
}

/// Whether a WITH query modifies data.
pub(super) fn is_change(tree: &ast::Cte) -> bool {
    matches!(&*tree.query.body, SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_))
}

impl Binder<'_> {
    /// Binds a data-modifying WITH query; answers its columns.
    pub(super) fn change(
        &mut self,
        tree: &ast::Cte,
        before: &[Cte],
        parent: Option<&Scope<'_>>,
    ) -> SqlResult<Vec<Field>> {
        if self.ctes.len() != 1 || parent.is_some() {
            let message = "WITH clause containing a data-modifying statement must be at the top level";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let frame = self.ctes.last().cloned().unwrap_or_default();
        self.inherited = Inherited { frame, ctes: before.to_vec() };
        let with = tree.query.with.as_ref();
        let statement = match &*tree.query.body {
            SetExpr::Insert(ast::Statement::Insert(insert)) => {
                Statement::Insert(Box::new(self.insert(insert, with, &InsertClauses::default())?))
            }
            SetExpr::Update(ast::Statement::Update(update)) => Statement::Update(Box::new(self.update(update, with)?)),
            SetExpr::Delete(ast::Statement::Delete(delete)) => Statement::Delete(Box::new(self.delete(delete, with)?)),
            _ => return Err(SqlError::unsupported("MERGE")),
        };
        let fields = statement::fields(&statement).unwrap_or_default();
        self.changes.push(Change { at: before.len(), statement });
        Ok(fields)
    }

    /// The WITH of a data-modifying statement, behind what it inherits from the WITH it stands in.
    pub(super) fn with_inherited(&mut self, with: Option<&ast::With>) -> SqlResult<Vec<Cte>> {
        let Inherited { frame, ctes } = std::mem::take(&mut self.inherited);
        self.ctes.push(frame);
        self.with_behind(with, None, ctes)
    }

    /// The statement with the changes in its WITH, if there are any.
    pub(super) fn with_changes(&mut self, main: Statement) -> SqlResult<Statement> {
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() {
            return Ok(main);
        }
        if !matches!(main, Statement::Query(_) | Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_)) {
            return Err(SqlError::unsupported("data-modifying statements in WITH of this statement"));
        }
        let changes = changes.into_iter().map(|change| (change.at, change.statement)).collect();
        Ok(Statement::WithChanges(Box::new(WithChanges { changes, main })))
    }
}

/// Stands for the rows of a change until it has run.
pub(super) fn placeholder(name: &str, fields: Vec<Field>) -> Cte {
    let body = Relation::Values { rows: Vec::new(), fields: fields.clone() };
    let query = Query { ctes: Vec::new(), body, fields: fields.clone(), locks: Vec::new(), shown: None };
    Cte {
        name: name.to_owned(),
        query: Box::new(query),
        recursive: None,
        recursive_distinct: false,
        fields,
        materialized: None,
    }
}

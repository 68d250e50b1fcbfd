//! INSERT, UPDATE and DELETE inside WITH.
//!
//! Such a statement runs before the one that it stands in, which then finds its RETURNING rows where the WITH query
//! was. All parts are to see the database as it was before. That holds without further ado as long as no later part
//! reads what an earlier one writes; statements in which one does are refused.

use std::collections::HashSet;

use proto::{SqlError, SqlResult, SqlState};
use schema::{Descriptor, Oid};
use sharddb_proto as proto;
use sharddb_schema as schema;
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
    /// Relations that it reads.
    reads: Vec<Oid>,
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
        let first = self.relations.len();
        let with = tree.query.with.as_ref();
        let statement = match &*tree.query.body {
            SetExpr::Insert(ast::Statement::Insert(insert)) => {
                Statement::Insert(Box::new(self.insert(insert, with, &InsertClauses::default())?))
            }
            SetExpr::Update(ast::Statement::Update(update)) => Statement::Update(Box::new(self.update(update, with)?)),
            SetExpr::Delete(ast::Statement::Delete(delete)) => Statement::Delete(Box::new(self.delete(delete, with)?)),
            _ => return Err(SqlError::unsupported("MERGE")),
        };
        let reads = self.relations.split_off(first);
        let fields = statement::fields(&statement).unwrap_or_default();
        self.changes.push(Change { at: before.len(), statement, reads });
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
        for (at, change) in changes.iter().enumerate() {
            let written = self.written_by(&change.statement);
            let later = changes[at + 1..].iter().flat_map(|change| &change.reads).chain(&self.relations);
            let later: Vec<Oid> = later.copied().collect();
            if self.underlying(&later).iter().any(|read| written.contains(read)) {
                let what = "reading a table in a statement whose WITH changes it";
                return Err(SqlError::unsupported(what));
            }
        }
        let changes = changes.into_iter().map(|change| (change.at, change.statement)).collect();
        Ok(Statement::WithChanges(Box::new(WithChanges { changes, main })))
    }

    /// The changed table, and those that foreign keys may lead to.
    fn written_by(&self, statement: &Statement) -> HashSet<Oid> {
        let table = match statement {
            Statement::Insert(insert) => insert.table.oid,
            Statement::Update(update) => update.target.table.oid,
            Statement::Delete(delete) => delete.target.table.oid,
            _ => return HashSet::new(),
        };
        let mut found = HashSet::new();
        let mut waiting = vec![table];
        while let Some(table) = waiting.pop() {
            if found.insert(table)
                && let Some(table) = self.catalog().table(table)
            {
                waiting.extend(&table.referenced_by);
            }
        }
        found
    }

    /// Relations, and those that views among them read.
    fn underlying(&self, relations: &[Oid]) -> HashSet<Oid> {
        let mut found = HashSet::new();
        let mut waiting = relations.to_vec();
        while let Some(relation) = waiting.pop() {
            if found.insert(relation)
                && let Some(Descriptor::View(view)) = self.catalog().get(relation)
            {
                waiting.extend(&view.depends_on);
            }
        }
        found
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

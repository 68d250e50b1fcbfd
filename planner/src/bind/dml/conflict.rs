//! ON CONFLICT.

use proto::{SqlError, SqlResult, SqlState};
use schema::{ConstraintKind, IndexId, TableDescriptor};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast;

use super::super::{
    Binder, bind_row_expression, fold,
    same::same,
    scope::{Clause, Scope, ScopeTable, table_fields},
};
use crate::plan::{ConflictAction, ConflictTarget, Expr};

impl Binder<'_> {
    pub(super) fn on_conflict(
        &mut self,
        conflict: &ast::OnConflict,
        condition: Option<&ast::Expr>,
        table: &TableDescriptor,
        alias: &str,
    ) -> SqlResult<(ConflictTarget, ConflictAction)> {
        let target = match &conflict.conflict_target {
            None => ConflictTarget::Any,
            Some(ast::ConflictTarget::Columns(columns)) => {
                ConflictTarget::Indexes(self.infer_indexes(columns, condition, table)?)
            }
            Some(ast::ConflictTarget::OnConstraint(name)) => {
                let name = self.object_name(name)?;
                ConflictTarget::Indexes(vec![constraint_index(table, &name.name)?])
            }
        };
        let action = match &conflict.action {
            ast::OnConflictAction::DoNothing => ConflictAction::Nothing,
            ast::OnConflictAction::DoUpdate(update) => {
                if matches!(target, ConflictTarget::Any) {
                    let message = "ON CONFLICT DO UPDATE requires inference specification or constraint name";
                    return Err(SqlError::new(SqlState::SyntaxError, message)
                        .with_hint("For example, ON CONFLICT (column_name)."));
                }
                self.conflict_update(update, table, alias)?
            }
        };
        Ok((target, action))
    }

    fn conflict_update(
        &mut self,
        update: &ast::DoUpdate,
        table: &TableDescriptor,
        alias: &str,
    ) -> SqlResult<ConflictAction> {
        let mut scope = Scope::new(Vec::new(), Vec::new(), 0, None, Clause::Set);
        let fields = table_fields(table);
        let named = ScopeTable { schema: Some(self.schema_name(table.schema)), ..ScopeTable::plain(alias) };
        scope.add(named, &fields, 0);
        scope.add(ScopeTable::plain("excluded"), &fields, fields.len());
        let assignments = self.assignments(&update.assignments, table, &scope)?;
        scope.clause.set(Clause::Where);
        let condition = update.selection.as_ref().map(|tree| self.boolean(tree, "WHERE", &scope)).transpose()?;
        Ok(ConflictAction::Update { assignments, condition })
    }

    /// Unique indexes over exactly these columns; partial ones if the condition given implies theirs.
    fn infer_indexes(
        &mut self,
        columns: &[ast::Ident],
        condition: Option<&ast::Expr>,
        table: &TableDescriptor,
    ) -> SqlResult<Vec<IndexId>> {
        let scope = Scope::of_table(table, &table.name, 0, None);
        let given = condition.map(|tree| self.boolean(tree, "WHERE", &scope)).transpose()?;
        let mut wanted = Vec::with_capacity(columns.len());
        for column in columns {
            let name = fold(column);
            let position = table.position_by_name(&name).ok_or_else(|| {
                self.at(
                    column.span,
                    SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" does not exist")),
                )
            })?;
            wanted.push(table.columns[position].id);
        }
        wanted.sort_unstable();
        wanted.dedup();
        let mut found: Vec<IndexId> = Vec::new();
        for index in table.indexes.iter().filter(|index| index.unique) {
            let mut own: Vec<_> = index.columns.iter().map(|column| column.column).collect();
            own.sort_unstable();
            if own == wanted && self.is_meant(index, given.as_ref(), table)? {
                found.push(index.id);
            }
        }
        if found.is_empty() {
            let message = "there is no unique or exclusion constraint matching the ON CONFLICT specification";
            return Err(SqlError::new(SqlState::InvalidColumnReference, message));
        }
        Ok(found)
    }
}

impl Binder<'_> {
    /// Whether an index holds every row that the condition of the conflict target admits.
    fn is_meant(
        &self,
        index: &schema::IndexDescriptor,
        given: Option<&Expr>,
        table: &TableDescriptor,
    ) -> SqlResult<bool> {
        let Some(text) = &index.predicate else { return Ok(true) };
        let Some(given) = given else { return Ok(false) };
        let boolean = schema::SqlType::new(schema::Oid::BOOL);
        let predicate = bind_row_expression(text, table, Some(boolean), self.context)?;
        let given = conjuncts(given);
        Ok(conjuncts(&predicate).iter().all(|needed| given.iter().any(|known| same(known, needed))))
    }
}

fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::And(parts) => parts.iter().flat_map(conjuncts).collect(),
        other => vec![other],
    }
}

fn constraint_index(table: &TableDescriptor, name: &str) -> SqlResult<IndexId> {
    let constraint = table.constraints.iter().find(|constraint| constraint.name == name);
    match constraint.map(|constraint| &constraint.kind) {
        Some(ConstraintKind::PrimaryKey { .. }) => Ok(table.primary().id),
        Some(ConstraintKind::Unique { index, .. }) => Ok(*index),
        Some(_) => {
            Err(SqlError::new(SqlState::WrongObjectType, "constraint in ON CONFLICT clause has no associated index"))
        }
        None => {
            let message = format!("constraint \"{name}\" for table \"{}\" does not exist", table.name);
            Err(SqlError::new(SqlState::UndefinedObject, message))
        }
    }
}

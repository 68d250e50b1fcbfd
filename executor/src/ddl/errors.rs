//! Errors that several DDL statements share.

use planner::plan::{QualifiedName, RelationKind};
use proto::{SqlError, SqlResult, SqlState};
use sharddb_planner as planner;
use sharddb_proto as proto;

use super::Changes;

/// 42703 for a column of a table.
pub(crate) fn undefined_column(column: &str, table: &str) -> SqlError {
    let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
    SqlError::new(SqlState::UndefinedColumn, message)
}

/// 42704 for a constraint of a table.
pub(crate) fn undefined_constraint(constraint: &str, table: &str) -> SqlError {
    let message = format!("constraint \"{constraint}\" of relation \"{table}\" does not exist");
    SqlError::new(SqlState::UndefinedObject, message)
}

/// The word for a kind of relation.
pub(crate) fn kind_word(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table => "table",
        RelationKind::View => "view",
        RelationKind::Sequence => "sequence",
        RelationKind::Index => "index",
    }
}

/// 42P01, or 42704 for an index, for a relation that does not exist.
pub(crate) fn undefined(kind: RelationKind, name: &QualifiedName) -> SqlError {
    let state = if kind == RelationKind::Index { SqlState::UndefinedObject } else { SqlState::UndefinedTable };
    SqlError::new(state, format!("{} \"{}\" does not exist", kind_word(kind), name.name))
}

/// 42809 for a relation of another kind than the statement is for.
pub(crate) fn wrong_kind(wanted: RelationKind, found: RelationKind, name: &str) -> SqlError {
    let article = if wanted == RelationKind::Index { "an" } else { "a" };
    let message = format!("\"{name}\" is not {article} {}", kind_word(wanted));
    let article = if found == RelationKind::Index { "an" } else { "a" };
    let hint = format!("Use DROP {} to remove {article} {}.", kind_word(found).to_uppercase(), kind_word(found));
    SqlError::new(SqlState::WrongObjectType, message).with_hint(hint)
}

impl Changes<'_> {
    /// The error for an object that exists already, or a notice with IF NOT EXISTS.
    pub(super) fn exists_already(
        &mut self,
        word: &str,
        name: &str,
        state: SqlState,
        if_not_exists: bool,
    ) -> SqlResult<()> {
        let message = format!("{word} \"{name}\" already exists");
        if !if_not_exists {
            return Err(SqlError::new(state, message));
        }
        self.notices.push(crate::session::Notice {
            severity: crate::session::Severity::Notice,
            message: SqlError::new(state, format!("{message}, skipping")),
        });
        Ok(())
    }
}

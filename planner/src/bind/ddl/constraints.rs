//! Constraint definitions.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Deferrable, ReferentialAction};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, ColumnOption, TableConstraint};

use super::super::{Binder, fold};
use crate::plan::{ConstraintDefinition, ConstraintDefinitionKind};

impl Binder<'_> {
    /// A constraint written at a column.
    pub(super) fn column_constraint(
        &mut self,
        option: &ColumnOption,
        name: Option<String>,
        column: &str,
    ) -> SqlResult<ConstraintDefinition> {
        let own = vec![column.to_owned()];
        let kind = match option {
            ColumnOption::PrimaryKey(key) => {
                check_characteristics(key.characteristics.as_ref())?;
                ConstraintDefinitionKind::PrimaryKey { columns: own }
            }
            ColumnOption::Unique(unique) => {
                check_characteristics(unique.characteristics.as_ref())?;
                ConstraintDefinitionKind::Unique { columns: own, nulls_not_distinct: nulls_not_distinct(unique) }
            }
            ColumnOption::Check(check) => check_kind(&check.expr, Some(column)),
            ColumnOption::ForeignKey(key) => self.foreign_key(key, own)?,
            ColumnOption::Comment(_) | ColumnOption::DialectSpecific(_) | ColumnOption::OnUpdate(_) => {
                return Err(SqlError::new(SqlState::SyntaxError, format!("syntax error at or near \"{option}\"")));
            }
            other => return Err(SqlError::unsupported(format!("column option {other}"))),
        };
        Ok(ConstraintDefinition { name, kind, not_valid: false })
    }

    /// A constraint of a table.
    pub(super) fn table_constraint(
        &mut self,
        constraint: &TableConstraint,
        not_valid: bool,
    ) -> SqlResult<ConstraintDefinition> {
        let (name, kind) = match constraint {
            TableConstraint::PrimaryKey(key) => {
                check_characteristics(key.characteristics.as_ref())?;
                (&key.name, ConstraintDefinitionKind::PrimaryKey { columns: index_columns(&key.columns)? })
            }
            TableConstraint::Unique(unique) => {
                check_characteristics(unique.characteristics.as_ref())?;
                let nulls_not_distinct = nulls_not_distinct(unique);
                let columns = index_columns(&unique.columns)?;
                (&unique.name, ConstraintDefinitionKind::Unique { columns, nulls_not_distinct })
            }
            TableConstraint::Check(check) => (&check.name, check_kind(&check.expr, None)),
            TableConstraint::ForeignKey(key) => {
                let columns = key.columns.iter().map(fold).collect();
                (&key.name, self.foreign_key(key, columns)?)
            }
            TableConstraint::PrimaryKeyUsingIndex(using) => {
                (&using.name, ConstraintDefinitionKind::UsingIndex { primary: true, index: fold(&using.index_name) })
            }
            TableConstraint::UniqueUsingIndex(using) => {
                (&using.name, ConstraintDefinitionKind::UsingIndex { primary: false, index: fold(&using.index_name) })
            }
            TableConstraint::Index(_) | TableConstraint::FulltextOrSpatial(_) => {
                return Err(SqlError::new(SqlState::SyntaxError, format!("syntax error at or near \"{constraint}\"")));
            }
        };
        Ok(ConstraintDefinition { name: name.as_ref().map(fold), kind, not_valid })
    }

    fn foreign_key(
        &mut self,
        key: &ast::ForeignKeyConstraint,
        columns: Vec<String>,
    ) -> SqlResult<ConstraintDefinitionKind> {
        let deferrable = deferrable(key.characteristics.as_ref())?;
        if let Some(kind) = &key.match_kind
            && !matches!(kind, ast::ConstraintReferenceMatchKind::Simple)
        {
            return Err(SqlError::unsupported(format!("foreign keys with {kind}")));
        }
        let name = self.object_name(&key.foreign_table)?;
        Ok(ConstraintDefinitionKind::ForeignKey {
            columns,
            table: self.existing_name(&name)?,
            referenced: key.referred_columns.iter().map(fold).collect(),
            on_delete: action(key.on_delete.as_ref()),
            on_update: action(key.on_update.as_ref()),
            deferrable,
        })
    }
}

fn action(action: Option<&ast::ReferentialAction>) -> ReferentialAction {
    match action {
        None | Some(ast::ReferentialAction::NoAction) => ReferentialAction::NoAction,
        Some(ast::ReferentialAction::Restrict) => ReferentialAction::Restrict,
        Some(ast::ReferentialAction::Cascade) => ReferentialAction::Cascade,
        Some(ast::ReferentialAction::SetNull) => ReferentialAction::SetNull,
        Some(ast::ReferentialAction::SetDefault) => ReferentialAction::SetDefault,
    }
}

/// A CHECK with the names it reads; which of them are columns is for the executor to say.
fn check_kind(tree: &ast::Expr, column: Option<&str>) -> ConstraintDefinitionKind {
    let mut columns: Vec<String> = Vec::new();
    let _ = ast::visit_expressions(tree, |expr| {
        let ident = match expr {
            ast::Expr::Identifier(ident) => Some(ident),
            ast::Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        if let Some(name) = ident.map(fold)
            && !columns.contains(&name)
        {
            columns.push(name);
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    ConstraintDefinitionKind::Check { expression: tree.to_string(), columns, column: column.map(str::to_owned) }
}

fn nulls_not_distinct(unique: &ast::UniqueConstraint) -> bool {
    matches!(unique.nulls_distinct, ast::NullsDistinctOption::NotDistinct)
}

/// Names of key columns; expressions are refused.
fn index_columns(columns: &[ast::IndexColumn]) -> SqlResult<Vec<String>> {
    columns
        .iter()
        .map(|column| match &column.column.expr {
            ast::Expr::Identifier(ident) => Ok(fold(ident)),
            other => Err(SqlError::new(SqlState::SyntaxError, format!("syntax error at or near \"{other}\""))),
        })
        .collect()
}

/// Keys are checked when rows are written.
fn check_characteristics(characteristics: Option<&ast::ConstraintCharacteristics>) -> SqlResult<()> {
    match deferrable(characteristics)? {
        Deferrable::No => Ok(()),
        _ => Err(SqlError::unsupported("deferrable unique constraints and primary keys")),
    }
}

fn deferrable(characteristics: Option<&ast::ConstraintCharacteristics>) -> SqlResult<Deferrable> {
    let Some(characteristics) = characteristics else { return Ok(Deferrable::No) };
    if characteristics.enforced == Some(false) {
        return Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \"NOT ENFORCED\""));
    }
    let deferred = matches!(characteristics.initially, Some(ast::DeferrableInitial::Deferred));
    match characteristics.deferrable {
        Some(false) if deferred => {
            let message = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
            Err(SqlError::new(SqlState::SyntaxError, message))
        }
        _ if deferred => Ok(Deferrable::Deferred),
        Some(true) => Ok(Deferrable::Immediate),
        _ => Ok(Deferrable::No),
    }
}

//! ALTER TABLE.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, AlterColumnOperation, AlterTableOperation as Op};

use super::{
    super::{Binder, fold, types},
    options::{REPLICATION_FACTOR, option_text, replication_factor, storage_parameter},
};
use crate::plan::{AlterTable, Ddl, RelationKind};

impl Binder<'_> {
    pub(super) fn alter_table(&mut self, alter: &ast::AlterTable) -> SqlResult<Ddl> {
        let name = self.object_name(&alter.name)?;
        let table = self.existing_name(&name)?;
        if let [Op::RenameTable { table_name }] = alter.operations.as_slice() {
            let (ast::RenameTableNameKind::To(new) | ast::RenameTableNameKind::As(new)) = table_name;
            let kind = if self.is_view(&name) { RelationKind::View } else { RelationKind::Table };
            let new_name = self.object_name(new)?.name;
            return Ok(Ddl::Rename { kind, name: table, new_name, if_exists: alter.if_exists });
        }
        let mut actions = Vec::with_capacity(alter.operations.len());
        for operation in &alter.operations {
            self.alter_action(operation, &name, &mut actions)?;
        }
        Ok(Ddl::AlterTable { table, if_exists: alter.if_exists, actions })
    }

    fn alter_action(
        &mut self,
        operation: &Op,
        table: &super::super::names::Name,
        actions: &mut Vec<AlterTable>,
    ) -> SqlResult<()> {
        actions.push(match operation {
            Op::AddColumn { if_not_exists, column_def, column_position: None, .. } => {
                let (column, constraints) = self.column_definition(column_def, &table.name)?;
                AlterTable::AddColumn { column, constraints, if_not_exists: *if_not_exists }
            }
            Op::DropColumn { column_names, if_exists, drop_behavior, .. } => {
                actions.extend(column_names.iter().map(|name| AlterTable::DropColumn {
                    name: fold(name),
                    if_exists: *if_exists,
                    cascade: cascades(drop_behavior.as_ref()),
                }));
                return Ok(());
            }
            Op::RenameColumn { old_column_name, new_column_name } => {
                AlterTable::RenameColumn { name: fold(old_column_name), new_name: fold(new_column_name) }
            }
            Op::RenameConstraint { old_name, new_name } => {
                AlterTable::RenameConstraint { name: fold(old_name), new_name: fold(new_name) }
            }
            Op::AddConstraint { constraint, not_valid } => {
                AlterTable::AddConstraint(self.table_constraint(constraint, *not_valid)?)
            }
            Op::DropConstraint { if_exists, name, drop_behavior } => AlterTable::DropConstraint {
                name: fold(name),
                if_exists: *if_exists,
                cascade: cascades(drop_behavior.as_ref()),
            },
            Op::ValidateConstraint { name } => AlterTable::ValidateConstraint { name: fold(name) },
            Op::AlterColumn { column_name, op } => self.alter_column(&fold(column_name), op, table)?,
            Op::OwnerTo { new_owner } => AlterTable::OwnerTo(match new_owner {
                ast::Owner::Ident(name) => fold(name),
                ast::Owner::CurrentRole | ast::Owner::CurrentUser => self.eval_context().user.to_string(),
                ast::Owner::SessionUser => self.eval_context().session_user.to_string(),
            }),
            Op::SetOptionsParens { options } => {
                for option in options {
                    match option {
                        ast::SqlOption::KeyValue { key, value } if fold(key) == REPLICATION_FACTOR => {
                            let factor = replication_factor(&option_text(value))?;
                            actions.push(AlterTable::ReplicationFactor(factor));
                        }
                        ast::SqlOption::KeyValue { key, .. } => storage_parameter(&fold(key))?,
                        other => return Err(SqlError::unsupported(format!("ALTER TABLE SET ({other})"))),
                    }
                }
                return Ok(());
            }
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(3).collect();
                return Err(SqlError::unsupported(format!("ALTER TABLE {}", words.join(" "))));
            }
        });
        Ok(())
    }

    fn alter_column(
        &mut self,
        column: &str,
        operation: &AlterColumnOperation,
        table: &super::super::names::Name,
    ) -> SqlResult<AlterTable> {
        let name = column.to_owned();
        Ok(match operation {
            AlterColumnOperation::SetNotNull => AlterTable::SetNotNull { name, not_null: true },
            AlterColumnOperation::DropNotNull => AlterTable::SetNotNull { name, not_null: false },
            AlterColumnOperation::DropDefault => AlterTable::SetDefault { name, default: None },
            AlterColumnOperation::SetDefault { value } => {
                let sql_type = self.column_type(column, table)?;
                let default = self.default_text(value, column, sql_type)?;
                AlterTable::SetDefault { name, default }
            }
            AlterColumnOperation::SetDataType { data_type, using, .. } => AlterTable::SetType {
                name,
                sql_type: types::sql_type(data_type)?,
                using: using.as_ref().map(ToString::to_string),
            },
            AlterColumnOperation::AddGenerated { .. } => {
                return Err(SqlError::unsupported("ALTER COLUMN … ADD GENERATED"));
            }
        })
    }

    fn column_type(&self, column: &str, table: &super::super::names::Name) -> SqlResult<schema::SqlType> {
        let table = self.table(table)?;
        let position = table.position_by_name(column).ok_or_else(|| {
            let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
            SqlError::new(SqlState::UndefinedColumn, message)
        })?;
        Ok(table.columns[position].sql_type)
    }
}

fn cascades(behavior: Option<&ast::DropBehavior>) -> bool {
    matches!(behavior, Some(ast::DropBehavior::Cascade))
}

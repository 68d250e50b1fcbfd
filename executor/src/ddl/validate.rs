//! Looking for rows that break a constraint which is added or validated.

use proto::{SqlError, SqlResult, SqlState};
use schema::{ConstraintDescriptor, ConstraintKind, Datum, Oid, TableDescriptor, row};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, errors};
use crate::{
    bind,
    rows::{ForeignKey, TableScanner},
};

impl Changes<'_> {
    /// VALIDATE CONSTRAINT.
    pub(super) async fn validate_constraint(&mut self, table: &mut TableDescriptor, name: &str) -> SqlResult<()> {
        let Some(at) = table.constraints.iter().position(|constraint| constraint.name == name) else {
            let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", table.name);
            return Err(SqlError::new(SqlState::UndefinedObject, message));
        };
        let constraint = table.constraints[at].clone();
        if !matches!(constraint.kind, ConstraintKind::Check { .. } | ConstraintKind::ForeignKey { .. }) {
            let message = format!(
                "constraint \"{name}\" of relation \"{}\" is not a foreign key or check constraint",
                table.name
            );
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        if !constraint.validated {
            self.validate_rows(table, constraint.oid).await?;
            table.constraints[at].validated = true;
        }
        Ok(())
    }

    /// Checks every row of a table that nobody else can write.
    pub(super) async fn validate_rows(&mut self, table: &TableDescriptor, constraint: Oid) -> SqlResult<()> {
        let found = table.constraints.iter().find(|found| found.oid == constraint);
        let constraint = found.ok_or_else(|| errors::undefined_constraint("", &table.name))?.clone();
        match &constraint.kind {
            ConstraintKind::Check { expression, .. } => self.validate_check(table, &constraint, expression).await,
            ConstraintKind::ForeignKey { .. } => self.validate_foreign_key(table, &constraint).await,
            ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } => Ok(()),
        }
    }

    async fn validate_check(
        &mut self,
        table: &TableDescriptor,
        constraint: &ConstraintDescriptor,
        expression: &str,
    ) -> SqlResult<()> {
        let condition = bind::row_expression(&self.catalog, &self.eval, table, expression)?;
        let decoder = row::RowDecoder::all(table)?;
        self.txn.kv.refresh_snapshot().await?;
        let mut scanner = TableScanner::new(&mut self.txn.kv, table).await?;
        while let Some(batch) = scanner.next(&self.txn.kv).await? {
            for (_, value) in batch {
                let row = decoder.decode(&value)?;
                if matches!(self.eval_context().value(&condition, &row)?, Datum::Bool(false)) {
                    let message = format!(
                        "check constraint \"{}\" of relation \"{}\" is violated by some row",
                        constraint.name, table.name
                    );
                    let schema = self.catalog.schema_name(table.schema).unwrap_or_default();
                    return Err(SqlError::new(SqlState::CheckViolation, message)
                        .with_table(schema, &table.name)
                        .with_constraint(&constraint.name));
                }
            }
        }
        Ok(())
    }

    async fn validate_foreign_key(
        &mut self,
        table: &TableDescriptor,
        constraint: &ConstraintDescriptor,
    ) -> SqlResult<()> {
        let Some(key) = ForeignKey::of(table, constraint, &self.catalog)? else { return Ok(()) };
        let parent = key.parent.clone();
        if parent.oid != table.oid {
            self.lock_table(&parent).await?;
        }
        let decoder = row::RowDecoder::all(table)?;
        self.txn.kv.refresh_snapshot().await?;
        let mut scanner = TableScanner::new(&mut self.txn.kv, table).await?;
        while let Some(batch) = scanner.next(&self.txn.kv).await? {
            for (_, value) in batch {
                let row = decoder.decode(&value)?;
                let Some(entry) = key.parent_entry(&row, &self.eval)? else { continue };
                if self.txn.kv.get(&[entry]).await?.swap_remove(0).is_none() {
                    return Err(key.missing_parent(&row, &self.catalog, &self.eval.format));
                }
            }
        }
        Ok(())
    }
}

//! ALTER COLUMN … ADD GENERATED, SET GENERATED, RESTART and DROP IDENTITY.

use std::sync::Arc;

use planner::plan::{IdentityChange, QualifiedName, SequenceOptions};
use proto::{SqlError, SqlResult, SqlState};
use schema::{ColumnId, Identity, Oid, SequenceDescriptor, TableDescriptor};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, depend::Target};

impl Changes<'_> {
    /// Changes the identity of a column.
    pub(super) async fn alter_identity(
        &mut self,
        table: &mut TableDescriptor,
        name: &str,
        change: &IdentityChange,
    ) -> SqlResult<()> {
        let at = self.column_position(table, name)?;
        match change {
            IdentityChange::Add { identity, options } => self.add_identity(table, at, identity, options).await,
            IdentityChange::Alter { identity, options } => {
                let sequence = self.identity_sequence(table, at)?;
                if let Some(identity) = identity {
                    table.columns[at].identity = Some(identity.clone());
                }
                let schema = self.catalog.schema_name(sequence.schema).unwrap_or_default().to_owned();
                let name = QualifiedName { schema, name: sequence.name.clone() };
                self.alter_sequence(&name, options, false).await
            }
            IdentityChange::Drop { if_exists } => {
                if table.columns[at].identity.is_none() && *if_exists {
                    let message =
                        format!("column \"{name}\" of relation \"{}\" is not an identity column, skipping", table.name);
                    self.notice(message);
                    return Ok(());
                }
                let sequence = self.identity_sequence(table, at)?;
                table.columns[at].identity = None;
                table.columns[at].default = None;
                self.drop_all(&[Target::Sequence(sequence.oid)]).await
            }
        }
    }

    async fn add_identity(
        &mut self,
        table: &mut TableDescriptor,
        at: usize,
        identity: &Identity,
        options: &SequenceOptions,
    ) -> SqlResult<()> {
        let column = table.columns[at].clone();
        let of = format!("column \"{}\" of relation \"{}\"", column.name, table.name);
        let refused = |message: String| Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message));
        if column.identity.is_some() {
            return refused(format!("{of} is already an identity column"));
        }
        if !matches!(column.sql_type.oid, Oid::INT2 | Oid::INT4 | Oid::INT8) {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        }
        if !column.not_null {
            return refused(format!("{of} must be declared NOT NULL before identity can be added"));
        }
        if column.default.is_some() {
            return refused(format!("{of} already has a default value"));
        }
        let owner = (column.name.as_str(), column.id, column.sql_type.oid);
        let sequence = self.sequence_for_column(table, owner, options).await?;
        table.columns[at].default = Some(self.nextval_text(&sequence));
        table.columns[at].identity = Some(identity.clone());
        Ok(())
    }

    /// The sequence behind an identity column, or 55000 for any other column.
    fn identity_sequence(&self, table: &TableDescriptor, at: usize) -> SqlResult<Arc<SequenceDescriptor>> {
        let column = &table.columns[at];
        if column.identity.is_none() {
            let message =
                format!("column \"{}\" of relation \"{}\" is not an identity column", column.name, table.name);
            return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message));
        }
        let owner: (Oid, ColumnId) = (table.oid, column.id);
        let found = self.sequences().find(|sequence| sequence.owned_by == Some(owner)).cloned();
        found.ok_or_else(|| SqlError::internal("an identity column has no sequence"))
    }
}

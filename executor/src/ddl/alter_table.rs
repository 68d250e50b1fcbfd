//! ALTER TABLE: one action after the other on the same descriptor.

use planner::plan::{AlterTable, ColumnDefinition, ConstraintDefinition, QualifiedName};
use proto::{SqlError, SqlResult, SqlState};
use schema::{ConstraintKind, Datum, Oid, TableDescriptor, row};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, constraints::Work, create_table::check_column_name, errors, names, rewrite::Change};
use crate::{bind, rows::TableScanner, text::datum_text};

impl Changes<'_> {
    /// ALTER TABLE.
    pub(super) async fn alter_table(
        &mut self,
        name: &QualifiedName,
        if_exists: bool,
        actions: &[AlterTable],
    ) -> SqlResult<()> {
        let Some(table) = self.find_table(name, if_exists)? else {
            self.notice(format!("relation \"{}\" does not exist, skipping", name.name));
            return Ok(());
        };
        self.lock_table(&table).await?;
        for action in actions {
            let mut changed = TableDescriptor::clone(self.table(table.oid)?.as_ref());
            self.alter(&mut changed, action).await?;
            self.put_table(changed)?;
        }
        Ok(())
    }

    async fn alter(&mut self, table: &mut TableDescriptor, action: &AlterTable) -> SqlResult<()> {
        match action {
            AlterTable::AddColumn { column, constraints, if_not_exists } => {
                self.add_column(table, column, constraints, *if_not_exists).await
            }
            AlterTable::DropColumn { name, if_exists, cascade } => {
                self.drop_column(table, name, *if_exists, *cascade).await
            }
            AlterTable::RenameColumn { name, new_name } => self.rename_column(table, name, new_name),
            AlterTable::RenameConstraint { name, new_name } => self.rename_constraint(table, name, new_name),
            AlterTable::AddConstraint(definition) => self.add_constraint(table, definition).await,
            AlterTable::DropConstraint { name, if_exists, cascade } => {
                self.drop_constraint(table, name, *if_exists, *cascade).await
            }
            AlterTable::ValidateConstraint { name } => self.validate_constraint(table, name).await,
            AlterTable::SetDefault { name, default } => self.set_default(table, name, default.as_deref()),
            AlterTable::SetNotNull { name, not_null } => self.set_not_null(table, name, *not_null).await,
            AlterTable::SetType { name, sql_type, using } => {
                self.set_type(table, name, *sql_type, using.as_deref()).await
            }
            AlterTable::OwnerTo(role) => self.owner_to(table, role),
            AlterTable::Identity { name, change } => self.alter_identity(table, name, change).await,
            AlterTable::SetSchema(schema) => self.set_schema(table, schema),
            AlterTable::ReplicationFactor(factor) => {
                table.replication_factor = *factor;
                self.replicate(table).await
            }
        }
    }

    async fn add_column(
        &mut self,
        table: &mut TableDescriptor,
        definition: &ColumnDefinition,
        constraints: &[ConstraintDefinition],
        if_not_exists: bool,
    ) -> SqlResult<()> {
        if table.position_by_name(&definition.name).is_some() {
            let word = format!("column \"{}\" of relation", definition.name);
            let message = format!("{word} \"{}\" already exists", table.name);
            if !if_not_exists {
                return Err(SqlError::new(SqlState::DuplicateColumn, message));
            }
            self.notice(format!("{message}, skipping"));
            return Ok(());
        }
        check_column_name(&definition.name)?;
        let old = table.clone();
        self.add_column_to(table, definition).await?;
        self.check_generated(table)?;
        self.show_sequences();
        self.fill_column(&old, table).await?;
        for constraint in constraints {
            self.add_constraint(table, constraint).await?;
        }
        Ok(())
    }

    /// Gives the rows of a table its new last column: at once if every row gets the same value, else by a rewrite.
    async fn fill_column(&mut self, old: &TableDescriptor, table: &mut TableDescriptor) -> SqlResult<()> {
        let at = table.columns.len() - 1;
        let column = table.columns[at].clone();
        if let Some(text) = &column.generated {
            let expr = bind::generated_expression(&self.catalog, &self.eval, table, text, column.sql_type)?;
            return self.fill_by_rewrite(old, table, at, expr).await;
        }
        let Some(text) = &column.default else {
            return if column.not_null { self.check_no_nulls(old, table, at).await } else { Ok(()) };
        };
        let expr = bind::default_expression(&self.catalog, &self.eval, text, column.sql_type)?;
        if !bind::is_constant(&expr) {
            return self.fill_by_rewrite(old, table, at, expr).await;
        }
        let value = self.eval_context().value(&expr, &[])?;
        if value.is_null() {
            return if column.not_null { self.check_no_nulls(old, table, at).await } else { Ok(()) };
        }
        table.columns[at].missing = Some(datum_text(&value, column.sql_type, &schema::FormatSettings::default()));
        Ok(())
    }

    async fn fill_by_rewrite(
        &mut self,
        old: &TableDescriptor,
        table: &mut TableDescriptor,
        at: usize,
        expr: planner::plan::Expr,
    ) -> SqlResult<()> {
        // The new column reads as NULL in the old rows until it is computed.
        let source = TableDescriptor { storage_id: old.storage_id, ..table.clone() };
        self.rewrite(&source, table, &Change::Column(at, Box::new(expr))).await
    }

    pub(super) async fn add_constraint(
        &mut self,
        table: &mut TableDescriptor,
        definition: &ConstraintDefinition,
    ) -> SqlResult<()> {
        let old = table.clone();
        let work = self.add_constraint_to(table, definition, false).await?;
        match work {
            Work::None => Ok(()),
            Work::BuildIndex(id) => self.build_index(table, id).await,
            Work::Rekey => {
                for (at, column) in table.columns.iter().enumerate() {
                    if column.not_null && !old.columns[at].not_null {
                        self.check_no_nulls(&old, table, at).await?;
                    }
                }
                self.rekey_sharding(table);
                self.rewrite(&old, table, &Change::None).await
            }
            Work::Validate(constraint) => self.validate_rows(table, constraint).await,
        }
    }

    /// A table spread by its hidden row id is spread by its primary key once it has one.
    fn rekey_sharding(&self, table: &mut TableDescriptor) {
        let key: Vec<_> = table.primary().columns.iter().map(|column| column.column).collect();
        if let schema::Sharding::Hash { columns, .. } = &mut table.sharding
            && columns.is_empty()
        {
            *columns = key;
        }
    }

    /// 23502 if a column that takes no NULL has one in some row.
    async fn check_no_nulls(&mut self, old: &TableDescriptor, table: &TableDescriptor, at: usize) -> SqlResult<()> {
        let source = TableDescriptor { storage_id: old.storage_id, indexes: old.indexes.clone(), ..table.clone() };
        let decoder = row::RowDecoder::new(&source, [at])?;
        self.txn.kv.refresh_snapshot().await?;
        let mut scanner = TableScanner::new(&mut self.txn.kv, &source).await?;
        while let Some(batch) = scanner.next(&self.txn.kv).await? {
            for (_, value) in batch {
                if matches!(decoder.decode(&value)?[0], Datum::Null) {
                    let column = &table.columns[at].name;
                    let message = format!("column \"{column}\" of relation \"{}\" contains null values", table.name);
                    let schema = self.catalog.schema_name(table.schema).unwrap_or_default();
                    return Err(SqlError::new(SqlState::NotNullViolation, message)
                        .with_table(schema, &table.name)
                        .with_column(column));
                }
            }
        }
        Ok(())
    }

    fn set_default(&mut self, table: &mut TableDescriptor, name: &str, default: Option<&str>) -> SqlResult<()> {
        let at = self.column_position(table, name)?;
        if table.columns[at].identity.is_some() {
            let message = format!("column \"{name}\" of relation \"{}\" is an identity column", table.name);
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        if let Some(text) = default {
            bind::default_expression(&self.catalog, &self.eval, text, table.columns[at].sql_type)?;
        }
        table.columns[at].default = default.map(str::to_owned);
        Ok(())
    }

    async fn set_not_null(&mut self, table: &mut TableDescriptor, name: &str, not_null: bool) -> SqlResult<()> {
        let at = self.column_position(table, name)?;
        if not_null {
            if !table.columns[at].not_null {
                let old = table.clone();
                self.check_no_nulls(&old, table, at).await?;
            }
        } else {
            let id = table.columns[at].id;
            if table.primary().columns.iter().any(|column| column.column == id) {
                let message = format!("column \"{name}\" is in a primary key");
                return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
            }
            if table.columns[at].identity.is_some() {
                let message = format!("column \"{name}\" of relation \"{}\" is an identity column", table.name);
                return Err(SqlError::new(SqlState::SyntaxError, message));
            }
        }
        table.columns[at].not_null = not_null;
        Ok(())
    }

    fn owner_to(&mut self, table: &mut TableDescriptor, role: &str) -> SqlResult<()> {
        table.owner = self.role_oid(role)?;
        Ok(())
    }

    /// The role of this name, or 42704.
    pub(super) fn role_oid(&self, name: &str) -> SqlResult<Oid> {
        self.catalog
            .role(name)
            .map(|role| role.oid)
            .ok_or_else(|| SqlError::new(SqlState::UndefinedObject, format!("role \"{name}\" does not exist")))
    }

    /// Position of a column, or 42703.
    pub(super) fn column_position(&self, table: &TableDescriptor, name: &str) -> SqlResult<usize> {
        table.position_by_name(name).ok_or_else(|| errors::undefined_column(name, &table.name))
    }

    fn rename_constraint(&mut self, table: &mut TableDescriptor, name: &str, new_name: &str) -> SqlResult<()> {
        if !names::has_constraint(table, name) {
            let message = format!("constraint \"{name}\" for table \"{}\" does not exist", table.name);
            return Err(SqlError::new(SqlState::UndefinedObject, message));
        }
        if names::has_constraint(table, new_name) {
            let message = format!("constraint \"{new_name}\" for relation \"{}\" already exists", table.name);
            return Err(SqlError::new(SqlState::DuplicateObject, message));
        }
        for constraint in table.constraints.iter_mut().filter(|constraint| constraint.name == name) {
            let is_key = matches!(constraint.kind, ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. });
            if is_key && self.relation_exists(table.schema, new_name) {
                let message = format!("relation \"{new_name}\" already exists");
                return Err(SqlError::new(SqlState::DuplicateTable, message));
            }
            new_name.clone_into(&mut constraint.name);
            for index in table.indexes.iter_mut().filter(|index| index.constraint == Some(constraint.oid)) {
                new_name.clone_into(&mut index.name);
            }
        }
        Ok(())
    }
}

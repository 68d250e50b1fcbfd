//! ALTER COLUMN TYPE.

use planner::plan::Expr;
use proto::{SqlError, SqlResult, SqlState};
use schema::{Oid, SqlType, TableDescriptor};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Changes, rewrite::Change};
use crate::bind;

impl Changes<'_> {
    pub(super) async fn set_type(
        &mut self,
        table: &mut TableDescriptor,
        name: &str,
        sql_type: SqlType,
        using: Option<&str>,
    ) -> SqlResult<()> {
        let at = self.column_position(table, name)?;
        self.check_not_in_view(table, name)?;
        self.check_not_generated_from(table, at)?;
        let old = table.clone();
        let old_type = table.columns[at].sql_type;
        let expr = bind::conversion(&self.catalog, &self.eval, &old, at, sql_type, using)?;
        table.columns[at].sql_type = sql_type;
        self.check_default(table, at, name)?;
        self.check_expressions(table)?;
        if using.is_none() && keeps_representation(old_type, sql_type) && !is_key_column(table, at, old_type, sql_type)
        {
            return Ok(());
        }
        table.columns[at].missing = None;
        self.rewrite_column(&old, table, at, expr).await
    }

    /// 0A000 for a column that a generated one is computed from.
    fn check_not_generated_from(&self, table: &TableDescriptor, at: usize) -> SqlResult<()> {
        for column in &table.columns {
            let Some(text) = &column.generated else { continue };
            let value = bind::generated_expression(&self.catalog, &self.eval, table, text, column.sql_type)?;
            if planner::columns_of(&value).contains(&at) {
                let message = "cannot alter type of a column used by a generated column";
                let detail =
                    format!("Column \"{}\" is used by generated column \"{}\".", table.columns[at].name, column.name);
                return Err(SqlError::new(SqlState::FeatureNotSupported, message).with_detail(detail));
            }
        }
        Ok(())
    }

    async fn rewrite_column(
        &mut self,
        old: &TableDescriptor,
        table: &mut TableDescriptor,
        at: usize,
        expr: Expr,
    ) -> SqlResult<()> {
        self.rewrite(old, table, &Change::Column(at, Box::new(expr))).await
    }

    fn check_default(&self, table: &TableDescriptor, at: usize, name: &str) -> SqlResult<()> {
        let column = &table.columns[at];
        let Some(text) = &column.default else { return Ok(()) };
        let cannot = |_| {
            let type_name = column.sql_type.oid.type_info().map_or("unknown", |info| info.sql_name);
            let message = format!("default for column \"{name}\" cannot be cast automatically to type {type_name}");
            SqlError::new(SqlState::DatatypeMismatch, message)
        };
        bind::default_expression(&self.catalog, &self.eval, text, column.sql_type).map(drop).map_err(cannot)
    }

    /// CHECK constraints and conditions of indexes must still bind with the new type.
    fn check_expressions(&self, table: &TableDescriptor) -> SqlResult<()> {
        for constraint in &table.constraints {
            if let schema::ConstraintKind::Check { expression, .. } = &constraint.kind {
                bind::row_expression(&self.catalog, &self.eval, table, expression)?;
            }
        }
        for text in table.indexes.iter().filter_map(|index| index.predicate.as_deref()) {
            bind::row_expression(&self.catalog, &self.eval, table, text)?;
        }
        Ok(())
    }

    /// 0A000 as in PostgreSQL for a column that a view shows.
    fn check_not_in_view(&self, table: &TableDescriptor, name: &str) -> SqlResult<()> {
        let view = self.views().find(|view| view.depends_on.contains(&table.oid) && self.view_uses(view, table, name));
        let Some(view) = view else { return Ok(()) };
        let detail =
            format!("rule _RETURN on view {} depends on column \"{name}\"", self.shown_name(view.schema, &view.name));
        let message = "cannot alter type of a column used by a view or rule";
        Err(SqlError::new(SqlState::FeatureNotSupported, message).with_detail(detail))
    }
}

/// Whether stored values of one type are values of the other as they are.
fn keeps_representation(from: SqlType, to: SqlType) -> bool {
    let limit = |sql_type: SqlType| if sql_type.oid == Oid::TEXT { -1 } else { sql_type.modifier };
    let is_varying = |oid| matches!(oid, Oid::TEXT | Oid::VARCHAR);
    let is_integer = |oid| matches!(oid, Oid::INT2 | Oid::INT4 | Oid::INT8);
    let width = |oid: Oid| oid.type_info().map_or(0, |info| info.length);
    if is_varying(from.oid) && is_varying(to.oid) {
        return limit(to) == -1 || (limit(from) != -1 && limit(from) <= limit(to));
    }
    if is_integer(from.oid) && is_integer(to.oid) {
        return width(from.oid) <= width(to.oid);
    }
    from == to || (from.oid == Oid::NUMERIC && to.oid == Oid::NUMERIC && to.modifier == -1)
}

/// Whether keys would change with the type: integers are as wide in keys as their type.
fn is_key_column(table: &TableDescriptor, at: usize, from: SqlType, to: SqlType) -> bool {
    let id = table.columns[at].id;
    let in_key = table.indexes.iter().any(|index| index.columns.iter().any(|column| column.column == id));
    in_key && from.oid != to.oid && !(matches!(from.oid, Oid::TEXT | Oid::VARCHAR))
}

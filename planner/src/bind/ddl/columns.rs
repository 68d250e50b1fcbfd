//! Column definitions of CREATE TABLE and ADD COLUMN.

use proto::{SqlError, SqlResult, SqlState};
use schema::{
    Identity, Oid, SqlType,
    functions::{quote_identifier, quote_literal},
};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, ColumnOption, DataType, GeneratedAs};

use super::super::{
    Binder, fold,
    names::{Relation, split_name},
    scope::{Clause, Scope},
    types,
};
use crate::plan::{ColumnDefinition, ConstraintDefinition, Expr, SequenceOptions};

impl Binder<'_> {
    /// A column and the constraints written at it.
    pub(super) fn column_definition(
        &mut self,
        tree: &ast::ColumnDef,
        table: &str,
    ) -> SqlResult<(ColumnDefinition, Vec<ConstraintDefinition>)> {
        let name = fold(&tree.name);
        let serial = serial_type(&tree.data_type);
        let sql_type = match serial {
            Some(oid) => SqlType::new(oid),
            None => types::sql_type(&tree.data_type)?,
        };
        if matches!(sql_type.oid.type_info().map(|info| info.category), Some(schema::Category::Pseudo)) {
            let message = format!("column \"{name}\" has pseudo-type {}", types::type_name(sql_type));
            return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
        }
        let mut column = ColumnDefinition {
            name,
            sql_type,
            serial: serial.is_some(),
            not_null: serial.is_some(),
            default: None,
            identity: None,
            generated: None,
        };
        let mut nullable = false;
        let mut constraints = Vec::new();
        for option in &tree.options {
            match &option.option {
                ColumnOption::Null => nullable = true,
                ColumnOption::NotNull => column.not_null = true,
                ColumnOption::Default(default) => self.set_default(&mut column, default, table)?,
                ColumnOption::Generated { .. } => self.set_generated(&mut column, &option.option)?,
                ColumnOption::Collation(name) => check_collation(name)?,
                other => {
                    let name = option.name.as_ref().map(fold);
                    constraints.push(self.column_constraint(other, name, &column.name)?);
                }
            }
        }
        let twice = match (&column.default, &column.identity, &column.generated) {
            (Some(_), Some(_), _) => Some("default and identity"),
            (Some(_), _, Some(_)) => Some("default and generation expression"),
            (_, Some(_), Some(_)) => Some("identity and generation expression"),
            _ if column.serial && column.identity.is_some() => Some("default and identity"),
            _ => None,
        };
        if let Some(both) = twice {
            let message = format!("both {both} specified for column \"{}\" of table \"{table}\"", column.name);
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        if nullable && column.not_null {
            let message =
                format!("conflicting NULL/NOT NULL declarations for column \"{}\" of table \"{table}\"", column.name);
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        Ok((column, constraints))
    }

    fn set_default(&mut self, column: &mut ColumnDefinition, tree: &ast::Expr, table: &str) -> SqlResult<()> {
        if column.default.is_some() || column.serial {
            let message =
                format!("multiple default values specified for column \"{}\" of table \"{table}\"", column.name);
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        column.default = self.default_text(tree, &column.name, column.sql_type)?;
        Ok(())
    }

    /// A DEFAULT as text, after checking that it binds and converts; NULL is no default.
    pub(super) fn default_text(
        &mut self,
        tree: &ast::Expr,
        column: &str,
        sql_type: SqlType,
    ) -> SqlResult<Option<String>> {
        let scope = Scope::empty(Clause::Default);
        let value = match self.expr(tree, &scope) {
            Err(error) if error.state() == SqlState::UndefinedColumn => {
                let message = "cannot use column reference in DEFAULT expression";
                return Err(SqlError::new(SqlState::FeatureNotSupported, message));
            }
            other => other?,
        };
        if super::super::visit::any(&value, &|node, _| matches!(node, Expr::Subquery { .. })) {
            let message = "cannot use subquery in DEFAULT expression";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let value = self.assign(value, column, sql_type).map_err(|error| {
            let message = error.message().replace("but expression is of type", "but default expression is of type");
            let mut changed = SqlError::new(error.state(), message);
            if let Some(hint) = &error.fields().hint {
                changed = changed.with_hint(hint.clone());
            }
            changed
        })?;
        let sequence = self.next_of_sequence(tree);
        Ok((!value.is_null()).then(|| sequence.unwrap_or_else(|| tree.to_string())))
    }

    /// `nextval('sequence')` with the sequence's full name, so that it means the same whatever the search path, and
    /// what becomes of the sequence can be followed.
    fn next_of_sequence(&self, tree: &ast::Expr) -> Option<String> {
        let ast::Expr::Function(function) = tree else { return None };
        let [name] = function.name.0.as_slice() else { return None };
        let ast::FunctionArguments::List(list) = &function.args else { return None };
        let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument))] = list.args.as_slice() else {
            return None;
        };
        let argument = match argument {
            ast::Expr::Cast { expr, .. } => expr,
            plain => plain,
        };
        let ast::Expr::Value(value) = argument else { return None };
        let ast::Value::SingleQuotedString(text) = &value.value else { return None };
        if fold(name.as_ident()?) != "nextval" {
            return None;
        }
        let name = self.name_of_parts(split_name(text).ok()?, sqlparser::tokenizer::Span::empty()).ok()?;
        let Some(Relation::Object(schema::Descriptor::Sequence(sequence))) = self.find_relation(&name) else {
            return None;
        };
        let owner = self.schema_name(sequence.schema);
        let full = format!("{}.{}", quote_identifier(&owner), quote_identifier(&sequence.name));
        Some(format!("nextval({}::regclass)", quote_literal(&full)))
    }

    fn set_generated(&mut self, column: &mut ColumnDefinition, option: &ColumnOption) -> SqlResult<()> {
        let ColumnOption::Generated { generated_as, sequence_options, generation_expr, .. } = option else {
            return Ok(());
        };
        if let Some(expr) = generation_expr {
            column.generated = Some(expr.to_string());
            return Ok(());
        }
        if !matches!(column.sql_type.oid, Oid::INT2 | Oid::INT4 | Oid::INT8) {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        }
        let identity = match generated_as {
            GeneratedAs::Always | GeneratedAs::ExpStored => Identity::Always,
            GeneratedAs::ByDefault => Identity::ByDefault,
        };
        let options = match sequence_options {
            Some(options) => super::options::parsed_sequence_options(options)?,
            None => SequenceOptions::default(),
        };
        column.identity = Some((identity, options));
        column.not_null = true;
        Ok(())
    }
}

/// The integer type of a serial pseudo-type.
fn serial_type(data_type: &DataType) -> Option<Oid> {
    let DataType::Custom(name, modifiers) = data_type else { return None };
    let [part] = name.0.as_slice() else { return None };
    if !modifiers.is_empty() {
        return None;
    }
    match fold(part.as_ident()?).as_str() {
        "smallserial" | "serial2" => Some(Oid::INT2),
        "serial" | "serial4" => Some(Oid::INT4),
        "bigserial" | "serial8" => Some(Oid::INT8),
        _ => None,
    }
}

fn check_collation(name: &ast::ObjectName) -> SqlResult<()> {
    let name = name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
    if matches!(name.as_str(), "C" | "POSIX" | "default" | "ucs_basic") {
        return Ok(());
    }
    let message = format!("collation \"{name}\" for encoding \"UTF8\" does not exist");
    Err(SqlError::new(SqlState::UndefinedObject, message))
}

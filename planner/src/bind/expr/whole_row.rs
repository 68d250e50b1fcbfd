//! Row values with named fields: tables as values, `(row).field`, and what JSON functions show of them.
//!
//! A row's type is `record` with a modifier that numbers the names and types of its fields, its shape. Shapes live as
//! long as the binding of one statement, and no modifier of a record leaves the binder.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Datum, Oid, SqlType, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::super::{Binder, scope::Scope, types};
use crate::plan::{Expr, Field};

/// Names and types of a row's fields.
pub(in crate::bind) type Shape = Vec<(String, SqlType)>;

impl Binder<'_> {
    /// The type of rows with these fields.
    pub(in crate::bind) fn row_type(&mut self, shape: Shape) -> SqlType {
        let number = self.shapes.iter().position(|known| *known == shape).unwrap_or_else(|| {
            self.shapes.push(shape);
            self.shapes.len() - 1
        });
        SqlType::with_modifier(Oid::RECORD, i32::try_from(number).unwrap_or(-1))
    }

    /// The fields of a row, as far as their names are known.
    pub(in crate::bind) fn shape_of(&self, expr: &Expr) -> Option<Shape> {
        if let Expr::Row(items) = expr {
            let fields = items.iter().enumerate();
            return Some(fields.map(|(at, item)| (format!("f{}", at + 1), item.sql_type())).collect());
        }
        let sql_type = expr.sql_type();
        let number = usize::try_from(sql_type.modifier).ok().filter(|_| sql_type.oid == Oid::RECORD)?;
        self.shapes.get(number).cloned()
    }

    /// The row of the relation of this name as a value; `None` when there is no such relation.
    pub(in crate::bind) fn whole_row(
        &mut self,
        schema: &Option<String>,
        name: &str,
        scope: &Scope<'_>,
    ) -> Option<Expr> {
        let (depth, table, found) = scope.find_table(schema, name)?;
        let columns = found.table_columns(table, depth);
        if let (true, [(_, only)]) = (found.tables[table].scalar, columns.as_slice()) {
            return Some(only.clone());
        }
        let sql_type = self.row_type(columns.iter().map(|(name, column)| (name.clone(), column.sql_type())).collect());
        let items: Vec<Expr> = columns.into_iter().map(|(_, column)| column).collect();
        let row = Expr::Coalesce { args: vec![Expr::Row(items.clone())], sql_type };
        if !found.tables[table].nullable {
            return Some(row);
        }
        // The row of an outer join without a match is NULL itself.
        let missing = match found.tables[table].not_null.and_then(|column| items.get(column)) {
            Some(column) => vec![is_null(column.clone())],
            None => items.into_iter().map(is_null).collect(),
        };
        let branches = vec![(Expr::And(missing), Expr::null(sql_type))];
        Some(Expr::Case { branches, otherwise: Box::new(row), sql_type })
    }

    /// `(row).field`
    pub(super) fn field(&mut self, record: Expr, name: &str) -> SqlResult<Expr> {
        if record.sql_type().oid != Oid::RECORD {
            let message = format!(
                "column notation .{name} applied to type {}, which is not a composite type",
                types::type_name(record.sql_type())
            );
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        let shape = self.shape_of(&record).unwrap_or_default();
        match shape.iter().position(|(field, _)| field == name) {
            Some(at) => self.field_at(record, at, shape[at].1),
            None => {
                let message = format!("could not identify column \"{name}\" in record data type");
                Err(SqlError::new(SqlState::UndefinedColumn, message))
            }
        }
    }

    fn field_at(&mut self, record: Expr, at: usize, sql_type: SqlType) -> SqlResult<Expr> {
        if let Some(items) = row_items(&record) {
            return Ok(items[at].clone());
        }
        let position = Expr::Constant { value: Datum::Int4(at as i32), sql_type: SqlType::new(Oid::INT4) };
        Ok(Expr::Call { function: functions::record_field(), args: vec![record, position], sql_type })
    }

    /// Every field of a row with its name: `(row).*`.
    pub(in crate::bind) fn row_fields(&mut self, record: &Expr) -> SqlResult<Vec<(Field, Expr)>> {
        let Some(shape) = self.shape_of(record) else {
            let message = "record type has not been registered";
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        };
        shape
            .into_iter()
            .enumerate()
            .map(|(at, (name, sql_type))| {
                Ok((Field { name, sql_type, origin: (0, 0) }, self.field_at(record.clone(), at, sql_type)?))
            })
            .collect()
    }

    /// IS NULL and IS NOT NULL of a row that is not spelled out.
    pub(super) fn record_null_test(&mut self, record: Expr, negated: bool) -> SqlResult<Expr> {
        let negated = Expr::Constant { value: Datum::Bool(negated), sql_type: SqlType::new(Oid::BOOL) };
        Ok(Expr::Call {
            function: functions::record_is_null(),
            args: vec![record, negated],
            sql_type: SqlType::new(Oid::BOOL),
        })
    }

    /// Arguments of a JSON function: rows with named fields become JSON objects here, where the names are known.
    pub(in crate::bind) fn named_json(&mut self, function: &str, args: Vec<Expr>) -> SqlResult<Vec<Expr>> {
        let shows_rows = matches!(
            function,
            "row_to_json"
                | "to_json"
                | "to_jsonb"
                | "json_agg"
                | "jsonb_agg"
                | "json_object_agg"
                | "jsonb_object_agg"
                | "json_build_array"
                | "jsonb_build_array"
                | "json_build_object"
                | "jsonb_build_object"
        );
        if !shows_rows || !args.iter().any(|arg| self.has_names(arg)) {
            return Ok(args);
        }
        if function == "row_to_json" && args.len() > 1 {
            return Err(SqlError::unsupported("row_to_json with line feeds for rows with named columns"));
        }
        args.into_iter().map(|arg| if self.has_names(&arg) { self.json_object(arg) } else { Ok(arg) }).collect()
    }

    pub(super) fn has_names(&self, expr: &Expr) -> bool {
        !matches!(expr, Expr::Row(_)) && self.shape_of(expr).is_some()
    }

    fn json_object(&mut self, record: Expr) -> SqlResult<Expr> {
        let mut args = Vec::new();
        for (field, value) in self.row_fields(&record)? {
            args.push(Expr::Constant { value: Datum::text(field.name), sql_type: SqlType::new(Oid::TEXT) });
            args.push(if self.has_names(&value) { self.json_object(value)? } else { value });
        }
        let object = self.call("named_row_to_json", args)?;
        if row_items(&record).is_some() {
            return Ok(object);
        }
        let sql_type = object.sql_type();
        let branches = vec![(is_null(record), Expr::null(sql_type))];
        Ok(Expr::Case { branches, otherwise: Box::new(object), sql_type })
    }
}

fn is_null(expr: Expr) -> Expr {
    Expr::IsNull { input: Box::new(expr), negated: false }
}

/// The fields of a row that is spelled out and never NULL itself.
fn row_items(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Row(items) => Some(items),
        Expr::Coalesce { args, .. } => match args.as_slice() {
            [Expr::Row(items)] => Some(items),
            _ => None,
        },
        _ => None,
    }
}

//! Row values whose fields have names: what set-returning functions of several columns give in a select list.
//!
//! The names are kept for the statement; a type's modifier tells which of them a value has.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Datum, Oid, SqlType, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::super::{Binder, types};
use crate::plan::{Expr, Field};

impl Binder<'_> {
    /// The type of row values with these fields.
    pub(super) fn record_type(&mut self, fields: Vec<Field>) -> SqlType {
        let number = i32::try_from(self.records.len()).unwrap_or(i32::MAX);
        self.records.push(fields);
        SqlType::with_modifier(Oid::RECORD, number)
    }

    /// `(record).name`
    pub(super) fn record_field(&mut self, record: Expr, name: &str) -> SqlResult<Expr> {
        let sql_type = record.sql_type();
        if sql_type.oid != Oid::RECORD {
            let message = format!(
                "column notation .{name} applied to type {}, which is not a composite type",
                types::type_name(sql_type)
            );
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        let fields = usize::try_from(sql_type.modifier).ok().and_then(|number| self.records.get(number));
        let Some(at) = fields.and_then(|fields| fields.iter().position(|field| field.name == name)) else {
            let message = format!("could not identify column \"{name}\" in record data type");
            return Err(SqlError::new(SqlState::UndefinedColumn, message));
        };
        let found = fields.map_or(SqlType::new(Oid::TEXT), |fields| fields[at].sql_type);
        let place = Datum::Int4(i32::try_from(at).unwrap_or(i32::MAX));
        let place = Expr::Constant { value: place, sql_type: SqlType::new(Oid::INT4) };
        Ok(Expr::Call { function: functions::record_field(), args: vec![record, place], sql_type: found })
    }
}

//! Literals and parameters.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Datum, Numeric, Oid, SqlType, functions::CastContext};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, Value};

use super::super::{Binder, types};
use crate::plan::Expr;

/// Highest parameter number: the protocol counts them in 16 bits.
const MAX_PARAMETERS: usize = 65_535;

impl Binder<'_> {
    pub(super) fn value(&mut self, value: &ast::ValueWithSpan) -> SqlResult<Expr> {
        let untyped =
            |text: &str| Ok(Expr::Constant { value: Datum::text(text), sql_type: SqlType::new(Oid::UNKNOWN) });
        match &value.value {
            Value::Number(digits, _) => number(digits),
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text)
            | Value::DollarQuotedString(ast::DollarQuotedString { value: text, .. }) => untyped(text),
            Value::NationalStringLiteral(text) => {
                Ok(Expr::Constant { value: Datum::text(text.as_str()), sql_type: SqlType::new(Oid::BPCHAR) })
            }
            Value::Boolean(truth) => {
                Ok(Expr::Constant { value: Datum::Bool(*truth), sql_type: SqlType::new(Oid::BOOL) })
            }
            Value::Null => Ok(Expr::null(SqlType::new(Oid::UNKNOWN))),
            Value::Placeholder(name) => self.parameter(name).map_err(|error| self.at(value.span, error)),
            Value::SingleQuotedByteStringLiteral(_) | Value::HexStringLiteral(_) => {
                Err(SqlError::unsupported("bit string literals"))
            }
            other => {
                let message = format!("syntax error at or near \"{other}\"");
                Err(self.at(value.span, SqlError::new(SqlState::SyntaxError, message)))
            }
        }
    }

    fn parameter(&mut self, name: &str) -> SqlResult<Expr> {
        let number: Option<usize> = name.strip_prefix('$').and_then(|digits| digits.parse().ok());
        let Some(index) = number.and_then(|number| number.checked_sub(1)).filter(|index| *index < MAX_PARAMETERS)
        else {
            return Err(SqlError::new(SqlState::UndefinedParameter, format!("there is no parameter {name}")));
        };
        if self.parameters.len() <= index {
            self.parameters.resize(index + 1, None);
        }
        let sql_type = self.parameters[index].unwrap_or(SqlType::new(Oid::UNKNOWN));
        Ok(Expr::Parameter { index, sql_type })
    }

    /// `DATE '2020-01-01'`
    pub(super) fn typed_string(&mut self, typed: &ast::TypedString) -> SqlResult<Expr> {
        let target = types::sql_type(&typed.data_type)?;
        let text = typed.value.value.clone().into_string().unwrap_or_default();
        self.literal(Datum::text(text), target, CastContext::Explicit).map_err(|error| self.at(typed.value.span, error))
    }

    /// `INTERVAL '1' DAY`: the field is the unit of a number without one.
    pub(super) fn interval(&mut self, interval: &ast::Interval) -> SqlResult<Expr> {
        let ast::Expr::Value(value) = &*interval.value else {
            return Err(SqlError::new(SqlState::SyntaxError, "an interval literal needs a string"));
        };
        let mut text = value.value.clone().into_string().unwrap_or_default();
        let mut modifier = -1;
        match (&interval.leading_field, &interval.last_field) {
            (Some(field), None) if text.trim().parse::<f64>().is_ok() => text = format!("{text} {field}"),
            (Some(_), Some(_)) | (None, _) => {}
            (Some(_), None) => {}
        }
        if let Some(precision) = interval.leading_precision.or(interval.fractional_seconds_precision) {
            let precision = i32::try_from(precision.min(6)).unwrap_or(6);
            modifier = 0x7FFF_0000 | precision;
        }
        let target = SqlType::with_modifier(Oid::INTERVAL, modifier);
        self.literal(Datum::text(text), target, CastContext::Explicit).map_err(|error| self.at(value.span, error))
    }
}

/// An integer when it fits, otherwise numeric.
fn number(digits: &str) -> SqlResult<Expr> {
    let constant = |value, oid| Ok(Expr::Constant { value, sql_type: SqlType::new(oid) });
    if let Ok(value) = digits.parse::<i32>() {
        return constant(Datum::Int4(value), Oid::INT4);
    }
    if let Ok(value) = digits.parse::<i64>() {
        return constant(Datum::Int8(value), Oid::INT8);
    }
    constant(Datum::Numeric(Numeric::parse(digits)?), Oid::NUMERIC)
}

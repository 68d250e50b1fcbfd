//! Converting expressions to the types that operators, columns and set operations ask for.

use proto::{SqlError, SqlResult, SqlState};
use schema::{
    Category, Datum, Oid, SqlType,
    cast::{cast, cast_context},
    datetime::Now,
    functions::{self, CastContext, TEMP_SCHEMA_PREFIX},
    text::parse_datum,
};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::tokenizer::Span;

use super::{
    Binder,
    names::split_name,
    types::{self, type_name},
};
use crate::{parse, plan::Expr};

impl Binder<'_> {
    /// Converts as far as a context allows.
    ///
    /// # Errors
    /// 42804 or, for explicit casts, 42846 when there is no such conversion; 22P02 and its like when a literal does
    /// not read as the type.
    pub(super) fn coerce(&mut self, expr: Expr, target: SqlType, context: CastContext) -> SqlResult<Expr> {
        let from = expr.sql_type();
        match expr {
            Expr::Default => return Ok(expr),
            Expr::Constant { value, sql_type } if sql_type.oid == Oid::UNKNOWN => {
                if self.keeps_conversions && target.modifier >= 0 {
                    let input = Box::new(self.literal(value, SqlType::new(target.oid), context)?);
                    return Ok(Expr::Cast { input, sql_type: target, context });
                }
                return self.literal(value, target, context);
            }
            Expr::Parameter { index, sql_type } if sql_type.oid == Oid::UNKNOWN => {
                return self.decide_parameter(index, target, context);
            }
            _ => {}
        }
        if from.oid == target.oid && (target.modifier < 0 || from.modifier == target.modifier) {
            return Ok(expr);
        }
        if matches!(target.oid, Oid::ANY | Oid::UNKNOWN) {
            return Ok(expr);
        }
        if cast_context(from.oid, target.oid).is_none_or(|needed| needed > context) {
            return Err(no_cast(from, target, context));
        }
        if let Expr::Constant { value, sql_type } = &expr
            && folds(from.oid, target.oid)
            && !self.keeps_conversions
        {
            let value = cast(value, *sql_type, target, context, self.eval_context())?;
            return Ok(Expr::Constant { value, sql_type: target });
        }
        if let Some(expr) = self.coerce_array(&expr, target, context)? {
            return Ok(expr);
        }
        Ok(Expr::Cast { input: Box::new(expr), sql_type: target, context })
    }

    /// `ARRAY[…]` is converted element by element, as PostgreSQL does.
    fn coerce_array(&mut self, expr: &Expr, target: SqlType, context: CastContext) -> SqlResult<Option<Expr>> {
        let Expr::Array { elements, .. } = expr else { return Ok(None) };
        let Some(element) = target.oid.element_type() else { return Ok(None) };
        let mut converted = Vec::with_capacity(elements.len());
        for item in elements {
            let inner = if item.sql_type().oid.element_type().is_some() { target.oid } else { element };
            let inner = SqlType::with_modifier(inner, target.modifier);
            converted.push(self.coerce(item.clone(), inner, context)?);
        }
        Ok(Some(Expr::Array { elements: converted, sql_type: target }))
    }

    /// Reads an untyped literal as a type.
    pub(super) fn literal(&self, value: Datum, target: SqlType, context: CastContext) -> SqlResult<Expr> {
        let Datum::Text(text) = &value else { return Ok(Expr::Constant { value, sql_type: target }) };
        if matches!(target.oid, Oid::ANY | Oid::UNKNOWN | Oid::ANYELEMENT) {
            return Ok(Expr::Constant { value, sql_type: target });
        }
        let env = self.eval_context();
        let now = Now(env.transaction_time);
        let value = match target.oid {
            oid if oid.is_object_name() => Datum::Oid(self.object_literal(oid, text)?),
            Oid::RECORD => {
                return Err(SqlError::new(
                    SqlState::FeatureNotSupported,
                    "input of anonymous composite types is not implemented",
                ));
            }
            _ => parse_datum(target, text, &env.format, now, context)?,
        };
        Ok(Expr::Constant { value, sql_type: target })
    }

    /// A literal of a `reg…` type: an OID or a name.
    fn object_literal(&self, oid: Oid, text: &str) -> SqlResult<u32> {
        if text == "-" && !matches!(oid, Oid::REGOPER | Oid::REGOPERATOR) {
            return Ok(0);
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map_err(|_| {
                let message = format!("value \"{text}\" is out of range for type oid");
                SqlError::new(SqlState::NumericValueOutOfRange, message)
            });
        }
        match oid {
            Oid::REGTYPE => {
                parse::parse_type(text).and_then(|parsed| types::sql_type(&parsed)).map(|found| found.oid.0)
            }
            Oid::REGNAMESPACE => {
                let name = split_name(text)?.concat();
                let found = self.catalog().schema(&name).map(|schema| schema.oid.0);
                let message = format!("schema \"{name}\" does not exist");
                found.ok_or_else(|| SqlError::new(SqlState::InvalidSchemaName, message))
            }
            Oid::REGROLE => {
                let name = split_name(text)?.concat();
                let found = self.catalog().role(&name).map(|role| role.oid.0);
                let message = format!("role \"{name}\" does not exist");
                found.ok_or_else(|| SqlError::new(SqlState::UndefinedObject, message))
            }
            Oid::REGCLASS => {
                let parts = split_name(text)?;
                if parts.len() > 3 {
                    let message = format!("improper relation name (too many dotted names): {}", parts.join("."));
                    return Err(SqlError::new(SqlState::SyntaxError, message));
                }
                let name = self.name_of_parts(parts, Span::empty())?;
                if let Some(schema) = name.schema.as_ref().filter(|schema| !schema.starts_with(TEMP_SCHEMA_PREFIX)) {
                    self.catalog().schema(schema).ok_or_else(|| {
                        let message = format!("schema \"{schema}\" does not exist");
                        SqlError::new(SqlState::InvalidSchemaName, message)
                    })?;
                }
                self.relation_oid(&name).map(|oid| oid.0).ok_or_else(|| self.unknown_relation(&name))
            }
            _ => functions::resolve_object(self.eval_context(), oid, text),
        }
    }

    /// The first use of an untyped parameter decides its type.
    fn decide_parameter(&mut self, index: usize, target: SqlType, context: CastContext) -> SqlResult<Expr> {
        let target = if matches!(target.oid, Oid::ANY | Oid::UNKNOWN) { SqlType::new(Oid::TEXT) } else { target };
        let plain = SqlType::new(target.oid);
        match self.parameters[index] {
            Some(decided) if decided.oid == plain.oid => {}
            Some(decided) => {
                let expr = Expr::Parameter { index, sql_type: decided };
                return self.coerce(expr, target, context).map_err(|_| {
                    let message = format!("inconsistent types deduced for parameter ${}", index + 1);
                    let detail = format!("{} versus {}", type_name(decided), type_name(plain));
                    SqlError::new(SqlState::AmbiguousParameter, message).with_detail(detail)
                });
            }
            None => self.parameters[index] = Some(plain),
        }
        let expr = Expr::Parameter { index, sql_type: plain };
        if target.modifier < 0 {
            return Ok(expr);
        }
        Ok(Expr::Cast { input: Box::new(expr), sql_type: target, context })
    }

    /// A condition: boolean, or 42804 naming the clause.
    pub(super) fn condition(&mut self, expr: Expr, clause: &str) -> SqlResult<Expr> {
        let from = expr.sql_type();
        if !matches!(from.oid, Oid::BOOL | Oid::UNKNOWN) {
            let message = format!("argument of {clause} must be type boolean, not type {}", type_name(from));
            return Err(SqlError::new(SqlState::DatatypeMismatch, message));
        }
        self.coerce(expr, SqlType::new(Oid::BOOL), CastContext::Implicit)
    }

    /// Expressions converted to their common type, which is answered too.
    pub(super) fn unify(&mut self, exprs: Vec<Expr>, context: &str) -> SqlResult<(Vec<Expr>, SqlType)> {
        let types: Vec<SqlType> = exprs.iter().map(Expr::sql_type).collect();
        let mut common = functions::common_type(context, &types)?;
        let known: Vec<&SqlType> = types.iter().filter(|known| known.oid != Oid::UNKNOWN).collect();
        common.modifier = match known.split_first() {
            Some((first, rest)) if first.oid == common.oid && rest.iter().all(|other| other == first) => first.modifier,
            _ => -1,
        };
        let target = SqlType::new(common.oid);
        let converted = exprs
            .into_iter()
            .map(|expr| {
                if expr.sql_type().oid == common.oid {
                    Ok(expr)
                } else {
                    self.coerce(expr, target, CastContext::Implicit)
                }
            })
            .collect::<SqlResult<_>>()?;
        Ok((converted, common))
    }

    /// A select list's untyped literals and parameters are text in the end.
    pub(super) fn known_type(&mut self, expr: Expr) -> SqlResult<Expr> {
        if expr.sql_type().oid != Oid::UNKNOWN {
            return Ok(expr);
        }
        self.coerce(expr, SqlType::new(Oid::TEXT), CastContext::Implicit)
    }

    /// Converts a value for a column, with PostgreSQL's error when it does not fit.
    pub(super) fn assign(&mut self, expr: Expr, column: &str, target: SqlType) -> SqlResult<Expr> {
        let from = expr.sql_type();
        let allowed = from.oid == Oid::UNKNOWN
            || from.oid == target.oid
            || cast_context(from.oid, target.oid).is_some_and(|needed| needed <= CastContext::Assignment);
        if !allowed {
            let message = format!(
                "column \"{column}\" is of type {} but expression is of type {}",
                type_name(target),
                type_name(from)
            );
            let hint = "You will need to rewrite or cast the expression.";
            return Err(SqlError::new(SqlState::DatatypeMismatch, message).with_hint(hint));
        }
        self.coerce(expr, target, CastContext::Assignment)
    }
}

fn no_cast(from: SqlType, target: SqlType, context: CastContext) -> SqlError {
    let (from, target) = (type_name(from), type_name(target));
    match context {
        CastContext::Explicit => SqlError::new(SqlState::CannotCoerce, format!("cannot cast type {from} to {target}")),
        _ => {
            let message = format!("expression of type {from} cannot be converted to type {target}");
            SqlError::new(SqlState::DatatypeMismatch, message)
        }
    }
}

/// Whether a constant may be converted now: the result depends on nothing but the value.
fn folds(from: Oid, to: Oid) -> bool {
    let category = |oid: Oid| oid.type_info().map(|info| info.category);
    matches!(
        (category(from), category(to)),
        (Some(Category::Numeric), Some(Category::Numeric)) | (Some(Category::String), Some(Category::String))
    )
}

//! Calls that SQL writes with a syntax of their own: EXTRACT, SUBSTRING, TRIM and so on.

use proto::{SqlError, SqlResult};
use schema::{Datum, Oid, SqlType};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast::{self, Expr as E, TrimWhereField};

use super::super::{Binder, scope::Scope};
use crate::plan::Expr;

impl Binder<'_> {
    /// Everything that no other part of the binder takes.
    pub(super) fn special(&mut self, tree: &ast::Expr, scope: &Scope<'_>) -> SqlResult<Expr> {
        match tree {
            E::Extract { field, expr, .. } => {
                let field = field.to_string().to_lowercase();
                let field =
                    Expr::Constant { value: Datum::text(field.trim_matches('\'')), sql_type: SqlType::new(Oid::TEXT) };
                let input = self.expr(expr, scope)?;
                self.call("extract", vec![field, input])
            }
            E::Position { expr, r#in } => {
                let args = self.exprs([&**r#in, &**expr], scope)?;
                self.call("position", args)
            }
            E::Substring { expr, substring_from, substring_for, .. } => {
                self.substring(expr, substring_from.as_deref(), substring_for.as_deref(), scope)
            }
            E::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    Some(TrimWhereField::Both) | None => "btrim",
                };
                let what = trim_what.as_deref().into_iter().chain(trim_characters.iter().flatten());
                let args = self.exprs(std::iter::once(&**expr).chain(what), scope)?;
                self.call(name, args)
            }
            E::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let args = [&**expr, overlay_what, overlay_from].into_iter().chain(overlay_for.as_deref());
                let args = self.exprs(args, scope)?;
                self.call("overlay", args)
            }
            E::Ceil { expr, field } => self.rounding("ceil", expr, field, scope),
            E::Floor { expr, field } => self.rounding("floor", expr, field, scope),
            E::AtTimeZone { timestamp, time_zone } => {
                let args = self.exprs([&**time_zone, &**timestamp], scope)?;
                self.call("timezone", args)
            }
            E::IsNormalized { .. } => Err(SqlError::unsupported("IS NORMALIZED")),
            other => Err(SqlError::unsupported(format!("the expression {other}"))),
        }
    }

    fn substring(
        &mut self,
        input: &ast::Expr,
        from: Option<&ast::Expr>,
        length: Option<&ast::Expr>,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let mut args = vec![self.expr(input, scope)?];
        match (from, length) {
            (None, Some(length)) => {
                args.push(Expr::Constant { value: Datum::Int4(1), sql_type: SqlType::new(Oid::INT4) });
                args.push(self.expr(length, scope)?);
            }
            (from, length) => {
                for tree in from.into_iter().chain(length) {
                    args.push(self.expr(tree, scope)?);
                }
            }
        }
        self.call("substring", args)
    }

    fn rounding(
        &mut self,
        name: &str,
        input: &ast::Expr,
        field: &ast::CeilFloorKind,
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        if !matches!(field, ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime)) {
            return Err(SqlError::unsupported(format!("{name} with a field or scale")));
        }
        let input = self.expr(input, scope)?;
        self.call(name, vec![input])
    }
}

//! Names of output columns that the statement does not name.

use sqlparser::ast::{self, Expr as E};

use super::super::{fold, types};

/// The name PostgreSQL gives a column of this expression.
pub(in crate::bind) fn output_name(tree: &ast::Expr) -> String {
    name(tree).unwrap_or_else(|| "?column?".to_owned())
}

fn name(tree: &ast::Expr) -> Option<String> {
    let fixed = |name: &str| Some(name.to_owned());
    match tree {
        E::Identifier(ident) => Some(fold(ident)),
        E::CompoundIdentifier(parts) => parts.last().map(fold),
        E::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                ast::AccessExpr::Dot(E::Identifier(field)) => Some(fold(field)),
                _ => None,
            });
            field.or_else(|| name(root))
        }
        E::QualifiedWildcard(name, _) => name.0.last()?.as_ident().map(fold),
        E::Nested(inner) | E::Collate { expr: inner, .. } => name(inner),
        E::Function(function) => function.name.0.last()?.as_ident().map(fold).map(|name| called(&name)),
        E::Cast { expr, data_type, .. } => own_name(expr).or_else(|| {
            let found = types::sql_type(data_type).ok()?;
            // An array is named after its element.
            let found = found.oid.element_type().unwrap_or(found.oid);
            found.type_info().map(|info| info.name.to_owned())
        }),
        E::TypedString(typed) => {
            types::sql_type(&typed.data_type).ok()?.oid.type_info().map(|info| info.name.to_owned())
        }
        E::Interval(_) => fixed("interval"),
        E::Case { else_result, .. } => match else_result.as_deref().and_then(own_name) {
            Some(name) => Some(name),
            None => fixed("case"),
        },
        E::Array(_) => fixed("array"),
        E::Exists { .. } => fixed("exists"),
        E::Tuple(_) => fixed("row"),
        E::Extract { .. } => fixed("extract"),
        E::Position { .. } => fixed("position"),
        E::Substring { shorthand, .. } => fixed(if *shorthand { "substr" } else { "substring" }),
        E::Trim { trim_where, .. } => fixed(match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        E::Overlay { .. } => fixed("overlay"),
        E::Ceil { .. } => fixed("ceil"),
        E::Floor { .. } => fixed("floor"),
        E::AtTimeZone { .. } => fixed("timezone"),
        E::Value(value) => match value.value {
            ast::Value::Boolean(_) => fixed("bool"),
            _ => None,
        },
        E::Subquery(query) => subquery_name(&query.body),
        _ => None,
    }
}

/// The name that an expression keeps when it is cast: not that of another cast or a CASE, which are weak.
fn own_name(tree: &ast::Expr) -> Option<String> {
    match tree {
        E::Nested(inner) | E::Collate { expr: inner, .. } | E::Cast { expr: inner, .. } => own_name(inner),
        E::Case { else_result, .. } => else_result.as_deref().and_then(own_name),
        E::TypedString(_) | E::Interval(_) | E::Value(_) => None,
        other => name(other),
    }
}

/// Names that the grammar gives some calls.
fn called(name: &str) -> String {
    match name {
        "user" => "user".to_owned(),
        other => other.to_owned(),
    }
}

/// A scalar subquery is named after its column.
fn subquery_name(body: &ast::SetExpr) -> Option<String> {
    match body {
        ast::SetExpr::Select(select) => match select.projection.first()? {
            ast::SelectItem::UnnamedExpr(expr) => name(expr),
            ast::SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
            _ => None,
        },
        ast::SetExpr::Query(query) => subquery_name(&query.body),
        ast::SetExpr::SetOperation { left, .. } => subquery_name(left),
        _ => None,
    }
}

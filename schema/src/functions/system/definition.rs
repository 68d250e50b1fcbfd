//! Constraints and indexes as the SQL that makes them.

use std::fmt::Write;

use super::object_name;
use crate::{
    Catalog, ColumnId, ConstraintDescriptor, ConstraintKind, Deferrable, IndexColumn, IndexDescriptor, Oid,
    ReferentialAction, SqlType, TableDescriptor, ViewDescriptor,
    functions::{EvalContext, quote_identifier},
};

fn column_name(table: &TableDescriptor, id: ColumnId) -> Option<String> {
    table.column(id).map(|column| quote_identifier(&column.name).into_owned())
}

fn column_list(table: &TableDescriptor, columns: &[ColumnId]) -> Option<String> {
    let names: Option<Vec<String>> = columns.iter().map(|id| column_name(table, *id)).collect();
    names.map(|names| names.join(", "))
}

fn qualified(catalog: &Catalog, schema: Oid, name: &str) -> Option<String> {
    let schema = catalog.schema_name(schema)?;
    Some(format!("{}.{}", quote_identifier(schema), quote_identifier(name)))
}

fn action(event: &str, action: ReferentialAction) -> String {
    let shown = match action {
        ReferentialAction::NoAction => return String::new(),
        ReferentialAction::Restrict => "RESTRICT",
        ReferentialAction::Cascade => "CASCADE",
        ReferentialAction::SetNull => "SET NULL",
        ReferentialAction::SetDefault => "SET DEFAULT",
    };
    format!(" ON {event} {shown}")
}

/// An expression over a table's row, with brackets around every operation unless it is to be pretty.
pub fn expression_text(
    env: &EvalContext,
    table: &TableDescriptor,
    text: &str,
    expected: Option<SqlType>,
    pretty: bool,
) -> String {
    let shown = env.host.as_deref().and_then(|host| host.expression(env, table, text, expected, pretty));
    shown.unwrap_or_else(|| text.to_owned())
}

/// A view's query. What the session has no layout for is shown as it was written.
pub fn view_text(env: &EvalContext, view: &ViewDescriptor, pretty: bool) -> String {
    let shown = env.host.as_deref().and_then(|host| host.view_text(env, view, pretty));
    shown.unwrap_or_else(|| format!(" {};", view.query.trim_end_matches(';')))
}

/// A constraint as pg_get_constraintdef shows it.
pub fn constraint_definition(
    env: &EvalContext,
    catalog: &Catalog,
    table: &TableDescriptor,
    constraint: &ConstraintDescriptor,
    pretty: bool,
) -> Option<String> {
    let mut out = match &constraint.kind {
        ConstraintKind::PrimaryKey { columns } => format!("PRIMARY KEY ({})", column_list(table, columns)?),
        ConstraintKind::Unique { columns, index } => {
            let distinct = table.index(*index).is_some_and(|index| index.nulls_not_distinct);
            let nulls = if distinct { " NULLS NOT DISTINCT" } else { "" };
            format!("UNIQUE{nulls} ({})", column_list(table, columns)?)
        }
        ConstraintKind::Check { expression, .. } => {
            format!("CHECK ({})", expression_text(env, table, expression, None, pretty))
        }
        ConstraintKind::ForeignKey { columns, table: target, referenced, on_delete, on_update, deferrable } => {
            let target = catalog.table(*target)?;
            format!(
                "FOREIGN KEY ({}) REFERENCES {}({}){}{}{}",
                column_list(table, columns)?,
                object_name(env, Oid::REGCLASS, target.oid.0),
                column_list(target, referenced)?,
                action("UPDATE", *on_update),
                action("DELETE", *on_delete),
                match deferrable {
                    Deferrable::No => "",
                    Deferrable::Immediate => " DEFERRABLE",
                    Deferrable::Deferred => " DEFERRABLE INITIALLY DEFERRED",
                }
            )
        }
    };
    if !constraint.validated {
        out.push_str(" NOT VALID");
    }
    Some(out)
}

/// A column of an index, with its direction if that is not the usual one.
pub(super) fn index_column(table: &TableDescriptor, column: &IndexColumn, with_order: bool) -> Option<String> {
    let mut out = column_name(table, column.column)?;
    if with_order {
        match (column.descending, column.nulls_first) {
            (false, false) => {}
            (false, true) => out.push_str(" NULLS FIRST"),
            (true, true) => out.push_str(" DESC"),
            (true, false) => out.push_str(" DESC NULLS LAST"),
        }
    }
    Some(out)
}

/// An index as pg_get_indexdef shows it. The pretty form names the table as the search path finds it.
pub fn index_definition(
    env: &EvalContext,
    catalog: &Catalog,
    table: &TableDescriptor,
    index: &IndexDescriptor,
    pretty: bool,
) -> Option<String> {
    let columns: Option<Vec<String>> = index.columns.iter().map(|column| index_column(table, column, true)).collect();
    let relation = match pretty {
        true => object_name(env, Oid::REGCLASS, table.oid.0),
        false => qualified(catalog, table.schema, &table.name)?,
    };
    let mut out = format!(
        "CREATE {}INDEX {} ON {relation} USING btree ({})",
        if index.unique { "UNIQUE " } else { "" },
        quote_identifier(&index.name),
        columns?.join(", ")
    );
    if index.nulls_not_distinct {
        out.push_str(" NULLS NOT DISTINCT");
    }
    if let Some(predicate) = &index.predicate {
        write!(out, " WHERE {}", expression_text(env, table, predicate, None, pretty))
            .expect("a string takes every write");
    }
    Some(out)
}

//! Constraints and indexes as the SQL that makes them.

use std::fmt::Write;

use crate::{
    Catalog, ColumnId, ConstraintDescriptor, ConstraintKind, IndexColumn, IndexDescriptor, Oid, ReferentialAction,
    TableDescriptor, functions::quote_identifier,
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

/// A constraint as pg_get_constraintdef shows it. Referenced tables outside of `public` are shown with their schema.
pub fn constraint_definition(
    catalog: &Catalog,
    table: &TableDescriptor,
    constraint: &ConstraintDescriptor,
) -> Option<String> {
    let mut out = match &constraint.kind {
        ConstraintKind::PrimaryKey { columns } => format!("PRIMARY KEY ({})", column_list(table, columns)?),
        ConstraintKind::Unique { columns, index } => {
            let distinct = table.index(*index).is_some_and(|index| index.nulls_not_distinct);
            let nulls = if distinct { " NULLS NOT DISTINCT" } else { "" };
            format!("UNIQUE{nulls} ({})", column_list(table, columns)?)
        }
        ConstraintKind::Check { expression, .. } => format!("CHECK (({}))", bare(expression)),
        ConstraintKind::ForeignKey { columns, table: target, referenced, on_delete, on_update } => {
            let target = catalog.table(*target)?;
            let name = match catalog.schema_name(target.schema) {
                Some("public") => quote_identifier(&target.name).into_owned(),
                _ => qualified(catalog, target.schema, &target.name)?,
            };
            format!(
                "FOREIGN KEY ({}) REFERENCES {name}({}){}{}",
                column_list(table, columns)?,
                column_list(target, referenced)?,
                action("UPDATE", *on_update),
                action("DELETE", *on_delete)
            )
        }
    };
    if !constraint.validated {
        out.push_str(" NOT VALID");
    }
    Some(out)
}

/// An expression without brackets around all of it.
fn bare(expression: &str) -> &str {
    let trimmed = expression.trim();
    let Some(inner) = trimmed.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else { return trimmed };
    // The outer brackets must be a pair.
    let mut depth = 0_i32;
    for c in inner.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return trimmed;
        }
    }
    inner
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

/// An index as pg_get_indexdef shows it.
pub fn index_definition(catalog: &Catalog, table: &TableDescriptor, index: &IndexDescriptor) -> Option<String> {
    let columns: Option<Vec<String>> = index.columns.iter().map(|column| index_column(table, column, true)).collect();
    let mut out = format!(
        "CREATE {}INDEX {} ON {} USING btree ({})",
        if index.unique { "UNIQUE " } else { "" },
        quote_identifier(&index.name),
        qualified(catalog, table.schema, &table.name)?,
        columns?.join(", ")
    );
    if index.nulls_not_distinct {
        out.push_str(" NULLS NOT DISTINCT");
    }
    if let Some(predicate) = &index.predicate {
        write!(out, " WHERE ({})", bare(predicate)).expect("a string takes every write");
    }
    Some(out)
}

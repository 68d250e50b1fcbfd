//! Constraints.

use schema::{ColumnId, ConstraintDescriptor, ConstraintKind, Datum, ReferentialAction, TableDescriptor, functions};
use sharddb_schema as schema;

use super::{
    super::{Rows, Source, classes::tables as all_tables, name, objects::schema_name},
    database, yes_no,
};

/// The primary key or unique constraint that a foreign key refers to.
fn referenced_key<'a>(parent: &'a TableDescriptor, referenced: &[ColumnId]) -> Option<&'a ConstraintDescriptor> {
    let same = |columns: &[ColumnId]| {
        columns.len() == referenced.len() && columns.iter().all(|column| referenced.contains(column))
    };
    parent
        .constraints
        .iter()
        .find(|known| key_of(&known.kind).is_some_and(|(columns, foreign)| !foreign && same(columns)))
}

/// Name of the condition that a column is not NULL: it has none of its own.
fn not_null_name(table: &TableDescriptor, column: ColumnId) -> Datum {
    name(&format!("{}_{}_{}_not_null", table.schema, table.oid, column.0))
}

pub(super) fn tables(source: &Source<'_>, rows: &mut Rows) {
    for table in all_tables(source) {
        let mut add = |constraint: Datum, kind: &str, distinct: Datum| {
            rows.add([
                ("constraint_catalog", database(source)),
                ("constraint_schema", schema_name(source, table.schema)),
                ("constraint_name", constraint),
                ("table_catalog", database(source)),
                ("table_schema", schema_name(source, table.schema)),
                ("table_name", name(&table.name)),
                ("constraint_type", Datum::text(kind)),
                ("is_deferrable", yes_no(false)),
                ("initially_deferred", yes_no(false)),
                ("enforced", yes_no(true)),
                ("nulls_distinct", distinct),
            ]);
        };
        for constraint in &table.constraints {
            let (kind, distinct) = match &constraint.kind {
                ConstraintKind::PrimaryKey { .. } => ("PRIMARY KEY", Datum::Null),
                ConstraintKind::Unique { index, .. } => {
                    let same = table.index(*index).is_some_and(|index| index.nulls_not_distinct);
                    ("UNIQUE", yes_no(!same))
                }
                ConstraintKind::Check { .. } => ("CHECK", Datum::Null),
                ConstraintKind::ForeignKey { .. } => ("FOREIGN KEY", Datum::Null),
            };
            add(name(&constraint.name), kind, distinct);
        }
        for column in table.columns.iter().filter(|column| column.not_null) {
            add(not_null_name(table, column.id), "CHECK", Datum::Null);
        }
    }
}

pub(super) fn checks(source: &Source<'_>, rows: &mut Rows) {
    for table in all_tables(source) {
        let mut add = |constraint: Datum, clause: String| {
            rows.add([
                ("constraint_catalog", database(source)),
                ("constraint_schema", schema_name(source, table.schema)),
                ("constraint_name", constraint),
                ("check_clause", Datum::text(clause)),
            ]);
        };
        for constraint in &table.constraints {
            let ConstraintKind::Check { expression, .. } = &constraint.kind else { continue };
            let condition = functions::expression_text(source.eval, table, expression, None, false);
            add(name(&constraint.name), format!("({condition})"));
        }
        for column in table.columns.iter().filter(|column| column.not_null) {
            let clause = format!("{} IS NOT NULL", column.name);
            add(not_null_name(table, column.id), clause);
        }
    }
}

/// Columns of a key or foreign key.
fn key_of(kind: &ConstraintKind) -> Option<(&[ColumnId], bool)> {
    match kind {
        ConstraintKind::PrimaryKey { columns } | ConstraintKind::Unique { columns, .. } => Some((columns, false)),
        ConstraintKind::ForeignKey { columns, .. } => Some((columns, true)),
        ConstraintKind::Check { .. } => None,
    }
}

fn column_name(table: &TableDescriptor, column: ColumnId) -> Datum {
    name(table.column(column).map_or("", |column| column.name.as_str()))
}

pub(super) fn keys(source: &Source<'_>, rows: &mut Rows) {
    for table in all_tables(source) {
        for constraint in &table.constraints {
            let Some((columns, _)) = key_of(&constraint.kind) else { continue };
            for (at, column) in columns.iter().enumerate() {
                rows.add([
                    ("constraint_catalog", database(source)),
                    ("constraint_schema", schema_name(source, table.schema)),
                    ("constraint_name", name(&constraint.name)),
                    ("table_catalog", database(source)),
                    ("table_schema", schema_name(source, table.schema)),
                    ("table_name", name(&table.name)),
                    ("column_name", column_name(table, *column)),
                    ("ordinal_position", position(at)),
                    ("position_in_unique_constraint", place_in_key(source, constraint, at)),
                ]);
            }
        }
    }
}

fn position(at: usize) -> Datum {
    Datum::Int4(i32::try_from(at + 1).unwrap_or(i32::MAX))
}

/// Where the column that a foreign key's column refers to stands in the key; NULL for other constraints.
fn place_in_key(source: &Source<'_>, constraint: &ConstraintDescriptor, at: usize) -> Datum {
    let ConstraintKind::ForeignKey { table: parent, referenced, .. } = &constraint.kind else { return Datum::Null };
    let place = || {
        let key = referenced_key(source.catalog.table(*parent)?, referenced)?;
        let (columns, _) = key_of(&key.kind)?;
        columns.iter().position(|column| *column == referenced[at])
    };
    place().map_or(Datum::Null, position)
}

fn rule(action: ReferentialAction) -> Datum {
    Datum::text(match action {
        ReferentialAction::NoAction => "NO ACTION",
        ReferentialAction::Restrict => "RESTRICT",
        ReferentialAction::Cascade => "CASCADE",
        ReferentialAction::SetNull => "SET NULL",
        ReferentialAction::SetDefault => "SET DEFAULT",
    })
}

pub(super) fn references(source: &Source<'_>, rows: &mut Rows) {
    for table in all_tables(source) {
        for constraint in &table.constraints {
            let ConstraintKind::ForeignKey { table: parent, referenced, on_delete, on_update, .. } = &constraint.kind
            else {
                continue;
            };
            let Some(parent) = source.catalog.table(*parent) else { continue };
            let key = referenced_key(parent, referenced);
            let of_key = |value: Datum| if key.is_some() { value } else { Datum::Null };
            rows.add([
                ("constraint_catalog", database(source)),
                ("constraint_schema", schema_name(source, table.schema)),
                ("constraint_name", name(&constraint.name)),
                ("unique_constraint_catalog", of_key(database(source))),
                ("unique_constraint_schema", of_key(schema_name(source, parent.schema))),
                ("unique_constraint_name", key.map_or(Datum::Null, |key| name(&key.name))),
                ("match_option", Datum::text("NONE")),
                ("update_rule", rule(*on_update)),
                ("delete_rule", rule(*on_delete)),
            ]);
        }
    }
}

pub(super) fn columns(source: &Source<'_>, rows: &mut Rows) {
    for table in all_tables(source) {
        for constraint in &table.constraints {
            let (owner, columns): (&TableDescriptor, &[ColumnId]) = match &constraint.kind {
                ConstraintKind::ForeignKey { table: parent, referenced, .. } => match source.catalog.table(*parent) {
                    Some(parent) => (parent, referenced),
                    None => continue,
                },
                ConstraintKind::PrimaryKey { columns }
                | ConstraintKind::Unique { columns, .. }
                | ConstraintKind::Check { columns, .. } => (table, columns),
            };
            for column in columns {
                rows.add([
                    ("table_catalog", database(source)),
                    ("table_schema", schema_name(source, owner.schema)),
                    ("table_name", name(&owner.name)),
                    ("column_name", column_name(owner, *column)),
                    ("constraint_catalog", database(source)),
                    ("constraint_schema", schema_name(source, table.schema)),
                    ("constraint_name", name(&constraint.name)),
                ]);
            }
        }
    }
}

/// Tables that keys belong to and foreign keys refer to.
pub(super) fn table_usage(source: &Source<'_>, rows: &mut Rows) {
    for table in all_tables(source) {
        for constraint in &table.constraints {
            let used = match &constraint.kind {
                ConstraintKind::ForeignKey { table: parent, .. } => source.catalog.table(*parent).map(AsRef::as_ref),
                ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } => Some(table),
                ConstraintKind::Check { .. } => None,
            };
            let Some(used) = used else { continue };
            rows.add([
                ("table_catalog", database(source)),
                ("table_schema", schema_name(source, used.schema)),
                ("table_name", name(&used.name)),
                ("constraint_catalog", database(source)),
                ("constraint_schema", schema_name(source, table.schema)),
                ("constraint_name", name(&constraint.name)),
            ]);
        }
    }
}

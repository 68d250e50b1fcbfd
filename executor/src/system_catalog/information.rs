//! `information_schema`.

use proto::SqlResult;
use schema::{
    ColumnDescriptor, ColumnId, ConstraintKind, Datum, Descriptor, Identity, Oid, ReferentialAction, SqlType,
    TableDescriptor,
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Rows, Source, classes::tables as all_tables, columns::default_of, name, objects::schema_name};

pub(super) fn fill(table: &str, source: &Source<'_>, rows: &mut Rows) -> SqlResult<()> {
    match table {
        "tables" => tables(source, rows),
        "views" => views(source, rows),
        "columns" => columns(source, rows),
        "schemata" => schemata(source, rows),
        "sequences" => sequences(source, rows),
        "table_constraints" => table_constraints(source, rows),
        "key_column_usage" => key_columns(source, rows),
        "referential_constraints" => referential(source, rows),
        "constraint_column_usage" => column_usage(source, rows),
        _ => {}
    }
    Ok(())
}

fn database(source: &Source<'_>) -> Datum {
    Datum::text(source.eval.database.as_ref())
}

fn yes_no(yes: bool) -> Datum {
    Datum::text(if yes { "YES" } else { "NO" })
}

fn tables(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        let (schema, relation, kind) = match object {
            Descriptor::Table(table) => {
                let schema = source.catalog.schema_name(table.schema).unwrap_or_default();
                let temporary = schema.starts_with(schema::functions::TEMP_SCHEMA_PREFIX);
                (table.schema, &table.name, if temporary { "LOCAL TEMPORARY" } else { "BASE TABLE" })
            }
            Descriptor::View(view) => (view.schema, &view.name, "VIEW"),
            _ => continue,
        };
        rows.add([
            ("table_catalog", database(source)),
            ("table_schema", schema_name(source, schema)),
            ("table_name", name(relation)),
            ("table_type", Datum::text(kind)),
            ("is_insertable_into", yes_no(kind != "VIEW")),
            ("is_typed", yes_no(false)),
        ]);
    }
}

fn views(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        let Descriptor::View(view) = object else { continue };
        rows.add([
            ("table_catalog", database(source)),
            ("table_schema", schema_name(source, view.schema)),
            ("table_name", name(&view.name)),
            ("view_definition", Datum::text(format!("{};", view.query))),
            ("check_option", Datum::text("NONE")),
            ("is_updatable", yes_no(false)),
            ("is_insertable_into", yes_no(false)),
        ]);
    }
}

fn columns(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        match object {
            Descriptor::Table(table) => {
                for (column, number) in table.columns.iter().zip(1..) {
                    let place = (table.schema, table.name.as_str(), number);
                    add_column(source, rows, place, (&column.name, column.sql_type), Some(column));
                }
            }
            Descriptor::View(view) => {
                for ((column, sql_type), number) in view.columns.iter().zip(1..) {
                    add_column(source, rows, (view.schema, view.name.as_str(), number), (column, *sql_type), None);
                }
            }
            _ => {}
        }
    }
}

fn add_column(
    source: &Source<'_>,
    rows: &mut Rows,
    (schema, table, number): (Oid, &str, i32),
    (column, sql_type): (&str, SqlType),
    descriptor: Option<&ColumnDescriptor>,
) {
    let info = sql_type.oid.type_info();
    let array = sql_type.oid.element_type().is_some();
    let data_type = if array { "ARRAY" } else { info.map_or("", |info| info.sql_name) };
    let length = match sql_type.oid {
        Oid::VARCHAR | Oid::BPCHAR if sql_type.modifier >= 4 => Datum::Int4(sql_type.modifier - 4),
        _ => Datum::Null,
    };
    let (precision, radix, scale) = numeric_size(sql_type);
    let identity = descriptor.and_then(|column| column.identity.as_ref());
    let generated = descriptor.and_then(|column| column.generated.as_deref());
    let default = descriptor.filter(|column| column.generated.is_none()).and_then(default_of);
    rows.add([
        ("table_catalog", database(source)),
        ("table_schema", schema_name(source, schema)),
        ("table_name", name(table)),
        ("column_name", name(column)),
        ("ordinal_position", Datum::Int4(number)),
        ("column_default", default.map_or(Datum::Null, Datum::text)),
        ("is_nullable", yes_no(!descriptor.is_some_and(|column| column.not_null))),
        ("data_type", Datum::text(data_type)),
        ("character_maximum_length", length),
        ("numeric_precision", precision),
        ("numeric_precision_radix", radix),
        ("numeric_scale", scale),
        ("udt_catalog", database(source)),
        ("udt_schema", Datum::text("pg_catalog")),
        ("udt_name", name(info.map_or("", |info| info.name))),
        ("dtd_identifier", Datum::text(number.to_string())),
        ("is_self_referencing", yes_no(false)),
        ("is_identity", yes_no(identity.is_some())),
        (
            "identity_generation",
            identity.map_or(Datum::Null, |identity| {
                Datum::text(if *identity == Identity::Always { "ALWAYS" } else { "BY DEFAULT" })
            }),
        ),
        ("is_generated", Datum::text(if generated.is_some() { "ALWAYS" } else { "NEVER" })),
        ("generation_expression", generated.map_or(Datum::Null, Datum::text)),
        ("is_updatable", yes_no(descriptor.is_some())),
    ]);
}

/// Precision, radix and scale.
fn numeric_size(sql_type: SqlType) -> (Datum, Datum, Datum) {
    let binary = |bits, scale| (Datum::Int4(bits), Datum::Int4(2), scale);
    match sql_type.oid {
        Oid::INT2 => binary(16, Datum::Int4(0)),
        Oid::INT4 => binary(32, Datum::Int4(0)),
        Oid::INT8 => binary(64, Datum::Int4(0)),
        Oid::FLOAT4 => binary(24, Datum::Null),
        Oid::FLOAT8 => binary(53, Datum::Null),
        Oid::NUMERIC if sql_type.modifier >= 4 => {
            let packed = sql_type.modifier - 4;
            (Datum::Int4((packed >> 16) & 0xFFFF), Datum::Int4(10), Datum::Int4(((packed & 0x7FF) ^ 1024) - 1024))
        }
        Oid::NUMERIC => (Datum::Null, Datum::Int4(10), Datum::Null),
        _ => (Datum::Null, Datum::Null, Datum::Null),
    }
}

fn schemata(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        let Descriptor::Schema(schema) = object else { continue };
        let owner = match source.catalog.get(schema.owner) {
            Some(Descriptor::Role(role)) => name(&role.name),
            _ => Datum::Null,
        };
        rows.add([("catalog_name", database(source)), ("schema_name", name(&schema.name)), ("schema_owner", owner)]);
    }
}

fn sequences(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        let Descriptor::Sequence(sequence) = object else { continue };
        let info = sequence.sql_type.type_info();
        rows.add([
            ("sequence_catalog", database(source)),
            ("sequence_schema", schema_name(source, sequence.schema)),
            ("sequence_name", name(&sequence.name)),
            ("data_type", Datum::text(info.map_or("", |info| info.sql_name))),
            ("numeric_precision", Datum::Int4(info.map_or(64, |info| i32::from(info.length) * 8))),
            ("numeric_precision_radix", Datum::Int4(2)),
            ("numeric_scale", Datum::Int4(0)),
            ("start_value", Datum::text(sequence.start.to_string())),
            ("minimum_value", Datum::text(sequence.min.to_string())),
            ("maximum_value", Datum::text(sequence.max.to_string())),
            ("increment", Datum::text(sequence.increment.to_string())),
            ("cycle_option", yes_no(sequence.cycle)),
        ]);
    }
}

fn table_constraints(source: &Source<'_>, rows: &mut Rows) {
    for table in all_tables(source) {
        for constraint in &table.constraints {
            let kind = match constraint.kind {
                ConstraintKind::PrimaryKey { .. } => "PRIMARY KEY",
                ConstraintKind::Unique { .. } => "UNIQUE",
                ConstraintKind::Check { .. } => "CHECK",
                ConstraintKind::ForeignKey { .. } => "FOREIGN KEY",
            };
            rows.add([
                ("constraint_catalog", database(source)),
                ("constraint_schema", schema_name(source, table.schema)),
                ("constraint_name", name(&constraint.name)),
                ("table_catalog", database(source)),
                ("table_schema", schema_name(source, table.schema)),
                ("table_name", name(&table.name)),
                ("constraint_type", Datum::text(kind)),
                ("is_deferrable", yes_no(false)),
                ("initially_deferred", yes_no(false)),
                ("enforced", yes_no(true)),
            ]);
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

fn key_columns(source: &Source<'_>, rows: &mut Rows) {
    for table in all_tables(source) {
        for constraint in &table.constraints {
            let Some((columns, foreign)) = key_of(&constraint.kind) else { continue };
            for (column, number) in columns.iter().zip(1..) {
                rows.add([
                    ("constraint_catalog", database(source)),
                    ("constraint_schema", schema_name(source, table.schema)),
                    ("constraint_name", name(&constraint.name)),
                    ("table_catalog", database(source)),
                    ("table_schema", schema_name(source, table.schema)),
                    ("table_name", name(&table.name)),
                    ("column_name", column_name(table, *column)),
                    ("ordinal_position", Datum::Int4(number)),
                    ("position_in_unique_constraint", if foreign { Datum::Int4(number) } else { Datum::Null }),
                ]);
            }
        }
    }
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

fn referential(source: &Source<'_>, rows: &mut Rows) {
    for table in all_tables(source) {
        for constraint in &table.constraints {
            let ConstraintKind::ForeignKey { table: parent, referenced, on_delete, on_update, .. } = &constraint.kind
            else {
                continue;
            };
            let Some(parent) = source.catalog.table(*parent) else { continue };
            let key = parent.constraints.iter().find(|known| {
                key_of(&known.kind).is_some_and(|(columns, foreign)| !foreign && columns == referenced.as_slice())
            });
            rows.add([
                ("constraint_catalog", database(source)),
                ("constraint_schema", schema_name(source, table.schema)),
                ("constraint_name", name(&constraint.name)),
                ("unique_constraint_catalog", database(source)),
                ("unique_constraint_schema", schema_name(source, parent.schema)),
                ("unique_constraint_name", key.map_or(Datum::Null, |key| name(&key.name))),
                ("match_option", Datum::text("NONE")),
                ("update_rule", rule(*on_update)),
                ("delete_rule", rule(*on_delete)),
            ]);
        }
    }
}

fn column_usage(source: &Source<'_>, rows: &mut Rows) {
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

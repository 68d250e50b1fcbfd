//! Tables, views and their columns.

use planner::system_catalog::{VirtualTable, virtual_tables};
use schema::{
    ColumnDescriptor, Datum, Descriptor, Identity, Oid, SequenceDescriptor, SqlType, TableDescriptor, builtin,
    functions::TEMP_SCHEMA_PREFIX,
};
use sharddb_planner as planner;
use sharddb_schema as schema;

use super::{
    super::{
        Rows, Source,
        classes::tables as all_tables,
        columns::default_of,
        name,
        objects::{all_sequences, schema_name, view_text},
    },
    data_type, database, udt_name, yes_no,
};

fn is_view(table: &VirtualTable) -> bool {
    table.schema == "information_schema"
}

pub(super) fn tables(source: &Source<'_>, rows: &mut Rows) {
    let mut add = |schema: Datum, relation: &str, kind: &str, writable: bool| {
        rows.add([
            ("table_catalog", database(source)),
            ("table_schema", schema),
            ("table_name", name(relation)),
            ("table_type", Datum::text(kind)),
            ("is_insertable_into", yes_no(writable)),
            ("is_typed", yes_no(false)),
        ]);
    };
    for object in source.catalog.objects() {
        match object {
            Descriptor::Table(table) => {
                let schema = source.catalog.schema_name(table.schema).unwrap_or_default();
                let temporary = schema.starts_with(TEMP_SCHEMA_PREFIX);
                let kind = if temporary { "LOCAL TEMPORARY" } else { "BASE TABLE" };
                add(name(schema), &table.name, kind, true);
            }
            Descriptor::View(view) => add(schema_name(source, view.schema), &view.name, "VIEW", false),
            _ => {}
        }
    }
    for table in virtual_tables() {
        add(name(table.schema), table.name, if is_view(table) { "VIEW" } else { "BASE TABLE" }, false);
    }
}

pub(super) fn views(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        let Descriptor::View(view) = object else { continue };
        rows.add([
            ("table_catalog", database(source)),
            ("table_schema", schema_name(source, view.schema)),
            ("table_name", name(&view.name)),
            ("view_definition", view_text(source, view)),
            ("check_option", Datum::text("NONE")),
            ("is_updatable", yes_no(false)),
            ("is_insertable_into", yes_no(false)),
            ("is_trigger_updatable", yes_no(false)),
            ("is_trigger_deletable", yes_no(false)),
            ("is_trigger_insertable_into", yes_no(false)),
        ]);
    }
}

/// Relations that views read.
pub(super) fn view_tables(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        let Descriptor::View(view) = object else { continue };
        for used in &view.depends_on {
            let (schema, relation) = match source.catalog.get(*used) {
                Some(Descriptor::Table(table)) => (table.schema, &table.name),
                Some(Descriptor::View(view)) => (view.schema, &view.name),
                _ => continue,
            };
            rows.add([
                ("view_catalog", database(source)),
                ("view_schema", schema_name(source, view.schema)),
                ("view_name", name(&view.name)),
                ("table_catalog", database(source)),
                ("table_schema", schema_name(source, schema)),
                ("table_name", name(relation)),
            ]);
        }
    }
}

/// A column with its place.
struct Column<'a> {
    schema: Datum,
    table: &'a str,
    number: i32,
    name: &'a str,
    sql_type: SqlType,
    not_null: bool,
    /// Of a table that can be written to.
    descriptor: Option<(&'a TableDescriptor, &'a ColumnDescriptor)>,
}

/// Every column of tables and views.
fn all_columns(source: &Source<'_>, visit: &mut dyn FnMut(&Column<'_>)) {
    for table in all_tables(source) {
        for column in &table.columns {
            visit(&Column {
                schema: schema_name(source, table.schema),
                table: &table.name,
                number: i32::from(column.id.0),
                name: &column.name,
                sql_type: column.sql_type,
                not_null: column.not_null,
                descriptor: Some((table, column)),
            });
        }
    }
    for object in source.catalog.objects() {
        let Descriptor::View(view) = object else { continue };
        for ((column, sql_type), number) in view.columns.iter().zip(1..) {
            visit(&plain_column(schema_name(source, view.schema), &view.name, number, column, *sql_type));
        }
    }
    for table in virtual_tables() {
        for (column, number) in table.columns.iter().zip(1..) {
            let plain = plain_column(name(table.schema), table.name, number, column.name, column.sql_type);
            visit(&Column { not_null: column.not_null, ..plain });
        }
    }
}

fn plain_column<'a>(schema: Datum, table: &'a str, number: i32, name: &'a str, sql_type: SqlType) -> Column<'a> {
    let (not_null, descriptor) = (false, None);
    Column { schema, table, number, name, sql_type, not_null, descriptor }
}

pub(super) fn columns(source: &Source<'_>, rows: &mut Rows) {
    all_columns(source, &mut |column| {
        let identity = column.descriptor.filter(|(_, descriptor)| descriptor.identity.is_some());
        let sequence = identity.and_then(|(table, descriptor)| {
            all_sequences(source).find(|sequence| sequence.owned_by == Some((table.oid, descriptor.id)))
        });
        rows.add([
            ("table_catalog", database(source)),
            ("table_schema", column.schema.clone()),
            ("table_name", name(column.table)),
            ("column_name", name(column.name)),
            ("ordinal_position", Datum::Int4(column.number)),
            ("is_nullable", yes_no(!column.not_null)),
            ("data_type", Datum::text(data_type(column.sql_type))),
            ("udt_catalog", database(source)),
            ("udt_schema", Datum::text("pg_catalog")),
            ("udt_name", udt_name(column.sql_type.oid)),
            ("dtd_identifier", Datum::text(column.number.to_string())),
            ("is_self_referencing", yes_no(false)),
            ("is_updatable", yes_no(column.descriptor.is_some())),
        ]);
        add_sizes(column.sql_type, rows);
        add_values(source, column, rows);
        add_identity(column.descriptor.map(|(_, descriptor)| descriptor), sequence, rows);
        if builtin::type_facts(column.sql_type.oid).is_some_and(|facts| facts.collation == Oid(950)) {
            rows.set([
                ("collation_catalog", database(source)),
                ("collation_schema", name("pg_catalog")),
                ("collation_name", name("C")),
            ]);
        }
    });
}

/// Lengths and precisions of the last row.
fn add_sizes(sql_type: SqlType, rows: &mut Rows) {
    let (length, octets) = character_size(sql_type);
    let (precision, radix, scale) = numeric_size(sql_type);
    let (fraction, fields) = moment_size(sql_type);
    rows.set([
        ("character_maximum_length", length),
        ("character_octet_length", octets),
        ("numeric_precision", precision),
        ("numeric_precision_radix", radix),
        ("numeric_scale", scale),
        ("datetime_precision", fraction),
        ("interval_type", fields),
    ]);
}

/// Default and generation expression of the last row.
fn add_values(source: &Source<'_>, column: &Column<'_>, rows: &mut Rows) {
    let generated = column.descriptor.is_some_and(|(_, descriptor)| descriptor.generated.is_some());
    let shown = column.descriptor.and_then(|(table, descriptor)| {
        let text = default_of(descriptor)?;
        Some(source.value(table, descriptor, text))
    });
    let shown = shown.unwrap_or(Datum::Null);
    let (default, expression) = if generated { (Datum::Null, shown) } else { (shown, Datum::Null) };
    rows.set([
        ("column_default", default),
        ("is_generated", Datum::text(if generated { "ALWAYS" } else { "NEVER" })),
        ("generation_expression", expression),
    ]);
}

/// Identity of the last row.
fn add_identity(column: Option<&ColumnDescriptor>, sequence: Option<&SequenceDescriptor>, rows: &mut Rows) {
    let identity = column.and_then(|column| column.identity.as_ref());
    rows.set([
        ("is_identity", yes_no(identity.is_some())),
        (
            "identity_generation",
            identity.map_or(Datum::Null, |identity| {
                Datum::text(if *identity == Identity::Always { "ALWAYS" } else { "BY DEFAULT" })
            }),
        ),
        ("identity_cycle", yes_no(sequence.is_some_and(|sequence| sequence.cycle))),
    ]);
    let Some(sequence) = sequence else { return };
    rows.set([
        ("identity_start", Datum::text(sequence.start.to_string())),
        ("identity_increment", Datum::text(sequence.increment.to_string())),
        ("identity_maximum", Datum::text(sequence.max.to_string())),
        ("identity_minimum", Datum::text(sequence.min.to_string())),
    ]);
}

/// Element types of array columns.
pub(super) fn element_types(source: &Source<'_>, rows: &mut Rows) {
    all_columns(source, &mut |column| {
        let Some(element) = column.sql_type.oid.element_type() else { return };
        let is_view = column.descriptor.is_none();
        rows.add([
            ("object_catalog", database(source)),
            ("object_schema", column.schema.clone()),
            ("object_name", name(column.table)),
            ("object_type", Datum::text(if is_view { "VIEW" } else { "TABLE" })),
            ("collection_type_identifier", Datum::text(column.number.to_string())),
            ("data_type", Datum::text(data_type(SqlType::new(element)))),
            ("udt_catalog", database(source)),
            ("udt_schema", name("pg_catalog")),
            ("udt_name", udt_name(element)),
            ("dtd_identifier", Datum::text(format!("a{}", column.number))),
        ]);
    });
}

/// Longest text in characters and bytes.
fn character_size(sql_type: SqlType) -> (Datum, Datum) {
    const LONGEST: i32 = 1 << 30;
    match sql_type.oid {
        Oid::VARCHAR | Oid::BPCHAR if sql_type.modifier >= 4 => {
            let length = sql_type.modifier - 4;
            (Datum::Int4(length), Datum::Int4(length * 4))
        }
        Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR => (Datum::Null, Datum::Int4(LONGEST)),
        _ => (Datum::Null, Datum::Null),
    }
}

/// Digits of seconds, and the fields of an interval if they are limited.
fn moment_size(sql_type: SqlType) -> (Datum, Datum) {
    match (sql_type.oid, sql_type.modifier) {
        (Oid::DATE, _) => (Datum::Int4(0), Datum::Null),
        (Oid::TIME | Oid::TIMETZ | Oid::TIMESTAMP | Oid::TIMESTAMPTZ, modifier) => {
            (Datum::Int4(if modifier < 0 { 6 } else { modifier }), Datum::Null)
        }
        (Oid::INTERVAL, modifier) => {
            let precision = modifier & 0xFFFF;
            let shown = schema::functions::format_type(sql_type);
            let fields = shown.split('(').next().unwrap_or_default().trim_start_matches("interval").trim();
            let fields = if fields.is_empty() { Datum::Null } else { Datum::text(fields.to_uppercase()) };
            (Datum::Int4(if modifier < 0 || precision == 0xFFFF { 6 } else { precision }), fields)
        }
        _ => (Datum::Null, Datum::Null),
    }
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

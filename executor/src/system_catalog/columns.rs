//! Columns: `pg_attribute`, `pg_attrdef` and comments.

use planner::system_catalog::virtual_tables;
use schema::{ColumnDescriptor, Datum, Descriptor, Identity, Oid, SqlType, TableDescriptor, builtin};
use sharddb_planner as planner;
use sharddb_schema as schema;

use super::{
    Rows, Source,
    classes::{tables, visible_indexes},
    code, name, oid,
};

/// `pg_class` as `pg_description.classoid` names it.
const CLASS_OF_CLASSES: Oid = Oid(1259);

/// What an attribute is besides its name and type.
#[derive(Default)]
struct Attribute {
    not_null: bool,
    has_default: bool,
    identity: Option<char>,
    generated: bool,
}

fn add(rows: &mut Rows, relation: Oid, number: u16, attname: &str, sql_type: SqlType, attribute: &Attribute) {
    let Some(facts) = builtin::type_facts(sql_type.oid) else { return };
    rows.add([
        ("attrelid", oid(relation)),
        ("attname", name(attname)),
        ("atttypid", oid(sql_type.oid)),
        ("attstattarget", Datum::Int4(-1)),
        ("attlen", Datum::Int2(facts.length)),
        ("attnum", Datum::Int2(number.cast_signed())),
        ("attndims", Datum::Int4(i32::from(sql_type.oid.element_type().is_some()))),
        ("attcacheoff", Datum::Int4(-1)),
        ("atttypmod", Datum::Int4(sql_type.modifier)),
        ("attbyval", Datum::Bool(facts.by_value)),
        ("attalign", code(facts.alignment)),
        ("attstorage", code(facts.storage)),
        ("attcompression", Datum::Char(0)),
        ("attnotnull", Datum::Bool(attribute.not_null)),
        ("atthasdef", Datum::Bool(attribute.has_default)),
        ("attidentity", attribute.identity.map_or(Datum::Char(0), code)),
        ("attgenerated", if attribute.generated { code('s') } else { Datum::Char(0) }),
        ("attislocal", Datum::Bool(true)),
        ("attcollation", oid(facts.collation)),
    ]);
}

fn attribute(column: &ColumnDescriptor) -> Attribute {
    Attribute {
        not_null: column.not_null,
        has_default: default_of(column).is_some(),
        identity: column.identity.as_ref().map(|identity| match identity {
            Identity::Always => 'a',
            Identity::ByDefault => 'd',
        }),
        generated: column.generated.is_some(),
    }
}

/// Expression of a default or generated column; an identity column has none.
pub(super) fn default_of(column: &ColumnDescriptor) -> Option<&str> {
    if column.identity.is_some() {
        return None;
    }
    column.generated.as_deref().or(column.default.as_deref())
}

pub(super) fn fill(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        match object {
            Descriptor::Table(table) => fill_table(table, rows),
            Descriptor::View(view) => {
                for ((column, sql_type), number) in view.columns.iter().zip(1..) {
                    add(rows, view.oid, number, column, *sql_type, &Attribute::default());
                }
            }
            Descriptor::Sequence(sequence) => {
                let columns = [("last_value", Oid::INT8), ("log_cnt", Oid::INT8), ("is_called", Oid::BOOL)];
                for ((column, oid), number) in columns.into_iter().zip(1..) {
                    let not_null = Attribute { not_null: true, ..Attribute::default() };
                    add(rows, sequence.oid, number, column, SqlType::new(oid), &not_null);
                }
            }
            Descriptor::Database(_) | Descriptor::Schema(_) | Descriptor::Role(_) => {}
        }
    }
    for table in virtual_tables() {
        for (column, number) in table.columns.iter().zip(1..) {
            let plain = Attribute { not_null: column.not_null, ..Attribute::default() };
            add(rows, table.oid, number, column.name, column.sql_type, &plain);
        }
    }
}

fn fill_table(table: &TableDescriptor, rows: &mut Rows) {
    for column in &table.columns {
        add(rows, table.oid, column.id.0, &column.name, column.sql_type, &attribute(column));
    }
    for index in visible_indexes(table) {
        for (key, number) in index.columns.iter().zip(1..) {
            if let Some(column) = table.column(key.column) {
                add(rows, index.oid, number, &column.name, column.sql_type, &Attribute::default());
            }
        }
    }
}

/// OID of a column's default: derived from the table's, since the column itself has none.
fn default_oid(table: &TableDescriptor, column: &ColumnDescriptor) -> Datum {
    Datum::Oid(table.oid.0.wrapping_mul(2048).wrapping_add(u32::from(column.id.0)))
}

pub(super) fn fill_defaults(source: &Source<'_>, rows: &mut Rows) {
    for table in tables(source) {
        for column in &table.columns {
            let Some(text) = default_of(column) else { continue };
            rows.add([
                ("oid", default_oid(table, column)),
                ("adrelid", oid(table.oid)),
                ("adnum", Datum::Int2(column.id.0.cast_signed())),
                ("adbin", source.value(table, column, text)),
            ]);
        }
    }
}

pub(super) fn fill_comments(source: &Source<'_>, rows: &mut Rows) {
    for table in tables(source) {
        let own = table.comment.iter().map(|comment| (0, comment));
        let columns =
            table.columns.iter().filter_map(|column| Some((i32::from(column.id.0), column.comment.as_ref()?)));
        for (number, comment) in own.chain(columns) {
            rows.add([
                ("objoid", oid(table.oid)),
                ("classoid", oid(CLASS_OF_CLASSES)),
                ("objsubid", Datum::Int4(number)),
                ("description", Datum::text(comment.as_str())),
            ]);
        }
    }
}

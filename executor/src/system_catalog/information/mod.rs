//! `information_schema`.

mod constraints;
mod objects;
mod privileges;
mod relations;
mod routines;

use schema::{Datum, Oid, SqlType};
use sharddb_schema as schema;

use super::{Rows, Source, name};

pub(super) fn fill(table: &str, source: &Source<'_>, rows: &mut Rows) {
    match table {
        "tables" => relations::tables(source, rows),
        "views" => relations::views(source, rows),
        "columns" => relations::columns(source, rows),
        "element_types" => relations::element_types(source, rows),
        "view_table_usage" => relations::view_tables(source, rows),
        "schemata" => objects::schemata(source, rows),
        "sequences" => objects::sequences(source, rows),
        "character_sets" => objects::character_sets(source, rows),
        "information_schema_catalog_name" => rows.add([("catalog_name", database(source))]),
        "collations" => objects::collations(source, rows),
        "collation_character_set_applicability" => objects::collation_sets(source, rows),
        "sql_implementation_info" => objects::implementation(rows),
        "enabled_roles" => objects::roles(source, rows),
        "table_constraints" => constraints::tables(source, rows),
        "key_column_usage" => constraints::keys(source, rows),
        "referential_constraints" => constraints::references(source, rows),
        "constraint_column_usage" => constraints::columns(source, rows),
        "constraint_table_usage" => constraints::table_usage(source, rows),
        "check_constraints" => constraints::checks(source, rows),
        "table_privileges" | "role_table_grants" => privileges::tables(source, rows),
        "column_privileges" | "role_column_grants" => privileges::columns(source, rows),
        "usage_privileges" | "role_usage_grants" => privileges::sequences(source, rows),
        "routines" => routines::routines(source, rows),
        "parameters" => routines::parameters(source, rows),
        // Domains, triggers, foreign tables, row types and the standard's own descriptions: there are none.
        _ => {}
    }
}

fn database(source: &Source<'_>) -> Datum {
    Datum::text(source.eval.database.as_ref())
}

fn yes_no(yes: bool) -> Datum {
    Datum::text(if yes { "YES" } else { "NO" })
}

/// Name of a type as the standard has it.
fn data_type(sql_type: SqlType) -> &'static str {
    if sql_type.oid.element_type().is_some() {
        return "ARRAY";
    }
    sql_type.oid.type_info().map_or("", |info| info.sql_name)
}

/// `typname`
fn udt_name(oid: Oid) -> Datum {
    name(oid.type_info().map_or("", |info| info.name))
}

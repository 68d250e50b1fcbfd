//! Schemas, sequences, character sets, collations and roles.

use schema::{Datum, Descriptor, functions};
use sharddb_schema as schema;

use super::{
    super::{
        Rows, Source, name,
        objects::{all_sequences, role_name, schema_name},
    },
    database, yes_no,
};

pub(super) fn schemata(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        let Descriptor::Schema(schema) = object else { continue };
        rows.add([
            ("catalog_name", database(source)),
            ("schema_name", name(&schema.name)),
            ("schema_owner", role_name(source, schema.owner)),
        ]);
    }
}

/// Every sequence but those of identity columns.
pub(super) fn sequences(source: &Source<'_>, rows: &mut Rows) {
    for sequence in all_sequences(source) {
        let owner = sequence.owned_by.and_then(|(table, column)| source.catalog.table(table)?.column(column));
        if owner.is_some_and(|column| column.identity.is_some()) {
            continue;
        }
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

pub(super) fn character_sets(source: &Source<'_>, rows: &mut Rows) {
    rows.add([
        ("character_set_name", name("UTF8")),
        ("character_repertoire", name("UCS")),
        ("form_of_use", name("UTF8")),
        ("default_collate_catalog", database(source)),
        ("default_collate_schema", name("pg_catalog")),
        ("default_collate_name", name("C")),
    ]);
}

pub(super) fn collations(source: &Source<'_>, rows: &mut Rows) {
    for (_, collation) in functions::COLLATIONS {
        rows.add([
            ("collation_catalog", database(source)),
            ("collation_schema", name("pg_catalog")),
            ("collation_name", name(collation)),
            ("pad_attribute", Datum::text("NO PAD")),
        ]);
    }
}

pub(super) fn collation_sets(source: &Source<'_>, rows: &mut Rows) {
    for (_, collation) in functions::COLLATIONS {
        rows.add([
            ("collation_catalog", database(source)),
            ("collation_schema", name("pg_catalog")),
            ("collation_name", name(collation)),
            ("character_set_name", name("UTF8")),
        ]);
    }
}

/// Facts about the product that the standard numbers.
pub(super) fn implementation(rows: &mut Rows) {
    let facts = [
        ("1", "MAXIMUM IDENTIFIER LENGTH", Some(63), None),
        ("10003", "CATALOG NAME", None, Some("Y")),
        ("10004", "COLLATING SEQUENCE", None, None),
        ("17", "DBMS NAME", None, Some("PostgreSQL")),
        ("18", "DBMS VERSION", None, Some("15.00.0000")),
        ("2", "DATA SOURCE NAME", None, Some("")),
        ("23", "CURSOR COMMIT BEHAVIOR", Some(1), None),
        ("26", "DEFAULT TRANSACTION ISOLATION", Some(2), None),
        ("28", "IDENTIFIER CASE", Some(3), None),
        ("46", "TRANSACTION CAPABLE", Some(2), None),
        ("85", "NULL COLLATION", Some(0), None),
    ];
    for (id, what, number, text) in facts {
        rows.add([
            ("implementation_info_id", Datum::text(id)),
            ("implementation_info_name", Datum::text(what)),
            ("integer_value", number.map_or(Datum::Null, Datum::Int4)),
            ("character_value", text.map_or(Datum::Null, Datum::text)),
        ]);
    }
}

/// Roles whose rights the session has: nobody is a member of another.
pub(super) fn roles(source: &Source<'_>, rows: &mut Rows) {
    let user = source.catalog.role(&source.eval.user);
    for object in source.catalog.objects() {
        let Descriptor::Role(role) = object else { continue };
        if user.is_some_and(|user| user.superuser || user.oid == role.oid) {
            rows.add([("role_name", name(&role.name))]);
        }
    }
}

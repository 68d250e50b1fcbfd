//! Privileges: the owner has all of them and may grant them; nothing is granted to anybody else.

use schema::{Datum, Descriptor, Oid};
use sharddb_schema as schema;

use super::{
    super::{
        Rows, Source,
        classes::tables as all_tables,
        name,
        objects::{all_sequences, role_name, schema_name},
    },
    database, yes_no,
};

const ON_TABLE: [&str; 7] = ["INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];
const ON_COLUMN: [&str; 4] = ["INSERT", "SELECT", "UPDATE", "REFERENCES"];

/// Schema, name, owner and columns of a table or view.
struct Relation<'a> {
    schema: Oid,
    name: &'a str,
    owner: Oid,
    columns: Vec<&'a str>,
}

fn relations<'a>(source: &'a Source<'_>) -> Vec<Relation<'a>> {
    let tables = all_tables(source).map(|table| Relation {
        schema: table.schema,
        name: &table.name,
        owner: table.owner,
        columns: table.columns.iter().map(|column| column.name.as_str()).collect(),
    });
    let views = source.catalog.objects().filter_map(|object| match object {
        Descriptor::View(view) => Some(Relation {
            schema: view.schema,
            name: &view.name,
            owner: view.owner,
            columns: view.columns.iter().map(|(column, _)| column.as_str()).collect(),
        }),
        _ => None,
    });
    tables.chain(views).collect()
}

pub(super) fn tables(source: &Source<'_>, rows: &mut Rows) {
    for relation in relations(source) {
        for privilege in ON_TABLE {
            rows.add([
                ("grantor", role_name(source, relation.owner)),
                ("grantee", role_name(source, relation.owner)),
                ("table_catalog", database(source)),
                ("table_schema", schema_name(source, relation.schema)),
                ("table_name", name(relation.name)),
                ("privilege_type", Datum::text(privilege)),
                ("is_grantable", yes_no(true)),
                ("with_hierarchy", yes_no(privilege == "SELECT")),
            ]);
        }
    }
}

pub(super) fn columns(source: &Source<'_>, rows: &mut Rows) {
    for relation in relations(source) {
        for column in &relation.columns {
            for privilege in ON_COLUMN {
                rows.add([
                    ("grantor", role_name(source, relation.owner)),
                    ("grantee", role_name(source, relation.owner)),
                    ("table_catalog", database(source)),
                    ("table_schema", schema_name(source, relation.schema)),
                    ("table_name", name(relation.name)),
                    ("column_name", name(column)),
                    ("privilege_type", Datum::text(privilege)),
                    ("is_grantable", yes_no(true)),
                ]);
            }
        }
    }
}

pub(super) fn sequences(source: &Source<'_>, rows: &mut Rows) {
    for sequence in all_sequences(source) {
        rows.add([
            ("grantor", role_name(source, sequence.owner)),
            ("grantee", role_name(source, sequence.owner)),
            ("object_catalog", database(source)),
            ("object_schema", schema_name(source, sequence.schema)),
            ("object_name", name(&sequence.name)),
            ("object_type", Datum::text("SEQUENCE")),
            ("privilege_type", Datum::text("USAGE")),
            ("is_grantable", yes_no(true)),
        ]);
    }
}

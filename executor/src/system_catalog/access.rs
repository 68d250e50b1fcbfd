//! Databases, schemas, roles, parameters and other things around relations.

use schema::{Datum, Descriptor, RoleDescriptor};
use sharddb_schema as schema;

use super::{Rows, Source, code, name, oid};
use crate::catalog;

pub(super) fn namespaces(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        if let Descriptor::Schema(schema) = object {
            rows.add([("oid", oid(schema.oid)), ("nspname", name(&schema.name)), ("nspowner", oid(schema.owner))]);
        }
    }
}

pub(super) fn databases(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        let Descriptor::Database(database) = object else { continue };
        let template = database.name.starts_with("template");
        rows.add([
            ("oid", oid(database.oid)),
            ("datname", name(&database.name)),
            ("datdba", oid(database.owner)),
            ("encoding", Datum::Int4(6)),
            ("datlocprovider", code('c')),
            ("datistemplate", Datum::Bool(template)),
            ("datallowconn", Datum::Bool(database.name != "template0")),
            ("datconnlimit", Datum::Int4(-1)),
            ("dattablespace", Datum::Oid(1663)),
            ("datcollate", Datum::text("C.UTF-8")),
            ("datctype", Datum::text("C.UTF-8")),
        ]);
    }
}

fn all_roles<'a>(source: &'a Source<'_>) -> impl Iterator<Item = &'a RoleDescriptor> {
    source.catalog.objects().filter_map(|object| match object {
        Descriptor::Role(role) => Some(&**role),
        _ => None,
    })
}

pub(super) fn roles(source: &Source<'_>, rows: &mut Rows) {
    for role in all_roles(source) {
        rows.add([
            ("oid", oid(role.oid)),
            ("rolname", name(&role.name)),
            ("rolsuper", Datum::Bool(role.superuser)),
            ("rolinherit", Datum::Bool(true)),
            ("rolcreaterole", Datum::Bool(role.create_role)),
            ("rolcreatedb", Datum::Bool(role.create_db)),
            ("rolcanlogin", Datum::Bool(role.login)),
            ("rolreplication", Datum::Bool(role.oid == catalog::BOOTSTRAP_ROLE)),
            ("rolbypassrls", Datum::Bool(role.oid == catalog::BOOTSTRAP_ROLE)),
            ("rolconnlimit", Datum::Int4(-1)),
            ("rolpassword", Datum::text("********")),
        ]);
    }
}

pub(super) fn users(source: &Source<'_>, rows: &mut Rows) {
    for role in all_roles(source).filter(|role| role.login) {
        rows.add([
            ("usename", name(&role.name)),
            ("usesysid", oid(role.oid)),
            ("usecreatedb", Datum::Bool(role.create_db)),
            ("usesuper", Datum::Bool(role.superuser)),
            ("userepl", Datum::Bool(false)),
            ("usebypassrls", Datum::Bool(false)),
            ("passwd", Datum::text("********")),
        ]);
    }
}

pub(super) fn methods(rows: &mut Rows) {
    for (number, method, handler, kind) in [(2, "heap", 3, 't'), (403, "btree", 330, 'i')] {
        rows.add([
            ("oid", Datum::Oid(number)),
            ("amname", name(method)),
            ("amhandler", Datum::Oid(handler)),
            ("amtype", code(kind)),
        ]);
    }
}

pub(super) fn tablespaces(rows: &mut Rows) {
    for (number, space) in [(1663, "pg_default"), (1664, "pg_global")] {
        let owner = oid(catalog::BOOTSTRAP_ROLE);
        rows.add([("oid", Datum::Oid(number)), ("spcname", name(space)), ("spcowner", owner)]);
    }
}

pub(super) fn languages(rows: &mut Rows) {
    for (number, language, trusted) in [(12, "internal", false), (13, "c", false), (14, "sql", true)] {
        rows.add([
            ("oid", Datum::Oid(number)),
            ("lanname", name(language)),
            ("lanowner", oid(catalog::BOOTSTRAP_ROLE)),
            ("lanpltrusted", Datum::Bool(trusted)),
        ]);
    }
}

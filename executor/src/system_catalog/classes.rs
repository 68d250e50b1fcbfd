//! Relations: `pg_class` and `pg_index`.

use planner::system_catalog::virtual_tables;
use schema::{
    ColumnId, ConstraintKind, Datum, Descriptor, IndexDescriptor, Oid, TableDescriptor, builtin,
    functions::TEMP_SCHEMA_PREFIX,
};
use sharddb_planner as planner;
use sharddb_schema as schema;

use super::{Rows, Source, array, code, name, oid};
use crate::catalog;

/// `pg_am`: heap and btree.
const HEAP: Oid = Oid(2);
const BTREE: Oid = Oid(403);

pub(super) fn fill(source: &Source<'_>, rows: &mut Rows) {
    for object in source.catalog.objects() {
        match object {
            Descriptor::Table(table) => add_table(table, persistence(source, table.schema), rows),
            Descriptor::View(view) => {
                let kind = ('v', persistence(source, view.schema));
                add(rows, (view.oid, &view.name, view.schema, view.owner), kind, view.columns.len(), Oid::INVALID);
            }
            Descriptor::Sequence(sequence) => {
                let names = (sequence.oid, sequence.name.as_str(), sequence.schema, sequence.owner);
                add(rows, names, ('S', persistence(source, sequence.schema)), 3, Oid::INVALID);
            }
            Descriptor::Database(_) | Descriptor::Schema(_) | Descriptor::Role(_) => {}
        }
    }
    for table in virtual_tables() {
        let schema = match table.schema {
            "pg_catalog" => catalog::PG_CATALOG,
            "information_schema" => catalog::INFORMATION_SCHEMA,
            _ => catalog::SHARDDB_SCHEMA,
        };
        let kind = if table.schema == "information_schema" { 'v' } else { 'r' };
        let names = (table.oid, table.name, schema, catalog::BOOTSTRAP_ROLE);
        add(rows, names, (kind, code('p')), table.columns.len(), if kind == 'r' { HEAP } else { Oid::INVALID });
    }
}

type Names<'n> = (Oid, &'n str, Oid, Oid);

fn add(
    rows: &mut Rows,
    (relation, relname, schema, owner): Names<'_>,
    (kind, persistence): (char, Datum),
    columns: usize,
    method: Oid,
) {
    rows.add([
        ("oid", oid(relation)),
        ("relname", name(relname)),
        ("relnamespace", oid(schema)),
        ("relowner", oid(owner)),
        ("relam", oid(method)),
        ("relfilenode", oid(relation)),
        ("reltuples", Datum::Float4(-1.0)),
        ("relpersistence", persistence),
        ("relkind", code(kind)),
        ("relnatts", Datum::Int2(i16::try_from(columns).unwrap_or(i16::MAX))),
        ("relispopulated", Datum::Bool(true)),
        ("relreplident", code(if kind == 'r' { 'd' } else { 'n' })),
        ("relhasrules", Datum::Bool(kind == 'v')),
    ]);
}

/// `t` for what is in a session's schema of temporary relations.
fn persistence(source: &Source<'_>, schema: Oid) -> Datum {
    let name = source.catalog.schema_name(schema).unwrap_or_default();
    code(if name.starts_with(TEMP_SCHEMA_PREFIX) { 't' } else { 'p' })
}

fn add_table(table: &TableDescriptor, persistence: Datum, rows: &mut Rows) {
    let checks = table.constraints.iter().filter(|found| matches!(found.kind, ConstraintKind::Check { .. })).count();
    let has_indexes = table.indexes.len() > 1 || !table.has_hidden_row_id();
    let tuples = table.statistics.as_ref().map_or(-1.0, |statistics| statistics.rows as f32);
    let pages =
        table.statistics.as_ref().map_or(0, |statistics| i32::try_from(statistics.bytes / 8192 + 1).unwrap_or(0));
    rows.add([
        ("oid", oid(table.oid)),
        ("relname", name(&table.name)),
        ("relnamespace", oid(table.schema)),
        ("relowner", oid(table.owner)),
        ("relam", oid(HEAP)),
        ("relfilenode", Datum::Oid(table.storage_id)),
        ("relpages", Datum::Int4(pages)),
        ("reltuples", Datum::Float4(tuples)),
        ("relhasindex", Datum::Bool(has_indexes)),
        ("relpersistence", persistence.clone()),
        ("relkind", code('r')),
        ("relnatts", Datum::Int2(i16::try_from(table.columns.len()).unwrap_or(i16::MAX))),
        ("relchecks", Datum::Int2(i16::try_from(checks).unwrap_or(i16::MAX))),
        ("relhastriggers", Datum::Bool(has_triggers(table))),
        ("relispopulated", Datum::Bool(true)),
        ("relreplident", code('d')),
    ]);
    for index in visible_indexes(table) {
        rows.add([
            ("oid", oid(index.oid)),
            ("relname", name(&index.name)),
            ("relnamespace", oid(table.schema)),
            ("relowner", oid(table.owner)),
            ("relam", oid(BTREE)),
            ("relfilenode", oid(index.oid)),
            ("relpersistence", persistence.clone()),
            ("relkind", code('i')),
            ("relnatts", Datum::Int2(i16::try_from(index.columns.len()).unwrap_or(i16::MAX))),
            ("relispopulated", Datum::Bool(true)),
            ("relreplident", code('n')),
        ]);
    }
}

/// Whether PostgreSQL would have triggers for foreign keys: psql looks for keys only where there are some.
pub(super) fn has_triggers(table: &TableDescriptor) -> bool {
    let foreign = table.constraints.iter().any(|found| matches!(found.kind, ConstraintKind::ForeignKey { .. }));
    foreign || !table.referenced_by.is_empty()
}

/// Indexes that PostgreSQL would have too: not the hidden row id.
pub(super) fn visible_indexes(table: &TableDescriptor) -> impl Iterator<Item = &IndexDescriptor> {
    table.indexes.iter().filter(|index| !index.columns.is_empty())
}

/// Every table with its indexes.
pub(super) fn tables<'a>(source: &'a Source<'_>) -> impl Iterator<Item = &'a TableDescriptor> {
    source.catalog.objects().filter_map(|object| match object {
        Descriptor::Table(table) => Some(&**table),
        _ => None,
    })
}

fn predicate(source: &Source<'_>, table: &TableDescriptor, index: &IndexDescriptor) -> Datum {
    index.predicate.as_deref().map_or(Datum::Null, |text| source.expression(table, text))
}

fn key_type(table: &TableDescriptor, column: ColumnId) -> Oid {
    table.column(column).map_or(Oid::INVALID, |column| column.sql_type.oid)
}

/// The default class of B-tree operators for a type.
fn operator_class(key: Oid) -> Oid {
    let input = match key {
        Oid::VARCHAR => Oid::TEXT,
        key if key.is_object_name() => Oid::OID,
        key if key.element_type().is_some() => Oid::ANYARRAY,
        key => key,
    };
    let found = builtin::operator_classes().find(|class| class.default && class.input == input);
    found.map_or(Oid::INVALID, |class| class.oid)
}

pub(super) fn fill_indexes(source: &Source<'_>, rows: &mut Rows) {
    for table in tables(source) {
        for index in visible_indexes(table) {
            let count = i16::try_from(index.columns.len()).unwrap_or(i16::MAX);
            let numbers = index.columns.iter().map(|column| Datum::Int2(column.column.0.cast_signed())).collect();
            let options = index
                .columns
                .iter()
                .map(|column| Datum::Int2(i16::from(column.descending) | (i16::from(column.nulls_first) << 1)));
            let primary = index.constraint.is_some() && index.id == schema::key::PRIMARY_INDEX;
            let types: Vec<Oid> = index.columns.iter().map(|key| key_type(table, key.column)).collect();
            let collations = types.iter().map(|key| builtin::type_facts(*key).map_or(Oid::INVALID, |f| f.collation));
            rows.add([
                ("indexrelid", oid(index.oid)),
                ("indrelid", oid(table.oid)),
                ("indnatts", Datum::Int2(count)),
                ("indnkeyatts", Datum::Int2(count)),
                ("indisunique", Datum::Bool(index.unique)),
                ("indnullsnotdistinct", Datum::Bool(index.nulls_not_distinct)),
                ("indisprimary", Datum::Bool(primary)),
                ("indimmediate", Datum::Bool(true)),
                ("indisvalid", Datum::Bool(true)),
                ("indisready", Datum::Bool(true)),
                ("indislive", Datum::Bool(true)),
                ("indkey", array(Oid::INT2, 0, numbers)),
                ("indcollation", array(Oid::OID, 0, collations.map(oid).collect())),
                ("indclass", array(Oid::OID, 0, types.iter().map(|key| oid(operator_class(*key))).collect())),
                ("indoption", array(Oid::INT2, 0, options.collect())),
                ("indpred", predicate(source, table, index)),
            ]);
        }
    }
}

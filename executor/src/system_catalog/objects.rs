//! The readable views: `pg_tables`, `pg_views`, `pg_indexes`, `pg_sequences`, and `pg_sequence`.

use proto::SqlResult;
use schema::{Datum, Descriptor, Oid, SequenceDescriptor, ViewDescriptor, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    Rows, Source,
    classes::{has_triggers, tables as all_tables, visible_indexes},
    code, name, oid,
};

/// OID of `pg_class`.
const CLASSES: u32 = 1259;

pub(super) fn role_name(source: &Source<'_>, owner: Oid) -> Datum {
    match source.catalog.get(owner) {
        Some(Descriptor::Role(role)) => name(&role.name),
        _ => Datum::Null,
    }
}

pub(super) fn schema_name(source: &Source<'_>, schema: Oid) -> Datum {
    name(source.catalog.schema_name(schema).unwrap_or_default())
}

pub(super) fn tables(source: &Source<'_>, rows: &mut Rows) {
    for table in all_tables(source) {
        rows.add([
            ("schemaname", schema_name(source, table.schema)),
            ("tablename", name(&table.name)),
            ("tableowner", role_name(source, table.owner)),
            ("hasindexes", Datum::Bool(visible_indexes(table).next().is_some())),
            ("hasrules", Datum::Bool(false)),
            ("hastriggers", Datum::Bool(has_triggers(table))),
            ("rowsecurity", Datum::Bool(false)),
        ]);
    }
}

/// A view's query as SQL shows it.
pub(super) fn view_text(source: &Source<'_>, view: &ViewDescriptor) -> Datum {
    Datum::text(functions::view_text(source.eval, view, false))
}

pub(super) fn views(source: &Source<'_>, rows: &mut Rows) -> SqlResult<()> {
    for object in source.catalog.objects() {
        let Descriptor::View(view) = object else { continue };
        rows.add([
            ("schemaname", schema_name(source, view.schema)),
            ("viewname", name(&view.name)),
            ("viewowner", role_name(source, view.owner)),
            ("definition", view_text(source, view)),
        ]);
    }
    Ok(())
}

pub(super) fn indexes(source: &Source<'_>, rows: &mut Rows) -> SqlResult<()> {
    for table in all_tables(source) {
        for index in visible_indexes(table) {
            let definition = functions::index_definition(source.eval, source.catalog, table, index, false);
            rows.add([
                ("schemaname", schema_name(source, table.schema)),
                ("tablename", name(&table.name)),
                ("indexname", name(&index.name)),
                ("indexdef", definition.map_or(Datum::Null, Datum::text)),
            ]);
        }
    }
    Ok(())
}

pub(super) fn all_sequences<'a>(source: &'a Source<'_>) -> impl Iterator<Item = &'a SequenceDescriptor> {
    source.catalog.objects().filter_map(|object| match object {
        Descriptor::Sequence(sequence) => Some(&**sequence),
        _ => None,
    })
}

pub(super) fn sequences(source: &Source<'_>, rows: &mut Rows) {
    for sequence in all_sequences(source) {
        rows.add([
            ("schemaname", schema_name(source, sequence.schema)),
            ("sequencename", name(&sequence.name)),
            ("sequenceowner", role_name(source, sequence.owner)),
            ("data_type", oid(sequence.sql_type)),
            ("start_value", Datum::Int8(sequence.start)),
            ("min_value", Datum::Int8(sequence.min)),
            ("max_value", Datum::Int8(sequence.max)),
            ("increment_by", Datum::Int8(sequence.increment)),
            ("cycle", Datum::Bool(sequence.cycle)),
            ("cache_size", Datum::Int8(sequence.cache)),
            ("last_value", source.positions.get(&sequence.oid).map_or(Datum::Null, |value| Datum::Int8(*value))),
        ]);
    }
}

pub(super) fn sequence_parameters(source: &Source<'_>, rows: &mut Rows) {
    for sequence in all_sequences(source) {
        rows.add([
            ("seqrelid", oid(sequence.oid)),
            ("seqtypid", oid(sequence.sql_type)),
            ("seqstart", Datum::Int8(sequence.start)),
            ("seqincrement", Datum::Int8(sequence.increment)),
            ("seqmax", Datum::Int8(sequence.max)),
            ("seqmin", Datum::Int8(sequence.min)),
            ("seqcache", Datum::Int8(sequence.cache)),
            ("seqcycle", Datum::Bool(sequence.cycle)),
        ]);
    }
}

/// `pg_depend`: sequences that belong to columns.
pub(super) fn dependencies(source: &Source<'_>, rows: &mut Rows) {
    for sequence in all_sequences(source) {
        let Some((table, column)) = sequence.owned_by else { continue };
        let owner = source.catalog.table(table).and_then(|table| table.column(column));
        let internal = owner.is_some_and(|column| column.identity.is_some());
        rows.add([
            ("classid", Datum::Oid(CLASSES)),
            ("objid", oid(sequence.oid)),
            ("refclassid", Datum::Oid(CLASSES)),
            ("refobjid", oid(table)),
            ("refobjsubid", Datum::Int4(i32::from(column.0))),
            ("deptype", code(if internal { 'i' } else { 'a' })),
        ]);
    }
}

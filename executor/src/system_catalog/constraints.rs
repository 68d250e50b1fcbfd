//! `pg_constraint`.

use schema::{ColumnId, ConstraintKind, Datum, Deferrable, IndexId, Oid, ReferentialAction, TableDescriptor};
use sharddb_schema as schema;

use super::{Rows, Source, array, classes::tables, code, name, oid};

fn numbers(columns: &[ColumnId]) -> Datum {
    array(Oid::INT2, 1, columns.iter().map(|column| Datum::Int2(column.0.cast_signed())).collect())
}

/// One-letter code of what a foreign key does.
fn action(action: ReferentialAction) -> Datum {
    code(match action {
        ReferentialAction::NoAction => 'a',
        ReferentialAction::Restrict => 'r',
        ReferentialAction::Cascade => 'c',
        ReferentialAction::SetNull => 'n',
        ReferentialAction::SetDefault => 'd',
    })
}

fn index_oid(table: &TableDescriptor, index: IndexId) -> Datum {
    oid(table.index(index).map_or(Oid::INVALID, |index| index.oid))
}

pub(super) fn fill(source: &Source<'_>, rows: &mut Rows) {
    for table in tables(source) {
        for constraint in &table.constraints {
            let nothing = || (Datum::Oid(0), Datum::Null, code(' '), code(' '));
            let (kind, columns, index, (parent, referenced, on_delete, on_update)) = match &constraint.kind {
                ConstraintKind::PrimaryKey { columns } => {
                    ('p', columns, index_oid(table, schema::key::PRIMARY_INDEX), nothing())
                }
                ConstraintKind::Unique { index, columns } => ('u', columns, index_oid(table, *index), nothing()),
                ConstraintKind::Check { columns, .. } => ('c', columns, Datum::Oid(0), nothing()),
                ConstraintKind::ForeignKey { columns, table: parent, referenced, on_delete, on_update, .. } => {
                    let target = source.catalog.table(*parent).and_then(|parent| referenced_index(parent, referenced));
                    let foreign = (oid(*parent), numbers(referenced), action(*on_delete), action(*on_update));
                    ('f', columns, oid(target.unwrap_or(Oid::INVALID)), foreign)
                }
            };
            let foreign = kind == 'f';
            let deferrable = match &constraint.kind {
                ConstraintKind::ForeignKey { deferrable, .. } => *deferrable,
                _ => Deferrable::No,
            };
            rows.add([
                ("oid", oid(constraint.oid)),
                ("conname", name(&constraint.name)),
                ("connamespace", oid(table.schema)),
                ("contype", code(kind)),
                ("condeferrable", Datum::Bool(deferrable != Deferrable::No)),
                ("condeferred", Datum::Bool(deferrable == Deferrable::Deferred)),
                ("convalidated", Datum::Bool(constraint.validated)),
                ("conrelid", oid(table.oid)),
                ("conindid", index),
                ("confrelid", parent),
                ("confupdtype", on_update),
                ("confdeltype", on_delete),
                ("confmatchtype", code(if foreign { 's' } else { ' ' })),
                ("conislocal", Datum::Bool(true)),
                ("connoinherit", Datum::Bool(kind != 'c')),
                ("conkey", numbers(columns)),
                ("confkey", referenced),
                ("conbin", condition(source, table, &constraint.kind)),
            ]);
        }
    }
}

/// The expression of a CHECK.
fn condition(source: &Source<'_>, table: &TableDescriptor, kind: &ConstraintKind) -> Datum {
    match kind {
        ConstraintKind::Check { expression, .. } => source.expression(table, expression),
        _ => Datum::Null,
    }
}

/// The unique index over exactly the referenced columns.
fn referenced_index(parent: &TableDescriptor, referenced: &[ColumnId]) -> Option<Oid> {
    let covers = |index: &&schema::IndexDescriptor| {
        index.unique
            && index.columns.len() == referenced.len()
            && index.columns.iter().all(|column| referenced.contains(&column.column))
    };
    parent.indexes.iter().find(covers).map(|index| index.oid)
}

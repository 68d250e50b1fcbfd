//! `pg_type`, `pg_proc` and `pg_collation`.

use schema::{Category, Datum, Oid, all_types, functions};
use sharddb_schema as schema;

use super::{Rows, array, code, name, oid};
use crate::catalog;

fn category(category: Category) -> char {
    match category {
        Category::Array => 'A',
        Category::Boolean => 'B',
        Category::Composite => 'C',
        Category::DateTime => 'D',
        Category::Numeric => 'N',
        Category::Pseudo => 'P',
        Category::String => 'S',
        Category::Timespan => 'T',
        Category::User => 'U',
        Category::Unknown => 'X',
        Category::Internal => 'Z',
    }
}

pub(super) fn fill(rows: &mut Rows) {
    for info in all_types() {
        let pseudo = matches!(info.category, Category::Pseudo | Category::Unknown);
        let by_value = matches!(info.length, 1 | 2 | 4 | 8);
        let text = matches!(info.oid, Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR);
        rows.add([
            ("oid", oid(info.oid)),
            ("typname", name(info.name)),
            ("typnamespace", oid(catalog::PG_CATALOG)),
            ("typowner", oid(catalog::BOOTSTRAP_ROLE)),
            ("typlen", Datum::Int2(info.length)),
            ("typbyval", Datum::Bool(by_value)),
            ("typtype", code(if pseudo { 'p' } else { 'b' })),
            ("typcategory", code(category(info.category))),
            ("typispreferred", Datum::Bool(info.preferred)),
            ("typisdefined", Datum::Bool(true)),
            ("typdelim", code(',')),
            ("typelem", oid(info.element)),
            ("typarray", oid(info.array)),
            ("typalign", code(if info.length == 8 { 'd' } else { 'i' })),
            ("typstorage", code(if info.length == -1 { 'x' } else { 'p' })),
            ("typtypmod", Datum::Int4(-1)),
            ("typcollation", Datum::Oid(if text { 100 } else { 0 })),
        ]);
    }
}

/// Functions have no OIDs of their own here: they are numbered in the order of the built-in tables.
pub(super) fn fill_functions(rows: &mut Rows) {
    let scalar = functions::all_functions().map(|f| (f.name, f.args, f.result, 'f', f.strict));
    let aggregates = functions::all_aggregates().map(|f| (f.name, f.args, f.result, 'a', f.strict));
    for ((proname, args, result, kind, strict), number) in scalar.chain(aggregates).zip(10_000u32..) {
        rows.add([
            ("oid", Datum::Oid(number)),
            ("proname", name(proname)),
            ("pronamespace", oid(catalog::PG_CATALOG)),
            ("proowner", oid(catalog::BOOTSTRAP_ROLE)),
            ("prolang", Datum::Oid(12)),
            ("procost", Datum::Float4(1.0)),
            ("prokind", code(kind)),
            ("proisstrict", Datum::Bool(strict)),
            ("provolatile", code('i')),
            ("proparallel", code('s')),
            ("pronargs", Datum::Int2(i16::try_from(args.len()).unwrap_or(i16::MAX))),
            ("prorettype", oid(result)),
            ("proargtypes", array(Oid::OID, 0, args.iter().map(|arg| oid(*arg)).collect())),
            ("prosrc", Datum::text(proname)),
        ]);
    }
}

pub(super) fn fill_collations(rows: &mut Rows) {
    for (number, collation, provider) in [(100, "default", 'd'), (950, "C", 'c'), (951, "POSIX", 'c')] {
        rows.add([
            ("oid", Datum::Oid(number)),
            ("collname", name(collation)),
            ("collnamespace", oid(catalog::PG_CATALOG)),
            ("collowner", oid(catalog::BOOTSTRAP_ROLE)),
            ("collprovider", code(provider)),
            ("collisdeterministic", Datum::Bool(true)),
            ("collencoding", Datum::Int4(-1)),
        ]);
    }
}

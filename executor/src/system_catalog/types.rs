//! `pg_type`, `pg_cast` and `pg_collation`.

use schema::{Datum, Oid, all_types, builtin, functions};
use sharddb_schema as schema;

use super::{Rows, code, name, oid};
use crate::catalog;

pub(super) fn fill(rows: &mut Rows) {
    for info in all_types() {
        let Some(facts) = builtin::type_facts(info.oid) else { continue };
        let [input, output, receive, send] = facts.conversions.map(oid);
        let [modifier_in, modifier_out] = facts.modifiers.map(oid);
        rows.add([
            ("oid", oid(info.oid)),
            ("typname", name(info.name)),
            ("typnamespace", oid(catalog::PG_CATALOG)),
            ("typowner", oid(catalog::BOOTSTRAP_ROLE)),
            ("typlen", Datum::Int2(facts.length)),
            ("typbyval", Datum::Bool(facts.by_value)),
            ("typtype", code(facts.kind)),
            ("typcategory", code(facts.category)),
            ("typispreferred", Datum::Bool(facts.preferred)),
            ("typisdefined", Datum::Bool(true)),
            ("typdelim", code(facts.delimiter)),
            ("typsubscript", oid(facts.subscript)),
            ("typelem", oid(element(info.oid).unwrap_or(info.element))),
            ("typarray", oid(info.array)),
            ("typinput", input),
            ("typoutput", output),
            ("typreceive", receive),
            ("typsend", send),
            ("typmodin", modifier_in),
            ("typmodout", modifier_out),
            ("typanalyze", oid(facts.analyze)),
            ("typalign", code(facts.alignment)),
            ("typstorage", code(facts.storage)),
            ("typtypmod", Datum::Int4(-1)),
            ("typcollation", oid(facts.collation)),
        ]);
    }
}

/// What may be subscripted without being an array.
fn element(of: Oid) -> Option<Oid> {
    match of {
        Oid::NAME => Some(Oid::CHAR),
        Oid::INT2VECTOR => Some(Oid::INT2),
        Oid::OIDVECTOR => Some(Oid::OID),
        _ => None,
    }
}

pub(super) fn fill_casts(rows: &mut Rows) {
    for cast in builtin::casts() {
        rows.add([
            ("oid", oid(cast.oid)),
            ("castsource", oid(cast.source)),
            ("casttarget", oid(cast.target)),
            ("castfunc", oid(cast.function)),
            ("castcontext", code(cast.context)),
            ("castmethod", code(cast.method)),
        ]);
    }
}

pub(super) fn fill_collations(rows: &mut Rows) {
    for (number, collation) in functions::COLLATIONS {
        let default = collation == "default";
        let locale = if default { Datum::Null } else { Datum::text(collation) };
        rows.add([
            ("oid", Datum::Oid(number)),
            ("collname", name(collation)),
            ("collnamespace", oid(catalog::PG_CATALOG)),
            ("collowner", oid(catalog::BOOTSTRAP_ROLE)),
            ("collprovider", code(if default { 'd' } else { 'c' })),
            ("collisdeterministic", Datum::Bool(true)),
            ("collencoding", Datum::Int4(-1)),
            ("collcollate", locale.clone()),
            ("collctype", locale),
        ]);
    }
}

//! Functions and their parameters.

use schema::{Datum, Oid, SqlType, builtin, builtin::BuiltinFunction};
use sharddb_schema as schema;

use super::{
    super::{Rows, Source, name},
    data_type, database, udt_name, yes_no,
};

/// `name_oid`, which is unique.
fn specific_name(function: &BuiltinFunction) -> Datum {
    name(&format!("{}_{}", function.name, function.oid))
}

pub(super) fn routines(source: &Source<'_>, rows: &mut Rows) {
    for function in builtin::functions() {
        let result = SqlType::new(function.result);
        let sql = function.language == Oid(14);
        rows.add([
            ("specific_catalog", database(source)),
            ("specific_schema", name("pg_catalog")),
            ("specific_name", specific_name(function)),
            ("routine_catalog", database(source)),
            ("routine_schema", name("pg_catalog")),
            ("routine_name", name(function.name)),
            ("routine_type", if function.kind == 'f' { Datum::text("FUNCTION") } else { Datum::Null }),
            ("data_type", Datum::text(data_type(result))),
            ("type_udt_catalog", database(source)),
            ("type_udt_schema", name("pg_catalog")),
            ("type_udt_name", udt_name(function.result)),
            ("dtd_identifier", name("0")),
            ("routine_body", Datum::text(if sql { "SQL" } else { "EXTERNAL" })),
            ("external_language", Datum::text(if sql { "SQL" } else { "INTERNAL" })),
            ("parameter_style", Datum::text("GENERAL")),
            ("is_deterministic", yes_no(function.volatility == 'i')),
            ("sql_data_access", Datum::text("MODIFIES")),
            ("is_null_call", yes_no(function.strict)),
            ("schema_level_routine", yes_no(true)),
            ("max_dynamic_result_sets", Datum::Int4(0)),
            ("security_type", Datum::text("INVOKER")),
            ("as_locator", yes_no(false)),
            ("is_udt_dependent", yes_no(false)),
        ]);
    }
}

pub(super) fn parameters(source: &Source<'_>, rows: &mut Rows) {
    for function in builtin::functions() {
        let types = if function.all_args.is_empty() { &function.args } else { &function.all_args };
        let mut modes = function.modes.chars();
        for (at, (oid, number)) in types.iter().zip(1..).enumerate() {
            let mode = match modes.next() {
                Some('o' | 't') => "OUT",
                Some('b') => "INOUT",
                _ => "IN",
            };
            let parameter = function.arg_names.get(at).filter(|name| !name.is_empty());
            rows.add([
                ("specific_catalog", database(source)),
                ("specific_schema", name("pg_catalog")),
                ("specific_name", specific_name(function)),
                ("ordinal_position", Datum::Int4(number)),
                ("parameter_mode", Datum::text(mode)),
                ("is_result", yes_no(false)),
                ("as_locator", yes_no(false)),
                ("parameter_name", parameter.map_or(Datum::Null, |parameter| name(parameter))),
                ("data_type", Datum::text(data_type(SqlType::new(*oid)))),
                ("udt_catalog", database(source)),
                ("udt_schema", name("pg_catalog")),
                ("udt_name", udt_name(*oid)),
                ("dtd_identifier", name(&number.to_string())),
            ]);
        }
    }
}

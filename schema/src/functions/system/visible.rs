//! pg_*_is_visible, owners, and what names the catalog knows.

use crate::{
    Datum, Descriptor, Oid,
    functions::{
        EvalContext, Function,
        table::function,
        value::{ObjectId, one, two},
    },
};

use super::names::is_visible;

const O: Oid = Oid::OID;
const B: Oid = Oid::BOOL;
const T: Oid = Oid::TEXT;

/// Objects other than relations are all in pg_catalog, which is always searched.
macro_rules! always {
    ($($name:literal)*) => { &[
        function("pg_table_is_visible", &[O], B, |env, args| one(args, |oid: ObjectId| is_visible(env, Oid(oid.0))))
            .stable(),
        function("pg_get_userbyid", &[O], Oid::NAME, |env, args| one(args, |oid: ObjectId| user_name(env, oid.0)))
            .stable(),
        function("pg_encoding_to_char", &[Oid::INT4], Oid::NAME, |_, args| {
            one(args, |encoding: i32| if encoding == UTF8 { "UTF8" } else { "" })
        })
        .stable(),
        function("pg_char_to_encoding", &[Oid::NAME], Oid::INT4, |_, args| {
            one(args, |name: &str| if is_utf8(name) { UTF8 } else { -1 })
        })
        .stable(),
        function("pg_encoding_max_length", &[Oid::INT4], Oid::INT4, |_, args| {
            one(args, |encoding: i32| (encoding == UTF8).then_some(4))
        }),
        function("pg_is_other_temp_schema", &[O], B, |env, args| {
            one(args, |oid: ObjectId| temp_schema(env, oid.0).is_some_and(|schema| schema != env.temp_schema()))
        })
        .stable(),
        function("row_security_active", &[O], B, |_, _| Ok(Datum::Bool(false))).stable(),
        function("row_security_active", &[T], B, |_, _| Ok(Datum::Bool(false))).stable(),
        function("pg_relation_is_updatable", &[Oid::REGCLASS, B], Oid::INT4, |env, args| {
            two(args, |oid: ObjectId, _: bool| updatable_events(env, oid.0))
        })
        .stable(),
        function("pg_column_is_updatable", &[Oid::REGCLASS, Oid::INT2, B], B, |env, args| {
            crate::functions::value::three(args, |oid: ObjectId, column: i16, _: bool| {
                column > 0 && updatable_events(env, oid.0) != 0
            })
        })
        .stable(),
        // There are no partitions.
        function("pg_partition_root", &[Oid::REGCLASS], Oid::REGCLASS, |_, _| Ok(Datum::Null)),
        function("pg_relation_is_publishable", &[Oid::REGCLASS], B, |_, _| Ok(Datum::Bool(false))).stable(),
        $(function($name, &[O], B, |_, _| Ok(Datum::Bool(true))).stable(),)*
    ] };
}

/// Name of the schema with this OID if it holds temporary relations.
fn temp_schema(env: &EvalContext, oid: u32) -> Option<String> {
    let catalog = env.host.as_deref()?.catalog();
    let name = catalog.schema_name(Oid(oid))?;
    name.starts_with(crate::functions::TEMP_SCHEMA_PREFIX).then(|| name.to_owned())
}

/// PostgreSQL's number of the encoding UTF8, the only one here.
const UTF8: i32 = 6;

fn is_utf8(name: &str) -> bool {
    matches!(name.to_ascii_lowercase().replace('-', "").as_str(), "utf8" | "unicode")
}

fn user_name(env: &EvalContext, oid: u32) -> String {
    let role = env.host.as_deref().and_then(|host| match host.catalog().get(Oid(oid)) {
        Some(Descriptor::Role(role)) => Some(role.name.clone()),
        _ => None,
    });
    role.unwrap_or_else(|| format!("unknown (OID={oid})"))
}

/// Bits of INSERT, UPDATE and DELETE for tables, none for the rest.
fn updatable_events(env: &EvalContext, oid: u32) -> i32 {
    let is_table = env.host.as_deref().is_some_and(|host| host.catalog().table(Oid(oid)).is_some());
    if is_table { (1 << 3) | (1 << 2) | (1 << 4) } else { 0 }
}

/// Visibility and names.
pub(in crate::functions) static VISIBLE: &[Function] = always! {
    "pg_type_is_visible" "pg_function_is_visible" "pg_operator_is_visible" "pg_opclass_is_visible"
    "pg_opfamily_is_visible" "pg_collation_is_visible" "pg_conversion_is_visible" "pg_statistics_obj_is_visible"
    "pg_ts_config_is_visible" "pg_ts_dict_is_visible" "pg_ts_parser_is_visible" "pg_ts_template_is_visible"
};

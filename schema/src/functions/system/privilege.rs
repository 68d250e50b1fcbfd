//! has_*_privilege and pg_has_role: everybody may do everything that exists.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::names::relation;
use crate::{
    Datum, Oid,
    functions::{EvalContext, Function, table::function},
};

const O: Oid = Oid::OID;
const N: Oid = Oid::NAME;
const T: Oid = Oid::TEXT;
const B: Oid = Oid::BOOL;

fn granted(_: &EvalContext, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Bool(true))
}

/// Privileges of a relation that is named: there must be one.
fn granted_on_relation(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let object = if args.len() > 2 { &args[1] } else { &args[0] };
    let (Datum::Text(name), Some(_)) = (object, &env.host) else { return Ok(Datum::Bool(true)) };
    match relation(env, name)? {
        Some(_) => Ok(Datum::Bool(true)),
        None => Err(SqlError::new(SqlState::UndefinedTable, format!("relation \"{name}\" does not exist"))),
    }
}

macro_rules! privileges {
    ($($name:literal $eval:ident;)*) => { &[$(
        function($name, &[T, T], B, $eval).stable(),
        function($name, &[O, T], B, $eval).stable(),
        function($name, &[N, T, T], B, $eval).stable(),
        function($name, &[N, O, T], B, $eval).stable(),
        function($name, &[O, T, T], B, $eval).stable(),
        function($name, &[O, O, T], B, $eval).stable(),
    )*] };
}

/// Privileges on whole objects.
pub(in crate::functions) static PRIVILEGES: &[Function] = privileges! {
    "has_table_privilege" granted_on_relation;
    "has_any_column_privilege" granted_on_relation;
    "has_sequence_privilege" granted_on_relation;
    "has_database_privilege" granted;
    "has_schema_privilege" granted;
    "has_function_privilege" granted;
    "has_language_privilege" granted;
    "has_tablespace_privilege" granted;
    "has_type_privilege" granted;
    "has_foreign_data_wrapper_privilege" granted;
    "has_server_privilege" granted;
};

/// Privileges on columns and parameters.
pub(in crate::functions) static COLUMN_PRIVILEGES: &[Function] = &[
    function("has_column_privilege", &[T, T, T], B, granted).stable(),
    function("has_column_privilege", &[T, Oid::INT2, T], B, granted).stable(),
    function("has_column_privilege", &[O, T, T], B, granted).stable(),
    function("has_column_privilege", &[O, Oid::INT2, T], B, granted).stable(),
    function("has_column_privilege", &[N, T, T, T], B, granted).stable(),
    function("has_column_privilege", &[N, T, Oid::INT2, T], B, granted).stable(),
    function("has_column_privilege", &[N, O, T, T], B, granted).stable(),
    function("has_column_privilege", &[N, O, Oid::INT2, T], B, granted).stable(),
    function("has_column_privilege", &[O, T, T, T], B, granted).stable(),
    function("has_column_privilege", &[O, O, T, T], B, granted).stable(),
    function("has_column_privilege", &[O, O, Oid::INT2, T], B, granted).stable(),
    function("has_parameter_privilege", &[T, T], B, granted).stable(),
    function("has_parameter_privilege", &[N, T, T], B, granted).stable(),
    function("has_parameter_privilege", &[O, T, T], B, granted).stable(),
];

/// Membership in roles.
pub(in crate::functions) static ROLES: &[Function] = &[
    function("pg_has_role", &[N, T], B, granted).stable(),
    function("pg_has_role", &[O, T], B, granted).stable(),
    function("pg_has_role", &[N, N, T], B, granted).stable(),
    function("pg_has_role", &[N, O, T], B, granted).stable(),
    function("pg_has_role", &[O, N, T], B, granted).stable(),
    function("pg_has_role", &[O, O, T], B, granted).stable(),
];

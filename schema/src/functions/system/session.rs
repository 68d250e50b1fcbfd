//! Who is connected to what, parameters, and control of sessions.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::host;
use crate::{
    Datum, Interval, Oid,
    functions::{
        EvalContext, Function,
        array::list,
        table::function,
        value::{TimestampTz, mismatch, one, two},
    },
};

const T: Oid = Oid::TEXT;
const N: Oid = Oid::NAME;
const NAMES: Oid = Oid(1003);

/// The version of PostgreSQL whose behaviour is followed, and ours.
const VERSION: &str = concat!(
    "PostgreSQL 15.0 (ShardDB ",
    env!("CARGO_PKG_VERSION"),
    ") on x86_64-pc-linux-gnu, compiled by rustc, 64-bit"
);

fn name(value: &Arc<str>) -> SqlResult<Datum> {
    Ok(Datum::Text(value.clone()))
}

fn current_schema(env: &EvalContext) -> Datum {
    env.search_path.first().map_or(Datum::Null, |schema| Datum::text(schema.as_str()))
}

fn current_schemas(env: &EvalContext, implicit: bool) -> Datum {
    let mut schemas: Vec<Datum> = env.search_path.iter().map(|schema| Datum::text(schema.as_str())).collect();
    if implicit && !env.search_path.iter().any(|schema| schema == "pg_catalog") {
        schemas.insert(0, Datum::text("pg_catalog"));
    }
    let temp = env.temp_schema();
    let has_temp = env.host.as_deref().is_some_and(|host| host.catalog().schema(&temp).is_some());
    if implicit && has_temp && !env.search_path.contains(&temp) {
        schemas.insert(0, Datum::text(temp));
    }
    Datum::Array(Arc::new(list(N, schemas)))
}

fn current_setting(env: &EvalContext, name: &str, missing_ok: bool) -> SqlResult<Option<String>> {
    match host(env)?.setting(name) {
        None if !missing_ok => {
            let message = format!("unrecognized configuration parameter \"{name}\"");
            Err(SqlError::new(SqlState::UndefinedObject, message))
        }
        found => Ok(found),
    }
}

fn set_config(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let [name, value, local] = args else { return Err(mismatch(args)) };
    let Datum::Text(name) = name else {
        return Err(SqlError::new(SqlState::NullValueNotAllowed, "SET requires parameter name"));
    };
    let value = match value {
        Datum::Text(value) => value,
        _ => "",
    };
    let local = matches!(local, Datum::Bool(true));
    host(env)?.set_setting(name, value, local).map(Datum::text)
}

fn process_start(env: &EvalContext, _: &[Datum]) -> SqlResult<Datum> {
    Ok(host(env)?.process_start().map_or(Datum::Null, Datum::TimestampTz))
}

fn no_rows(_: &EvalContext, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Null)
}

/// The session and its parameters. There are no network addresses to tell.
pub(in crate::functions) static SESSION: &[Function] = &[
    function("current_user", &[], N, |env, _| name(&env.user)).stable(),
    function("current_role", &[], N, |env, _| name(&env.user)).stable(),
    function("user", &[], N, |env, _| name(&env.user)).stable(),
    function("getpgusername", &[], N, |env, _| name(&env.user)).stable(),
    function("session_user", &[], N, |env, _| name(&env.session_user)).stable(),
    function("current_database", &[], N, |env, _| name(&env.database)).stable(),
    function("current_catalog", &[], N, |env, _| name(&env.database)).stable(),
    function("current_schema", &[], N, |env, _| Ok(current_schema(env))).stable(),
    function("current_schemas", &[Oid::BOOL], NAMES, |env, args| {
        one(args, |implicit: bool| current_schemas(env, implicit))
    })
    .stable(),
    function("version", &[], T, |_, _| Ok(Datum::text(VERSION))).stable(),
    function("pg_backend_pid", &[], Oid::INT4, |env, _| Ok(Datum::Int4(env.backend_pid))).stable(),
    function("getdatabaseencoding", &[], N, |_, _| Ok(Datum::text("UTF8"))).stable(),
    function("pg_client_encoding", &[], N, |_, _| Ok(Datum::text("UTF8"))).stable(),
    function("current_setting", &[T], T, |env, args| one(args, |name: &str| current_setting(env, name, false)))
        .stable(),
    function("current_setting", &[T, Oid::BOOL], T, |env, args| {
        two(args, |name: &str, missing_ok: bool| current_setting(env, name, missing_ok))
    })
    .stable(),
    function("set_config", &[T, T, Oid::BOOL], T, set_config).lenient().volatile(),
    function("current_query", &[], T, no_rows).lenient().volatile(),
    function("inet_client_addr", &[], T, no_rows).lenient().stable(),
    function("inet_client_port", &[], Oid::INT4, no_rows).lenient().stable(),
    function("inet_server_addr", &[], T, no_rows).lenient().stable(),
    function("inet_server_port", &[], Oid::INT4, no_rows).lenient().stable(),
    function("txid_current", &[], Oid::INT8, |env, _| Ok(Datum::Int8(env.transaction_time))).stable(),
    function("txid_current_if_assigned", &[], Oid::INT8, |env, _| Ok(Datum::Int8(env.transaction_time))).stable(),
    function("pg_postmaster_start_time", &[], Oid::TIMESTAMPTZ, process_start).stable(),
    // Settings are read once, when the process begins.
    function("pg_conf_load_time", &[], Oid::TIMESTAMPTZ, process_start).stable(),
    function("pg_trigger_depth", &[], Oid::INT4, |_, _| Ok(Datum::Int4(0))).stable(),
    function("pg_my_temp_schema", &[], Oid::OID, |env, _| {
        let catalog = env.host.as_deref().map(|host| host.catalog());
        let schema = catalog.and_then(|catalog| catalog.schema(&env.temp_schema()).map(|schema| schema.oid.0));
        Ok(Datum::Oid(schema.unwrap_or(0)))
    })
    .stable(),
    function("pg_is_in_recovery", &[], Oid::BOOL, |_, _| Ok(Datum::Bool(false))).volatile(),
    function("pg_is_wal_replay_paused", &[], Oid::BOOL, |_, _| Ok(Datum::Bool(false))).volatile(),
    function("pg_jit_available", &[], Oid::BOOL, |_, _| Ok(Datum::Bool(false))).volatile(),
];

/// Seconds as microseconds; what is too long is as long as can be.
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

fn sleep(env: &EvalContext, micros: i64) -> SqlResult<&'static str> {
    host(env)?.sleep(micros.max(0))?;
    Ok("")
}

fn span(interval: Interval) -> i64 {
    i64::try_from(interval.comparable()).unwrap_or(i64::MAX)
}

fn random_uuid() -> [u8; 16] {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid().into_bytes()
}

/// Waiting, signals to other sessions, and random identifiers.
pub(in crate::functions) static CONTROL: &[Function] = &[
    function("pg_sleep", &[Oid::FLOAT8], Oid::VOID, |env, args| one(args, |seconds: f64| sleep(env, micros(seconds))))
        .volatile(),
    function("pg_sleep_for", &[Oid::INTERVAL], Oid::VOID, |env, args| {
        one(args, |length: Interval| sleep(env, span(length)))
    })
    .volatile(),
    function("pg_sleep_until", &[Oid::TIMESTAMPTZ], Oid::VOID, |env, args| {
        one(args, |moment: TimestampTz| {
            let now = env.host.as_ref().and_then(|host| host.clock_time()).unwrap_or(env.statement_time);
            sleep(env, moment.0.saturating_sub(now))
        })
    })
    .volatile(),
    function("pg_cancel_backend", &[Oid::INT4], Oid::BOOL, |env, args| {
        one(args, |pid: i32| Ok(host(env)?.signal(pid, false)))
    })
    .volatile(),
    function("pg_terminate_backend", &[Oid::INT4], Oid::BOOL, |env, args| {
        one(args, |pid: i32| Ok(host(env)?.signal(pid, true)))
    })
    .volatile(),
    function("pg_terminate_backend", &[Oid::INT4, Oid::INT8], Oid::BOOL, |env, args| {
        two(args, |pid: i32, _: i64| Ok(host(env)?.signal(pid, true)))
    })
    .volatile(),
    function("gen_random_uuid", &[], Oid::UUID, |_, _| Ok(Datum::Uuid(random_uuid()))).volatile(),
    function("pg_notify", &[T, T], Oid::VOID, |_, _| Err(SqlError::unsupported("NOTIFY"))).lenient().volatile(),
];

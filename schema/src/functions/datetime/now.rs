//! The time: of the transaction, the statement, and the clock.

use proto::SqlResult;
use sharddb_proto as proto;

use super::to_local;
use crate::{
    Datum, FormatSettings, Oid,
    datetime::{DAY_MICROS, offset_at, write_timestamptz},
    functions::{EvalContext, Function, table::function, value::mismatch},
    text::{fit_time, fit_timestamp},
};

const N: Oid = Oid::INT4;
const TSTZ: Oid = Oid::TIMESTAMPTZ;

/// The precision asked for; six digits without one.
fn precision(args: &[Datum]) -> SqlResult<i32> {
    match args {
        [] => Ok(6),
        [Datum::Int4(digits)] => Ok((*digits).clamp(0, 6)),
        _ => Err(mismatch(args)),
    }
}

fn current_timestamp(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::TimestampTz(fit_timestamp(env.transaction_time, precision(args)?)))
}

fn local_timestamp(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Timestamp(fit_timestamp(to_local(env, env.transaction_time), precision(args)?)))
}

fn current_date(env: &EvalContext, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Date(to_local(env, env.transaction_time).div_euclid(DAY_MICROS) as i32))
}

fn local_time(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let time = to_local(env, env.transaction_time).rem_euclid(DAY_MICROS);
    Ok(Datum::Time(fit_time(time, precision(args)?)))
}

fn current_time(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let time = to_local(env, env.transaction_time).rem_euclid(DAY_MICROS);
    let west = -offset_at(&env.time_zone, env.transaction_time);
    Ok(Datum::TimeTz(fit_time(time, precision(args)?), west))
}

/// What the clock says now; where there is no session, the start of the statement.
fn clock(env: &EvalContext) -> i64 {
    env.host.as_ref().and_then(|host| host.clock_time()).unwrap_or(env.statement_time)
}

fn time_of_day(env: &EvalContext) -> Datum {
    let settings = FormatSettings { date_style: crate::DateStyle::Postgres, ..env.format.clone() };
    let mut out = String::new();
    write_timestamptz(clock(env), &settings, &mut out);
    Datum::text(out)
}

/// Functions of the time. The ones without parentheses in SQL are called by their name in lower case.
pub(in crate::functions) static NOW: &[Function] = &[
    function("now", &[], TSTZ, current_timestamp).stable(),
    function("transaction_timestamp", &[], TSTZ, current_timestamp).stable(),
    function("statement_timestamp", &[], TSTZ, |env, _| Ok(Datum::TimestampTz(env.statement_time))).stable(),
    function("clock_timestamp", &[], TSTZ, |env, _| Ok(Datum::TimestampTz(clock(env)))).volatile(),
    function("timeofday", &[], Oid::TEXT, |env, _| Ok(time_of_day(env))).volatile(),
    function("current_timestamp", &[], TSTZ, current_timestamp).stable(),
    function("current_timestamp", &[N], TSTZ, current_timestamp).stable(),
    function("localtimestamp", &[], Oid::TIMESTAMP, local_timestamp).stable(),
    function("localtimestamp", &[N], Oid::TIMESTAMP, local_timestamp).stable(),
    function("current_date", &[], Oid::DATE, current_date).stable(),
    function("current_time", &[], Oid::TIMETZ, current_time).stable(),
    function("current_time", &[N], Oid::TIMETZ, current_time).stable(),
    function("localtime", &[], Oid::TIME, local_time).stable(),
    function("localtime", &[N], Oid::TIME, local_time).stable(),
];

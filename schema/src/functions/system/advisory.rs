//! Advisory locks: on a bigint, or on two integers, for a session or a transaction.

use proto::SqlResult;
use sharddb_proto as proto;

use super::host;
use crate::{
    Datum, Oid,
    functions::{AdvisoryLock, EvalContext, Function, table::function, value::mismatch},
};

/// The key of a lock; two integers are another space than one bigint.
fn key(args: &[Datum]) -> SqlResult<(i64, bool)> {
    match args {
        [Datum::Int8(key)] => Ok((*key, false)),
        [Datum::Int4(high), Datum::Int4(low)] => Ok((i64::from(*high) << 32 | i64::from(*low as u32), true)),
        _ => Err(mismatch(args)),
    }
}

fn lock(env: &EvalContext, args: &[Datum], shared: bool, transaction: bool, wait: bool) -> SqlResult<Datum> {
    let (key, pair) = key(args)?;
    let taken = host(env)?.advisory_lock(AdvisoryLock { key, pair, shared }, transaction, wait)?;
    // The waiting forms answer void.
    Ok(if wait { Datum::text("") } else { Datum::Bool(taken) })
}

fn unlock(env: &EvalContext, args: &[Datum], shared: bool) -> SqlResult<Datum> {
    let (key, pair) = key(args)?;
    host(env)?.advisory_unlock(Some(AdvisoryLock { key, pair, shared })).map(Datum::Bool)
}

const ONE: &[Oid] = &[Oid::INT8];
const TWO: &[Oid] = &[Oid::INT4; 2];

macro_rules! locks {
    ($($name:literal $result:ident $shared:literal $transaction:literal $wait:literal;)*) => { &[
        $(
            function($name, ONE, Oid::$result, |env, args| lock(env, args, $shared, $transaction, $wait)).volatile(),
            function($name, TWO, Oid::$result, |env, args| lock(env, args, $shared, $transaction, $wait)).volatile(),
        )*
        function("pg_advisory_unlock", ONE, Oid::BOOL, |env, args| unlock(env, args, false)).volatile(),
        function("pg_advisory_unlock", TWO, Oid::BOOL, |env, args| unlock(env, args, false)).volatile(),
        function("pg_advisory_unlock_shared", ONE, Oid::BOOL, |env, args| unlock(env, args, true)).volatile(),
        function("pg_advisory_unlock_shared", TWO, Oid::BOOL, |env, args| unlock(env, args, true)).volatile(),
        function("pg_advisory_unlock_all", &[], Oid::VOID, |env, _| {
            host(env)?.advisory_unlock(None)?;
            Ok(Datum::text(""))
        })
        .volatile(),
    ] };
}

/// pg_advisory_lock and its kin.
pub(in crate::functions) static ADVISORY: &[Function] = locks! {
    "pg_advisory_lock" VOID false false true;
    "pg_advisory_lock_shared" VOID true false true;
    "pg_advisory_xact_lock" VOID false true true;
    "pg_advisory_xact_lock_shared" VOID true true true;
    "pg_try_advisory_lock" BOOL false false false;
    "pg_try_advisory_lock_shared" BOOL true false false;
    "pg_try_advisory_xact_lock" BOOL false true false;
    "pg_try_advisory_xact_lock_shared" BOOL true true false;
};

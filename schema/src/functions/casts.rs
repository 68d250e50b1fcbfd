//! Casts written as calls: `int4(x)`, `date(x)`, `timestamptz(x)`.

use proto::SqlResult;
use sharddb_proto as proto;

use super::{CastContext, EvalContext, Function, table::function};
use crate::{Datum, Oid, SqlType, cast::cast};

fn convert<const FROM: u32, const TO: u32>(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    match args {
        [value] => cast(value, SqlType::new(Oid(FROM)), SqlType::new(Oid(TO)), CastContext::Explicit, env),
        _ => Err(super::value::mismatch(args)),
    }
}

macro_rules! casts {
    ($($name:literal $from:ident $to:ident $volatility:ident;)*) => { &[$(
        function($name, &[Oid::$from], Oid::$to, convert::<{ Oid::$from.0 }, { Oid::$to.0 }>).$volatility(),
    )*] };
}

/// The functions that PostgreSQL's casts are made of.
pub(super) static CASTS: &[Function] = casts! {
    "bool" INT4 BOOL immutable;
    "bool" JSONB BOOL immutable;
    "int2" INT4 INT2 immutable;
    "int2" INT8 INT2 immutable;
    "int2" FLOAT4 INT2 immutable;
    "int2" FLOAT8 INT2 immutable;
    "int2" NUMERIC INT2 immutable;
    "int2" JSONB INT2 immutable;
    "int4" INT2 INT4 immutable;
    "int4" INT8 INT4 immutable;
    "int4" FLOAT4 INT4 immutable;
    "int4" FLOAT8 INT4 immutable;
    "int4" NUMERIC INT4 immutable;
    "int4" BOOL INT4 immutable;
    "int4" CHAR INT4 immutable;
    "int4" JSONB INT4 immutable;
    "int8" INT2 INT8 immutable;
    "int8" INT4 INT8 immutable;
    "int8" FLOAT4 INT8 immutable;
    "int8" FLOAT8 INT8 immutable;
    "int8" NUMERIC INT8 immutable;
    "int8" OID INT8 immutable;
    "int8" JSONB INT8 immutable;
    "oid" INT8 OID immutable;
    "float4" INT2 FLOAT4 immutable;
    "float4" INT4 FLOAT4 immutable;
    "float4" INT8 FLOAT4 immutable;
    "float4" FLOAT8 FLOAT4 immutable;
    "float4" NUMERIC FLOAT4 immutable;
    "float4" JSONB FLOAT4 immutable;
    "float8" INT2 FLOAT8 immutable;
    "float8" INT4 FLOAT8 immutable;
    "float8" INT8 FLOAT8 immutable;
    "float8" FLOAT4 FLOAT8 immutable;
    "float8" NUMERIC FLOAT8 immutable;
    "float8" JSONB FLOAT8 immutable;
    "numeric" INT2 NUMERIC immutable;
    "numeric" INT4 NUMERIC immutable;
    "numeric" INT8 NUMERIC immutable;
    "numeric" FLOAT4 NUMERIC immutable;
    "numeric" FLOAT8 NUMERIC immutable;
    "numeric" JSONB NUMERIC immutable;
    "text" CHAR TEXT immutable;
    "bpchar" NAME BPCHAR immutable;
    "bpchar" CHAR BPCHAR immutable;
    "varchar" NAME VARCHAR immutable;
    "name" BPCHAR NAME immutable;
    "name" VARCHAR NAME immutable;
    "date" TIMESTAMP DATE immutable;
    "date" TIMESTAMPTZ DATE stable;
    "time" TIMESTAMP TIME immutable;
    "time" TIMESTAMPTZ TIME stable;
    "time" TIMETZ TIME immutable;
    "time" INTERVAL TIME immutable;
    "timetz" TIME TIMETZ stable;
    "timetz" TIMESTAMPTZ TIMETZ stable;
    "timestamp" DATE TIMESTAMP immutable;
    "timestamp" TIMESTAMPTZ TIMESTAMP stable;
    "timestamptz" DATE TIMESTAMPTZ stable;
    "timestamptz" TIMESTAMP TIMESTAMPTZ stable;
};

/// Reading a string as a type, `date('2024-01-31')`: in PostgreSQL a call of a type's name converts.
pub(super) static FROM_TEXT: &[Function] = casts! {
    "bool" TEXT BOOL immutable;
    "int2" TEXT INT2 immutable;
    "int4" TEXT INT4 immutable;
    "int8" TEXT INT8 immutable;
    "float4" TEXT FLOAT4 immutable;
    "float8" TEXT FLOAT8 immutable;
    "numeric" TEXT NUMERIC immutable;
    "text" TEXT TEXT immutable;
    "varchar" TEXT VARCHAR immutable;
    "bpchar" TEXT BPCHAR immutable;
    "date" TEXT DATE stable;
    "time" TEXT TIME stable;
    "timetz" TEXT TIMETZ stable;
    "timestamp" TEXT TIMESTAMP stable;
    "timestamptz" TEXT TIMESTAMPTZ stable;
    "interval" TEXT INTERVAL stable;
    "uuid" TEXT UUID immutable;
    "json" TEXT JSON immutable;
    "jsonb" TEXT JSONB immutable;
    "bytea" TEXT BYTEA immutable;
    "oid" TEXT OID immutable;
};

/// Any value as text, likewise.
pub(super) static TO_TEXT: &[Function] = &[function("text", &[Oid::ANYELEMENT], Oid::TEXT, |env, args| {
    super::value::one(args, |value: &Datum| {
        let mut out = String::new();
        super::text::write_as_text(env, value, &mut out);
        out
    })
})
.stable()];

//! Comparisons across date, timestamp and timestamptz. Those with timestamptz depend on the session's zone.

use std::cmp::Ordering;

use proto::SqlResult;
use sharddb_proto as proto;

use super::{midnight, to_instant};
use crate::{
    Datum, Oid,
    functions::{
        EvalContext, Function,
        compare::{answer, six},
        table::operator,
        value::mismatch,
    },
};

/// Dates and timestamps as local times, or all as instants where one operand is an instant.
fn order(env: &EvalContext, args: &[Datum]) -> SqlResult<Ordering> {
    let [a, b] = args else { return Err(mismatch(args)) };
    let instants = matches!(a, Datum::TimestampTz(_)) || matches!(b, Datum::TimestampTz(_));
    let place = |value: &Datum| {
        let local = match value {
            Datum::Date(days) => midnight(*days, true)?,
            Datum::Timestamp(micros) => *micros,
            Datum::TimestampTz(micros) => return Ok(*micros),
            _ => return Err(mismatch(args)),
        };
        if instants { Ok(to_instant(env, local).unwrap_or(local)) } else { Ok(local) }
    };
    Ok(place(a)?.cmp(&place(b)?))
}

macro_rules! cross {
    ($($prefix:literal $suffix:literal [$a:ident, $b:ident] $volatility:ident;)*) => { &[$({
        let [eq, ne, lt, le, gt, ge] = six!([Oid::$a, Oid::$b], order;
            concat!($prefix, "_eq_", $suffix), concat!($prefix, "_ne_", $suffix), concat!($prefix, "_lt_", $suffix),
            concat!($prefix, "_le_", $suffix), concat!($prefix, "_gt_", $suffix), concat!($prefix, "_ge_", $suffix));
        [eq.$volatility(), ne.$volatility(), lt.$volatility(), le.$volatility(), gt.$volatility(), ge.$volatility()]
    }),*] };
}

/// Comparisons across types.
pub(in crate::functions) static COMPARE: &[[Function; 6]] = cross! {
    "date" "timestamp" [DATE, TIMESTAMP] immutable;
    "date" "timestamptz" [DATE, TIMESTAMPTZ] stable;
    "timestamp" "date" [TIMESTAMP, DATE] immutable;
    "timestamp" "timestamptz" [TIMESTAMP, TIMESTAMPTZ] stable;
    "timestamptz" "date" [TIMESTAMPTZ, DATE] stable;
    "timestamptz" "timestamp" [TIMESTAMPTZ, TIMESTAMP] stable;
};

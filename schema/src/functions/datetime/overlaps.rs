//! OVERLAPS: whether two spans, each of two moments or of a moment and a length, have time in common.

use proto::SqlResult;
use sharddb_proto as proto;

use crate::{
    Datum, Oid, compare,
    functions::{
        EvalContext, Function,
        table::{function, function_by_key},
        value::mismatch,
    },
};

/// The end of a span: a moment, or one that a length is added to.
fn end(env: &EvalContext, start: &Datum, end: &Datum) -> SqlResult<Datum> {
    match (start, end) {
        (Datum::Null, Datum::Interval(_)) => return Ok(Datum::Null),
        (_, Datum::Interval(_)) => {}
        _ => return Ok(end.clone()),
    }
    let (kind, name) = match start {
        Datum::Time(_) => (Oid::TIME, "time_pl_interval"),
        Datum::Timestamp(_) => (Oid::TIMESTAMP, "timestamp_pl_interval"),
        Datum::TimestampTz(_) => (Oid::TIMESTAMPTZ, "timestamptz_pl_interval"),
        _ => return Err(mismatch(&[start.clone(), end.clone()])),
    };
    let key = format!("{name}({kind},{})", Oid::INTERVAL);
    let plus = function_by_key(&key).ok_or_else(|| proto::SqlError::internal(format!("no function {key}")))?;
    (plus.eval)(env, &[start.clone(), end.clone()])
}

/// The moments of a span in order; a NULL comes last, and both NULL is no span.
fn ordered(a: Datum, b: Datum) -> Option<(Datum, Datum)> {
    match (a.is_null(), b.is_null()) {
        (true, true) => None,
        (true, false) => Some((b, a)),
        (false, true) => Some((a, b)),
        (false, false) if compare::compare(&a, &b).is_gt() => Some((b, a)),
        (false, false) => Some((a, b)),
    }
}

fn overlaps(env: &EvalContext, args: &[Datum]) -> SqlResult<Datum> {
    let [a, b, c, d] = args else { return Err(mismatch(args)) };
    let first = ordered(a.clone(), end(env, a, b)?);
    let second = ordered(c.clone(), end(env, c, d)?);
    let (Some((start1, end1)), Some((start2, end2))) = (first, second) else { return Ok(Datum::Null) };
    let (earlier_end, later_start, later_end) = match compare::compare(&start1, &start2) {
        std::cmp::Ordering::Equal => {
            // Spans that start together have that moment in common, whatever their ends.
            return Ok(if end1.is_null() || end2.is_null() { Datum::Null } else { Datum::Bool(true) });
        }
        std::cmp::Ordering::Greater => (end2, start1, end1),
        std::cmp::Ordering::Less => (end1, start2, end2),
    };
    if earlier_end.is_null() {
        return Ok(Datum::Null);
    }
    if compare::compare(&later_start, &earlier_end).is_lt() {
        return Ok(Datum::Bool(true));
    }
    // The later span could reach back only if its end is unknown.
    Ok(if later_end.is_null() { Datum::Null } else { Datum::Bool(false) })
}

macro_rules! spans {
    ($($moment:ident $volatility:ident;)*) => { &[$(
        function("overlaps", &[Oid::$moment; 4], Oid::BOOL, overlaps).lenient(),
        function("overlaps", &[Oid::$moment, Oid::INTERVAL, Oid::$moment, Oid::INTERVAL], Oid::BOOL, overlaps)
            .lenient().$volatility(),
        function("overlaps", &[Oid::$moment, Oid::$moment, Oid::$moment, Oid::INTERVAL], Oid::BOOL, overlaps)
            .lenient().$volatility(),
        function("overlaps", &[Oid::$moment, Oid::INTERVAL, Oid::$moment, Oid::$moment], Oid::BOOL, overlaps)
            .lenient().$volatility(),
    )*] };
}

/// OVERLAPS of every type.
pub(in crate::functions) static OVERLAPS: &[Function] = spans! {
    TIME immutable;
    TIMESTAMP immutable;
    TIMESTAMPTZ stable;
};

/// OVERLAPS of times with zones, which have no lengths.
pub(in crate::functions) static OVERLAPS_TIMETZ: &[Function] =
    &[function("overlaps", &[Oid::TIMETZ; 4], Oid::BOOL, overlaps).lenient()];

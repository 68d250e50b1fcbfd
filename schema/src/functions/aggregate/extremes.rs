//! min and max.

use std::cmp::Ordering;

use proto::SqlResult;
use sharddb_proto as proto;

use super::aggregate;
use crate::{
    Datum, Oid, SqlType,
    compare::compare,
    functions::{Accumulator, Aggregate},
};

#[derive(Debug)]
struct Extreme {
    best: Datum,
    /// The order of a candidate to the best that replaces it.
    wanted: Ordering,
    /// char(n): padding does not count.
    padded: bool,
}

impl Extreme {
    fn boxed(wanted: Ordering, args: &[SqlType]) -> Box<dyn Accumulator> {
        let padded = args.first().is_some_and(|arg| arg.oid == Oid::BPCHAR);
        Box::new(Self { best: Datum::Null, wanted, padded })
    }

    fn order(&self, candidate: &Datum) -> Ordering {
        match (candidate, &self.best) {
            (Datum::Text(a), Datum::Text(b)) if self.padded => a.trim_end_matches(' ').cmp(b.trim_end_matches(' ')),
            (candidate, best) => compare(candidate, best),
        }
    }
}

impl Accumulator for Extreme {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        let Some(candidate) = args.first().filter(|value| !value.is_null()) else { return Ok(()) };
        if self.best.is_null() || self.order(candidate) == self.wanted {
            self.best = candidate.clone();
        }
        Ok(())
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        Ok(vec![self.best.clone()])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        self.update(state)
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(self.best.clone())
    }
}

macro_rules! extremes {
    ($($oid:ident)*) => { &[$(
        aggregate("min", &[Oid::$oid], Oid::$oid, &[Oid::$oid], |args| Extreme::boxed(Ordering::Less, args)),
        aggregate("max", &[Oid::$oid], Oid::$oid, &[Oid::$oid], |args| Extreme::boxed(Ordering::Greater, args)),
    )*] };
}

/// min and max of every type that PostgreSQL has them for.
pub(in crate::functions) static EXTREMES: &[Aggregate] = extremes! {
    INT2 INT4 INT8 FLOAT4 FLOAT8 NUMERIC TEXT BPCHAR DATE TIME TIMETZ TIMESTAMP TIMESTAMPTZ INTERVAL OID ANYARRAY
};

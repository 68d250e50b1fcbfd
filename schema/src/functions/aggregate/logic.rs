//! bool_and, bool_or, every, and the bit_* aggregates.

use proto::SqlResult;
use sharddb_proto as proto;

use super::aggregate;
use crate::{
    Datum, Oid,
    functions::{Accumulator, Aggregate, value::mismatch},
};

/// Folds values pairwise; the first is kept as it is.
#[derive(Debug)]
struct Fold {
    value: Datum,
    combine: fn(&Datum, &Datum) -> Option<Datum>,
}

impl Fold {
    fn boxed(combine: fn(&Datum, &Datum) -> Option<Datum>) -> Box<dyn Accumulator> {
        Box::new(Self { value: Datum::Null, combine })
    }
}

impl Accumulator for Fold {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        let [value] = args else { return Err(mismatch(args)) };
        match (&self.value, value) {
            (_, Datum::Null) => {}
            (Datum::Null, value) => self.value = value.clone(),
            (present, value) => self.value = (self.combine)(present, value).ok_or_else(|| mismatch(args))?,
        }
        Ok(())
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        Ok(vec![self.value.clone()])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        self.update(state)
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(self.value.clone())
    }
}

fn both(a: &Datum, b: &Datum) -> Option<Datum> {
    Some(match (a, b) {
        (Datum::Bool(a), Datum::Bool(b)) => Datum::Bool(*a && *b),
        (Datum::Int2(a), Datum::Int2(b)) => Datum::Int2(a & b),
        (Datum::Int4(a), Datum::Int4(b)) => Datum::Int4(a & b),
        (Datum::Int8(a), Datum::Int8(b)) => Datum::Int8(a & b),
        _ => return None,
    })
}

fn either(a: &Datum, b: &Datum) -> Option<Datum> {
    Some(match (a, b) {
        (Datum::Bool(a), Datum::Bool(b)) => Datum::Bool(*a || *b),
        (Datum::Int2(a), Datum::Int2(b)) => Datum::Int2(a | b),
        (Datum::Int4(a), Datum::Int4(b)) => Datum::Int4(a | b),
        (Datum::Int8(a), Datum::Int8(b)) => Datum::Int8(a | b),
        _ => return None,
    })
}

fn exactly_one(a: &Datum, b: &Datum) -> Option<Datum> {
    Some(match (a, b) {
        (Datum::Int2(a), Datum::Int2(b)) => Datum::Int2(a ^ b),
        (Datum::Int4(a), Datum::Int4(b)) => Datum::Int4(a ^ b),
        (Datum::Int8(a), Datum::Int8(b)) => Datum::Int8(a ^ b),
        _ => return None,
    })
}

macro_rules! folds {
    ($($name:literal $oid:ident $combine:ident;)*) => { &[$(
        aggregate($name, &[Oid::$oid], Oid::$oid, &[Oid::$oid], |_| Fold::boxed($combine)),
    )*] };
}

/// Logical and bitwise aggregates.
pub(in crate::functions) static LOGIC: &[Aggregate] = folds! {
    "bool_and" BOOL both;
    "every" BOOL both;
    "bool_or" BOOL either;
    "bit_and" INT2 both;
    "bit_and" INT4 both;
    "bit_and" INT8 both;
    "bit_or" INT2 either;
    "bit_or" INT4 either;
    "bit_or" INT8 either;
    "bit_xor" INT2 exactly_one;
    "bit_xor" INT4 exactly_one;
    "bit_xor" INT8 exactly_one;
};

//! Ordered-set aggregates: percentile_cont, percentile_disc and mode.
//!
//! They are called `f(direct …) WITHIN GROUP (ORDER BY value)`. Here they take the direct arguments and then the value,
//! and must be fed in the order of the value, which the ORDER BY of an aggregate call does.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::aggregate;
use crate::{
    Datum, Interval, Oid, SqlType, compare,
    functions::{Accumulator, Aggregate, array::list, value::mismatch},
};

const FRACTIONS: Oid = Oid(1022);

/// What is asked of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statistic {
    /// Between values.
    Continuous,
    /// One of the values.
    Discrete,
    /// The most frequent.
    Mode,
}

#[derive(Debug)]
struct Ordered {
    statistic: Statistic,
    element: Oid,
    /// The fraction or fractions, the same in every row.
    fraction: Datum,
    values: Vec<Datum>,
}

impl Ordered {
    fn boxed(statistic: Statistic, args: &[SqlType]) -> Box<dyn Accumulator> {
        let element = args.last().map_or(Oid::FLOAT8, |arg| arg.oid);
        Box::new(Self { statistic, element, fraction: Datum::Null, values: Vec::new() })
    }

    /// The value at a fraction; NULL for no fraction.
    fn at(&self, fraction: &Datum) -> SqlResult<Datum> {
        let Datum::Float8(fraction) = fraction else { return Ok(Datum::Null) };
        if !(0.0..=1.0).contains(fraction) {
            let message = format!("percentile value {fraction} is not between 0 and 1");
            return Err(SqlError::new(SqlState::NumericValueOutOfRange, message));
        }
        let count = self.values.len();
        if self.statistic == Statistic::Discrete {
            let place = (fraction * count as f64).ceil().max(1.0) as usize;
            return Ok(self.values[place - 1].clone());
        }
        let place = fraction * (count - 1) as f64;
        let (low, high) = (&self.values[place.floor() as usize], &self.values[place.ceil() as usize]);
        between(low, high, place - place.floor())
    }

    fn mode(&self) -> Datum {
        let (mut best, mut most, mut start) = (0, 0, 0);
        for at in 0..=self.values.len() {
            let ends = at == self.values.len() || !compare::equal(&self.values[at], &self.values[start]);
            if ends && at - start > most {
                (best, most) = (start, at - start);
            }
            if ends {
                start = at;
            }
        }
        self.values[best].clone()
    }
}

/// The point between two values.
fn between(low: &Datum, high: &Datum, share: f64) -> SqlResult<Datum> {
    match (low, high) {
        (Datum::Float8(low), Datum::Float8(high)) => Ok(Datum::Float8(low + share * (high - low))),
        (Datum::Interval(low), Datum::Interval(high)) => {
            let distance = Interval {
                months: high.months.wrapping_sub(low.months),
                days: high.days.wrapping_sub(low.days),
                micros: high.micros.wrapping_sub(low.micros),
            };
            distance.mul(share)?.add(low).map(Datum::Interval)
        }
        _ => Err(mismatch(&[low.clone(), high.clone()])),
    }
}

impl Accumulator for Ordered {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        let value = match args {
            [value] => value,
            [fraction, value] => {
                if self.values.is_empty() {
                    self.fraction = fraction.clone();
                }
                value
            }
            _ => return Err(mismatch(args)),
        };
        if !value.is_null() {
            self.values.push(value.clone());
        }
        Ok(())
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        let fraction = Arc::from([(Oid::FLOAT8, self.fraction.clone())]);
        Ok(vec![Datum::Record(fraction), Datum::Array(Arc::new(list(self.element, self.values.clone())))])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        let [Datum::Record(fraction), Datum::Array(other)] = state else { return Err(mismatch(state)) };
        if self.values.is_empty() {
            self.fraction = fraction.first().map_or(Datum::Null, |(_, fraction)| fraction.clone());
        }
        self.values.extend_from_slice(&other.values);
        // Two ordered lists one after the other are no ordered list.
        self.values.sort_by(compare::compare);
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        if self.values.is_empty() {
            return Ok(Datum::Null);
        }
        match &self.fraction {
            _ if self.statistic == Statistic::Mode => Ok(self.mode()),
            Datum::Array(fractions) => {
                let values = fractions.values.iter().map(|fraction| self.at(fraction)).collect::<SqlResult<_>>()?;
                Ok(Datum::Array(Arc::new(crate::ArrayValue {
                    element: self.element,
                    dims: fractions.dims.clone(),
                    values,
                })))
            }
            fraction => self.at(fraction),
        }
    }
}

const F: Oid = Oid::FLOAT8;
const I: Oid = Oid::INTERVAL;
const E: Oid = Oid::ANYELEMENT;
const STATE: &[Oid] = &[Oid::RECORD, Oid::ANYARRAY];

/// Ordered-set aggregates, apart from the others: only WITHIN GROUP calls them.
pub(in crate::functions) static ORDERED: &[Aggregate] = &[
    aggregate("percentile_cont", &[F, F], F, STATE, |args| Ordered::boxed(Statistic::Continuous, args)).lenient(),
    aggregate("percentile_cont", &[F, I], I, STATE, |args| Ordered::boxed(Statistic::Continuous, args)).lenient(),
    aggregate("percentile_cont", &[FRACTIONS, F], FRACTIONS, STATE, |args| Ordered::boxed(Statistic::Continuous, args))
        .lenient(),
    aggregate("percentile_cont", &[FRACTIONS, I], Oid(1187), STATE, |args| Ordered::boxed(Statistic::Continuous, args))
        .lenient(),
    aggregate("percentile_disc", &[F, E], E, STATE, |args| Ordered::boxed(Statistic::Discrete, args)).lenient(),
    aggregate("percentile_disc", &[FRACTIONS, E], Oid::ANYARRAY, STATE, |args| {
        Ordered::boxed(Statistic::Discrete, args)
    })
    .lenient(),
    aggregate("mode", &[E], E, STATE, |args| Ordered::boxed(Statistic::Mode, args)).lenient(),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, fraction: Option<Datum>, values: &[f64]) -> Datum {
        let function = ORDERED.iter().find(|function| function.name == name).expect("there is one");
        let mut accumulator = (function.accumulator)(&[SqlType::new(F), SqlType::new(F)]);
        for value in values {
            let args: Vec<Datum> = fraction.iter().cloned().chain([Datum::Float8(*value)]).collect();
            accumulator.update(&args).expect("takes the row");
        }
        accumulator.finish().expect("finishes")
    }

    #[test]
    fn percentiles_are_postgresqls() {
        let half = Some(Datum::Float8(0.5));
        assert!(matches!(run("percentile_cont", half.clone(), &[1.0, 2.0, 3.0, 10.0]), Datum::Float8(2.5)));
        assert!(matches!(run("percentile_disc", half.clone(), &[1.0, 2.0, 3.0, 10.0]), Datum::Float8(2.0)));
        assert!(matches!(run("percentile_disc", Some(Datum::Float8(0.0)), &[1.0, 2.0]), Datum::Float8(1.0)));
        assert!(matches!(run("percentile_cont", half, &[]), Datum::Null));
        assert!(matches!(run("mode", None, &[1.0, 2.0, 2.0, 3.0, 3.0]), Datum::Float8(2.0)));
    }
}

//! sum and avg.

use proto::SqlResult;
use sharddb_proto as proto;

use super::aggregate;
use crate::{
    Datum, Interval, Numeric, Oid,
    functions::{Accumulator, Aggregate, number::out_of_range, value::mismatch},
};

/// What is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// sum of smallint or integer: bigint.
    Int8,
    /// sum of bigint: numeric.
    Numeric,
    /// avg of integers: numeric.
    Average,
}

/// Sum of integers, exact in 128 bits.
#[derive(Debug)]
struct Integers {
    count: i64,
    sum: i128,
    outcome: Outcome,
}

impl Integers {
    fn boxed(outcome: Outcome) -> Box<dyn Accumulator> {
        Box::new(Self { count: 0, sum: 0, outcome })
    }
}

fn whole(digits: i128) -> Numeric {
    Numeric::Small { digits, scale: 0 }
}

impl Accumulator for Integers {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        self.sum += match args {
            [Datum::Int2(value)] => i128::from(*value),
            [Datum::Int4(value)] => i128::from(*value),
            [Datum::Int8(value)] => i128::from(*value),
            [Datum::Null] => return Ok(()),
            _ => return Err(mismatch(args)),
        };
        self.count += 1;
        Ok(())
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        Ok(vec![Datum::Int8(self.count), Datum::Numeric(whole(self.sum))])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        match state {
            [Datum::Int8(count), Datum::Numeric(Numeric::Small { digits, scale: 0 })] => {
                self.count += count;
                self.sum += digits;
                Ok(())
            }
            _ => Err(mismatch(state)),
        }
    }

    fn finish(&self) -> SqlResult<Datum> {
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        Ok(match self.outcome {
            Outcome::Int8 => Datum::Int8(i64::try_from(self.sum).map_err(|_| out_of_range("bigint"))?),
            Outcome::Numeric => Datum::Numeric(whole(self.sum)),
            Outcome::Average => Datum::Numeric(whole(self.sum).div(&self.count.into())?),
        })
    }
}

/// Sum or average of numeric.
#[derive(Debug)]
struct Numerics {
    count: i64,
    sum: Numeric,
    average: bool,
}

impl Numerics {
    fn boxed(average: bool) -> Box<dyn Accumulator> {
        Box::new(Self { count: 0, sum: Numeric::ZERO, average })
    }
}

impl Accumulator for Numerics {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        match args {
            [Datum::Numeric(value)] => {
                self.sum = self.sum.add(value)?;
                self.count += 1;
                Ok(())
            }
            [Datum::Null] => Ok(()),
            _ => Err(mismatch(args)),
        }
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        Ok(vec![Datum::Int8(self.count), Datum::Numeric(self.sum.clone())])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        let [Datum::Int8(count), Datum::Numeric(sum)] = state else { return Err(mismatch(state)) };
        self.count += count;
        self.sum = self.sum.add(sum)?;
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        match (self.count, self.average) {
            (0, _) => Ok(Datum::Null),
            (count, true) => self.sum.div(&count.into()).map(Datum::Numeric),
            (_, false) => Ok(Datum::Numeric(self.sum.clone())),
        }
    }
}

/// What a sum of floats is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FloatOutcome {
    Float4,
    Float8,
    Average,
}

/// Sum or average of floating point numbers. real is summed as real, as PostgreSQL does.
#[derive(Debug)]
struct Floats {
    count: i64,
    sum: f64,
    outcome: FloatOutcome,
}

impl Floats {
    fn boxed(outcome: FloatOutcome) -> Box<dyn Accumulator> {
        Box::new(Self { count: 0, sum: 0.0, outcome })
    }

    fn add(&mut self, value: f64) {
        self.sum += value;
        if self.outcome == FloatOutcome::Float4 {
            self.sum = f64::from(self.sum as f32);
        }
    }
}

impl Accumulator for Floats {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        match args {
            [Datum::Float4(value)] => self.add((*value).into()),
            [Datum::Float8(value)] => self.add(*value),
            [Datum::Null] => return Ok(()),
            _ => return Err(mismatch(args)),
        }
        self.count += 1;
        Ok(())
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        Ok(vec![Datum::Int8(self.count), Datum::Float8(self.sum)])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        let [Datum::Int8(count), Datum::Float8(sum)] = state else { return Err(mismatch(state)) };
        self.count += count;
        self.add(*sum);
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(match (self.count, self.outcome) {
            (0, _) => Datum::Null,
            (_, FloatOutcome::Float4) => Datum::Float4(self.sum as f32),
            (_, FloatOutcome::Float8) => Datum::Float8(self.sum),
            (count, FloatOutcome::Average) => Datum::Float8(self.sum / count as f64),
        })
    }
}

/// Sum or average of intervals.
#[derive(Debug)]
struct Intervals {
    count: i64,
    sum: Interval,
    average: bool,
}

impl Intervals {
    fn boxed(average: bool) -> Box<dyn Accumulator> {
        Box::new(Self { count: 0, sum: Interval::default(), average })
    }
}

impl Accumulator for Intervals {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        match args {
            [Datum::Interval(value)] => {
                self.sum = self.sum.add(value)?;
                self.count += 1;
                Ok(())
            }
            [Datum::Null] => Ok(()),
            _ => Err(mismatch(args)),
        }
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        Ok(vec![Datum::Int8(self.count), Datum::Interval(self.sum)])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        let [Datum::Int8(count), Datum::Interval(sum)] = state else { return Err(mismatch(state)) };
        self.count += count;
        self.sum = self.sum.add(sum)?;
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        match (self.count, self.average) {
            (0, _) => Ok(Datum::Null),
            (count, true) => self.sum.div(count as f64).map(Datum::Interval),
            (_, false) => Ok(Datum::Interval(self.sum)),
        }
    }
}

const COUNTED: &[Oid] = &[Oid::INT8, Oid::NUMERIC];
const COUNTED_FLOAT: &[Oid] = &[Oid::INT8, Oid::FLOAT8];
const COUNTED_INTERVAL: &[Oid] = &[Oid::INT8, Oid::INTERVAL];

/// sum
pub(in crate::functions) static SUM: &[Aggregate] = &[
    aggregate("sum", &[Oid::INT2], Oid::INT8, COUNTED, |_| Integers::boxed(Outcome::Int8)),
    aggregate("sum", &[Oid::INT4], Oid::INT8, COUNTED, |_| Integers::boxed(Outcome::Int8)),
    aggregate("sum", &[Oid::INT8], Oid::NUMERIC, COUNTED, |_| Integers::boxed(Outcome::Numeric)),
    aggregate("sum", &[Oid::NUMERIC], Oid::NUMERIC, COUNTED, |_| Numerics::boxed(false)),
    aggregate("sum", &[Oid::FLOAT4], Oid::FLOAT4, COUNTED_FLOAT, |_| Floats::boxed(FloatOutcome::Float4)),
    aggregate("sum", &[Oid::FLOAT8], Oid::FLOAT8, COUNTED_FLOAT, |_| Floats::boxed(FloatOutcome::Float8)),
    aggregate("sum", &[Oid::INTERVAL], Oid::INTERVAL, COUNTED_INTERVAL, |_| Intervals::boxed(false)),
];

/// avg
pub(in crate::functions) static AVERAGE: &[Aggregate] = &[
    aggregate("avg", &[Oid::INT2], Oid::NUMERIC, COUNTED, |_| Integers::boxed(Outcome::Average)),
    aggregate("avg", &[Oid::INT4], Oid::NUMERIC, COUNTED, |_| Integers::boxed(Outcome::Average)),
    aggregate("avg", &[Oid::INT8], Oid::NUMERIC, COUNTED, |_| Integers::boxed(Outcome::Average)),
    aggregate("avg", &[Oid::NUMERIC], Oid::NUMERIC, COUNTED, |_| Numerics::boxed(true)),
    aggregate("avg", &[Oid::FLOAT4], Oid::FLOAT8, COUNTED_FLOAT, |_| Floats::boxed(FloatOutcome::Average)),
    aggregate("avg", &[Oid::FLOAT8], Oid::FLOAT8, COUNTED_FLOAT, |_| Floats::boxed(FloatOutcome::Average)),
    aggregate("avg", &[Oid::INTERVAL], Oid::INTERVAL, COUNTED_INTERVAL, |_| Intervals::boxed(true)),
];

//! Variances and standard deviations, exact for integers and numeric.

use proto::SqlResult;
use sharddb_proto as proto;

use super::aggregate;
use crate::{
    Datum, Numeric, Oid, SqlType,
    functions::{Accumulator, Aggregate, value::mismatch},
};

/// Which of the four results is asked for.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// Divided by the count less one.
    sample: bool,
    /// The root is taken.
    deviation: bool,
}

impl Outcome {
    const VARIANCE: Self = Self { sample: true, deviation: false };
    const VARIANCE_POP: Self = Self { sample: false, deviation: false };
    const DEVIATION: Self = Self { sample: true, deviation: true };
    const DEVIATION_POP: Self = Self { sample: false, deviation: true };
}

/// Sums of values and of their squares.
#[derive(Debug)]
struct Exact {
    count: i64,
    sum: Numeric,
    squares: Numeric,
    outcome: Outcome,
}

impl Accumulator for Exact {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        let value = match args {
            [Datum::Int2(value)] => Numeric::from(i64::from(*value)),
            [Datum::Int4(value)] => Numeric::from(i64::from(*value)),
            [Datum::Int8(value)] => Numeric::from(*value),
            [Datum::Numeric(value)] => value.clone(),
            [Datum::Null] => return Ok(()),
            _ => return Err(mismatch(args)),
        };
        self.count += 1;
        self.sum = self.sum.add(&value)?;
        self.squares = self.squares.add(&value.mul(&value)?)?;
        Ok(())
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        Ok(vec![Datum::Int8(self.count), Datum::Numeric(self.sum.clone()), Datum::Numeric(self.squares.clone())])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        let [Datum::Int8(count), Datum::Numeric(sum), Datum::Numeric(squares)] = state else {
            return Err(mismatch(state));
        };
        self.count += count;
        self.sum = self.sum.add(sum)?;
        self.squares = self.squares.add(squares)?;
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        if self.count == 0 || (self.outcome.sample && self.count == 1) {
            return Ok(Datum::Null);
        }
        if matches!(self.squares, Numeric::NaN | Numeric::Infinity) {
            return Ok(Datum::Numeric(Numeric::NaN));
        }
        let count = Numeric::from(self.count);
        let spread = count.mul(&self.squares)?.sub(&self.sum.mul(&self.sum)?)?;
        if spread.signum() <= 0 {
            return Ok(Datum::Numeric(Numeric::ZERO));
        }
        let divisor = if self.outcome.sample { Numeric::from(self.count - 1) } else { count.clone() };
        let variance = spread.div(&count.mul(&divisor)?)?;
        if !self.outcome.deviation {
            return Ok(Datum::Numeric(variance));
        }
        Ok(Datum::Numeric(variance.sqrt_to_scale(variance.scale().into())))
    }
}

/// Count, sum, and sum of squared distances from the mean, kept by Youngs and Cramer's method.
#[derive(Debug)]
struct Floats {
    count: f64,
    sum: f64,
    spread: f64,
    outcome: Outcome,
}

impl Accumulator for Floats {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        let value = match args {
            [Datum::Float4(value)] => f64::from(*value),
            [Datum::Float8(value)] => *value,
            [Datum::Null] => return Ok(()),
            _ => return Err(mismatch(args)),
        };
        let before = self.count;
        self.count += 1.0;
        self.sum += value;
        if before > 0.0 {
            let distance = value * self.count - self.sum;
            self.spread += distance * distance / (self.count * before);
        }
        if !value.is_finite() {
            self.spread = f64::NAN;
        }
        Ok(())
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        Ok([self.count, self.sum, self.spread].map(Datum::Float8).to_vec())
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        let [Datum::Float8(count), Datum::Float8(sum), Datum::Float8(spread)] = state else {
            return Err(mismatch(state));
        };
        if *count == 0.0 {
            return Ok(());
        }
        if self.count == 0.0 {
            (self.count, self.sum, self.spread) = (*count, *sum, *spread);
            return Ok(());
        }
        let total = self.count + count;
        let distance = self.sum / self.count - sum / count;
        self.spread += spread + self.count * count * distance * distance / total;
        self.sum += sum;
        self.count = total;
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        let divisor = if self.outcome.sample { self.count - 1.0 } else { self.count };
        if divisor <= 0.0 {
            return Ok(Datum::Null);
        }
        let variance = self.spread / divisor;
        Ok(Datum::Float8(if self.outcome.deviation { variance.sqrt() } else { variance }))
    }
}

fn make(args: &[SqlType], outcome: Outcome) -> Box<dyn Accumulator> {
    match args.first().map(|arg| arg.oid) {
        Some(Oid::FLOAT4 | Oid::FLOAT8) => Box::new(Floats { count: 0.0, sum: 0.0, spread: 0.0, outcome }),
        _ => Box::new(Exact { count: 0, sum: Numeric::ZERO, squares: Numeric::ZERO, outcome }),
    }
}

const EXACT: &[Oid] = &[Oid::INT8, Oid::NUMERIC, Oid::NUMERIC];
const FLOATS: &[Oid] = &[Oid::FLOAT8; 3];

macro_rules! variances {
    ($($name:literal $outcome:ident;)*) => { &[$(
        aggregate($name, &[Oid::INT2], Oid::NUMERIC, EXACT, |args| make(args, Outcome::$outcome)),
        aggregate($name, &[Oid::INT4], Oid::NUMERIC, EXACT, |args| make(args, Outcome::$outcome)),
        aggregate($name, &[Oid::INT8], Oid::NUMERIC, EXACT, |args| make(args, Outcome::$outcome)),
        aggregate($name, &[Oid::NUMERIC], Oid::NUMERIC, EXACT, |args| make(args, Outcome::$outcome)),
        aggregate($name, &[Oid::FLOAT4], Oid::FLOAT8, FLOATS, |args| make(args, Outcome::$outcome)),
        aggregate($name, &[Oid::FLOAT8], Oid::FLOAT8, FLOATS, |args| make(args, Outcome::$outcome)),
    )*] };
}

/// The variance and stddev families.
pub(in crate::functions) static VARIANCE: &[Aggregate] = variances! {
    "variance" VARIANCE;
    "var_samp" VARIANCE;
    "var_pop" VARIANCE_POP;
    "stddev" DEVIATION;
    "stddev_samp" DEVIATION;
    "stddev_pop" DEVIATION_POP;
};

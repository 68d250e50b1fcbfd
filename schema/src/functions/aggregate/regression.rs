//! Covariance, correlation and linear regression over pairs (Y, X).

use proto::SqlResult;
use sharddb_proto as proto;

use super::aggregate;
use crate::{
    Datum, Oid,
    functions::{Accumulator, Aggregate, value::mismatch},
};

/// Count, sums, and sums of products of distances from the means.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    n: f64,
    x: f64,
    xx: f64,
    y: f64,
    yy: f64,
    xy: f64,
}

/// A statistic of the sums; `None` is NULL.
type Statistic = fn(&Sums) -> Option<Datum>;

#[derive(Debug)]
struct Pairs {
    sums: Sums,
    statistic: Statistic,
}

impl Accumulator for Pairs {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        let (y, x) = match args {
            [Datum::Float8(y), Datum::Float8(x)] => (*y, *x),
            [Datum::Null, _] | [_, Datum::Null] => return Ok(()),
            _ => return Err(mismatch(args)),
        };
        let sums = &mut self.sums;
        let before = sums.n;
        sums.n += 1.0;
        sums.x += x;
        sums.y += y;
        if before > 0.0 {
            let (dx, dy) = (x * sums.n - sums.x, y * sums.n - sums.y);
            let scale = 1.0 / (sums.n * before);
            sums.xx += dx * dx * scale;
            sums.yy += dy * dy * scale;
            sums.xy += dx * dy * scale;
        }
        if !x.is_finite() {
            (sums.xx, sums.xy) = (f64::NAN, f64::NAN);
        }
        if !y.is_finite() {
            (sums.yy, sums.xy) = (f64::NAN, f64::NAN);
        }
        Ok(())
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        let Sums { n, x, xx, y, yy, xy } = self.sums;
        Ok([n, x, xx, y, yy, xy].map(Datum::Float8).to_vec())
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        let mut numbers = [0.0; 6];
        if state.len() != numbers.len() {
            return Err(mismatch(state));
        }
        for (number, value) in numbers.iter_mut().zip(state) {
            let Datum::Float8(value) = value else { return Err(mismatch(state)) };
            *number = *value;
        }
        let [n, x, xx, y, yy, xy] = numbers;
        let other = Sums { n, x, xx, y, yy, xy };
        let sums = &mut self.sums;
        if other.n == 0.0 {
            return Ok(());
        }
        if sums.n == 0.0 {
            *sums = other;
            return Ok(());
        }
        let total = sums.n + other.n;
        let (dx, dy) = (sums.x / sums.n - other.x / other.n, sums.y / sums.n - other.y / other.n);
        let weight = sums.n * other.n / total;
        *sums = Sums {
            n: total,
            x: sums.x + other.x,
            xx: sums.xx + other.xx + weight * dx * dx,
            y: sums.y + other.y,
            yy: sums.yy + other.yy + weight * dy * dy,
            xy: sums.xy + other.xy + weight * dx * dy,
        };
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok((self.statistic)(&self.sums).unwrap_or(Datum::Null))
    }
}

fn float(value: f64) -> Option<Datum> {
    Some(Datum::Float8(value))
}

fn some(sums: &Sums, value: f64) -> Option<Datum> {
    (sums.n >= 1.0).then_some(Datum::Float8(value))
}

fn correlation(sums: &Sums) -> Option<Datum> {
    if sums.n < 1.0 || sums.xx == 0.0 || sums.yy == 0.0 {
        return None;
    }
    float(sums.xy / (sums.xx * sums.yy).sqrt())
}

fn determination(sums: &Sums) -> Option<Datum> {
    if sums.n < 1.0 || sums.xx == 0.0 {
        return None;
    }
    if sums.yy == 0.0 { float(1.0) } else { float(sums.xy * sums.xy / (sums.xx * sums.yy)) }
}

macro_rules! statistics {
    ($($name:literal $result:ident $statistic:expr;)*) => { &[$(
        aggregate($name, &[Oid::FLOAT8; 2], Oid::$result, &[Oid::FLOAT8; 6], |_| {
            Box::new(Pairs { sums: Sums::default(), statistic: $statistic })
        }),
    )*] };
}

/// Statistics of pairs.
pub(in crate::functions) static REGRESSION: &[Aggregate] = statistics! {
    "covar_pop" FLOAT8 |sums| some(sums, sums.xy / sums.n);
    "covar_samp" FLOAT8 |sums| (sums.n >= 2.0).then_some(Datum::Float8(sums.xy / (sums.n - 1.0)));
    "corr" FLOAT8 correlation;
    "regr_count" INT8 |sums| Some(Datum::Int8(sums.n as i64));
    "regr_sxx" FLOAT8 |sums| some(sums, sums.xx);
    "regr_syy" FLOAT8 |sums| some(sums, sums.yy);
    "regr_sxy" FLOAT8 |sums| some(sums, sums.xy);
    "regr_avgx" FLOAT8 |sums| some(sums, sums.x / sums.n);
    "regr_avgy" FLOAT8 |sums| some(sums, sums.y / sums.n);
    "regr_r2" FLOAT8 determination;
    "regr_slope" FLOAT8 |sums| if sums.n < 1.0 || sums.xx == 0.0 { None } else { float(sums.xy / sums.xx) };
    "regr_intercept" FLOAT8 |sums| {
        if sums.n < 1.0 || sums.xx == 0.0 { None } else { float((sums.y - sums.x * sums.xy / sums.xx) / sums.n) }
    };
};

//! count.

use proto::SqlResult;
use sharddb_proto as proto;

use super::aggregate;
use crate::{
    Datum, Oid,
    functions::{Accumulator, Aggregate, value::mismatch},
};

#[derive(Debug, Default)]
struct Count(i64);

impl Accumulator for Count {
    fn update(&mut self, _: &[Datum]) -> SqlResult<()> {
        self.0 += 1;
        Ok(())
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        Ok(vec![Datum::Int8(self.0)])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        let [Datum::Int8(other)] = state else { return Err(mismatch(state)) };
        self.0 += other;
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(Datum::Int8(self.0))
    }
}

/// count(*) and count(value).
pub(in crate::functions) static COUNT: &[Aggregate] = &[
    aggregate("count", &[], Oid::INT8, &[Oid::INT8], |_| Box::<Count>::default()),
    aggregate("count", &[Oid::ANY], Oid::INT8, &[Oid::INT8], |_| Box::<Count>::default()),
];

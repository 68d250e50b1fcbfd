//! string_agg and array_agg.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::aggregate;
use crate::{
    ArrayValue, Datum, Oid, SqlType,
    functions::{Accumulator, Aggregate, array::list, value::mismatch},
};

/// Every value with its separator before it; the first separator is cut off at the end, so that parts can be put
/// together in any grouping.
#[derive(Debug, Default)]
struct Strings {
    joined: Option<Vec<u8>>,
    first_separator: i32,
    binary: bool,
}

impl Strings {
    fn boxed(args: &[SqlType]) -> Box<dyn Accumulator> {
        let binary = args.first().is_some_and(|arg| arg.oid == Oid::BYTEA);
        Box::new(Self { binary, ..Self::default() })
    }

    fn datum(&self, bytes: &[u8]) -> SqlResult<Datum> {
        if self.binary {
            return Ok(Datum::Bytes(bytes.into()));
        }
        crate::wire::decode_utf8(bytes).map(Datum::text)
    }
}

fn bytes(value: &Datum) -> Option<&[u8]> {
    match value {
        Datum::Text(text) => Some(text.as_bytes()),
        Datum::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

impl Accumulator for Strings {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        let [value, separator] = args else { return Err(mismatch(args)) };
        let Some(value) = bytes(value) else { return Ok(()) };
        let separator = bytes(separator).unwrap_or_default();
        if self.joined.is_none() {
            self.first_separator = separator.len() as i32;
        }
        let joined = self.joined.get_or_insert_default();
        joined.extend_from_slice(separator);
        joined.extend_from_slice(value);
        Ok(())
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        let joined = self.joined.as_ref().map_or(Ok(Datum::Null), |joined| self.datum(joined))?;
        Ok(vec![joined, Datum::Int4(self.first_separator)])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        let [joined, Datum::Int4(first)] = state else { return Err(mismatch(state)) };
        let Some(other) = bytes(joined) else { return Ok(()) };
        if self.joined.is_none() {
            self.first_separator = *first;
        }
        self.joined.get_or_insert_default().extend_from_slice(other);
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        match &self.joined {
            None => Ok(Datum::Null),
            Some(joined) => self.datum(&joined[self.first_separator as usize..]),
        }
    }
}

/// The values, NULLs among them, in the order in which they come.
#[derive(Debug)]
struct Values {
    element: Oid,
    values: Vec<Datum>,
}

impl Accumulator for Values {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        self.values.extend_from_slice(args);
        Ok(())
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        Ok(vec![Datum::Array(Arc::new(list(self.element, self.values.clone())))])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        let [Datum::Array(other)] = state else { return Err(mismatch(state)) };
        self.values.extend_from_slice(&other.values);
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        if self.values.is_empty() {
            return Ok(Datum::Null);
        }
        Ok(Datum::Array(Arc::new(list(self.element, self.values.clone()))))
    }
}

/// Arrays of equal dimensions become one of one dimension more.
#[derive(Debug, Default)]
struct Arrays {
    dims: Option<Vec<(i32, i32)>>,
    count: i32,
    element: Oid,
    values: Vec<Datum>,
}

impl Arrays {
    fn value(&self) -> Datum {
        let Some(inner) = &self.dims else { return Datum::Null };
        let mut dims = vec![(self.count, 1)];
        dims.extend_from_slice(inner);
        Datum::Array(Arc::new(ArrayValue { element: self.element, dims, values: self.values.clone() }))
    }

    fn add(&mut self, dims: &[(i32, i32)], count: i32, element: Oid, values: &[Datum]) -> SqlResult<()> {
        if self.dims.as_ref().is_some_and(|known| known != dims) {
            let message = "cannot accumulate arrays of different dimensionality";
            return Err(SqlError::new(SqlState::ArraySubscriptError, message));
        }
        self.dims = Some(dims.to_vec());
        self.element = element;
        self.count += count;
        self.values.extend_from_slice(values);
        Ok(())
    }
}

impl Accumulator for Arrays {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        let invalid = |message: &str| SqlError::new(SqlState::ArraySubscriptError, message);
        match args {
            [Datum::Null] => Err(SqlError::new(SqlState::NullValueNotAllowed, "cannot accumulate null arrays")),
            [Datum::Array(array)] if array.dims.is_empty() => Err(invalid("cannot accumulate empty arrays")),
            [Datum::Array(array)] => self.add(&array.dims, 1, array.element, &array.values),
            _ => Err(mismatch(args)),
        }
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        Ok(vec![self.value()])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        match state {
            [Datum::Null] => Ok(()),
            [Datum::Array(other)] => match other.dims.split_first() {
                None => Ok(()),
                Some(((count, _), inner)) => self.add(inner, *count, other.element, &other.values),
            },
            _ => Err(mismatch(state)),
        }
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(self.value())
    }
}

/// Aggregates that keep what they are given.
pub(in crate::functions) static COLLECT: &[Aggregate] = &[
    aggregate("string_agg", &[Oid::TEXT; 2], Oid::TEXT, &[Oid::TEXT, Oid::INT4], Strings::boxed).lenient(),
    aggregate("string_agg", &[Oid::BYTEA; 2], Oid::BYTEA, &[Oid::BYTEA, Oid::INT4], Strings::boxed).lenient(),
    aggregate("array_agg", &[Oid::ANYNONARRAY], Oid::ANYARRAY, &[Oid::ANYARRAY], |args| {
        let element = args.first().map_or(Oid::TEXT, |arg| arg.oid);
        Box::new(Values { element, values: Vec::new() })
    })
    .lenient(),
    aggregate("array_agg", &[Oid::ANYARRAY], Oid::ANYARRAY, &[Oid::ANYARRAY], |_| Box::<Arrays>::default()).lenient(),
];

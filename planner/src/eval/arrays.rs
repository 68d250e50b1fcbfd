//! Arrays: constructors, subscripts, ANY and ALL.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use schema::{ArrayValue, Datum, SqlType, functions::Function};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::Evaluation;
use crate::plan::Expr;

type Bounds = (Option<Expr>, Option<Option<Expr>>);

impl Evaluation<'_> {
    pub(super) fn quantified(
        &self,
        input: &Expr,
        array: &Expr,
        operator: &'static Function,
        all: bool,
    ) -> SqlResult<Datum> {
        let (input, array) = (self.value(input)?, self.value(array)?);
        let Datum::Array(array) = array else { return Ok(Datum::Null) };
        // ANY is decided by a true, ALL by a false.
        let decisive = !all;
        let mut unknown = false;
        for item in &array.values {
            if operator.strict && (input.is_null() || item.is_null()) {
                unknown = true;
                continue;
            }
            match (operator.eval)(self.context, &[input.clone(), item.clone()])? {
                Datum::Bool(truth) if truth == decisive => return Ok(Datum::Bool(decisive)),
                Datum::Bool(_) => {}
                _ => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(all) })
    }

    pub(super) fn array(&self, elements: &[Expr], sql_type: SqlType) -> SqlResult<Datum> {
        let values = elements.iter().map(|element| self.value(element)).collect::<SqlResult<Vec<_>>>()?;
        let element = sql_type.oid.element_type().ok_or_else(|| SqlError::internal("an array of no array type"))?;
        let nested = elements.first().is_some_and(|first| first.sql_type().oid.element_type().is_some());
        let array = match (nested, values.is_empty()) {
            (_, true) => ArrayValue { element, dims: Vec::new(), values },
            (false, false) => ArrayValue { element, dims: vec![(length(values.len())?, 1)], values },
            (true, false) => stack(element, &values)?,
        };
        Ok(Datum::Array(Arc::new(array)))
    }

    pub(super) fn subscript(&self, array: &Expr, indexes: &[Bounds]) -> SqlResult<Datum> {
        let Datum::Array(array) = self.value(array)? else { return Ok(Datum::Null) };
        let mut bounds = Vec::with_capacity(indexes.len());
        let slice = indexes.iter().any(|(_, upper)| upper.is_some());
        for (at, (lower, upper)) in indexes.iter().enumerate() {
            let (first, last) = array.dims.get(at).map_or((1, 0), |(length, lower)| (*lower, lower + length - 1));
            let lower = lower.as_ref().map(|lower| self.index(lower)).transpose()?;
            let upper = match upper {
                Some(upper) => upper.as_ref().map(|upper| self.index(upper)).transpose()?,
                // In a slice, a plain index n means 1:n.
                None if slice => lower,
                None => None,
            };
            let from_one = slice && indexes[at].1.is_none();
            match (lower, upper) {
                (Some(None), _) | (_, Some(None)) => return Ok(Datum::Null),
                (lower, upper) => {
                    let lower = if from_one { Some(1) } else { lower.flatten() };
                    bounds.push((lower.unwrap_or(first), upper.flatten().unwrap_or(last)));
                }
            }
        }
        if slice { Ok(cut(&array, &bounds)) } else { Ok(element(&array, &bounds)) }
    }

    fn index(&self, expr: &Expr) -> SqlResult<Option<i32>> {
        match self.value(expr)? {
            Datum::Int4(index) => Ok(Some(index)),
            _ => Ok(None),
        }
    }
}

fn length(length: usize) -> SqlResult<i32> {
    i32::try_from(length)
        .map_err(|_| SqlError::new(SqlState::ProgramLimitExceeded, "array size exceeds the maximum allowed"))
}

/// An array of arrays, which must have the same dimensions.
fn stack(element: schema::Oid, parts: &[Datum]) -> SqlResult<ArrayValue> {
    let mismatch = || {
        let message = "multidimensional arrays must have array expressions with matching dimensions";
        SqlError::new(SqlState::ArraySubscriptError, message)
    };
    let mut dims = Vec::new();
    let mut values = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let Datum::Array(part) = part else { return Err(mismatch()) };
        if at == 0 {
            dims.clone_from(&part.dims);
        } else if dims != part.dims {
            return Err(mismatch());
        }
        values.extend(part.values.iter().cloned());
    }
    if dims.is_empty() {
        return Ok(ArrayValue { element, dims, values });
    }
    dims.insert(0, (length(parts.len())?, 1));
    Ok(ArrayValue { element, dims, values })
}

/// One element; NULL outside of the array and for the wrong number of subscripts.
fn element(array: &ArrayValue, bounds: &[(i32, i32)]) -> Datum {
    if bounds.len() != array.dims.len() {
        return Datum::Null;
    }
    let mut place = 0usize;
    for ((index, _), (length, lower)) in bounds.iter().zip(&array.dims) {
        match index.checked_sub(*lower) {
            Some(offset) if (0..*length).contains(&offset) => {
                place = place * usize::try_from(*length).unwrap_or(0) + usize::try_from(offset).unwrap_or(0);
            }
            _ => return Datum::Null,
        }
    }
    array.values.get(place).cloned().unwrap_or(Datum::Null)
}

/// A slice; dimensions that are not given are kept whole.
fn cut(array: &ArrayValue, bounds: &[(i32, i32)]) -> Datum {
    let empty = || Datum::Array(Arc::new(ArrayValue { element: array.element, dims: Vec::new(), values: Vec::new() }));
    if bounds.len() > array.dims.len() {
        return empty();
    }
    // Offsets kept in each dimension.
    let mut ranges = Vec::with_capacity(array.dims.len());
    for (at, (length, lower)) in array.dims.iter().enumerate() {
        let (from, to) = bounds.get(at).copied().unwrap_or((*lower, lower + length - 1));
        let (from, to) = (from.max(*lower), to.min(lower + length - 1));
        if from > to {
            return empty();
        }
        ranges.push((from - lower)..(to - lower + 1));
    }
    let kept = |mut place: usize| {
        for ((length, _), range) in array.dims.iter().zip(&ranges).rev() {
            let length = usize::try_from(*length).unwrap_or(1).max(1);
            if !range.contains(&i32::try_from(place % length).unwrap_or(-1)) {
                return false;
            }
            place /= length;
        }
        true
    };
    let values = array.values.iter().enumerate().filter(|(place, _)| kept(*place)).map(|(_, value)| value.clone());
    let dims = ranges.iter().map(|range| (range.end - range.start, 1)).collect();
    Datum::Array(Arc::new(ArrayValue { element: array.element, dims, values: values.collect() }))
}

//! What a scalar function computes, over datums.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use schema::{
    Datum, SqlType,
    functions::{CastContext, EvalContext, Function, Volatility},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::array;
use crate::registry;

/// One dimension of a subscript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptKind {
    /// An expression for the index or lower bound is among the arguments.
    pub lower: bool,
    /// An expression for the upper bound is among the arguments.
    pub upper: bool,
}

/// A scalar operation. Arguments come in the order of the doc line.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A built-in function or operator.
    Call(&'static Function),
    /// Converts its argument to the result type.
    Cast(CastContext),
    /// A value of equal order and equality that DataFusion compares natively (see `keys`).
    Key,
    /// `left IS DISTINCT FROM right` by an equality function, or NOT DISTINCT with `negated`.
    IsDistinct {
        /// Equality.
        equal: &'static Function,
        /// IS NOT DISTINCT FROM.
        negated: bool,
    },
    /// `input IN (items …)`.
    InList {
        /// Equality.
        equal: &'static Function,
        /// NOT IN.
        negated: bool,
    },
    /// `input op ANY / ALL (array)`.
    Quantified {
        /// The operator on (input, element).
        operator: &'static Function,
        /// ALL.
        all: bool,
    },
    /// `ARRAY[items …]`.
    Array,
    /// `array[…]`: the array, then the bounds there are.
    Subscript {
        /// Dimensions.
        indexes: Vec<SubscriptKind>,
        /// `a[i:j]`: the result is an array.
        slice: bool,
    },
    /// `ROW(items …)`.
    Row,
    /// Fails when evaluated: an error found while a constant part was computed ahead.
    Raise(SqlError),
}

impl Operation {
    /// Shown in plans, and told apart by DataFusion when it compares expressions by name.
    pub fn name(&self, args: &[SqlType], result: SqlType) -> String {
        match self {
            Self::Call(function) => function.name.to_owned(),
            Self::Cast(context) => {
                let from = args.first().map_or(0, |arg| arg.oid.0);
                let kind = match context {
                    CastContext::Implicit => "cast",
                    CastContext::Assignment => "assign",
                    CastContext::Explicit => "convert",
                };
                format!("{kind}_{from}_{}_{}", result.oid, result.modifier)
            }
            Self::Key => format!("key_{}", result.oid),
            Self::IsDistinct { equal, negated } => {
                format!("{}_{}", if *negated { "not_distinct" } else { "distinct" }, equal.name)
            }
            Self::InList { equal, negated } => format!("{}_{}", if *negated { "not_in" } else { "in" }, equal.name),
            Self::Quantified { operator, all } => format!("{}_{}", if *all { "all" } else { "any" }, operator.name),
            Self::Array => "array".to_owned(),
            Self::Subscript { indexes, .. } => {
                let dims = indexes.iter().map(|d| match (d.lower, d.upper) {
                    (true, true) => "b",
                    (true, false) => "l",
                    (false, true) => "u",
                    (false, false) => "n",
                });
                format!("subscript_{}", dims.collect::<String>())
            }
            Self::Row => "row".to_owned(),
            Self::Raise(_) => "raise".to_owned(),
        }
    }

    /// What it depends on.
    pub fn volatility(&self) -> Volatility {
        match self {
            Self::Call(function) => function.volatility,
            // Many casts depend on the session's time zone or DateStyle; one that does not is merely folded later.
            Self::Cast(_) => Volatility::Stable,
            Self::IsDistinct { equal: function, .. }
            | Self::InList { equal: function, .. }
            | Self::Quantified { operator: function, .. } => function.volatility,
            Self::Key | Self::Array | Self::Subscript { .. } | Self::Row => Volatility::Immutable,
            // Volatile, so that it is neither folded nor evaluated before its turn.
            Self::Raise(_) => Volatility::Volatile,
        }
    }

    /// NULL in any argument gives NULL without evaluation.
    pub fn is_strict(&self) -> bool {
        match self {
            Self::Call(function) => function.strict,
            Self::Cast(_) | Self::Key | Self::Subscript { .. } => true,
            Self::IsDistinct { .. } | Self::InList { .. } | Self::Quantified { .. } => false,
            Self::Array | Self::Row | Self::Raise(_) => false,
        }
    }

    /// Evaluates one row.
    pub fn eval(&self, context: &EvalContext, types: &[SqlType], args: &[Datum], result: SqlType) -> SqlResult<Datum> {
        match self {
            Self::Call(function) => (function.eval)(context, args),
            Self::Cast(kind) => registry::cast(context, &args[0], types[0], result, *kind),
            Self::Key => Err(SqlError::internal("keys are made column-wise")),
            Self::IsDistinct { equal, negated } => {
                let distinct = match (args[0].is_null(), args[1].is_null()) {
                    (true, true) => false,
                    (false, false) => !is_true(&(equal.eval)(context, args)?),
                    _ => true,
                };
                Ok(Datum::Bool(distinct != *negated))
            }
            Self::InList { equal, negated } => {
                let (input, list) = args.split_first().ok_or_else(|| SqlError::internal("IN without input"))?;
                let found = any(list, |item| apply(context, equal, input, item))?;
                Ok(if *negated { not(found) } else { found })
            }
            Self::Quantified { operator, all } => quantified(context, operator, *all, args),
            Self::Array => array::construct(args, result),
            Self::Subscript { indexes, slice } => array::subscript(args, indexes, *slice),
            Self::Row => Ok(Datum::Record(types.iter().map(|t| t.oid).zip(args.iter().cloned()).collect::<Arc<[_]>>())),
            Self::Raise(error) => Err(error.clone()),
        }
    }
}

impl PartialEq for Operation {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &'static Function, b: &'static Function| std::ptr::eq(a, b);
        match (self, other) {
            (Self::Call(a), Self::Call(b)) => same(a, b),
            (Self::Cast(a), Self::Cast(b)) => a == b,
            (Self::IsDistinct { equal: a, negated: n }, Self::IsDistinct { equal: b, negated: m }) => {
                same(a, b) && n == m
            }
            (Self::InList { equal: a, negated: n }, Self::InList { equal: b, negated: m }) => same(a, b) && n == m,
            (Self::Quantified { operator: a, all: n }, Self::Quantified { operator: b, all: m }) => {
                same(a, b) && n == m
            }
            (Self::Subscript { indexes: a, slice: n }, Self::Subscript { indexes: b, slice: m }) => a == b && n == m,
            (Self::Raise(a), Self::Raise(b)) => a == b,
            (Self::Key, Self::Key) | (Self::Array, Self::Array) | (Self::Row, Self::Row) => true,
            _ => false,
        }
    }
}

fn is_true(value: &Datum) -> bool {
    matches!(value, Datum::Bool(true))
}

fn not(value: Datum) -> Datum {
    match value {
        Datum::Bool(v) => Datum::Bool(!v),
        other => other,
    }
}

/// An operator on two values, NULL if it is strict and one is NULL.
fn apply(context: &EvalContext, function: &Function, left: &Datum, right: &Datum) -> SqlResult<Datum> {
    if function.strict && (left.is_null() || right.is_null()) {
        return Ok(Datum::Null);
    }
    (function.eval)(context, &[left.clone(), right.clone()])
}

/// Three-valued OR over items.
fn any(items: &[Datum], mut test: impl FnMut(&Datum) -> SqlResult<Datum>) -> SqlResult<Datum> {
    let mut result = Datum::Bool(false);
    for item in items {
        match test(item)? {
            Datum::Bool(true) => return Ok(Datum::Bool(true)),
            Datum::Null => result = Datum::Null,
            _ => {}
        }
    }
    Ok(result)
}

fn quantified(context: &EvalContext, operator: &'static Function, all: bool, args: &[Datum]) -> SqlResult<Datum> {
    let [input, array] = args else { return Err(SqlError::internal("quantified operator without operands")) };
    let values = match array {
        Datum::Null => return Ok(Datum::Null),
        Datum::Array(array) => &array.values,
        _ => return Err(SqlError::new(SqlState::WrongObjectType, "op ANY/ALL (array) requires array on right side")),
    };
    if all {
        let violated = any(values, |item| Ok(not(apply(context, operator, input, item)?)))?;
        return Ok(not(violated));
    }
    any(values, |item| apply(context, operator, input, item))
}

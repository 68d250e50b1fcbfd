//! PostgreSQL's aggregates as DataFusion aggregate functions.
//!
//! A [`PgAggregate`] names a built-in aggregate with the types of its arguments and result. The arguments may be
//! followed by sort keys (ORDER BY inside the call), which the aggregate sorts by itself; so is DISTINCT handled here.
//! Running state is a [`Groups`]: typed vectors for hot aggregates (`native`), one built-in accumulator a group for
//! the others (`rowwise`), collected rows for DISTINCT and ORDER BY (`collected`).

mod adapter;
mod collected;
mod first;
mod native;
mod rowwise;
mod typed;

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, BooleanArray},
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::Result,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::{AggregateOrderSensitivity, format_state_name},
    },
};
use schema::{SqlType, functions::Aggregate};
use sharddb_schema as schema;

use self::adapter::{GroupsAdapter, SingleAdapter, SlidingAdapter};
pub use self::first::FIRST;
pub(crate) use self::first::FIRST_KEY;
use crate::types::arrow_type;

/// The states of one aggregate for many groups.
pub(crate) trait Groups: Send + fmt::Debug {
    /// Makes room for this many groups.
    fn resize(&mut self, groups: usize);
    /// Adds each row that passes the filter to its group.
    fn update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> Result<()>;
    /// Adds states of another instance.
    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()>;
    /// The states of some groups.
    fn state(&self, range: Range<usize>) -> Result<Vec<ArrayRef>>;
    /// The results of some groups.
    fn result(&self, range: Range<usize>) -> Result<ArrayRef>;
    /// Forgets the first groups; the others move down.
    fn drop_first(&mut self, groups: usize);
    /// Number of groups.
    fn groups(&self) -> usize;
    /// Bytes held.
    fn size(&self) -> usize;
    /// The same aggregate without groups.
    fn fresh(&self) -> Box<dyn Groups>;
}

/// Direction of a sort key inside an aggregate call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallOrder {
    /// DESC
    pub descending: bool,
    /// NULLS FIRST
    pub nulls_first: bool,
}

/// What identifies an aggregate call.
#[derive(Clone, Debug)]
pub struct AggregateSpec {
    /// Which aggregate.
    pub function: &'static Aggregate,
    /// Types of its arguments, then of the sort keys.
    pub args: Vec<SqlType>,
    /// Result type.
    pub result: SqlType,
    /// DISTINCT.
    pub distinct: bool,
    /// One for each sort key at the end of the arguments.
    pub order: Vec<CallOrder>,
}

impl AggregateSpec {
    /// Number of arguments proper.
    pub fn arity(&self) -> usize {
        self.args.len() - self.order.len()
    }

    fn groups(&self) -> Box<dyn Groups> {
        if self.distinct || !self.order.is_empty() {
            return Box::new(collected::Collected::new(self.clone()));
        }
        if std::ptr::eq(self.function, &raw const FIRST) {
            return Box::new(first::First::new(self.result.oid));
        }
        native::find(self)
            .or_else(|| typed::find(self))
            .unwrap_or_else(|| Box::new(rowwise::Rowwise::new(self.clone())))
    }

    fn state_types(&self) -> Vec<DataType> {
        if self.distinct || !self.order.is_empty() {
            return vec![DataType::Binary];
        }
        if std::ptr::eq(self.function, &raw const FIRST) {
            return vec![arrow_type(self.result.oid)];
        }
        native::state_types(self)
            .or_else(|| typed::state_types(self))
            .unwrap_or_else(|| self.function.state.iter().map(|oid| arrow_type(*oid)).collect())
    }
}

/// An aggregate as a DataFusion function.
#[derive(Debug)]
pub struct PgAggregate {
    spec: AggregateSpec,
    name: String,
    signature: Signature,
}

impl PgAggregate {
    /// The function for a call.
    pub fn new(spec: AggregateSpec) -> Self {
        let mut name = spec.function.name.to_owned();
        if spec.distinct {
            name.push_str("_distinct");
        }
        for order in &spec.order {
            name.push_str(if order.descending { "_desc" } else { "_asc" });
        }
        Self { spec, name, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// The same as a shared DataFusion function.
    pub fn into_udf(self) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::new_from_impl(self))
    }

    /// What it computes.
    pub fn spec(&self) -> &AggregateSpec {
        &self.spec
    }
}

impl PartialEq for PgAggregate {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.spec.function, other.spec.function)
            && self.spec.args == other.spec.args
            && self.spec.result == other.spec.result
            && self.spec.distinct == other.spec.distinct
            && self.spec.order == other.spec.order
    }
}

impl Eq for PgAggregate {}

impl Hash for PgAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.spec.args.hash(state);
    }
}

impl AggregateUDFImpl for PgAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(self.spec.result.oid))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SingleAdapter::new(self.spec.groups())))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let types = self.spec.state_types().into_iter().enumerate();
        let field = |(at, data_type)| {
            Arc::new(Field::new(format_state_name(args.name, &format!("state{at}")), data_type, true))
        };
        Ok(types.map(field).collect())
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(GroupsAdapter::new(self.spec.groups())))
    }

    fn create_sliding_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SlidingAdapter::new(self.spec.groups())))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

//! Operators that DataFusion does not have, or has with other semantics than PostgreSQL's.
//!
//! Each is an [`Operator`]: a function from input streams to an output stream. [`OperatorExec`] makes it a node of a
//! physical plan.

mod apply;
mod compare;
mod dedup;
mod exec;
mod limit_ties;
mod lookup;
mod nested_loop;
mod project_set;
mod recursive;
mod rows;
mod set_operation;
mod shared;
mod window;

pub(super) use apply::{Apply, Ask, Subplan, SubqueryColumn, array_value, single_value};
pub(super) use compare::Comparison;
pub(super) use dedup::Dedup;
pub(super) use exec::{Inputs, Operator, OperatorExec};
pub(super) use limit_ties::LimitTies;
pub(super) use lookup::{KEPT, KEYS_MAX, Lookup, LookupKey, LookupSpec};
pub(super) use nested_loop::NestedLoop;
pub(super) use project_set::{ProjectSet, SetFunctionCall};
pub(super) use recursive::Recursive;
pub(super) use rows::{Append, Lateral, ValuesRows, VirtualRows, batch_of};
pub(super) use set_operation::SetOperation;
pub(super) use shared::{Shared, SharedScan};
pub(super) use window::{Bound, Frame, RangeOrder, Window, WindowColumn};

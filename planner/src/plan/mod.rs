//! The bound form of a statement: names resolved, types decided, conversions explicit.
//!
//! `bind` makes it from the syntax tree; the executor runs it, either directly (keyed path) or through
//! DataFusion (general path). It knows PostgreSQL's types and functions and nothing of Arrow, keys or shards.

mod ddl;
mod dml;
mod expr;
mod query;
mod statement;

pub use ddl::*;
pub use dml::{ConflictAction, ConflictTarget, Delete, Insert, InsertSource, Returning, Update};
pub use expr::{AggregateCall, Expr, FrameBound, FrameUnit, SubqueryKind, WindowCall, WindowFrame, WindowFunction};
pub use query::{
    Cte, Field, JoinKind, LockStrength, LockWait, Query, Relation, RowLock, SetOperator, SortKey, TableScan, fields_of,
};
pub use statement::{
    AlterSystem, CopyFormat, CopyFrom, CopyOptions, CopyTo, Explain, IsolationLevel, NodeAction, Statement,
    TransactionMode, WithChanges,
};

//! PostgreSQL's types, values and functions, and the catalog's descriptors.
//!
//! Shared by the planner, which decides types, and by shards, which decode rows. Pure: no I/O, no clock.

pub mod builtin;
pub mod cast;
mod catalog;
pub mod compare;
pub mod datetime;
mod datum;
mod descriptor;
pub mod functions;
mod interval;
pub mod key;
mod numeric;
pub mod row;
mod settings;
pub mod text;
mod types;
pub mod wire;

pub use catalog::{Catalog, Descriptor};
pub use datum::{ArrayValue, Datum};
pub use descriptor::{
    ColumnDescriptor, ColumnId, ColumnStatistics, ConstraintDescriptor, ConstraintKind, DatabaseDescriptor, Deferrable,
    Identity, IndexColumn, IndexDescriptor, IndexId, IndexState, ReferentialAction, RoleDescriptor, SchemaDescriptor,
    SequenceDescriptor, Sharding, TableDescriptor, TableStatistics, ViewDescriptor,
};
pub use interval::Interval;
pub use numeric::Numeric;
pub use settings::{DateOrder, DateStyle, FormatSettings, IntervalStyle, TimeZone};
pub use types::{Category, Oid, SqlType, TypeInfo, all_types};

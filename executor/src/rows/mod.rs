//! Rows as keys and values: scanning a table, index entries, and writing rows with their constraints.
//!
//! Below statements and above `kv`: used by DML, DDL, COPY and the keyed path. Works on datums in table order.

mod entries;
mod messages;
mod references;
mod scan;
mod writer;

pub(crate) use entries::{Entry, IndexPlan, index_plans};
pub(crate) use messages::{describe_key, duplicate_key};
pub(crate) use references::ForeignKey;
pub(crate) use scan::TableScanner;
pub(crate) use writer::{NewRow, RowChange, TableWriter, WriteEnv, new_row_id};

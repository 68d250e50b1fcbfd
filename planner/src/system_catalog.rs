//! Columns of the virtual tables of `pg_catalog`, `information_schema` and `sharddb`.

use schema::{Oid, SqlType};
use sharddb_schema as schema;

/// A table that the executor fills.
#[derive(Debug)]
pub struct VirtualTable {
    /// Its schema.
    pub schema: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its OID in `pg_class`.
    pub oid: Oid,
    /// Names and types of its columns.
    pub columns: &'static [(&'static str, SqlType)],
}

/// The virtual table of this name.
pub fn virtual_table(_schema: &str, _name: &str) -> Option<&'static VirtualTable> {
    None
}

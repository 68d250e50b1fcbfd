//! Columns of the virtual tables of `pg_catalog`, `information_schema` and `sharddb`.
//!
//! Names, types and OIDs are PostgreSQL 15's, so that clients which know them find what they expect. Types that do not
//! exist here (ACL items, expression trees, domains) stand as text or as the domain's base type. The executor fills the
//! tables.

use std::{collections::HashMap, sync::LazyLock};

use schema::{Oid, SqlType, all_types};
use sharddb_schema as schema;

/// Schema, table, OID, column, type and `not null`, separated by tabs; columns of a table follow each other.
const COLUMNS: &str = include_str!("columns.tsv");

/// A table that the executor fills.
#[derive(Debug)]
pub struct VirtualTable {
    /// Its schema.
    pub schema: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its OID in `pg_class`.
    pub oid: Oid,
    /// Its columns in order.
    pub columns: Vec<VirtualColumn>,
}

/// A column of a virtual table.
#[derive(Clone, Debug)]
pub struct VirtualColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub sql_type: SqlType,
    /// Never NULL.
    pub not_null: bool,
}

/// Tables by name; a few names occur in two schemas.
static TABLES: LazyLock<HashMap<&'static str, Vec<VirtualTable>>> = LazyLock::new(|| {
    let types: HashMap<&str, Oid> = all_types().map(|info| (info.name, info.oid)).collect();
    let mut tables: HashMap<&str, Vec<VirtualTable>> = HashMap::new();
    for line in COLUMNS.lines() {
        let mut parts = line.split('\t');
        let mut part = || parts.next().unwrap_or_default();
        let (schema, name, oid, column, type_name, null) = (part(), part(), part(), part(), part(), part());
        let oid = Oid(oid.parse().unwrap_or_default());
        let sql_type = SqlType::new(types.get(type_name).copied().unwrap_or(Oid::TEXT));
        let named = tables.entry(name).or_default();
        if named.last().is_none_or(|table| table.schema != schema) {
            named.push(VirtualTable { schema, name, oid, columns: Vec::new() });
        }
        let column = VirtualColumn { name: column, sql_type, not_null: null == "not null" };
        named.iter_mut().filter(|table| table.schema == schema).for_each(|table| table.columns.push(column.clone()));
    }
    tables
});

/// The virtual table of this name.
pub fn virtual_table(schema: &str, name: &str) -> Option<&'static VirtualTable> {
    TABLES.get(name)?.iter().find(|table| table.schema == schema)
}

static BY_OID: LazyLock<HashMap<Oid, &'static VirtualTable>> =
    LazyLock::new(|| virtual_tables().map(|table| (table.oid, table)).collect());

/// The virtual table with this OID.
pub fn virtual_table_by_oid(oid: Oid) -> Option<&'static VirtualTable> {
    BY_OID.get(&oid).copied()
}

/// Every virtual table.
pub fn virtual_tables() -> impl Iterator<Item = &'static VirtualTable> {
    TABLES.values().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_known_type() {
        let names: Vec<&str> = all_types().map(|info| info.name).collect();
        for line in COLUMNS.lines() {
            let parts: Vec<&str> = line.split('\t').collect();
            assert_eq!(parts.len(), 6, "{line}");
            assert!(names.contains(&parts[4]), "{line}");
        }
        let class = virtual_table("pg_catalog", "pg_class").expect("the table is there");
        assert_eq!((class.oid, class.columns[1].name), (Oid(1259), "relname"));
    }
}

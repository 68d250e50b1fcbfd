//! Partitioned tables, of which there are none: no relation has ancestors.

use super::{column, rows, set};
use crate::{
    Oid, SqlType,
    functions::{SetFunction, Volatility},
};

const fn none(name: &'static str, result: Oid, columns: fn(&[SqlType]) -> Vec<(String, SqlType)>) -> SetFunction {
    SetFunction {
        volatility: Volatility::Volatile,
        ..set(name, &[Oid::REGCLASS], result, columns, |_, _| Ok(rows([])))
    }
}

fn tree(_: &[SqlType]) -> Vec<(String, SqlType)> {
    let columns =
        [("relid", Oid::REGCLASS), ("parentrelid", Oid::REGCLASS), ("isleaf", Oid::BOOL), ("level", Oid::INT4)];
    columns.map(|(name, oid)| (name.to_owned(), SqlType::new(oid))).to_vec()
}

/// pg_partition_ancestors and pg_partition_tree
pub(in crate::functions) static PARTITIONS: &[SetFunction] = &[
    none("pg_partition_ancestors", Oid::REGCLASS, |_| column("relid", Oid::REGCLASS)),
    none("pg_partition_tree", Oid::RECORD, tree),
];

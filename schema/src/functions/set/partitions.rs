//! Partitioned tables, of which there are none: no relation has ancestors.

use super::{column, rows, set};
use crate::{
    Oid,
    functions::{SetFunction, Volatility},
};

/// pg_partition_ancestors
pub(in crate::functions) static PARTITIONS: &[SetFunction] = &[SetFunction {
    volatility: Volatility::Volatile,
    ..set(
        "pg_partition_ancestors",
        &[Oid::REGCLASS],
        Oid::REGCLASS,
        |_| column("relid", Oid::REGCLASS),
        |_, _| Ok(rows([])),
    )
}];

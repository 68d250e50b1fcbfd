//! Partitioned tables, of which there are none: no relation has ancestors or is the root of a tree.

use super::{column, rows, set};
use crate::{Oid, functions::SetFunction};

/// pg_partition_ancestors
pub(in crate::functions) static PARTITIONS: &[SetFunction] = &[set(
    "pg_partition_ancestors",
    &[Oid::REGCLASS],
    Oid::REGCLASS,
    |_| column("relid", Oid::REGCLASS),
    |_, _| Ok(rows([])),
)
.stable()];

//! Index entries of a row.

use bytes::Bytes;
use planner::plan::Expr;
use proto::SqlResult;
use schema::{Datum, IndexDescriptor, IndexId, TableDescriptor, key};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::eval;

/// A secondary index as writers keep it.
#[derive(Clone, Debug)]
pub(crate) struct IndexPlan {
    pub(crate) index: IndexDescriptor,
    /// Condition of a partial index, over the table's row.
    pub(crate) predicate: Option<Expr>,
}

/// An entry of a secondary index; its value is the row's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) index: IndexId,
    pub(crate) key: Bytes,
    /// Excludes every other row with the same values.
    pub(crate) unique: bool,
}

/// The table's secondary indexes. `bind` turns the text of a partial index's condition into an expression.
pub(crate) fn index_plans(
    table: &TableDescriptor,
    bind: impl Fn(&str) -> SqlResult<Expr>,
) -> SqlResult<Vec<IndexPlan>> {
    let plan = |index: &IndexDescriptor| {
        let predicate = index.predicate.as_deref().map(&bind).transpose()?;
        Ok(IndexPlan { index: index.clone(), predicate })
    };
    table.indexes.iter().skip(1).map(plan).collect()
}

impl IndexPlan {
    /// The row's entry; `None` when a partial index leaves the row out.
    pub(crate) fn entry(
        &self,
        table: &TableDescriptor,
        row: &[Datum],
        row_key: &[u8],
        context: &eval::Context<'_>,
    ) -> SqlResult<Option<Entry>> {
        if let Some(predicate) = &self.predicate
            && !context.condition(predicate, row)?
        {
            return Ok(None);
        }
        let key = key::index_key(table, &self.index, row, row_key)?.into();
        let unique = key::is_unique_entry(table, &self.index, row);
        Ok(Some(Entry { index: self.index.id, key, unique }))
    }
}

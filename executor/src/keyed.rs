//! SELECT of one row by primary key or unique index: no operators, one read.

use std::sync::Arc;

use planner::plan::{Expr, Query, Relation};
use proto::SqlResult;
use schema::{Datum, TableDescriptor, row::RowDecoder};
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::{
    access::{self, Access},
    eval,
};

/// A SELECT of at most one row.
#[derive(Clone, Debug)]
pub(crate) struct KeyedSelect {
    pub(crate) table: Arc<TableDescriptor>,
    pub(crate) access: Access,
    /// What of the condition the key does not answer, over the decoded columns.
    residual: Option<Expr>,
    /// The select list over the decoded columns.
    exprs: Vec<Expr>,
    decoder: RowDecoder,
}

impl KeyedSelect {
    /// The query as a keyed one, if it is.
    pub(crate) fn of(query: &Query) -> SqlResult<Option<Self>> {
        if !query.ctes.is_empty() || !query.locks.is_empty() {
            return Ok(None);
        }
        let Relation::Project { input, exprs, .. } = &query.body else { return Ok(None) };
        let Relation::Filter { input, condition } = &**input else { return Ok(None) };
        let Relation::Scan(scan) = &**input else { return Ok(None) };
        if planner::has_subquery(condition) || exprs.iter().any(planner::has_subquery) {
            return Ok(None);
        }
        let (access, residual) = access::choose(&scan.table, Some(condition));
        if !matches!(access, Access::Point { .. }) {
            return Ok(None);
        }
        let mut columns: Vec<usize> = exprs.iter().chain(&residual).flat_map(planner::columns_of).collect();
        columns.sort_unstable();
        columns.dedup();
        let place = |column: usize| columns.binary_search(&column).unwrap_or_default();
        let (mut exprs, mut residual) = (exprs.clone(), residual);
        exprs.iter_mut().chain(&mut residual).for_each(|expr| planner::remap_columns(expr, &place));
        let decoder = RowDecoder::new(&scan.table, columns.iter().copied())?;
        Ok(Some(Self { table: scan.table.clone(), access, residual, exprs, decoder }))
    }

    /// The row as committed now, without a transaction.
    pub(crate) async fn run_alone(
        &self,
        client: &kv::Client,
        context: &eval::Context<'_>,
    ) -> SqlResult<Option<Vec<Datum>>> {
        let Some(key) = self.access.point(&self.table, context)? else { return Ok(None) };
        let Some(value) = client.read_latest(key).await? else { return Ok(None) };
        self.project(&value, context)
    }

    /// The row as the transaction sees it.
    pub(crate) async fn run(&self, txn: &mut kv::Txn, context: &eval::Context<'_>) -> SqlResult<Option<Vec<Datum>>> {
        let Some(key) = self.access.point(&self.table, context)? else { return Ok(None) };
        let Some(value) = txn.get(&[key]).await?.swap_remove(0) else { return Ok(None) };
        if self.access.reads_rows() {
            return self.project(&value, context);
        }
        let Some(value) = txn.get(&[value]).await?.swap_remove(0) else { return Ok(None) };
        self.project(&value, context)
    }

    fn project(&self, value: &[u8], context: &eval::Context<'_>) -> SqlResult<Option<Vec<Datum>>> {
        let row = self.decoder.decode(value)?;
        if let Some(residual) = &self.residual
            && !context.condition(residual, &row)?
        {
            return Ok(None);
        }
        let values = self.exprs.iter().map(|expr| context.value(expr, &row));
        values.collect::<SqlResult<Vec<_>>>().map(Some)
    }
}

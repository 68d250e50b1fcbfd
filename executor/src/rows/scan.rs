//! Every row of a table, in batches, as the transaction sees it.

use bytes::Bytes;
use proto::SqlResult;
use schema::{TableDescriptor, key};
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

/// A scan of a table's rows in key order.
pub(crate) struct TableScanner {
    scanner: kv::Scanner,
}

impl TableScanner {
    /// Starts a scan at the transaction's present snapshot.
    pub(crate) async fn new(txn: &mut kv::Txn, table: &TableDescriptor) -> SqlResult<Self> {
        let (start, end) = key::index_span(table, key::PRIMARY_INDEX);
        let scanner = txn.scan(start.into(), end.into(), kv::ScanOptions::default()).await?;
        Ok(Self { scanner })
    }

    /// The next keys and values; `None` at the end.
    pub(crate) async fn next(&mut self, txn: &kv::Txn) -> SqlResult<Option<Vec<(Bytes, Bytes)>>> {
        Ok(txn.next_batch(&mut self.scanner).await?)
    }
}

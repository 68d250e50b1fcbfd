//! Reads at a snapshot by code that runs beside its transaction.

use bytes::Bytes;
use proto::{TxnId, kv};
use sharddb_proto as proto;

use crate::{
    Client, Result, ScanOptions,
    past::ReadAt,
    reads::fetch_missing,
    scan::{KeyValue, fetch_batch},
};

/// Reads what was committed at a timestamp. It knows nothing of a transaction's buffered writes; its flushed intents are
/// seen if the reader carries its id. Whoever reads keeps the snapshot from being collected (see `Txn::pin_snapshot`).
#[derive(Clone)]
pub struct SnapshotReader {
    client: Client,
    at: ReadAt,
}

impl SnapshotReader {
    /// A reader at a timestamp.
    pub fn new(client: Client, txn: TxnId, read_ts: u64) -> Self {
        Self { client, at: ReadAt { txn, ts: read_ts, past: false } }
    }

    /// The same for a timestamp in the past, which any replica may answer for.
    pub fn of_past(self, past: bool) -> Self {
        Self { at: ReadAt { past, ..self.at }, ..self }
    }

    /// Values of keys, in order.
    pub async fn get(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        fetch_missing(&self.client, self.at, keys, vec![None; keys.len()]).await
    }

    /// The first rows of a span, and what is left of it.
    pub async fn scan(&self, span: &kv::Span, max_rows: u32) -> Result<(Vec<KeyValue>, Option<kv::Span>)> {
        let options = ScanOptions { reverse: false, batch_rows: max_rows };
        fetch_batch(&self.client, self.at, span, options).await
    }
}

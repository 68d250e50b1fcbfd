//! Removing the rows of tables that were dropped, truncated or rewritten.
//!
//! The transaction that gives up a storage id leaves a note in the catalog. Once no snapshot can be older than that
//! transaction, the id's key span is emptied on every shard, and then the note goes. A crash in between repeats it.

use bytes::Bytes;
use kv::{Isolation, RowLock, SnapshotReader, TxnOptions};
use proto::{
    SqlResult, Timestamp, TxnId,
    kv::{LockMode, WaitPolicy},
};
use schema::key;
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::{
    Engine,
    catalog::{dropped_span, parse_dropped_key},
};

/// Notes read at a time.
const BATCH: u32 = 256;
/// A note is left to whoever works on it already.
const ALONE: RowLock = RowLock { mode: LockMode::Update, wait: WaitPolicy::Skip, timeout_ms: 0 };

impl Engine {
    /// Removes what no snapshot at or above `safe` sees any more. Answers how many storage ids were emptied.
    pub async fn reclaim(&self, safe: Timestamp) -> SqlResult<usize> {
        let client = self.client();
        let reader = SnapshotReader::new(client.clone(), TxnId::default(), safe.0);
        let (start, end) = dropped_span();
        let mut rest = Some(proto::kv::Span { start, end });
        let mut reclaimed = 0;
        while let Some(span) = rest {
            let (notes, next) = reader.scan(&span, BATCH).await?;
            for (note, _) in notes {
                reclaimed += usize::from(self.empty(note).await?);
            }
            rest = next;
        }
        Ok(reclaimed)
    }

    async fn empty(&self, note: Bytes) -> SqlResult<bool> {
        let client = self.client();
        let Some(storage) = parse_dropped_key(&note) else { return Ok(false) };
        let mut txn = client.begin(TxnOptions { isolation: Isolation::ReadCommitted, read_only: false });
        let locked = txn.lock(std::slice::from_ref(&note), ALONE).await?;
        // Somebody else is at it, or was here since the snapshot.
        if !locked.iter().all(|row| row.locked && row.value.is_some()) {
            txn.rollback().await;
            return Ok(false);
        }
        let (start, end) = key::table_span(storage);
        client.delete_range(proto::kv::Span { start: start.into(), end: end.into() }).await?;
        txn.delete(note);
        txn.commit().await?;
        Ok(true)
    }
}

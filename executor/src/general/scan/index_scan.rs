//! Reads rows through a secondary index: entries in index order, then the rows that they name.
//!
//! Runs beside the shards, since a row and its entry may lie at different ones. The own writes of the transaction are laid
//! over both.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use datafusion::execution::SendableRecordBatchStream;
use fragment::{RowsBuilder, ScanColumn};
use proto::{SqlResult, kv as wire};
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_proto as proto;

use crate::general::{
    context::Statement,
    operators::{Inputs, Operator},
};

/// Entries read at a time: as many rows are fetched with one request to each shard.
const ENTRIES: u32 = 1024;

/// A scan through an index.
#[derive(Debug)]
pub(in crate::general) struct IndexScan {
    pub(in crate::general) statement: Arc<Statement>,
    /// Storage id of the table.
    pub(in crate::general) storage_id: u32,
    /// Spans of index keys.
    pub(in crate::general) spans: Vec<wire::Span>,
    pub(in crate::general) columns: Vec<ScanColumn>,
    /// The row's key is the last column.
    pub(in crate::general) with_key: bool,
}

struct Run {
    statement: Arc<Statement>,
    reader: kv::SnapshotReader,
    storage_id: u32,
    pending: VecDeque<wire::Span>,
    builder: RowsBuilder,
}

impl Operator for IndexScan {
    fn name(&self) -> &'static str {
        "Index Scan"
    }

    fn open(&self, inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let schema = Arc::clone(&inputs.schema);
        let run = Run {
            reader: self.statement.reader(),
            statement: Arc::clone(&self.statement),
            storage_id: self.storage_id,
            pending: self.spans.iter().cloned().collect(),
            builder: RowsBuilder::new(schema, &self.columns, self.with_key, ENTRIES as usize),
        };
        let batches = futures::stream::try_unfold(run, |mut run| async move {
            let batch = run.next().await?;
            Ok(batch.map(|batch| (batch, run)))
        });
        Ok(inputs.answer(batches))
    }
}

impl Run {
    async fn next(&mut self) -> SqlResult<Option<RecordBatch>> {
        while let Some(span) = self.pending.pop_front() {
            let (entries, rest) = self.reader.scan(&span, ENTRIES).await?;
            let end = rest.as_ref().map_or(span.end.clone(), |rest| rest.start.clone());
            let covered = wire::Span { start: span.start, end };
            if let Some(rest) = rest {
                self.pending.push_front(rest);
            }
            let keys = self.with_own_entries(entries, &covered);
            self.fetch(&keys).await?;
            if self.builder.rows() > 0 {
                return self.builder.finish().map(Some);
            }
        }
        Ok(None)
    }

    /// Keys of the rows that the entries name, own writes counted.
    fn with_own_entries(&self, entries: Vec<kv::KeyValue>, covered: &wire::Span) -> Vec<Bytes> {
        let own = self.statement.view.overlay(self.storage_id, std::slice::from_ref(covered));
        if own.is_empty() {
            return entries.into_iter().map(|(_, primary)| primary).collect();
        }
        let mut merged: BTreeMap<Bytes, Bytes> = entries.into_iter().collect();
        for write in own {
            match write.value {
                Some(primary) => merged.insert(write.key, primary),
                None => merged.remove(&write.key),
            };
        }
        merged.into_values().collect()
    }

    async fn fetch(&mut self, keys: &[Bytes]) -> SqlResult<()> {
        let view = &self.statement.view;
        let own: Vec<Option<Option<Bytes>>> = keys.iter().map(|key| view.own_value(self.storage_id, key)).collect();
        let missing: Vec<Bytes> =
            keys.iter().zip(&own).filter(|(_, own)| own.is_none()).map(|(key, _)| key.clone()).collect();
        let mut stored = self.reader.get(&missing).await?.into_iter();
        for (key, own) in keys.iter().zip(own) {
            let value = match own {
                Some(value) => value,
                None => stored.next().flatten(),
            };
            if let Some(value) = value {
                self.builder.push(key, &value)?;
            }
        }
        Ok(())
    }
}

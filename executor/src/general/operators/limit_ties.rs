//! FETCH FIRST … WITH TIES: after the last row, those that compare equal to it too.

use arrow::{record_batch::RecordBatch, row::RowConverter};
use datafusion::{execution::SendableRecordBatchStream, physical_expr::PhysicalExprRef};
use futures::StreamExt;
use proto::SqlResult;
use sharddb_proto as proto;

use super::{
    Inputs, Operator,
    dedup::{RowKeys, row_keys},
};
use crate::general::context::failed;

/// Skips, keeps, and goes on while rows tie with the last one.
#[derive(Debug)]
pub(in crate::general) struct LimitTies {
    pub(in crate::general) skip: usize,
    pub(in crate::general) fetch: usize,
    /// Keys by which the input is sorted.
    pub(in crate::general) keys: Vec<PhysicalExprRef>,
}

struct State {
    input: SendableRecordBatchStream,
    skip: usize,
    fetch: usize,
    keys: Vec<PhysicalExprRef>,
    converter: Option<RowConverter>,
    /// Key of the last row, once it is known.
    last: Option<Vec<u8>>,
    done: bool,
}

impl Operator for LimitTies {
    fn name(&self) -> &'static str {
        "Limit"
    }

    fn open(&self, mut inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let state = State {
            input: inputs.single(),
            skip: self.skip,
            fetch: self.fetch,
            keys: self.keys.clone(),
            converter: None,
            last: None,
            done: self.fetch == 0,
        };
        let batches = futures::stream::try_unfold(state, |mut state| async move {
            while !state.done {
                let Some(batch) = state.input.next().await else { break };
                let kept = state.keep(batch.map_err(failed)?)?;
                if kept.num_rows() > 0 {
                    return Ok(Some((kept, state)));
                }
            }
            Ok(None)
        });
        Ok(inputs.answer(batches))
    }
}

impl State {
    fn keep(&mut self, batch: RecordBatch) -> SqlResult<RecordBatch> {
        let skipped = self.skip.min(batch.num_rows());
        self.skip -= skipped;
        let batch = batch.slice(skipped, batch.num_rows() - skipped);
        let counted = self.fetch.min(batch.num_rows());
        self.fetch -= counted;
        if self.fetch > 0 || (counted == batch.num_rows() && counted == 0) {
            return Ok(batch);
        }
        let keys = row_keys(&self.keys, &batch, &mut self.converter)?;
        if counted > 0 {
            self.last = Some(keys.row(counted - 1).to_vec());
        }
        let end = self.end_of_ties(&keys, counted, batch.num_rows());
        self.done = end < batch.num_rows();
        Ok(batch.slice(0, end))
    }

    fn end_of_ties(&self, keys: &RowKeys, from: usize, rows: usize) -> usize {
        let differs = |row: &usize| self.last.as_deref() != Some(keys.row(*row));
        (from..rows).find(differs).unwrap_or(rows)
    }
}

//! Rows computed once and read by several: WITH queries, and the rows of a recursive query's last round.
//!
//! Readers pull the rows one batch at a time, whoever comes first, so nothing is computed that no reader asks for.

use std::{fmt, sync::Arc};

use arrow::record_batch::RecordBatch;
use datafusion::{
    execution::{
        SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_plan::{ExecutionPlan, execute_stream},
};
use futures::StreamExt;
use proto::SqlResult;
use sharddb_proto as proto;
use tokio::sync::Mutex;

use super::{Inputs, Operator, dedup::relabel};
use crate::general::context::failed;

/// Rows that several readers share.
pub(in crate::general) struct Shared {
    state: Mutex<State>,
}

struct State {
    batches: Vec<RecordBatch>,
    source: Source,
    memory: Option<MemoryReservation>,
}

enum Source {
    Planned(Arc<dyn ExecutionPlan>, Arc<TaskContext>),
    Running(SendableRecordBatchStream),
    Ended,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// Rows of a plan, computed when they are asked for.
    pub(in crate::general) fn planned(plan: Arc<dyn ExecutionPlan>, task: Arc<TaskContext>) -> Self {
        let memory = MemoryConsumer::new("Materialize").register(task.memory_pool());
        let state = State { batches: Vec::new(), source: Source::Planned(plan, task), memory: Some(memory) };
        Self { state: Mutex::new(state) }
    }

    /// Rows that are there.
    pub(in crate::general) fn ready(batches: Vec<RecordBatch>) -> Self {
        let state = State { batches, source: Source::Ended, memory: None };
        Self { state: Mutex::new(state) }
    }

    /// The batch at a position; `None` behind the last one.
    async fn batch(&self, at: usize) -> SqlResult<Option<RecordBatch>> {
        let mut state = self.state.lock().await;
        while state.batches.len() <= at {
            if let Source::Planned(plan, task) = &state.source {
                let stream = execute_stream(Arc::clone(plan), Arc::clone(task)).map_err(failed)?;
                state.source = Source::Running(stream);
            }
            let Source::Running(stream) = &mut state.source else { return Ok(None) };
            match stream.next().await {
                None => state.source = Source::Ended,
                Some(batch) => {
                    let batch = batch.map_err(failed)?;
                    if let Some(memory) = &state.memory {
                        memory.try_grow(batch.get_array_memory_size()).map_err(failed)?;
                    }
                    state.batches.push(batch);
                }
            }
        }
        Ok(Some(state.batches[at].clone()))
    }
}

/// Reads shared rows.
#[derive(Debug)]
pub(in crate::general) struct SharedScan(pub(in crate::general) Arc<Shared>);

impl Operator for SharedScan {
    fn name(&self) -> &'static str {
        "CTE Scan"
    }

    fn open(&self, inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let (shared, schema) = (Arc::clone(&self.0), Arc::clone(&inputs.schema));
        let batches = futures::stream::try_unfold((shared, schema, 0), |(shared, schema, at)| async move {
            match shared.batch(at).await? {
                None => Ok(None),
                Some(batch) => Ok(Some((relabel(batch, &schema)?, (shared, schema, at + 1)))),
            }
        });
        Ok(inputs.answer(batches))
    }
}

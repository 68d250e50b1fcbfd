//! WITH RECURSIVE: rounds of the recursive term over the rows of the round before, until there are none.
//!
//! The recursive term is planned anew for each round; nothing is computed before a reader asks for it, so a LIMIT above
//! ends an endless recursion.

use std::{collections::VecDeque, sync::Arc};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    physical_expr::PhysicalExprRef,
};
use futures::StreamExt;
use proto::SqlResult;
use sharddb_proto as proto;

use super::{
    Inputs, Operator, Shared,
    dedup::{SeenKeys, relabel},
};
use crate::general::{
    context::{Statement, failed},
    ir::Rel,
    lower::{self, Scope},
};

/// A recursive query. Its input is the non-recursive term.
#[derive(Debug)]
pub(in crate::general) struct Recursive {
    pub(in crate::general) statement: Arc<Statement>,
    pub(in crate::general) scope: Scope,
    /// Number under which the recursive term reads the last round.
    pub(in crate::general) id: usize,
    pub(in crate::general) step: Arc<Rel>,
    /// With UNION: keys of all columns.
    pub(in crate::general) distinct: Option<Vec<PhysicalExprRef>>,
}

struct Run {
    statement: Arc<Statement>,
    scope: Scope,
    id: usize,
    step: Arc<Rel>,
    schema: SchemaRef,
    seen: Option<SeenKeys>,
    /// The running round.
    round: SendableRecordBatchStream,
    /// Rows of the running round so far, for the next one.
    rows: VecDeque<RecordBatch>,
    memory: MemoryReservation,
}

impl Operator for Recursive {
    fn name(&self) -> &'static str {
        "Recursive Union"
    }

    fn open(&self, mut inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let seen = self.distinct.as_ref().map(|keys| SeenKeys::new(keys.clone(), inputs.reservation()));
        let run = Run {
            statement: Arc::clone(&self.statement),
            scope: self.scope.clone(),
            id: self.id,
            step: Arc::clone(&self.step),
            schema: Arc::clone(&inputs.schema),
            seen,
            round: inputs.single(),
            rows: VecDeque::new(),
            memory: inputs.reservation(),
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
        loop {
            match self.round.next().await {
                Some(batch) => {
                    let mut batch = relabel(batch.map_err(failed)?, &self.schema)?;
                    if let Some(seen) = &mut self.seen {
                        batch = seen.keep_new(&batch)?;
                    }
                    if batch.num_rows() > 0 {
                        self.memory.try_grow(batch.get_array_memory_size()).map_err(failed)?;
                        self.rows.push_back(batch.clone());
                        return Ok(Some(batch));
                    }
                }
                None if self.rows.is_empty() => return Ok(None),
                None => self.next_round()?,
            }
        }
    }

    fn next_round(&mut self) -> SqlResult<()> {
        let rows: Vec<RecordBatch> = std::mem::take(&mut self.rows).into();
        self.memory.free();
        let last = Shared::ready(rows);
        let scope = self.scope.with(self.id, Arc::new(last));
        self.round = lower::start(&self.statement, &scope, (*self.step).clone())?;
        Ok(())
    }
}

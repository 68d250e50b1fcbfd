//! Drives a fragment's plan and sends what comes of it.
//!
//! A plan that makes rows of rows one after the other (filters, projections, a limit on top of them) is run batch by batch
//! of its leaf, so that all rows sent come of the rows up to one key: whoever loses the answer goes on behind it. Of any
//! other plan nothing is known before its end.

use std::{sync::Arc, time::Duration};

use arrow::{compute::concat_batches, record_batch::RecordBatch};
use bytes::Bytes;
use datafusion::{
    error::DataFusionError,
    execution::TaskContext,
    physical_plan::{
        ExecutionPlan, execution_plan::reset_plan_states, filter::FilterExec, limit::GlobalLimitExec,
        projection::ProjectionExec,
    },
};
use fragment::{FragmentEnd, FragmentError, FragmentPart, FragmentRows, ScanLeaf, from_arrow, from_datafusion};
use futures::StreamExt;
use sharddb_fragment as fragment;
use tokio::{sync::mpsc, time::Instant};

use super::{PartResult, leaf::ShardSource};

/// Runs of a plan after which it is set back. Each leaves counts behind in it.
const RUNS_MAX: usize = 1024;

/// Bytes of rows that do not wait for more: enough that what each batch costs beside them does not count.
const WAITING_BYTES: u64 = 1 << 20;

/// What is run.
pub(super) struct Run {
    pub(super) plan: Arc<dyn ExecutionPlan>,
    pub(super) context: Arc<TaskContext>,
    pub(super) source: ShardSource,
    pub(super) sender: mpsc::Sender<PartResult>,
    /// Time that the fragment has taken.
    pub(super) time: Duration,
}

/// Why a run ends early.
enum Stop {
    /// Nobody listens.
    Abandoned,
    Failed(FragmentError),
}

impl From<DataFusionError> for Stop {
    fn from(error: DataFusionError) -> Self {
        Self::Failed(FragmentError::Failed(from_datafusion(&error)))
    }
}

impl Run {
    /// Runs until the plan ends, fails or nobody listens. Blocks.
    pub(super) fn run(mut self) {
        futures::executor::block_on(async {
            let since = Instant::now();
            let last = match self.drive().await {
                Ok(waited) => {
                    self.time += since.elapsed().saturating_sub(waited);
                    let rows_scanned = self.source.progress().rows_scanned;
                    Ok(FragmentPart::End(FragmentEnd { rows_scanned, time: self.time, bytes: 0 }))
                }
                Err(Stop::Failed(error)) => Err(error),
                Err(Stop::Abandoned) => return,
            };
            let _gone = self.sender.send(last).await;
        });
    }

    /// Answers how long the reader kept it waiting.
    async fn drive(&mut self) -> Result<Duration, Stop> {
        let mut output = Output { sender: self.sender.clone(), waited: Duration::ZERO };
        match row_by_row(&self.plan) {
            Some((plan, limit)) => self.drive_row_by_row(plan, limit, &mut output).await?,
            None => {
                let mut batches = self.plan.execute(0, Arc::clone(&self.context))?;
                while let Some(batch) = batches.next().await {
                    output.send(batch?, None).await?;
                }
            }
        }
        Ok(output.waited)
    }

    async fn drive_row_by_row(
        &self,
        mut plan: Arc<dyn ExecutionPlan>,
        limit: Option<usize>,
        output: &mut Output,
    ) -> Result<(), Stop> {
        let rows_max = self.context.session_config().batch_size();
        let mut left = limit.unwrap_or(usize::MAX);
        let mut waiting = Waiting::default();
        for run in 1.. {
            let mut rows = Waiting::default();
            let mut batches = plan.execute(0, Arc::clone(&self.context))?;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let batch = if batch.num_rows() > left { batch.slice(0, left) } else { batch };
                left -= batch.num_rows();
                rows.push(batch);
            }
            let progress = self.source.progress();
            rows.resume = progress.resume;
            let done = progress.done || left == 0;
            if waiting.rows + rows.rows > rows_max {
                waiting.send(output).await?;
            }
            waiting.append(rows);
            if done || waiting.rows >= rows_max / 2 || waiting.bytes >= WAITING_BYTES {
                waiting.send(output).await?;
            }
            if done {
                return Ok(());
            }
            if run % RUNS_MAX == 0 {
                plan = reset_plan_states(plan)?;
            }
        }
        Ok(())
    }
}

/// Whether a reader may go on behind some rows.
pub(super) fn is_resumable(plan: &Arc<dyn ExecutionPlan>) -> bool {
    row_by_row(plan).is_some()
}

/// The part of a plan that makes rows of rows one after the other, if that is all it does but for a limit.
fn row_by_row(plan: &Arc<dyn ExecutionPlan>) -> Option<(Arc<dyn ExecutionPlan>, Option<usize>)> {
    let (plan, limit) = match plan.downcast_ref::<GlobalLimitExec>() {
        Some(limit) if limit.skip() == 0 => (limit.input(), limit.fetch()),
        _ => (plan, None),
    };
    is_row_by_row(plan).then(|| (Arc::clone(plan), limit))
}

fn is_row_by_row(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is::<ScanLeaf>() {
        return true;
    }
    let each = plan.is::<ProjectionExec>() || (plan.is::<FilterExec>() && plan.fetch().is_none());
    each && plan.children().into_iter().all(is_row_by_row)
}

/// Rows that wait for more, so that a filter that passes few does not make many small batches.
#[derive(Default)]
struct Waiting {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: u64,
    /// Where reading goes on behind them.
    resume: Bytes,
}

impl Waiting {
    fn push(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.rows += batch.num_rows();
            self.bytes += size(&batch);
            self.batches.push(batch);
        }
    }

    fn append(&mut self, other: Self) {
        self.batches.extend(other.batches);
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.resume = other.resume;
    }

    /// Sends them as one batch.
    async fn send(&mut self, output: &mut Output) -> Result<(), Stop> {
        let Self { mut batches, resume, .. } = std::mem::take(self);
        let batch = match batches.len() {
            0 => return Ok(()),
            1 => batches.swap_remove(0),
            _ => concat_batches(&batches[0].schema(), &batches)
                .map_err(|error| Stop::Failed(FragmentError::Failed(from_arrow(&error))))?,
        };
        output.send(batch, Some(resume)).await
    }
}

/// Where rows go.
struct Output {
    sender: mpsc::Sender<PartResult>,
    waited: Duration,
}

impl Output {
    async fn send(&mut self, batch: RecordBatch, resume: Option<Bytes>) -> Result<(), Stop> {
        let bytes = size(&batch);
        let since = Instant::now();
        let sent = self.sender.send(Ok(FragmentPart::Rows(FragmentRows { batch, bytes, resume }))).await;
        self.waited += since.elapsed();
        sent.map_err(|_| Stop::Abandoned)
    }
}

/// Bytes of a batch's values in memory.
fn size(batch: &RecordBatch) -> u64 {
    let sizes = batch.columns().iter().map(|column| {
        let data = column.to_data();
        data.get_slice_memory_size().unwrap_or_else(|_| data.get_array_memory_size())
    });
    sizes.sum::<usize>() as u64
}

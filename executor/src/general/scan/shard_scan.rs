//! Runs one fragment at every shard that holds a part of a scan.
//!
//! Each partition is the part of one shard. Where the range map turns out to be old, the partition's spans are routed
//! anew and may then take several fragments, one after the other. A shard refuses before it has sent anything, so
//! nothing is read twice. How far a shard runs ahead of the reader is bounded by the transport.

use std::{collections::VecDeque, fmt, sync::Arc};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    common::{Result, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
        execution_plan::ChildrenPropertiesMode,
        execution_plan::{Boundedness, EmissionType},
        metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet},
        stream::RecordBatchStreamAdapter,
    },
};
use fragment::{FragmentError, FragmentStream, ScanLeaf, ScanSpec, encode_fragment, to_datafusion};
use futures::StreamExt;
use proto::{SqlError, SqlResult, SqlState, kv as wire};
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_proto as proto;

use crate::general::context::Statement;

/// What is scanned.
#[derive(Clone, Debug)]
pub(in crate::general) struct ShardScan {
    /// Storage id, for the own writes laid over the scan.
    pub(in crate::general) storage_id: u32,
    /// Spans of each partition.
    pub(in crate::general) partitions: Vec<Vec<wire::Span>>,
}

/// A scan with the plan that the shards run over their rows.
#[derive(Clone, Debug)]
pub(in crate::general) struct ShardScanExec {
    statement: Arc<Statement>,
    scan: Arc<ShardScan>,
    /// The plan; its leaf names the columns, its spans are put in for each fragment.
    fragment: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ShardScanExec {
    pub(in crate::general) fn new(
        statement: Arc<Statement>,
        scan: Arc<ShardScan>,
        fragment: Arc<dyn ExecutionPlan>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(fragment.schema()),
            Partitioning::UnknownPartitioning(scan.partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { statement, scan, fragment, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }

    /// The same scan with another plan at the shards.
    pub(in crate::general) fn with_fragment(&self, fragment: Arc<dyn ExecutionPlan>) -> Self {
        Self::new(Arc::clone(&self.statement), Arc::clone(&self.scan), fragment)
    }

    pub(in crate::general) fn fragment(&self) -> &Arc<dyn ExecutionPlan> {
        &self.fragment
    }
}

impl DisplayAs for ShardScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardScan: shards={}", self.scan.partitions.len())
    }
}

impl ExecutionPlan for ShardScanExec {
    fn name(&self) -> &'static str {
        "ShardScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let reader = PartitionReader {
            exec: self.clone(),
            pending: self.scan.partitions[partition].iter().cloned().collect(),
            running: None,
            attempts: kv::Attempts::default(),
            rows: MetricBuilder::new(&self.metrics).output_rows(partition),
        };
        let batches = futures::stream::try_unfold(reader, |mut reader| async move {
            let batch = reader.next().await.map_err(to_datafusion)?;
            Ok(batch.map(|batch| (batch, reader)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.fragment.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Reads the spans of one partition.
struct PartitionReader {
    exec: ShardScanExec,
    /// Spans not yet sent.
    pending: VecDeque<wire::Span>,
    running: Option<Running>,
    attempts: kv::Attempts,
    rows: Count,
}

/// A fragment on its way.
struct Running {
    stream: FragmentStream,
    route: kv::Route,
    spans: Vec<wire::Span>,
    started: bool,
}

impl PartitionReader {
    async fn next(&mut self) -> SqlResult<Option<RecordBatch>> {
        loop {
            if self.running.is_none() && !self.start()? {
                return Ok(None);
            }
            let Some(running) = &mut self.running else { continue };
            match running.stream.next().await {
                None => self.running = None,
                Some(Ok(batch)) => {
                    running.started = true;
                    self.rows.add(batch.num_rows());
                    self.exec.statement.general.traffic.add_batch(batch.num_rows());
                    return with_schema(batch, &self.exec.fragment.schema()).map(Some);
                }
                Some(Err(FragmentError::Failed(error))) => return Err(error),
                Some(Err(FragmentError::Refused(kind))) => self.refused(kind).await?,
            }
        }
    }

    /// Sends the next fragment; answers whether there was one to send.
    fn start(&mut self) -> SqlResult<bool> {
        let statement = &self.exec.statement;
        let ranges = statement.general.client.ranges();
        let mut spans = Vec::new();
        let mut route: Option<kv::Route> = None;
        while let Some(span) = self.pending.pop_front() {
            let (found, part) = ranges.routes(&span).swap_remove(0);
            if route.as_ref().is_some_and(|route| route.shard != found.shard) {
                self.pending.push_front(span);
                break;
            }
            if part.end != span.end {
                self.pending.push_front(wire::Span { start: part.end.clone(), end: span.end });
            }
            spans.push(part);
            route = Some(found);
        }
        drop(ranges);
        let Some(route) = route else { return Ok(false) };
        let request = self.request(&route, &spans)?;
        statement.general.traffic.add_fragment();
        let stream = statement.general.fragments.fragment(route.node, request);
        self.running = Some(Running { stream, route, spans, started: false });
        Ok(true)
    }

    fn request(&self, route: &kv::Route, spans: &[wire::Span]) -> SqlResult<wire::Fragment> {
        let statement = &self.exec.statement;
        let plan = with_spans(&self.exec.fragment, spans)?;
        Ok(wire::Fragment {
            header: Some(wire::Header {
                shard: route.shard.0,
                epoch: route.epoch.0,
                txn: statement.view.txn.0,
                guards: Vec::new(),
                catalog_version: statement.general.client.catalog_version().0,
            }),
            read_ts: statement.view.read_ts,
            plan: encode_fragment(&plan, &statement.eval)?,
            overlay: statement.view.overlay(self.exec.scan.storage_id, spans),
            batch_rows: statement.task.session_config().batch_size() as u32,
        })
    }

    /// Finds the shard's new place and puts the fragment's spans back.
    async fn refused(&mut self, kind: wire::failure::Kind) -> SqlResult<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        let client = &self.exec.statement.general.client;
        if running.started || !client.reroute_fragment(&mut self.attempts, &running.route, &kind).await? {
            return Err(refusal(kind));
        }
        for span in running.spans.into_iter().rev() {
            self.pending.push_front(span);
        }
        Ok(())
    }
}

/// The statement's error for a refusal that routing cannot mend.
fn refusal(kind: wire::failure::Kind) -> SqlError {
    use wire::failure::Kind;
    match kind {
        Kind::Refused(refused) | Kind::Unknown(refused) => {
            let state = SqlState::from_code(&refused.sqlstate).unwrap_or(SqlState::InternalError);
            SqlError::new(state, refused.message)
        }
        Kind::Internal(message) => SqlError::internal(message),
        Kind::StaleSchema(_) => kv::Error::StaleSchema { table: 0 }.into(),
        _ => SqlError::new(SqlState::ConnectionFailure, "no shard is available for the request: the range moved"),
    }
}

/// The fragment with its leaf over these spans.
fn with_spans(plan: &Arc<dyn ExecutionPlan>, spans: &[wire::Span]) -> SqlResult<Arc<dyn ExecutionPlan>> {
    if let Some(leaf) = plan.downcast_ref::<ScanLeaf>() {
        let spans = spans.iter().map(|span| (span.start.to_vec(), span.end.to_vec())).collect();
        let spec = ScanSpec { spans, ..(**leaf.spec()).clone() };
        return Ok(Arc::new(ScanLeaf::new(Arc::new(spec))));
    }
    let children = plan.children().into_iter().map(|child| with_spans(child, spans)).collect::<SqlResult<Vec<_>>>()?;
    Arc::clone(plan)
        .replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
        .map_err(|error| fragment::from_datafusion(&error))
}

/// The batch under the scan's own schema, which names columns as the plan above knows them.
fn with_schema(batch: RecordBatch, schema: &SchemaRef) -> SqlResult<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)
        .map_err(|error| fragment::from_arrow(&error))
}

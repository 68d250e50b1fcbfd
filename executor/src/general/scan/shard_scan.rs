//! Runs one fragment at every shard that holds a part of a scan.
//!
//! Each partition is the part of one shard (`PartitionReader`). How far a shard runs ahead of the reader is bounded by the
//! transport.

use std::{fmt, sync::Arc};

use datafusion::{
    common::{Result, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
        execution_plan::{Boundedness, EmissionType},
        metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet},
        stream::RecordBatchStreamAdapter,
    },
};
use fragment::to_datafusion;
use proto::{SqlResult, kv as wire};
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_proto as proto;

use super::{figures::Figures, partition::PartitionReader};
use crate::general::context::Statement;

/// What is scanned.
#[derive(Clone, Debug)]
pub(in crate::general) struct ShardScan {
    /// Storage id, for the own writes laid over the scan.
    pub(in crate::general) storage_id: u32,
    /// Spans of each partition.
    pub(in crate::general) partitions: Vec<Vec<wire::Span>>,
    /// What is read together with it at the same shard, in the order of the fragment's leaves; there is one partition then.
    pub(in crate::general) joined: Vec<Joined>,
}

/// A further table of a scan.
#[derive(Clone, Debug)]
pub(in crate::general) struct Joined {
    pub(super) storage_id: u32,
    pub(super) spans: Vec<wire::Span>,
}

impl ShardScan {
    /// One scan for the rows of both at one shard, if all of them lie in one, and its route.
    fn joined(&self, other: &Self, ranges: &kv::RangeMap) -> Option<(Self, kv::Route)> {
        let ([own], [others]) = (&self.partitions[..], &other.partitions[..]) else { return None };
        let first = Joined { storage_id: other.storage_id, spans: others.clone() };
        let joined: Vec<Joined> = self.joined.iter().chain([&first]).chain(&other.joined).cloned().collect();
        let spans = own.iter().chain(joined.iter().flat_map(|joined| &joined.spans));
        let route = one_route(spans, ranges)?;
        Some((Self { storage_id: self.storage_id, partitions: self.partitions.clone(), joined }, route))
    }
}

/// The route of the shard that holds all of these spans.
pub(super) fn one_route<'s>(
    spans: impl IntoIterator<Item = &'s wire::Span>,
    ranges: &kv::RangeMap,
) -> Option<kv::Route> {
    let mut found: Option<kv::Route> = None;
    for span in spans {
        let [(route, _)] = &ranges.routes(span)[..] else { return None };
        if found.as_ref().is_some_and(|found| found.shard != route.shard) {
            return None;
        }
        found = Some(route.clone());
    }
    found
}

/// A scan with the plan that the shards run over their rows.
#[derive(Clone, Debug)]
pub(in crate::general) struct ShardScanExec {
    statement: Arc<Statement>,
    scan: Arc<ShardScan>,
    /// The plan; its leaf names the columns, its spans are put in for each fragment.
    fragment: Arc<dyn ExecutionPlan>,
    /// The same of a join without a shard that holds both sides: if it turns out that there is none any more.
    apart: Option<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    figures: Figures,
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
        Self {
            statement,
            scan,
            fragment,
            apart: None,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            figures: Figures::default(),
        }
    }

    /// The same scan with one operator more at the shards.
    pub(in crate::general) fn with_operator(
        &self,
        operator: impl Fn(Arc<dyn ExecutionPlan>) -> SqlResult<Arc<dyn ExecutionPlan>>,
    ) -> SqlResult<Self> {
        let fragment = operator(Arc::clone(&self.fragment))?;
        let apart = self.apart.clone().map(operator).transpose()?;
        Ok(Self { apart, ..Self::new(Arc::clone(&self.statement), Arc::clone(&self.scan), fragment) })
    }

    /// A join of two scans at the shard that holds all rows of both, if there is one on another node. On this one it would
    /// save nothing and keep the scans from running beside each other.
    pub(in crate::general) fn joined(
        &self,
        other: &Self,
        join: impl Fn(Arc<dyn ExecutionPlan>, Arc<dyn ExecutionPlan>) -> SqlResult<Arc<dyn ExecutionPlan>>,
    ) -> SqlResult<Option<Self>> {
        let general = &self.statement.general;
        let Some((scan, route)) = self.scan.joined(&other.scan, &general.client.ranges()) else { return Ok(None) };
        if general.client.is_near(route.node) && !general.near_joins {
            return Ok(None);
        }
        let fragment = join(Arc::clone(&self.fragment), Arc::clone(&other.fragment))?;
        let apart = Some(join(Arc::new(self.clone()), Arc::new(other.clone()))?);
        Ok(Some(Self { apart, ..Self::new(Arc::clone(&self.statement), Arc::new(scan), fragment) }))
    }

    pub(in crate::general) fn fragment(&self) -> &Arc<dyn ExecutionPlan> {
        &self.fragment
    }

    pub(super) fn statement(&self) -> &Arc<Statement> {
        &self.statement
    }

    pub(super) fn apart(&self) -> Option<&Arc<dyn ExecutionPlan>> {
        self.apart.as_ref()
    }

    pub(super) fn scan(&self) -> &ShardScan {
        &self.scan
    }

    /// What its fragments have cost.
    pub(in crate::general) fn figures(&self) -> &Figures {
        &self.figures
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
        let rows = MetricBuilder::new(&self.metrics).output_rows(partition);
        let reader = PartitionReader::new(self.clone(), partition, rows);
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

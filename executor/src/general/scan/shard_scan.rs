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
use proto::kv as wire;
use sharddb_fragment as fragment;
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
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            figures: Figures::default(),
        }
    }

    /// The same scan with another plan at the shards.
    pub(in crate::general) fn with_fragment(&self, fragment: Arc<dyn ExecutionPlan>) -> Self {
        Self::new(Arc::clone(&self.statement), Arc::clone(&self.scan), fragment)
    }

    pub(in crate::general) fn fragment(&self) -> &Arc<dyn ExecutionPlan> {
        &self.fragment
    }

    pub(super) fn statement(&self) -> &Arc<Statement> {
        &self.statement
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

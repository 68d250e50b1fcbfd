//! A node of a physical plan around an [`Operator`].

use std::{fmt, sync::Arc};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    common::{Result, tree_node::TreeNodeRecursion},
    execution::{
        SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
        coop::make_cooperative,
        execution_plan::ChildrenPropertiesMode,
        execution_plan::{Boundedness, EmissionType},
        metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet},
        stream::RecordBatchStreamAdapter,
    },
};
use fragment::to_datafusion;
use futures::{Stream, StreamExt};
use proto::SqlResult;
use sharddb_fragment as fragment;
use sharddb_proto as proto;

/// What an operator does with its inputs. Each input has one partition, and so has the output.
pub(in crate::general) trait Operator: fmt::Debug + Send + Sync + 'static {
    /// Shown in plans.
    fn name(&self) -> &'static str;

    /// Starts. Dropping the stream ends everything it has started.
    fn open(&self, inputs: Inputs) -> SqlResult<SendableRecordBatchStream>;
}

/// What an operator starts with.
pub(in crate::general) struct Inputs {
    pub(in crate::general) streams: Vec<SendableRecordBatchStream>,
    /// Schema of the output.
    pub(in crate::general) schema: SchemaRef,
    pub(in crate::general) task: Arc<TaskContext>,
    name: &'static str,
}

impl Inputs {
    /// The only input.
    pub(in crate::general) fn single(&mut self) -> SendableRecordBatchStream {
        self.streams.swap_remove(0)
    }

    /// An account for rows that the operator keeps; growing it fails with 53200 once memory is used up.
    pub(in crate::general) fn reservation(&self) -> MemoryReservation {
        MemoryConsumer::new(self.name).register(self.task.memory_pool())
    }

    /// Rows in an output batch.
    pub(in crate::general) fn batch_rows(&self) -> usize {
        self.task.session_config().batch_size()
    }

    /// The output stream.
    pub(in crate::general) fn answer(
        self,
        batches: impl Stream<Item = SqlResult<RecordBatch>> + Send + 'static,
    ) -> SendableRecordBatchStream {
        stream_of(self.schema, batches)
    }
}

/// A stream of DataFusion from one of ours.
pub(in crate::general) fn stream_of(
    schema: SchemaRef,
    batches: impl Stream<Item = SqlResult<RecordBatch>> + Send + 'static,
) -> SendableRecordBatchStream {
    let batches = batches.map(|batch| batch.map_err(to_datafusion));
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// An operator as a node.
#[derive(Debug)]
pub(in crate::general) struct OperatorExec {
    operator: Arc<dyn Operator>,
    children: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl OperatorExec {
    pub(in crate::general) fn new(
        operator: impl Operator,
        children: Vec<Arc<dyn ExecutionPlan>>,
        schema: SchemaRef,
    ) -> Self {
        Self::from_parts(Arc::new(operator), children, schema)
    }

    fn from_parts(operator: Arc<dyn Operator>, children: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { operator, children, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for OperatorExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operator.name())
    }
}

impl ExecutionPlan for OperatorExec {
    fn name(&self) -> &str {
        self.operator.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.children.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::from_parts(Arc::clone(&self.operator), children, self.schema())))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let streams = self.children.iter().map(|child| child.execute(0, Arc::clone(&task)));
        let streams = streams.collect::<Result<Vec<_>>>()?;
        let schema = self.schema();
        let inputs = Inputs { streams, schema: Arc::clone(&schema), task, name: self.operator.name() };
        let batches = self.operator.open(inputs).map_err(to_datafusion)?;
        let rows = MetricBuilder::new(&self.metrics).output_rows(partition);
        let counted = batches.inspect(move |batch| {
            if let Ok(batch) = batch {
                rows.add(batch.num_rows());
            }
        });
        // Operators may find rows for long without waiting for anything.
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(schema, counted))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

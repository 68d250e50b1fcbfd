//! The leaf of a fragment: rows of one table within spans of keys, as record batches.
//!
//! In the executor a leaf is a description. The shard decodes it with a [`LeafSource`], which makes it run.

use std::{fmt, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::{
    common::{Result, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
        execution_plan::{Boundedness, EmissionType},
    },
};
use schema::key::KeySpan;
use sharddb_schema as schema;

use crate::{error::to_datafusion, rows::ScanColumn, types::arrow_type};

/// Name of the column that holds a row's key.
pub const KEY_COLUMN: &str = "row_key";

/// Which rows and columns a leaf reads.
#[derive(Clone, Debug)]
pub struct ScanSpec {
    /// Name of the table, for plans that people read.
    pub table: String,
    /// Columns in output order, each with its name in the leaf's schema.
    pub columns: Vec<(String, ScanColumn)>,
    /// Adds the row's key (bytea) as last column.
    pub with_key: bool,
    /// Spans of keys within index 1, ascending and disjoint.
    pub spans: Vec<KeySpan>,
    /// Rows after which the leaf may stop.
    pub limit: Option<usize>,
}

impl ScanSpec {
    /// Schema of the leaf's batches.
    pub fn schema(&self) -> SchemaRef {
        let field = |(name, column): &(String, ScanColumn)| Field::new(name, arrow_type(column.oid), true);
        let mut fields: Vec<Field> = self.columns.iter().map(field).collect();
        if self.with_key {
            fields.push(Field::new(KEY_COLUMN, DataType::Binary, true));
        }
        Arc::new(Schema::new(fields))
    }
}

/// Gives a leaf its rows.
pub trait LeafSource: fmt::Debug + Send + Sync {
    /// Reads the rows of a leaf in batches of its schema. Dropping the stream ends the scan.
    fn open(&self, leaf: &ScanLeaf, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream>;
}

/// A leaf as an execution plan with one partition.
#[derive(Clone, Debug)]
pub struct ScanLeaf {
    spec: Arc<ScanSpec>,
    schema: SchemaRef,
    source: Option<Arc<dyn LeafSource>>,
    properties: Arc<PlanProperties>,
}

impl ScanLeaf {
    /// A leaf without rows to run on.
    pub fn new(spec: Arc<ScanSpec>) -> Self {
        let schema = spec.schema();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { spec, schema, source: None, properties: Arc::new(properties) }
    }

    /// The leaf with rows to run on.
    #[must_use]
    pub fn with_source(mut self, source: Arc<dyn LeafSource>) -> Self {
        self.source = Some(source);
        self
    }

    /// What it reads.
    pub fn spec(&self) -> &Arc<ScanSpec> {
        &self.spec
    }

    /// Schema of its batches.
    pub fn batch_schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl DisplayAs for ScanLeaf {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "Scan {} [{}]", self.spec.table, columns.join(", "))?;
        match self.spec.limit {
            Some(limit) => write!(f, " limit {limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ScanLeaf {
    fn name(&self) -> &'static str {
        "ScanLeaf"
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

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match &self.source {
            Some(source) => source.open(self, context),
            None => Err(to_datafusion(sharddb_proto::SqlError::internal("a scan runs only at a shard"))),
        }
    }
}

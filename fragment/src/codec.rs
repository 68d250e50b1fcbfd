//! Fragments as bytes: DataFusion's encoding of plans, extended by our leaf and functions.
//!
//! Functions are named by key and found again in the built-in tables, so both sides need the same build of them.
//! Decoding trusts nothing: bytes that no encoder made answer an error.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use datafusion::{
    common::Result,
    execution::TaskContext,
    logical_expr::{AggregateUDF, ScalarUDF},
    physical_expr::PhysicalExpr,
    physical_expr_common::physical_expr::{proto_decode::PhysicalExprDecodeCtx, proto_encode::PhysicalExprEncodeCtx},
    physical_plan::ExecutionPlan,
    prelude::SessionContext,
};
use datafusion_proto::{
    bytes::{physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec},
    physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension},
};
use prost::Message;
use proto::{SqlError, SqlResult};
use schema::{
    ColumnId, Datum, Oid, SqlType,
    functions::EvalContext,
    row::{decode_payload, encode_payload},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::{
    aggregate::{AggregateSpec, CallOrder, PgAggregate},
    error::{from_datafusion, to_datafusion},
    logic::{Logic, LogicKind},
    registry,
    rows::ScanColumn,
    scalar::{Operation, PgScalar, SubscriptKind},
    scan::{LeafSource, ScanLeaf, ScanSpec},
    wire::{self, ScalarKind},
};

/// Where decoding finds DataFusion's own functions.
static FUNCTIONS: LazyLock<Arc<TaskContext>> = LazyLock::new(|| SessionContext::new().task_ctx());

/// Serializes a fragment: a plan with one leaf, to be evaluated under `context`.
pub fn encode_fragment(plan: &Arc<dyn ExecutionPlan>, context: &EvalContext) -> SqlResult<Bytes> {
    let codec = FragmentCodec { context: None, source: None };
    let plan = physical_plan_to_bytes_with_extension_codec(Arc::clone(plan), &codec);
    let plan = plan.map_err(|error| from_datafusion(&error))?;
    let message = wire::FragmentPlan { context: Some(wire::Context::of(context)), plan };
    Ok(message.encode_to_vec().into())
}

/// Whether a fragment may hold this plan.
pub fn is_encodable(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let codec = FragmentCodec { context: None, source: None };
    physical_plan_to_bytes_with_extension_codec(Arc::clone(plan), &codec).is_ok()
}

/// Reads a fragment and connects its leaf.
pub fn decode_fragment(bytes: &[u8], source: Arc<dyn LeafSource>) -> SqlResult<Arc<dyn ExecutionPlan>> {
    let malformed = |_| SqlError::internal("fragment is malformed");
    let message = wire::FragmentPlan::decode(bytes).map_err(malformed)?;
    let context = message.context.unwrap_or_default().into_eval()?;
    let codec = FragmentCodec { context: Some(Arc::new(context)), source: Some(source) };
    physical_plan_from_bytes_with_extension_codec(&message.plan, &FUNCTIONS, &codec)
        .map_err(|error| from_datafusion(&error))
}

#[derive(Debug)]
struct FragmentCodec {
    /// Set when decoding.
    context: Option<Arc<EvalContext>>,
    /// Set when decoding.
    source: Option<Arc<dyn LeafSource>>,
}

impl PhysicalExtensionCodec for FragmentCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        _: &[Arc<dyn ExecutionPlan>],
        _: &TaskContext,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let spec = decode_scan(buf).map_err(to_datafusion)?;
        let leaf = ScanLeaf::new(Arc::new(spec));
        Ok(Arc::new(match &self.source {
            Some(source) => leaf.with_source(Arc::clone(source)),
            None => leaf,
        }))
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let Some(leaf) = node.downcast_ref::<ScanLeaf>() else {
            return datafusion::common::not_impl_err!("{} inside a fragment", node.name());
        };
        buf.extend_from_slice(&encode_scan(leaf.spec()).encode_to_vec());
        Ok(())
    }

    fn try_decode_udf(&self, name: &str, buf: &[u8]) -> Result<Arc<ScalarUDF>> {
        let context = self.context.clone().ok_or_else(|| to_datafusion(SqlError::internal("no context")))?;
        let function = decode_scalar(buf, context);
        Ok(function.map_err(|error| to_datafusion(error.with_context(format!("function {name}"))))?.into_udf())
    }

    fn try_encode_udf(&self, node: &ScalarUDF, buf: &mut Vec<u8>) -> Result<()> {
        if let Some(function) = (node.inner().as_ref() as &dyn std::any::Any).downcast_ref::<PgScalar>() {
            let message = encode_scalar(function).map_err(to_datafusion)?;
            buf.extend_from_slice(&message.encode_to_vec());
        }
        Ok(())
    }

    fn try_decode_expr(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn PhysicalExpr>],
        context: &PhysicalExprDecodeCtx<'_>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let kind = match buf {
            [0] => LogicKind::And,
            [1] => LogicKind::Or,
            [2] => LogicKind::Coalesce,
            _ => return Err(to_datafusion(malformed())),
        };
        let first = inputs.first().ok_or_else(|| to_datafusion(malformed()))?;
        let data_type = first.data_type(context.schema())?;
        Ok(Arc::new(Logic::new(kind, inputs.to_vec(), data_type)))
    }

    fn try_encode_expr(
        &self,
        node: &Arc<dyn PhysicalExpr>,
        buf: &mut Vec<u8>,
        _: &PhysicalExprEncodeCtx<'_>,
    ) -> Result<()> {
        let Some(logic) = node.downcast_ref::<Logic>() else {
            return datafusion::common::not_impl_err!("{node} inside a fragment");
        };
        buf.push(match logic.kind() {
            LogicKind::And => 0,
            LogicKind::Or => 1,
            LogicKind::Coalesce => 2,
        });
        Ok(())
    }

    fn try_decode_udaf(&self, name: &str, buf: &[u8]) -> Result<Arc<AggregateUDF>> {
        let aggregate = decode_aggregate(buf);
        Ok(aggregate.map_err(|error| to_datafusion(error.with_context(format!("aggregate {name}"))))?.into_udf())
    }

    fn try_encode_udaf(&self, node: &AggregateUDF, buf: &mut Vec<u8>) -> Result<()> {
        if let Some(aggregate) = (node.inner().as_ref() as &dyn std::any::Any).downcast_ref::<PgAggregate>() {
            buf.extend_from_slice(&encode_aggregate(aggregate.spec()).encode_to_vec());
        }
        Ok(())
    }
}

fn malformed() -> SqlError {
    SqlError::internal("fragment is malformed")
}

fn encode_scan(spec: &ScanSpec) -> wire::Scan {
    let column = |(name, column): &(String, ScanColumn)| {
        let mut missing = Vec::new();
        if !column.missing.is_null() {
            encode_payload(&column.missing, &mut missing);
        }
        wire::ScanColumn { name: name.clone(), id: column.id.0.into(), oid: column.oid.0, missing }
    };
    let span = |(start, end): &(Vec<u8>, Vec<u8>)| proto::kv::Span {
        start: Bytes::copy_from_slice(start),
        end: Bytes::copy_from_slice(end),
    };
    wire::Scan {
        table: spec.table.clone(),
        columns: spec.columns.iter().map(column).collect(),
        with_key: spec.with_key,
        spans: spec.spans.iter().map(span).collect(),
        limit: spec.limit.map(|limit| limit as u64),
    }
}

fn decode_scan(buf: &[u8]) -> SqlResult<ScanSpec> {
    let message = wire::Scan::decode(buf).map_err(|_| malformed())?;
    let column = |column: wire::ScanColumn| {
        let id = ColumnId(u16::try_from(column.id).map_err(|_| malformed())?);
        let missing = if column.missing.is_empty() { Datum::Null } else { decode_payload(&column.missing)? };
        Ok((column.name, ScanColumn { id, oid: Oid(column.oid), missing }))
    };
    Ok(ScanSpec {
        table: message.table,
        columns: message.columns.into_iter().map(column).collect::<SqlResult<_>>()?,
        with_key: message.with_key,
        spans: message.spans.into_iter().map(|span| (span.start.to_vec(), span.end.to_vec())).collect(),
        limit: message.limit.map(|limit| limit as usize),
    })
}

fn encode_scalar(function: &PgScalar) -> SqlResult<wire::Scalar> {
    let none = Vec::new;
    let (kind, key, flag, details) = match function.operation() {
        Operation::Call(call) => (ScalarKind::Call, call.key(), false, none()),
        Operation::Cast(context) => (ScalarKind::Cast, String::new(), false, vec![*context as u32]),
        Operation::Key => (ScalarKind::Key, String::new(), false, none()),
        Operation::IsDistinct { equal, negated } => (ScalarKind::IsDistinct, equal.key(), *negated, none()),
        Operation::InList { equal, negated } => (ScalarKind::InList, equal.key(), *negated, none()),
        Operation::Quantified { operator, all } => (ScalarKind::Quantified, operator.key(), *all, none()),
        Operation::Array => (ScalarKind::Array, String::new(), false, none()),
        Operation::Subscript { indexes, slice } => {
            let bits = indexes.iter().map(|at| u32::from(at.lower) | u32::from(at.upper) << 1);
            (ScalarKind::Subscript, String::new(), *slice, bits.collect())
        }
        Operation::Row => (ScalarKind::Row, String::new(), false, none()),
        Operation::Raise(_) => return Err(SqlError::unsupported("an error inside a fragment")),
    };
    Ok(wire::Scalar {
        kind: kind.into(),
        function: key,
        args: wire::types(function.args()),
        result: Some(function.result().into()),
        flag,
        details,
    })
}

fn decode_scalar(buf: &[u8], context: Arc<EvalContext>) -> SqlResult<PgScalar> {
    let message = wire::Scalar::decode(buf).map_err(|_| malformed())?;
    let kind = ScalarKind::try_from(message.kind).map_err(|_| malformed())?;
    let function = || registry::function(&message.function);
    let flag = message.flag;
    let operation = match kind {
        ScalarKind::Call => Operation::Call(function()?),
        ScalarKind::Cast => Operation::Cast(wire::cast_context(message.details.first().copied().unwrap_or(2))),
        ScalarKind::Key => Operation::Key,
        ScalarKind::IsDistinct => Operation::IsDistinct { equal: function()?, negated: flag },
        ScalarKind::InList => Operation::InList { equal: function()?, negated: flag },
        ScalarKind::Quantified => Operation::Quantified { operator: function()?, all: flag },
        ScalarKind::Array => Operation::Array,
        ScalarKind::Subscript => {
            let kind = |bits: &u32| SubscriptKind { lower: bits & 1 != 0, upper: bits & 2 != 0 };
            Operation::Subscript { indexes: message.details.iter().map(kind).collect(), slice: flag }
        }
        ScalarKind::Row => Operation::Row,
    };
    let args = message.args.into_iter().map(SqlType::from).collect();
    Ok(PgScalar::new(operation, args, message.result.ok_or_else(malformed)?.into(), context))
}

fn encode_aggregate(spec: &AggregateSpec) -> wire::Aggregate {
    let order = spec.order.iter().map(|order| u32::from(order.descending) | u32::from(order.nulls_first) << 1);
    wire::Aggregate {
        function: registry::aggregate_key(spec.function),
        args: wire::types(&spec.args),
        result: Some(spec.result.into()),
        distinct: spec.distinct,
        order: order.collect(),
    }
}

fn decode_aggregate(buf: &[u8]) -> SqlResult<PgAggregate> {
    let message = wire::Aggregate::decode(buf).map_err(|_| malformed())?;
    if message.order.len() > message.args.len() {
        return Err(malformed());
    }
    let order = |bits: &u32| CallOrder { descending: bits & 1 != 0, nulls_first: bits & 2 != 0 };
    Ok(PgAggregate::new(AggregateSpec {
        function: registry::aggregate(&message.function)?,
        args: message.args.into_iter().map(SqlType::from).collect(),
        result: message.result.ok_or_else(malformed)?.into(),
        distinct: message.distinct,
        order: message.order.iter().map(order).collect(),
    }))
}

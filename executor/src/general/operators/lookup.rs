//! A join that first reads its smaller side and then only those rows of the other side that have one of its keys.
//!
//! The other side is planned once the keys are known, with a condition `key IN (…)`, which becomes points in its key space.
//! With too many keys it is planned without.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    physical_expr::PhysicalExprRef,
};
use fragment::Column;
use futures::{StreamExt, TryStreamExt, stream};
use planner::plan::Expr;
use proto::SqlResult;
use schema::{Datum, Oid, SqlType, functions::Function, key::canonical_key};
use sharddb_fragment as fragment;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    Inputs, Operator, Shared,
    dedup::{evaluate, relabel},
};
use crate::general::{
    context::{Statement, failed},
    ir::{Join, Node, Rel, constant},
    lower::{self, Scope},
    optimize,
};

/// Keys up to which rows are looked up: beyond, reading the other side in order is cheaper.
pub(in crate::general) const KEYS_MAX: usize = 1000;

/// Number under which the rows of the smaller side are read; no WITH query has it.
pub(in crate::general) const KEPT: usize = usize::MAX;

/// A join by looking up keys. Its input is the smaller side.
#[derive(Debug)]
pub(in crate::general) struct Lookup {
    pub(in crate::general) statement: Arc<Statement>,
    pub(in crate::general) scope: Scope,
    pub(in crate::general) spec: Arc<LookupSpec>,
    /// Keys over the smaller side.
    pub(in crate::general) keys: Vec<PhysicalExprRef>,
}

/// What is joined.
#[derive(Debug)]
pub(in crate::general) struct LookupSpec {
    pub(in crate::general) kind: Join,
    /// The smaller side is the left one.
    pub(in crate::general) kept_left: bool,
    /// Columns of the smaller side.
    pub(in crate::general) kept: Rel,
    /// The side that is looked up.
    pub(in crate::general) other: Rel,
    pub(in crate::general) on: Vec<Expr>,
    pub(in crate::general) keys: Vec<LookupKey>,
}

/// An equality by which rows are looked up.
#[derive(Debug)]
pub(in crate::general) struct LookupKey {
    /// Type of the key over the smaller side.
    pub(in crate::general) oid: Oid,
    /// The key over the side that is looked up.
    pub(in crate::general) other: Expr,
    /// Equality of the other side's type.
    pub(in crate::general) equal: &'static Function,
}

impl Operator for Lookup {
    fn name(&self) -> &'static str {
        "Lookup Join"
    }

    fn open(&self, mut inputs: Inputs) -> SqlResult<SendableRecordBatchStream> {
        let (statement, scope, spec) = (Arc::clone(&self.statement), self.scope.clone(), Arc::clone(&self.spec));
        let (keys, memory, schema) = (self.keys.clone(), inputs.reservation(), Arc::clone(&inputs.schema));
        let input = inputs.single();
        let rows = stream::once(async move { start(statement, scope, spec, keys, input, memory, schema).await });
        Ok(inputs.answer(rows.try_flatten()))
    }
}

async fn start(
    statement: Arc<Statement>,
    scope: Scope,
    spec: Arc<LookupSpec>,
    keys: Vec<PhysicalExprRef>,
    mut input: SendableRecordBatchStream,
    memory: MemoryReservation,
    schema: SchemaRef,
) -> SqlResult<impl futures::Stream<Item = SqlResult<RecordBatch>>> {
    let mut values: Vec<BTreeMap<Vec<u8>, Datum>> = vec![BTreeMap::new(); keys.len()];
    let mut batches = Vec::new();
    while let Some(batch) = input.next().await {
        let batch = batch.map_err(failed)?;
        memory.try_grow(batch.get_array_memory_size()).map_err(failed)?;
        collect_keys(&spec.keys, &keys, &batch, &mut values)?;
        batches.push(batch);
    }
    let scope = scope.with(KEPT, Arc::new(Shared::ready(batches)));
    let rows = lower::start_optimized(&statement, &scope, &spec.joined(&statement, values))?;
    // The memory is given back when the join has ended.
    let rows = rows.map(move |batch| {
        let _held = &memory;
        relabel(batch.map_err(failed)?, &schema)
    });
    Ok(rows)
}

fn collect_keys(
    specs: &[LookupKey],
    keys: &[PhysicalExprRef],
    batch: &RecordBatch,
    values: &mut [BTreeMap<Vec<u8>, Datum>],
) -> SqlResult<()> {
    let arrays = evaluate(keys, batch)?;
    for ((spec, array), values) in specs.iter().zip(&arrays).zip(values) {
        let column = Column::new(spec.oid, array.as_ref())?;
        for row in 0..batch.num_rows() {
            // One more than the bound tells that there are too many.
            if column.is_null(row) || values.len() > KEYS_MAX {
                continue;
            }
            let value = column.datum(row)?;
            let mut key = Vec::with_capacity(16);
            canonical_key(SqlType::new(spec.oid), &value, &mut key)?;
            values.insert(key, value);
        }
    }
    Ok(())
}

impl LookupSpec {
    /// The join over the kept rows, with the other side narrowed to the keys.
    fn joined(&self, statement: &Arc<Statement>, values: Vec<BTreeMap<Vec<u8>, Datum>>) -> Rel {
        let conditions = self.keys.iter().zip(values).filter(|(_, values)| values.len() <= KEYS_MAX);
        let conditions = conditions.map(|(key, values)| {
            let sql_type = SqlType::new(key.other.sql_type().oid);
            let list = values.into_values().filter_map(|value| converted(value, sql_type.oid));
            Expr::InList {
                input: Box::new(key.other.clone()),
                list: list.map(|value| constant(value, sql_type)).collect(),
                equal: key.equal,
                negated: false,
            }
        });
        let other = optimize::push(statement, self.other.clone(), conditions.collect());
        let kept = Rel::new(Node::Shared(KEPT), self.kept.columns.clone());
        let (left, right) = if self.kept_left { (kept, other) } else { (other, kept) };
        Rel::join(self.kind, left, right, self.on.clone())
    }
}

/// An integer as one of another width; `None` if it does not fit and so equals nothing there.
fn converted(value: Datum, oid: Oid) -> Option<Datum> {
    let integer = match value {
        Datum::Int2(v) => i64::from(v),
        Datum::Int4(v) => i64::from(v),
        Datum::Int8(v) => v,
        other => return Some(other),
    };
    match oid {
        Oid::INT2 => i16::try_from(integer).ok().map(Datum::Int2),
        Oid::INT4 => i32::try_from(integer).ok().map(Datum::Int4),
        _ => Some(Datum::Int8(integer)),
    }
}

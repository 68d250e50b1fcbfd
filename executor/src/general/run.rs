//! Running and explaining queries.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use datafusion::{execution::SendableRecordBatchStream, physical_plan::execute_stream};
use futures::StreamExt;
use planner::plan::Query;
use proto::SqlResult;
use schema::{Datum, TableDescriptor};
use sharddb_kv as kv;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    RunContext,
    context::{Statement, View, failed, span},
    convert::{Converted, convert},
    explain::Showing,
    ir::{Node, Rel},
    lower::{self, Scope},
    optimize,
};

/// A running query.
pub(crate) struct Rows {
    /// References of the tables whose row keys (bytea) come behind the visible columns, in this order; NULL where an outer join found no row.
    pub(crate) keys: Vec<usize>,
    /// The rows. Dropping the stream ends the query.
    pub(crate) batches: SendableRecordBatchStream,
}

/// Starts a query at the snapshot of the transaction's present statement.
pub(crate) async fn run(query: &Query, params: &[Datum], txn: &mut kv::Txn, context: &RunContext) -> SqlResult<Rows> {
    run_with_keys(query, params, &[], txn, context).await
}

/// The same, with the row keys of some tables of the query (`TableScan::reference`) as further columns.
pub(crate) async fn run_with_keys(
    query: &Query,
    params: &[Datum],
    keys: &[usize],
    txn: &mut kv::Txn,
    context: &RunContext,
) -> SqlResult<Rows> {
    let Converted { mut rel, keys } = convert(query, params, keys)?;
    let statement = begin(&rel, txn, context).await?;
    optimize::run_initial_plans(&statement, &mut rel).await?;
    let rel = optimize::optimize(&statement, rel)?;
    let plan = lower::plan(&statement, &Scope::default(), &rel)?;
    note_reads(&statement, &rel, txn);
    let batches = execute_stream(plan, Arc::clone(&statement.task)).map_err(failed)?;
    Ok(Rows { keys, batches })
}

/// EXPLAIN as lines of text; ANALYZE runs the query and drops its rows.
pub(crate) async fn explain(
    query: &Query,
    params: &[Datum],
    showing: Showing,
    txn: &mut kv::Txn,
    context: &RunContext,
) -> SqlResult<Vec<String>> {
    let planning = Instant::now();
    let Converted { mut rel, .. } = convert(query, params, &[])?;
    let statement = begin(&rel, txn, context).await?;
    let mut initial = Vec::new();
    if showing.analyze {
        optimize::run_initial_plans(&statement, &mut rel).await?;
    } else {
        optimize::name_initial_plans(&mut rel, &mut initial);
    }
    let rel = optimize::optimize(&statement, rel)?;
    let mut lowered = lower::plan_with_notes(&statement, &rel)?;
    for optimize::InitialPlan { rel } in initial {
        let rel = optimize::optimize(&statement, rel)?;
        lowered.note.children.push(lower::plan_with_notes(&statement, &rel)?.note.labelled("InitPlan"));
    }
    let planned = planning.elapsed();
    if !showing.analyze {
        return Ok(lowered.note.render(showing));
    }
    note_reads(&statement, &rel, txn);
    let running = Instant::now();
    let mut batches = execute_stream(lowered.plan, Arc::clone(&statement.task)).map_err(failed)?;
    while let Some(batch) = batches.next().await {
        batch.map_err(failed)?;
    }
    let ran = running.elapsed();
    let mut lines = lowered.note.render(showing);
    lines.push(format!("Rows from Shards: {}", statement.traffic().rows()));
    lines.push(format!("Bytes from Shards: {}", statement.traffic().bytes()));
    lines.push(format!("Planning Time: {:.3} ms", planned.as_secs_f64() * 1000.0));
    lines.push(format!("Execution Time: {:.3} ms", ran.as_secs_f64() * 1000.0));
    Ok(lines)
}

/// Takes the snapshot and the own writes to every table of the query.
async fn begin(rel: &Rel, txn: &mut kv::Txn, context: &RunContext) -> SqlResult<Arc<Statement>> {
    let mut tables = BTreeMap::new();
    collect_tables(rel, &mut tables);
    let tables: Vec<Arc<TableDescriptor>> = tables.into_values().collect();
    let view = View::take(txn, &tables, context.frozen.as_deref()).await?;
    Ok(Statement::new(context, view))
}

fn collect_tables(rel: &Rel, tables: &mut BTreeMap<u32, Arc<TableDescriptor>>) {
    if let Node::Scan(scan) = &rel.node {
        tables.insert(scan.table.storage_id, Arc::clone(&scan.table));
    }
    if let Node::Apply { calls, .. } = &rel.node {
        calls.iter().for_each(|call| collect_tables(&call.rel, tables));
    }
    rel.inputs().into_iter().for_each(|input| collect_tables(input, tables));
}

/// Hands the spans that the plan reads to the transaction. What is planned while the query runs may read any row of its
/// tables.
fn note_reads(statement: &Statement, rel: &Rel, txn: &mut kv::Txn) {
    let mut tables = BTreeMap::new();
    collect_planned_later(rel, &mut tables);
    for table in tables.into_values() {
        let (start, end) = schema::key::index_span(&table, schema::key::PRIMARY_INDEX);
        txn.note_read(span(start, end));
    }
    for span in std::mem::take(&mut *statement.view.reads.lock()) {
        txn.note_read(span);
    }
}

fn collect_planned_later(rel: &Rel, tables: &mut BTreeMap<u32, Arc<TableDescriptor>>) {
    match &rel.node {
        Node::Apply { calls, .. } => calls.iter().for_each(|call| collect_tables(&call.rel, tables)),
        Node::Lateral { right: later, .. } | Node::Recursive { step: later, .. } => collect_tables(later, tables),
        _ => {}
    }
    rel.inputs().into_iter().for_each(|input| collect_planned_later(input, tables));
}

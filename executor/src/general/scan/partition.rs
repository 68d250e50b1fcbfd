//! Reads the spans of one partition, by one fragment after the other.
//!
//! A join of tables that one shard holds is one fragment over the spans of all of them. Where these turn out to lie in
//! several shards now, it is computed here instead.
//!
//! Where the range map turns out to be old, the spans are routed anew and may take several fragments. A fragment that breaks
//! off, because its node or the way to it is gone, is sent to the shard's present leader at the same snapshot:
//!
//! * Rows that come with a key to go on from are handed on at once; only what lies behind them is read again.
//! * Other rows (partial aggregates, the first rows in some order, joins) are a result only as a whole. They are held back until the
//!   fragment has ended, and dropped if it breaks off. What would be too large to hold is handed on; after that the statement
//!   cannot go on and fails with 40001.

use std::{collections::VecDeque, sync::Arc};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use bytes::Bytes;
use datafusion::{
    execution::SendableRecordBatchStream,
    execution::memory_pool::{MemoryConsumer, MemoryReservation},
    physical_plan::{ExecutionPlan, ReplaceChildrenOptions, execution_plan::ChildrenPropertiesMode, metrics::Count},
};
use fragment::{
    FragmentEnd, FragmentError, FragmentPart, FragmentRows, FragmentStream, ScanLeaf, ScanSpec, encode_fragment,
};
use futures::StreamExt;
use proto::{
    NodeId, SqlError, SqlResult, SqlState, Timestamp,
    kv::{self as wire, failure},
};
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_proto as proto;

use super::{
    ShardScanExec,
    figures::Entry,
    shard_scan::{Joined, one_route},
};
use crate::general::context::failed;

/// Bytes of one fragment's rows that are held back: partial results of some ten thousand groups. With dozens of shards this
/// stays a small part of the memory that statements share, which is asked for too.
const HELD_BYTES_MAX: usize = if cfg!(test) { 32 << 10 } else { 8 << 20 };

/// Reads the spans of one partition.
pub(super) struct PartitionReader {
    exec: ShardScanExec,
    /// Spans not yet sent.
    pending: VecDeque<wire::Span>,
    /// The same of the other tables of a join.
    joined: Vec<Joined>,
    running: Option<Running>,
    /// A join that is computed here.
    apart: Option<SendableRecordBatchStream>,
    /// A replica that does not lead could not answer.
    leader_only: bool,
    /// Rows to be answered.
    ready: VecDeque<RecordBatch>,
    attempts: kv::Attempts,
    rows: Count,
}

/// A fragment on its way.
struct Running {
    stream: FragmentStream,
    route: kv::Route,
    /// It was sent to a replica that need not lead.
    follower: bool,
    spans: Vec<wire::Span>,
    /// From where it would go on, if some of its rows were handed on.
    resume: Option<Bytes>,
    /// Rows that are a result only once it has ended.
    held: Vec<RecordBatch>,
    reservation: MemoryReservation,
    /// Such rows were handed on: there is no way to go on.
    exposed: bool,
    entry: Entry,
}

impl PartitionReader {
    pub(super) fn new(exec: ShardScanExec, partition: usize, rows: Count) -> Self {
        let pending = exec.scan().partitions[partition].iter().cloned().collect();
        let joined = exec.scan().joined.clone();
        let (ready, attempts) = (VecDeque::new(), kv::Attempts::default());
        Self { exec, pending, joined, running: None, apart: None, leader_only: false, ready, attempts, rows }
    }

    pub(super) async fn next(&mut self) -> SqlResult<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.rows.add(batch.num_rows());
                return with_schema(batch, &self.exec.fragment().schema()).map(Some);
            }
            if let Some(apart) = &mut self.apart {
                let batch = apart.next().await.transpose().map_err(failed)?;
                self.rows.add(batch.as_ref().map_or(0, RecordBatch::num_rows));
                return Ok(batch);
            }
            if self.running.is_none() && !self.start().await? {
                return Ok(None);
            }
            let Some(running) = &mut self.running else { continue };
            match running.stream.next().await {
                Some(Ok(FragmentPart::Rows(rows))) => self.take(rows),
                Some(Ok(FragmentPart::End(end))) => self.end(end),
                Some(Err(FragmentError::Failed(error))) => return Err(error),
                Some(Err(FragmentError::Refused(kind))) => self.broken(kind).await?,
                None => self.broken(failure::Kind::Ambiguous("its answer was cut off".to_owned())).await?,
            }
        }
    }

    /// Sends the next fragment; answers whether there was one to send.
    async fn start(&mut self) -> SqlResult<bool> {
        let ranges = Arc::clone(&self.exec.statement().general.client.ranges());
        if self.exec.apart().is_some() {
            return self.start_join(&ranges).await;
        }
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
        let Some(route) = route else { return Ok(false) };
        self.send(route, spans).await?;
        Ok(true)
    }

    /// The same for a join: as one fragment, or here.
    async fn start_join(&mut self, ranges: &kv::RangeMap) -> SqlResult<bool> {
        if self.pending.is_empty() {
            return Ok(false);
        }
        let spans = self.pending.iter().chain(self.joined.iter().flat_map(|joined| &joined.spans));
        let route = one_route(spans, ranges);
        let own = std::mem::take(&mut self.pending).into();
        match (route, self.exec.apart()) {
            (None, Some(apart)) => {
                let task = Arc::clone(&self.exec.statement().task);
                self.apart = Some(apart.execute(0, task).map_err(failed)?);
            }
            (None, None) => return Err(SqlError::internal("a join has no shard")),
            (Some(route), _) => self.send(route, own).await?,
        }
        Ok(true)
    }

    async fn send(&mut self, route: kv::Route, spans: Vec<wire::Span>) -> SqlResult<()> {
        let (node, past_index) = self.replica(&route).await?;
        let statement = self.exec.statement();
        statement.general.client.check_snapshot(statement.view.read_ts)?;
        let request = self.request(&route, past_index, &spans)?;
        statement.traffic().add_fragment();
        let stream = statement.general.fragments.fragment(node, request);
        let reservation = MemoryConsumer::new("rows of a fragment").register(statement.task.memory_pool());
        let entry = self.exec.figures().sent(route.shard, node);
        let (held, resume) = Default::default();
        let follower = past_index > 0;
        let running = Running { stream, route, follower, spans, resume, held, reservation, exposed: false, entry };
        self.running = Some(running);
        Ok(())
    }

    /// The replica to ask, and the index up to which it must have applied its log; 0 for the leader.
    async fn replica(&mut self, route: &kv::Route) -> SqlResult<(NodeId, u64)> {
        let statement = self.exec.statement();
        if !statement.view.past || self.leader_only {
            return Ok((route.node, 0));
        }
        let near = statement.general.client.past_route(route, Timestamp(statement.view.read_ts)).await?;
        Ok(near.unwrap_or((route.node, 0)))
    }

    fn request(&self, route: &kv::Route, past_index: u64, spans: &[wire::Span]) -> SqlResult<wire::Fragment> {
        let statement = self.exec.statement();
        let mut overlay = statement.view.overlay(self.exec.scan().storage_id, spans);
        let mut leaves = vec![spans];
        for Joined { storage_id, spans } in &self.joined {
            overlay.extend(statement.view.overlay(*storage_id, spans));
            leaves.push(spans);
        }
        let plan = with_spans(self.exec.fragment(), &mut leaves.into_iter())?;
        Ok(wire::Fragment {
            header: Some(wire::Header {
                shard: route.shard.0,
                epoch: route.epoch.0,
                txn: statement.view.txn.0,
                guards: Vec::new(),
                catalog_version: statement.general.client.catalog_version().0,
                past_index,
                past: statement.view.past,
            }),
            read_ts: statement.view.read_ts,
            plan: encode_fragment(&plan, &statement.eval)?,
            overlay,
            batch_rows: statement.task.session_config().batch_size() as u32,
        })
    }

    fn take(&mut self, FragmentRows { batch, bytes, resume }: FragmentRows) {
        let Some(running) = &mut self.running else { return };
        // The shard answers: whatever happens next is a new trouble.
        self.attempts = kv::Attempts::default();
        self.exec.statement().traffic().add_batch(batch.num_rows() as u64, bytes);
        self.exec.figures().add(running.entry, batch.num_rows() as u64, bytes);
        if let Some(resume) = resume {
            running.resume = Some(resume);
            self.ready.push_back(batch);
        } else if running.may_hold(bytes) {
            running.held.push(batch);
        } else {
            self.ready.extend(running.held.drain(..));
            running.reservation.free();
            self.ready.push_back(batch);
        }
    }

    fn end(&mut self, end: FragmentEnd) {
        let Some(running) = self.running.take() else { return };
        self.exec.statement().traffic().add_bytes(end.bytes);
        self.exec.figures().done(running.entry, end);
        self.ready.extend(running.held);
    }

    /// Finds the shard's new place and puts the rest of the fragment's spans back.
    async fn broken(&mut self, kind: failure::Kind) -> SqlResult<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        self.exec.figures().lost(running.entry);
        let client = &self.exec.statement().general.client;
        if running.follower && !matches!(kind, failure::Kind::Refused(_)) {
            // It says nothing about the leader, which is asked next.
            self.leader_only = true;
        } else if !client.reroute_fragment(&mut self.attempts, &running.route, &kind).await? {
            return Err(refusal(kind));
        }
        if running.exposed {
            return Err(cut_off(&kind));
        }
        if running.resume.is_some() || !running.held.is_empty() {
            self.exec.statement().traffic().add_resumed();
        }
        let rest = match &running.resume {
            Some(key) => rest(running.spans, key),
            None => running.spans,
        };
        for span in rest.into_iter().rev() {
            self.pending.push_front(span);
        }
        Ok(())
    }
}

impl Running {
    /// Whether rows may be held back with the others.
    fn may_hold(&mut self, bytes: u64) -> bool {
        let bytes = bytes as usize;
        let fits = !self.exposed
            && self.reservation.size() + bytes <= HELD_BYTES_MAX
            && self.reservation.try_grow(bytes).is_ok();
        self.exposed = !fits;
        fits
    }
}

/// What is left of ascending spans from a key on.
fn rest(spans: Vec<wire::Span>, from: &Bytes) -> Vec<wire::Span> {
    if from.is_empty() {
        return Vec::new();
    }
    let ahead = spans.into_iter().filter(|span| span.end.is_empty() || span.end > *from);
    ahead.map(|span| wire::Span { start: span.start.max(from.clone()), end: span.end }).collect()
}

/// The statement's error when a fragment broke off whose rows cannot be had a second time.
fn cut_off(kind: &failure::Kind) -> SqlError {
    let message = "could not read on: a shard was lost in the middle of a large partial result";
    SqlError::new(SqlState::SerializationFailure, message)
        .with_detail(format!("{kind:?}"))
        .with_hint("The transaction might succeed if retried.")
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

/// The fragment with its leaves over these spans, one after the other.
fn with_spans<'s>(
    plan: &Arc<dyn ExecutionPlan>,
    leaves: &mut impl Iterator<Item = &'s [wire::Span]>,
) -> SqlResult<Arc<dyn ExecutionPlan>> {
    if let Some(leaf) = plan.downcast_ref::<ScanLeaf>() {
        let spans = leaves.next().ok_or_else(|| SqlError::internal("a leaf has no spans"))?;
        let spans = spans.iter().map(|span| (span.start.to_vec(), span.end.to_vec())).collect();
        let spec = ScanSpec { spans, ..(**leaf.spec()).clone() };
        return Ok(Arc::new(ScanLeaf::new(Arc::new(spec))));
    }
    let children = plan.children().into_iter().map(|child| with_spans(child, leaves)).collect::<SqlResult<Vec<_>>>()?;
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

//! Runs serialized plan fragments over the shard's rows.
//!
//! A fragment is decoded, its spans are made readable at the snapshot as for a scan, and then it runs start to end on
//! one thread for blocking work: reading, filtering and aggregating happen without handing rows between tasks. Batches
//! leave through a bounded channel, so a slow reader holds the scan back; a reader that goes away ends it. The rows are read
//! from one view of the storage: who leads the shard meanwhile does not matter.
//!
//! Does not: retry (the executor does); change anything.

mod leaf;
mod run;
mod spans;

use std::sync::Arc;

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    error::DataFusionError,
    execution::TaskContext,
    physical_plan::ExecutionPlan,
    prelude::SessionConfig,
};
use fragment::{FragmentError, FragmentPart, FragmentStream, ScanLeaf, decode_fragment, from_datafusion};
use futures::{StreamExt, stream};
use proto::{SqlError, SqlState, Timestamp, TxnId, kv};
use sharddb_fragment as fragment;
use sharddb_proto as proto;
use tokio::{sync::mpsc, time::Instant};

use self::{leaf::ShardSource, run::Run, spans::SpanReader};
use crate::{
    node::Node,
    replica::{Failure, Replica},
};

/// Batches that wait for a slow reader. One is filled while one is sent.
const BATCHES_AHEAD: usize = 2;

/// Rows in a batch when the fragment does not say: DataFusion's own choice.
const BATCH_ROWS: usize = 8192;

type PartResult = Result<FragmentPart, FragmentError>;

impl Node {
    /// Runs a fragment. Errors are told in the stream.
    pub fn fragment(&self, request: kv::Fragment) -> FragmentStream {
        let header = request.header.clone().unwrap_or_default();
        let Some(replica) = self.replica(header.shard) else {
            let refused = FragmentError::Refused(Failure::UnknownShard(kv::Done {}));
            return stream::once(async { Err(refused) }).boxed();
        };
        let start = async move {
            match start(replica, header, request).await {
                Ok(batches) => batches,
                Err(error) => stream::once(async { Err(error) }).boxed(),
            }
        };
        stream::once(start).flatten().boxed()
    }
}

async fn start(
    replica: Arc<Replica>,
    header: kv::Header,
    request: kv::Fragment,
) -> Result<FragmentStream, FragmentError> {
    let since = Instant::now();
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let source = ShardSource::new(sender.clone());
    let plan = decode_fragment(&request.plan, Arc::new(source.clone()))?;
    let ts = if request.read_ts == 0 { replica.fresh() } else { Timestamp(request.read_ts) };
    let reader = SpanReader::new(ts, &request.overlay);
    let reader = prepare(&replica, &header, ts, spans_of(&plan)?, reader).await?;
    source.fill(reader, run::is_resumable(&plan));
    let rows = if request.batch_rows == 0 { BATCH_ROWS } else { request.batch_rows as usize };
    let config = SessionConfig::new().with_batch_size(rows).with_target_partitions(1);
    let context = Arc::new(TaskContext::default().with_session_config(config));
    let run = Run { plan, context, source, sender, time: since.elapsed() };
    tokio::task::spawn_blocking(move || run.run());
    Ok(stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Ok(part @ FragmentPart::Rows(_))) => Some((Ok(part), Some(receiver))),
            Some(last) => Some((last, None)),
            None => Some((Err(SqlError::internal("a fragment ended too early").into()), None)),
        }
    })
    .boxed())
}

fn failed(error: &DataFusionError) -> FragmentError {
    FragmentError::Failed(from_datafusion(error))
}

/// The spans of the plan's one leaf.
fn spans_of(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<kv::Span>, FragmentError> {
    let mut leaves = Vec::new();
    plan.apply(|node| {
        if let Some(leaf) = node.downcast_ref::<ScanLeaf>() {
            leaves.push(Arc::clone(leaf.spec()));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(|error| failed(&error))?;
    let [spec] = &leaves[..] else {
        return Err(SqlError::new(SqlState::InternalError, "a fragment must have one leaf").into());
    };
    let span = |(start, end): &(Vec<u8>, Vec<u8>)| kv::Span { start: start.clone().into(), end: end.clone().into() };
    Ok(spec.spans.iter().map(span).collect())
}

/// Gives a reader every span once nothing at or below the snapshot can still be committed there.
async fn prepare(
    replica: &Arc<Replica>,
    header: &kv::Header,
    ts: Timestamp,
    spans: Vec<kv::Span>,
    mut reader: SpanReader,
) -> Result<SpanReader, FragmentError> {
    let at = replica.check(header, std::iter::empty()).map_err(FragmentError::Refused)?;
    for span in &spans {
        replica.check_span(header, span).map_err(FragmentError::Refused)?;
        let intents = replica.prepare_scan(span, ts, TxnId(header.txn)).await.map_err(FragmentError::Refused)?;
        reader.add(span, intents);
    }
    // Were the shard cut before this, writers elsewhere might not know of the read. A later cut hands the snapshot on.
    reader.read_from(replica.engine().snapshot());
    // From here on the rows can be read here, whoever leads.
    replica.check_still(at).map_err(FragmentError::Refused)?;
    Ok(reader)
}

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

use std::sync::{Arc, LazyLock};

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    error::DataFusionError,
    execution::{TaskContext, memory_pool::GreedyMemoryPool, runtime_env::RuntimeEnv},
    physical_plan::ExecutionPlan,
    prelude::SessionConfig,
};
use fragment::{FragmentError, FragmentPart, FragmentStream, ScanLeaf, ScanSpec, decode_fragment, from_datafusion};
use futures::{StreamExt, stream};
use proto::{SqlError, Timestamp, TxnId, kv};
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

/// Memory of all joins that run at the shards of a process; beyond it they fail with 53200.
const JOIN_BYTES_MAX: usize = 512 << 20;

/// What they share.
static JOINS: LazyLock<Arc<RuntimeEnv>> = LazyLock::new(|| {
    let pool = Arc::new(GreedyMemoryPool::new(JOIN_BYTES_MAX));
    Arc::new(RuntimeEnv { memory_pool: pool, ..RuntimeEnv::default() })
});

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
    let leaves = leaves_of(&plan)?;
    let readers = prepare(&replica, &header, ts, &leaves, &request.overlay).await?;
    let is_join = leaves.len() > 1;
    for (leaf, reader) in leaves.into_iter().zip(readers) {
        source.fill(leaf, reader, run::is_resumable(&plan));
    }
    let rows = if request.batch_rows == 0 { BATCH_ROWS } else { request.batch_rows as usize };
    let config = SessionConfig::new().with_batch_size(rows).with_target_partitions(1);
    let mut context = TaskContext::default().with_session_config(config);
    if is_join {
        context = context.with_runtime(Arc::clone(&JOINS));
    }
    let context = Arc::new(context);
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

/// The plan's leaves.
fn leaves_of(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<Arc<ScanSpec>>, FragmentError> {
    let mut leaves = Vec::new();
    plan.apply(|node| {
        if let Some(leaf) = node.downcast_ref::<ScanLeaf>() {
            leaves.push(Arc::clone(leaf.spec()));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(|error| failed(&error))?;
    if leaves.is_empty() {
        return Err(SqlError::internal("a fragment reads nothing").into());
    }
    Ok(leaves)
}

/// Gives a reader for each leaf, once nothing at or below the snapshot can still be committed in its spans.
async fn prepare(
    replica: &Arc<Replica>,
    header: &kv::Header,
    ts: Timestamp,
    leaves: &[Arc<ScanSpec>],
    overlay: &[kv::Write],
) -> Result<Vec<SpanReader>, FragmentError> {
    let spans_of = |leaf: &Arc<ScanSpec>| -> Vec<kv::Span> {
        let span =
            |(start, end): &(Vec<u8>, Vec<u8>)| kv::Span { start: start.clone().into(), end: end.clone().into() };
        leaf.spans.iter().map(span).collect()
    };
    let mut readers = Vec::with_capacity(leaves.len());
    if header.past_index > 0 {
        for spans in leaves.iter().map(spans_of) {
            let mut reader = SpanReader::new(ts, overlay);
            reader.read_from(replica.past_view(header, &spans, ts.0).await.map_err(FragmentError::Refused)?);
            spans.iter().for_each(|span| reader.add(span, Vec::new()));
            readers.push(reader);
        }
        return Ok(readers);
    }
    replica.check_kept(header, ts.0).map_err(FragmentError::Refused)?;
    let at = replica.check(header, std::iter::empty()).map_err(FragmentError::Refused)?;
    for spans in leaves.iter().map(spans_of) {
        let mut reader = SpanReader::new(ts, overlay);
        for span in spans {
            replica.check_span(header, &span).map_err(FragmentError::Refused)?;
            let intents = replica.prepare_scan(&span, ts, TxnId(header.txn)).await.map_err(FragmentError::Refused)?;
            reader.add(&span, intents);
        }
        readers.push(reader);
    }
    // Were the shard cut before this, writers elsewhere might not know of the read. A later cut hands the snapshot on.
    readers.iter_mut().for_each(|reader| reader.read_from(replica.engine().snapshot()));
    // From here on the rows can be read here, whoever leads.
    replica.check_still(at).map_err(FragmentError::Refused)?;
    Ok(readers)
}

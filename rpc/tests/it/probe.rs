//! A node's work, as the tests want it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arrow::{
    array::{Int64Array, RecordBatch, RecordBatchOptions},
    datatypes::{DataType, Field, Schema},
};
use bytes::Bytes;
use fragment::{FragmentEnd, FragmentError, FragmentPart, FragmentRows, FragmentStream};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use parking_lot::Mutex;
use proto::{
    ErrorFields, NodeId, SqlError, SqlState,
    kv::{self, failure, request, response},
    meta,
    raft::{FetchSnapshot, Message, SnapshotChunk},
    rpc::{JoinAnswer, JoinRequest, Joined, join_answer},
};
use raft::TransportError;
use sharddb_fragment as fragment;
use sharddb_meta::MetaTransport;
use sharddb_proto as proto;
use sharddb_raft as raft;
use sharddb_rpc::{Nodes, Service};
use tokio::sync::Semaphore;

/// What the node was asked and does.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Requests with the key `wait` need one.
    pub(crate) permits: Semaphore,
    pub(crate) started: AtomicUsize,
    pub(crate) ended: AtomicUsize,
    pub(crate) messages: Mutex<VecDeque<(NodeId, Message)>>,
    /// Batches that fragments made.
    pub(crate) batches: AtomicUsize,
    pub(crate) fragments_ended: AtomicUsize,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            permits: Semaphore::new(0),
            started: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            messages: Mutex::default(),
            batches: AtomicUsize::new(0),
            fragments_ended: AtomicUsize::new(0),
        }
    }
}

/// The service of a probe.
pub(crate) struct Probed(pub(crate) Arc<Probe>);

struct Count(Arc<Probe>, fn(&Probe) -> &AtomicUsize);

impl Drop for Count {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_add(1, Ordering::SeqCst);
    }
}

/// A request for one key.
pub(crate) fn get(key: impl Into<Bytes>) -> kv::Request {
    let header = kv::Header { shard: 7, epoch: 1, txn: 0, ..kv::Header::default() };
    let body = request::Body::Get(kv::Get { keys: vec![key.into()], read_ts: 9 });
    kv::Request { header: Some(header), body: Some(body) }
}

/// The value in the answer to [`get`].
pub(crate) fn value(answer: kv::Response) -> Result<Bytes, failure::Kind> {
    match answer.body {
        Some(response::Body::Get(mut got)) => Ok(got.versions.remove(0).value),
        Some(response::Body::Failure(failure)) => Err(failure.kind.expect("a kind")),
        other => panic!("{other:?}"),
    }
}

fn found(value: Bytes) -> kv::Response {
    let version = kv::Version { present: true, value, commit_ts: 1 };
    kv::Response {
        body: Some(response::Body::Get(kv::GetResult { versions: vec![version] })),
        ..kv::Response::default()
    }
}

/// The value that a node keeps under every key that means nothing special.
pub(crate) fn echo(from: NodeId, key: &[u8]) -> Bytes {
    [format!("{}:", from.0).as_bytes(), key].concat().into()
}

impl Service for Probed {
    fn request(&self, from: NodeId, request: kv::Request) -> BoxFuture<'static, kv::Response> {
        let probe = Arc::clone(&self.0);
        let Some(request::Body::Get(get)) = request.body else { panic!("{request:?}") };
        let key = get.keys[0].clone();
        assert!(key != b"panic at once"[..], "asked to");
        probe.started.fetch_add(1, Ordering::SeqCst);
        async move {
            let _ended = Count(Arc::clone(&probe), |probe| &probe.ended);
            if key.starts_with(b"wait") {
                probe.permits.acquire().await.expect("open").forget();
            }
            if key.starts_with(b"later") || key.starts_with(b"panic") {
                tokio::task::yield_now().await;
            }
            assert!(!key.starts_with(b"panic"), "asked to");
            if let Some(size) = key.strip_prefix(b"size ") {
                let size = std::str::from_utf8(size).expect("text").parse().expect("a number");
                return found(vec![b'x'; size].into());
            }
            found(echo(from, &key))
        }
        .boxed()
    }

    fn fragment(&self, _from: NodeId, request: kv::Fragment) -> FragmentStream {
        let plan = String::from_utf8(request.plan.to_vec()).expect("text");
        let (end, count): (Option<FragmentError>, usize) = match plan.split_once(' ') {
            Some(("rows" | "bare" | "panic", count)) => (None, count.parse().expect("a number")),
            Some(("fail", count)) => (Some(sql_error().into()), count.parse().expect("a number")),
            Some(("refuse", count)) => {
                let range = kv::Range { shard: 3, epoch: 8, ..kv::Range::default() };
                (Some(FragmentError::Refused(failure::Kind::StaleEpoch(range))), count.parse().expect("a number"))
            }
            _ => panic!("{plan}"),
        };
        let ended = Count(Arc::clone(&self.0), |probe| &probe.fragments_ended);
        let (rows, bare) = (request.batch_rows as usize, plan.starts_with("bare"));
        let batches = stream::iter(0..count).map(move |number| {
            ended.0.batches.fetch_add(1, Ordering::SeqCst);
            let batch = if bare { bare_batch(rows) } else { batch(number, rows) };
            Ok(FragmentPart::Rows(FragmentRows { batch, bytes: 0, resume: resume(number) }))
        });
        let panic = plan.starts_with("panic");
        let end = stream::once(async move {
            assert!(!panic, "asked to");
            Some(end.map_or_else(|| Ok(FragmentPart::End(fragment_end())), Err))
        });
        batches.chain(end.filter_map(std::future::ready)).boxed()
    }

    fn raft(&self, from: NodeId, message: Message) {
        self.0.messages.lock().push_back((from, message));
    }

    fn fetch_snapshot(
        &self,
        _from: NodeId,
        request: FetchSnapshot,
    ) -> BoxFuture<'static, Result<SnapshotChunk, TransportError>> {
        let answer = match request.file.as_str() {
            "gone" => Err(TransportError::Gone),
            "broken" => Err(TransportError::Failed("a bad sector".to_owned())),
            _ => Ok(SnapshotChunk { data: vec![request.offset as u8; request.bytes as usize].into() }),
        };
        std::future::ready(answer).boxed()
    }

    fn meta(&self, from: NodeId, call: meta::Call) -> BoxFuture<'static, meta::Answer> {
        let Some(meta::call::Body::AllocateShards(count)) = call.body else { panic!("{call:?}") };
        let body = Some(meta::answer::Body::First(1000 * from.0 + count));
        std::future::ready(meta::Answer { body }).boxed()
    }

    fn join(&self, request: JoinRequest) -> BoxFuture<'static, JoinAnswer> {
        let node = request.node.expect("a record");
        let joined = Joined { cluster_id: "cluster".to_owned(), node: 9, members: vec![node], meta_members: vec![1] };
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            JoinAnswer { outcome: Some(join_answer::Outcome::Joined(joined)) }
        }
        .boxed()
    }
}

/// Asks a node's member of the meta group.
pub(crate) async fn ask_meta(from: &Nodes, to: u64, body: meta::call::Body) -> Result<meta::Answer, String> {
    let patience = std::time::Duration::from_secs(10);
    MetaTransport::call(from, to, meta::Call { body: Some(body) }, patience).await
}

/// An error with every field.
pub(crate) fn sql_error() -> SqlError {
    let fields = ErrorFields {
        detail: Some("Detail.".to_owned()),
        hint: Some("Hint.".to_owned()),
        position: Some(4),
        context: Some("here".to_owned()),
        schema: Some("public".to_owned()),
        table: Some("t".to_owned()),
        column: Some("c".to_owned()),
        data_type: Some("d".to_owned()),
        constraint: Some("k".to_owned()),
    };
    SqlError::new(SqlState::CheckViolation, "no good").with_fields(fields)
}

/// The key behind a batch; some have none.
pub(crate) fn resume(number: usize) -> Option<Bytes> {
    (number % 3 != 1).then(|| format!("behind {number}").into())
}

/// What a fragment says at its end.
pub(crate) fn fragment_end() -> FragmentEnd {
    FragmentEnd { rows_scanned: 77, time: Duration::from_micros(5), bytes: 0 }
}

/// A batch of rows that all hold the batch's number.
pub(crate) fn batch(number: usize, rows: usize) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("number", DataType::Int64, false)]);
    let column = Int64Array::from(vec![number as i64; rows]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(column)]).expect("a batch")
}

fn bare_batch(rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).expect("a batch")
}

//! Fragments over real shards: what a scan at a snapshot sees, and how it ends.

use std::sync::Arc;

use arrow::{array::AsArray, datatypes::Int32Type, record_batch::RecordBatch};
use bytes::Bytes;
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use sharddb_fragment::{FragmentError, FragmentPart, ScanColumn, ScanLeaf, ScanSpec, encode_fragment};
use sharddb_kv::{Client, Isolation, Txn, TxnOptions};
use sharddb_proto::kv;
use sharddb_raft::log::{LogOptions, RealFiles};
use sharddb_schema::{
    ColumnId, Datum, FormatSettings, Oid, Sharding, SqlType, TableDescriptor, TimeZone, functions::EvalContext, key,
    row,
};
use sharddb_server::Volume;
use sharddb_storage::MemoryEngine;

const TABLE: &str = r#"{"oid":20000,"storage_id":77,"version":1,"schema":2200,"name":"t","owner":10,"columns":[
  {"id":1,"name":"a","sql_type":{"oid":23,"modifier":-1},"not_null":true,"default":null,"identity":null,"missing":null},
  {"id":2,"name":"b","sql_type":{"oid":25,"modifier":-1},"not_null":false,"default":null,"identity":null,"missing":null}],
  "next_column":3,"indexes":[{"id":1,"oid":20001,"name":"t_pkey","columns":[{"column":1,"descending":false,"nulls_first":false}],
  "unique":true,"state":"Ready","constraint":null}],"next_index":2,"constraints":[],"referenced_by":[],
  "sharding":{"Range":{"shards":1}},"statistics":null}"#;

struct Fixture {
    volume: Volume,
    table: TableDescriptor,
    _directory: tempfile::TempDir,
}

fn context() -> EvalContext {
    EvalContext {
        transaction_time: 0,
        statement_time: 0,
        time_zone: TimeZone::Fixed(0, "UTC".into()),
        format: FormatSettings::default(),
        user: "postgres".into(),
        session_user: "postgres".into(),
        database: "postgres".into(),
        search_path: Arc::from(Vec::new()),
        backend_pid: 0,
        host: None,
    }
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let files = RealFiles::open(&directory.path().join("raft")).expect("the directory opens");
        let engine = Arc::new(MemoryEngine::default());
        let volume = Volume::assemble(engine, Arc::new(files), LogOptions::default()).await.expect("the volume opens");
        let table: TableDescriptor = serde_json::from_str(TABLE).expect("the table");
        assert_eq!(table.sharding, Sharding::Range { shards: 1 });
        assert_eq!(table.columns[1].sql_type, SqlType::new(Oid::TEXT));
        Self { volume, table, _directory: directory }
    }

    fn client(&self) -> &Client {
        self.volume.client()
    }

    fn begin(&self) -> Txn {
        self.client().begin(TxnOptions { isolation: Isolation::RepeatableRead, read_only: false })
    }

    fn entry(&self, a: i32, b: &str) -> (Bytes, Bytes) {
        let values = [Datum::Int4(a), Datum::text(b)];
        let key = key::primary_key(&self.table, &values, None).expect("a key");
        (key.into(), row::encode_row(&self.table, &values).expect("a row").into())
    }

    async fn insert(&self, rows: impl IntoIterator<Item = i32>) {
        let mut txn = self.begin();
        txn.start_statement();
        for a in rows {
            let (key, value) = self.entry(a, &format!("row {a}"));
            txn.put_guarded(key, value);
        }
        txn.commit().await.expect("the rows are written");
    }

    fn spec(&self, limit: Option<usize>) -> ScanSpec {
        let column = |at: usize| {
            let column = &self.table.columns[at];
            let scan = ScanColumn { id: column.id, oid: column.sql_type.oid, missing: Datum::Null };
            (column.name.clone(), scan)
        };
        let spans = vec![key::index_span(&self.table, key::PRIMARY_INDEX)];
        ScanSpec { table: "t".into(), columns: vec![column(1), column(0)], with_key: true, spans, limit }
    }

    async fn run(
        &self,
        spec: ScanSpec,
        read_ts: u64,
        overlay: Vec<kv::Write>,
    ) -> Result<Vec<RecordBatch>, FragmentError> {
        let range = self.volume.node().ranges().remove(0);
        let plan: Arc<dyn ExecutionPlan> = Arc::new(ScanLeaf::new(Arc::new(spec)));
        let fragment = kv::Fragment {
            header: Some(kv::Header { shard: range.shard, epoch: range.epoch, ..kv::Header::default() }),
            read_ts,
            plan: encode_fragment(&plan, &context()).expect("a fragment"),
            overlay,
            batch_rows: 100,
        };
        let parts: Vec<FragmentPart> = self.volume.node().fragment(fragment).try_collect().await?;
        Ok(batches_of(parts))
    }
}

/// The batches of a whole answer, each of which says where to go on.
fn batches_of(mut parts: Vec<FragmentPart>) -> Vec<RecordBatch> {
    assert!(matches!(parts.pop(), Some(FragmentPart::End(_))));
    let batch = |part| match part {
        FragmentPart::Rows(rows) if rows.resume.is_some() => rows.batch,
        part => panic!("{part:?}"),
    };
    parts.into_iter().map(batch).collect()
}

fn first_column(batches: &[RecordBatch]) -> Vec<i32> {
    batches.iter().flat_map(|batch| batch.column(1).as_primitive::<Int32Type>().values().to_vec()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fragment_sees_its_snapshot_and_the_own_writes() {
    let fixture = Fixture::new().await;
    fixture.insert(0..1000).await;
    let before = fixture.client().timestamp().await.expect("a timestamp");
    fixture.insert(1000..1100).await;
    let batches = fixture.run(fixture.spec(None), before.0, Vec::new()).await.expect("rows");
    assert_eq!(first_column(&batches), (0..1000).collect::<Vec<i32>>());
    assert!(batches.iter().all(|batch| batch.num_rows() == 100));
    assert_eq!(batches[0].column(0).as_string::<i32>().value(7), "row 7");
    assert_eq!(batches[0].column(2).as_binary::<i32>().value(7), &fixture.entry(7, "").0[..]);
    let (added, value) = fixture.entry(5000, "new");
    let overlay = vec![
        kv::Write { key: fixture.entry(3, "").0, value: None, ..kv::Write::default() },
        kv::Write { key: added, value: Some(value), ..kv::Write::default() },
    ];
    let batches = fixture.run(fixture.spec(None), 0, overlay).await.expect("rows");
    let expected: Vec<i32> = (0..1100).filter(|a| *a != 3).chain([5000]).collect();
    assert_eq!(first_column(&batches), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_ends_the_scan_and_a_stale_epoch_refuses_it() {
    let fixture = Fixture::new().await;
    fixture.insert(0..500).await;
    let batches = fixture.run(fixture.spec(Some(130)), 0, Vec::new()).await.expect("rows");
    assert_eq!(first_column(&batches), (0..130).collect::<Vec<i32>>());
    let middle = fixture.entry(250, "").0;
    let (spec, shards) = (fixture.spec(None), fixture.volume.node().ranges());
    fixture.client().split_at(&[middle]).await.expect("the shard is cut");
    assert!(fixture.volume.node().ranges().len() > shards.len());
    let refused = fixture.run(spec, 0, Vec::new()).await;
    assert!(matches!(refused, Err(FragmentError::Refused(kv::failure::Kind::StaleEpoch(_)))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wide_rows_come_in_batches_of_few() {
    let fixture = Fixture::new().await;
    let mut txn = fixture.begin();
    txn.start_statement();
    for a in 0..40 {
        let (key, value) = fixture.entry(a, &"x".repeat(300_000));
        txn.put_guarded(key, value);
    }
    txn.commit().await.expect("the rows are written");
    let batches = fixture.run(fixture.spec(None), 0, Vec::new()).await.expect("rows");
    assert_eq!(first_column(&batches), (0..40).collect::<Vec<i32>>());
    assert!(batches.iter().all(|batch| batch.num_rows() < 20), "{}", batches.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_fragments_are_errors() {
    let fixture = Fixture::new().await;
    let range = fixture.volume.node().ranges().remove(0);
    for plan in [&b""[..], b"\xff\xff", b"\x12\x03abc"] {
        let fragment = kv::Fragment {
            header: Some(kv::Header { shard: range.shard, epoch: range.epoch, ..kv::Header::default() }),
            plan: Bytes::from_static(plan),
            ..kv::Fragment::default()
        };
        let answer: Result<Vec<FragmentPart>, _> = fixture.volume.node().fragment(fragment).try_collect().await;
        assert!(matches!(answer, Err(FragmentError::Failed(_))));
    }
    assert_eq!(ColumnId(1), fixture.table.columns[0].id);
}

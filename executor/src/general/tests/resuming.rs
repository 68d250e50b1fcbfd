//! Fragments that break off: a query answers what it would have answered, or says that it cannot.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use fragment::{FragmentError, FragmentPart, FragmentStream, FragmentTransport};
use futures::StreamExt;
use kv::Isolation;
use parking_lot::Mutex;
use proto::{
    NodeId, SqlResult,
    kv::{self as wire, failure},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use schema::Datum;
use sharddb_fragment as fragment;
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::fixture::Fixture;
use crate::general::{General, RunContext, Showing};

/// When an answer breaks off.
#[derive(Clone, Copy)]
enum Break {
    /// At any part, one time in so many.
    Somewhere(u32),
    /// Instead of its end, so many times.
    AtTheEnd(usize),
}

/// Breaks answers off and has small batches made.
struct Breaking {
    inner: Arc<dyn FragmentTransport>,
    random: Mutex<StdRng>,
    when: Break,
    broken: Arc<AtomicUsize>,
}

impl Breaking {
    fn new(inner: Arc<dyn FragmentTransport>, when: Break, seed: u64) -> Self {
        Self { inner, random: Mutex::new(StdRng::seed_from_u64(seed)), when, broken: Arc::default() }
    }
}

impl FragmentTransport for Breaking {
    fn fragment(&self, node: NodeId, mut request: wire::Fragment) -> FragmentStream {
        let mut random = StdRng::seed_from_u64(self.random.lock().random());
        request.batch_rows = random.random_range(1..100);
        let (when, broken) = (self.when, Arc::clone(&self.broken));
        let parts = self.inner.fragment(node, request).map(Some).chain(futures::stream::iter([None]));
        let parts = parts.scan(false, move |ended, part| {
            let breaks = match (when, &part) {
                (Break::Somewhere(chance), _) => random.random_ratio(1, chance),
                (Break::AtTheEnd(times), Some(Ok(FragmentPart::End(_)))) => broken.load(Ordering::SeqCst) < times,
                (Break::AtTheEnd(_), _) => false,
            };
            let next = match part {
                _ if *ended => None,
                _ if breaks => {
                    *ended = true;
                    broken.fetch_add(1, Ordering::SeqCst);
                    let lost = FragmentError::Refused(failure::Kind::Ambiguous("the cable was pulled".to_owned()));
                    // Either it is noticed at once, or the answer just ends.
                    random.random_bool(0.5).then_some(Err(lost))
                }
                part => part,
            };
            futures::future::ready(next)
        });
        parts.boxed()
    }
}

async fn fixture() -> Fixture {
    let mut fixture = Fixture::new().await;
    for sql in [
        "CREATE TABLE t (k int PRIMARY KEY, x int, y int, s text) WITH (shards = 4, shard_by = 'hash')",
        "CREATE TABLE u (a int, b int, PRIMARY KEY (a, b))",
        "INSERT INTO t SELECT g, g % 10, g % 7, 'row ' || g::text FROM generate_series(1, 900) g",
        "CREATE TABLE v (a int PRIMARY KEY, n text)",
        "INSERT INTO v SELECT g * 3, 'n' || (g % 9)::text FROM generate_series(0, 30) g",
        "INSERT INTO u SELECT g / 10, g % 10 FROM generate_series(0, 499) g",
    ] {
        fixture.execute(sql).await.expect(sql);
    }
    fixture
}

/// Queries of every kind of fragment. Those that say which rows they want have one answer, in any order.
const QUERIES: [&str; 15] = [
    "SELECT k, s FROM t",
    "SELECT k + 1, upper(s) FROM t WHERE x = 3 OR k % 5 = 2",
    "SELECT 1 FROM t WHERE y <> 6",
    "SELECT a, b FROM u WHERE a IN (1, 5, 6, 7, 20, 49) AND b > 2",
    "SELECT count(*), sum(x), max(s) FROM t",
    "SELECT x, count(*), sum(y) FROM t GROUP BY x",
    "SELECT k, y FROM t ORDER BY y DESC, k LIMIT 40",
    "SELECT t.k, u.b FROM t JOIN u ON u.a = t.x WHERE u.b < 4",
    "SELECT count(*) FROM (SELECT 1 FROM t WHERE x > 2 LIMIT 150) few",
    "SELECT u.a, u.b, v.n FROM u JOIN v ON v.a = u.a",
    "SELECT u.a, v.n FROM u LEFT JOIN v ON v.a = u.a AND v.n <> 'n4'",
    "SELECT u.a, v.a, v.n FROM u FULL JOIN v ON v.a = u.a AND u.b = 3",
    "SELECT a, b FROM u WHERE NOT EXISTS (SELECT 1 FROM v WHERE v.a = u.a AND v.n <> 'n2')",
    "SELECT v.n, count(*), sum(u.b) FROM u JOIN v ON v.a = u.a WHERE u.b > 2 GROUP BY v.n",
    "SELECT u.a, u.b, v.n FROM u JOIN v ON v.a = u.a ORDER BY u.b, v.n, u.a LIMIT 7",
];

async fn answer(fixture: &Fixture, general: &Arc<General>, sql: &str, txn: &mut kv::Txn) -> SqlResult<Vec<String>> {
    let context = RunContext { general: Arc::clone(general), ..fixture.context() };
    let rows = fixture.rows_in(&context, &fixture.query(sql)?, txn).await?;
    let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_break_off_anywhere_change_no_result() {
    let mut fixture = fixture().await;
    // The other one computes joins here.
    let whole = fixture.context().general;
    let mut breaks = 0;
    for seed in 0..12 {
        let breaking = Breaking::new(fixture.fragments(), Break::Somewhere(12), seed);
        let broken = Arc::clone(&breaking.broken);
        let breaking = fixture.general_over(Arc::new(breaking));
        let mut txn = fixture.begin(Isolation::RepeatableRead);
        txn.start_statement();
        // Own writes lie over the rows.
        fixture
            .execute_in("INSERT INTO t VALUES (5000, 3, 3, 'own'), (-7, 2, 2, 'own')", &mut txn)
            .await
            .expect("rows");
        fixture.execute_in("INSERT INTO v VALUES (1, 'own'), (200, 'own')", &mut txn).await.expect("rows");
        let mut wanted = Vec::new();
        for sql in QUERIES {
            wanted.push(answer(&fixture, &whole, sql, &mut txn).await.expect(sql));
        }
        // Others go on writing, and shards are cut.
        let from = 1000 + seed * 10;
        let others = format!("INSERT INTO t SELECT g, 3, 3, 'later' FROM generate_series({from}, {from} + 9) g");
        fixture.execute(&others).await.expect("rows");
        let table = fixture.table("t");
        let border = schema::key::primary_key(&table, &[Datum::Int4(seed as i32 * 70 + 9)], None).expect("a key");
        fixture.client().split_at(&[border.into()]).await.expect("a cut");
        for (sql, wanted) in QUERIES.iter().zip(wanted) {
            let got = answer(&fixture, &breaking, sql, &mut txn).await;
            assert_eq!(got, Ok(wanted), "seed {seed}, {sql}");
        }
        txn.rollback().await;
        breaks += broken.load(Ordering::SeqCst);
    }
    assert!(breaks > 100, "{breaks}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_partial_results_are_had_again_and_large_ones_fail_to_be_retried() {
    let fixture = fixture().await;
    let run = async |sql, times| {
        let breaking = Breaking::new(fixture.fragments(), Break::AtTheEnd(times), 1);
        let broken = Arc::clone(&breaking.broken);
        let general = fixture.general_over(Arc::new(breaking));
        let mut txn = fixture.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let rows = answer(&fixture, &general, sql, &mut txn).await;
        txn.rollback().await;
        (rows.map(|rows| rows.len()), broken.load(Ordering::SeqCst))
    };
    assert_eq!(run("SELECT x, count(*) FROM t GROUP BY x", 9).await, (Ok(10), 9));
    assert_eq!(run("SELECT k FROM t ORDER BY y, k LIMIT 5", 9).await, (Ok(5), 9));
    let large = "SELECT k, count(*), max(repeat(s, 30)) FROM t GROUP BY k";
    assert_eq!(run(large, 0).await, (Ok(900), 0));
    let (failed, _) = run(large, 1).await;
    assert_eq!(failed.expect_err("it cannot go on").state().code(), "40001");
    // Rows that were handed on one by one are no reason to fail.
    assert_eq!(run("SELECT k, s, s || s FROM t", 9).await, (Ok(900), 9));
}

const JOIN: &str = "SELECT v.n, count(*) FROM u JOIN v ON v.a = u.a GROUP BY v.n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_one_shard_are_joined_there() {
    let fixture = fixture().await;
    let context = RunContext { general: fixture.general_over(fixture.fragments()), ..fixture.context() };
    let plan = fixture.explain_in(&context, JOIN, Showing { analyze: true, verbose: true }).await.expect("a plan");
    let wanted = "Finalize HashAggregate
  Group Key: n
  Aggregates: count(*)
  ->  Gather
        Shards: 1
        Shard
        Fragment
          ->  Partial HashAggregate
                Group Key: n
                Aggregates: count(*)
                ->  Hash Join
                      Hash Cond: (a = a)
                      ->  Scan on u
                      ->  Hash
                            ->  Scan on v
Rows from Shards: 9
";
    let counts = |line: &str| line.split_once(" (actual").map_or(line, |(line, _)| line).to_owned() + "\n";
    let lines = plan.lines().filter(|line| !line.contains("Time:") && !line.starts_with("Bytes"));
    let shown: String = lines.map(counts).collect();
    let figures = plan.lines().find(|line| line.trim_start().starts_with("Shard ")).expect("a fragment");
    assert!(figures.contains(" scanned=531 rows=9 bytes="), "{figures}");
    assert_eq!(shown.replace(figures.trim_start(), "Shard"), wanted);
}

/// Cuts the shard between two tables when the first fragment comes.
struct Cutting {
    inner: Arc<dyn FragmentTransport>,
    client: kv::Client,
    border: Mutex<Option<Bytes>>,
}

impl FragmentTransport for Cutting {
    fn fragment(&self, node: NodeId, request: wire::Fragment) -> FragmentStream {
        let Some(border) = self.border.lock().take() else { return self.inner.fragment(node, request) };
        let (inner, client) = (Arc::clone(&self.inner), self.client.clone());
        let cut = async move {
            client.split_at(&[border]).await.expect("a cut");
            inner.fragment(node, request)
        };
        futures::stream::once(cut).flatten().boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_goes_on_when_its_tables_come_to_lie_in_two_shards() {
    let fixture = fixture().await;
    let border: Bytes = schema::key::table_span(fixture.table("v").storage_id).0.into();
    let (client, border) = (fixture.client().clone(), Mutex::new(Some(border)));
    let cutting = Arc::new(Cutting { inner: fixture.fragments(), client, border });
    let general = fixture.general_over(Arc::clone(&cutting) as Arc<_>);
    let mut txn = fixture.begin(Isolation::RepeatableRead);
    txn.start_statement();
    let wanted = answer(&fixture, &fixture.context().general, JOIN, &mut txn).await;
    assert_eq!(answer(&fixture, &general, JOIN, &mut txn).await, wanted);
    assert!(cutting.border.lock().is_none() && wanted.is_ok_and(|rows| rows.len() == 9));
    txn.rollback().await;
}

//! What queries see of their own and of other transactions, and how they end.

use futures::{StreamExt, TryStreamExt};
use kv::Isolation;
use proto::SqlState;
use schema::{Datum, key};
use sharddb_kv as kv;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::fixture::Fixture;
use crate::general::{run, run_with_keys};

async fn fixture() -> Fixture {
    let mut fixture = Fixture::new().await;
    for sql in [
        "CREATE TABLE t (k int PRIMARY KEY, x int, s text) WITH (shards = 3, shard_by = 'hash')",
        "CREATE INDEX ON t (x)",
        "INSERT INTO t SELECT g, g % 100, 'row ' || g::text FROM generate_series(1, 2000) g",
    ] {
        fixture.execute(sql).await.expect(sql);
    }
    fixture.analyzed("t", 2000);
    fixture
}

/// Buffers the deletion of a row and its index entry.
fn delete(fixture: &Fixture, values: &[Datum], txn: &mut kv::Txn) {
    let table = fixture.table("t");
    let primary = key::primary_key(&table, values, None).expect("a key");
    let entry = key::index_key(&table, &table.indexes[1], values, &primary).expect("a key");
    txn.delete_guarded(entry.into());
    txn.delete_guarded(primary.into());
}

fn row(k: i32, x: i32, s: &str) -> Vec<Datum> {
    vec![Datum::Int4(k), Datum::Int4(x), Datum::text(s)]
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

const COUNTS: &[&str] = &[
    "SELECT count(*), sum(x), max(k) FROM t",
    "SELECT k, s FROM t WHERE x = 7 AND k < 500 ORDER BY k",
    "SELECT s FROM t WHERE k IN (7, 8, 9000)",
    "SELECT a.k, b.s FROM t a JOIN t b ON b.k = a.x + 8993 WHERE a.k = 7",
    "SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM t z WHERE z.k = t.k + 1)",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_writes_are_seen_by_every_kind_of_scan() {
    for flushed in [false, true] {
        let mut fixture = fixture().await;
        let mut txn = fixture.begin(Isolation::RepeatableRead);
        txn.start_statement();
        let table = fixture.table("t");
        delete(&fixture, &row(107, 7, "row 107"), &mut txn);
        fixture.write(&table, &row(9000, 7, "new"), &mut txn).expect("a write");
        delete(&fixture, &row(8, 8, "row 8"), &mut txn);
        fixture.write(&table, &row(8, 7, "changed"), &mut txn).expect("a write");
        if flushed {
            // Enough to become intents at the shards.
            let wide = "w".repeat(10_000);
            for k in 10_000..11_000 {
                fixture.write(&table, &row(k, 1000, &wide), &mut txn).expect("a write");
                txn.relieve().await.expect("the buffer is relieved");
            }
        }
        let mut own = Vec::new();
        for sql in COUNTS {
            own.push(sorted(fixture.execute_in(sql, &mut txn).await.expect(sql)));
        }
        let selective = fixture.execute_in("SELECT k, s FROM t WHERE x = 7 ORDER BY k LIMIT 3", &mut txn).await;
        assert_eq!(selective.expect("rows"), ["7|row 7", "8|changed", "207|row 207"]);
        if !flushed {
            // Readers of a later snapshot wait for flushed writes to be decided.
            let others = fixture.execute("SELECT count(*), max(k) FROM t WHERE x = 7").await.expect("rows");
            assert_eq!(others, ["20|1907"]);
        }
        txn.commit().await.expect("the commit succeeds");
        for (sql, own) in COUNTS.iter().zip(own) {
            assert_eq!(sorted(fixture.execute(sql).await.expect(sql)), own, "{sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_query_keeps_its_snapshot_while_rows_change_and_shards_are_cut() {
    let mut fixture = fixture().await;
    let mut txn = fixture.begin(Isolation::RepeatableRead);
    let query = fixture.query("SELECT k FROM t").expect("a query");
    let rows = run(&query, &[], &mut txn, &fixture.context()).await.expect("it starts");
    // The plan is made; nothing has been read.
    fixture.execute("INSERT INTO t SELECT g, 0, 'late' FROM generate_series(5000, 5999) g").await.expect("an insert");
    let table = fixture.table("t");
    let border = key::primary_key(&table, &row(1000, 0, ""), None).expect("a key");
    fixture.client().split_at(&[border.into()]).await.expect("the shard is cut");
    let read: usize =
        rows.batches.map_ok(|batch| batch.num_rows()).try_fold(0, |a, b| async move { Ok(a + b) }).await.expect("rows");
    assert_eq!(read, 2000);
    assert_eq!(fixture.execute("SELECT count(*) FROM t").await.expect("rows"), ["3000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serializable_transactions_fail_when_what_they_read_has_changed() {
    for (sql, change, conflicts) in [
        ("SELECT count(*) FROM t", 5000, true),
        ("SELECT k FROM t WHERE x = 7", 5000, true),
        ("SELECT s FROM t WHERE k = 1", 5000, false),
        ("SELECT s FROM t WHERE k = 5000", 5000, true),
        ("SELECT (SELECT count(*) FROM t z WHERE z.x > t.x) FROM t WHERE k = 1", 5000, true),
    ] {
        let mut fixture = fixture().await;
        let mut txn = fixture.begin(Isolation::Serializable);
        txn.start_statement();
        fixture.execute_in(sql, &mut txn).await.expect(sql);
        fixture.execute(&format!("INSERT INTO t VALUES ({change}, 7, 'phantom')")).await.expect("an insert");
        let table = fixture.table("t");
        fixture.write(&table, &row(6000, 0, "own"), &mut txn).expect("a write");
        let ended = txn.commit().await;
        assert_eq!(ended.is_err(), conflicts, "{sql}");
        if let Err(error) = ended {
            assert_eq!(error.sqlstate(), SqlState::SerializationFailure);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_little_memory_is_an_error_or_goes_to_disk() {
    let mut fixture = Fixture::with_memory(16 << 20).await;
    let error = fixture
        .execute("WITH x AS MATERIALIZED (SELECT g, repeat('x', 500) AS s FROM generate_series(1, 50000) g) SELECT count(a.s) FROM x a, x b WHERE a.g = b.g")
        .await
        .expect_err("it is too much");
    assert_eq!(error.state(), SqlState::OutOfMemory);
    // The memory is free again.
    assert_eq!(fixture.execute("SELECT count(*) FROM generate_series(1, 1000) g").await.expect("rows"), ["1000"]);
    let sorted = fixture
        .execute("SELECT g FROM generate_series(1, 400000) g, repeat('s', 40) s ORDER BY -g, s LIMIT 1 OFFSET 350000")
        .await;
    assert_eq!(sorted.expect("it sorts on disk"), ["50000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_keys_come_behind_the_columns() {
    let fixture = fixture().await;
    let table = fixture.table("t");
    let sql = "SELECT a.k, b.k FROM t a LEFT JOIN t b ON b.k = a.k + 1 WHERE a.k IN (5, 2000) ORDER BY a.k";
    let query = fixture.query(sql).expect("a query");
    let mut txn = fixture.begin(Isolation::ReadCommitted);
    let rows = run_with_keys(&query, &[], &[0, 1], &mut txn, &fixture.context()).await.expect("it starts");
    let keys = rows.keys.clone();
    assert_eq!(keys.len(), 2);
    let batches: Vec<_> = rows.batches.try_collect().await.expect("rows");
    let types = [schema::Oid::INT4, schema::Oid::INT4, schema::Oid::BYTEA, schema::Oid::BYTEA];
    let found: Vec<Vec<Datum>> =
        batches.iter().flat_map(|b| sharddb_fragment::batch_rows(&types, b).expect("rows")).collect();
    let key = |k: i32| key::primary_key(&table, &row(k, 0, ""), None).expect("a key");
    let bytes = |datum: &Datum| match datum {
        Datum::Bytes(bytes) => Some(bytes.to_vec()),
        _ => None,
    };
    let at = |reference: usize| 2 + keys.iter().position(|key| *key == reference).expect("a key column");
    assert_eq!(bytes(&found[0][at(0)]), Some(key(5)));
    assert_eq!(bytes(&found[0][at(1)]), Some(key(6)));
    assert_eq!(bytes(&found[1][at(0)]), Some(key(2000)));
    assert_eq!(bytes(&found[1][at(1)]), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_query_ends_at_once() {
    let fixture = fixture().await;
    for sql in [
        "SELECT count(*) FROM generate_series(1, 1000000000) g WHERE g < 0",
        "SELECT count(*) FROM t a, t b, t c WHERE a.x + b.x + c.x < 0",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) SELECT count(*) FROM r",
    ] {
        let mut txn = fixture.begin(Isolation::ReadCommitted);
        let query = fixture.query(sql).expect("a query");
        let mut rows = run(&query, &[], &mut txn, &fixture.context()).await.expect("it starts").batches;
        let waited = tokio::time::timeout(std::time::Duration::from_millis(300), rows.next()).await;
        assert!(waited.is_err(), "{sql} is endless and gives way");
        let dropping = std::time::Instant::now();
        drop(rows);
        txn.rollback().await;
        assert!(dropping.elapsed().as_millis() < 500, "{sql}");
    }
}

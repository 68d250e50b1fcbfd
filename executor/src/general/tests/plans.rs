//! What plans look like: `scripts/plans.sql` holds queries, `scripts/plans.out` their plans as EXPLAIN shows them.
//! `UPDATE_PLANS=1` writes the plans found.

use super::fixture::Fixture;

async fn fixture() -> Fixture {
    let mut fixture = Fixture::new().await;
    for sql in [
        "CREATE TABLE t (k int PRIMARY KEY, x int, y int, s text) WITH (shards = 8, shard_by = 'hash')",
        "CREATE TABLE d (id int PRIMARY KEY, name text NOT NULL)",
        "CREATE TABLE big (a int, b int, PRIMARY KEY (a, b))",
        "INSERT INTO t SELECT g, g % 10, g % 7, 'row ' || g::text FROM generate_series(1, 2000) g",
        "INSERT INTO d SELECT g, 'name ' || g::text FROM generate_series(0, 9) g",
        "INSERT INTO big SELECT g / 10, g % 10 FROM generate_series(0, 999) g",
    ] {
        fixture.execute(sql).await.expect(sql);
    }
    fixture.analyzed("t", 2000);
    fixture.analyzed("d", 10);
    fixture.analyzed("big", 1000);
    fixture
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_are_as_expected() {
    let fixture = fixture().await;
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/general/tests/scripts");
    let mut found = Vec::new();
    for sql in include_str!("scripts/plans.sql").split("\n;\n").map(str::trim) {
        let plan = fixture.explain(sql, false).await.unwrap_or_else(|error| format!("{error:?}"));
        found.push(format!("{sql}\n{plan}\n"));
        // What EXPLAIN ANALYZE counts differs from run to run; it must not fail.
        fixture.explain(sql, true).await.expect(sql);
    }
    let found = found.join("\n");
    if std::env::var_os("UPDATE_PLANS").is_some() {
        std::fs::write(format!("{directory}/plans.out"), &found).expect("the file is written");
    } else {
        assert_eq!(found, include_str!("scripts/plans.out"));
    }
}

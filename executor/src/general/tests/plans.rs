//! What plans look like: `scripts/plans.sql` holds queries, `scripts/plans.out` their plans as EXPLAIN shows them.
//! `scripts/analyzed.sql` and `.out` are the same for what EXPLAIN (ANALYZE, VERBOSE) shows, without times.
//! `UPDATE_PLANS=1` writes the plans found.

use super::fixture::Fixture;
use crate::general::Showing;

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
    let mut found = Vec::new();
    for sql in include_str!("scripts/plans.sql").split("\n;\n").map(str::trim) {
        let plan = fixture.explain(sql, Showing::default()).await.unwrap_or_else(|error| format!("{error:?}"));
        found.push(format!("{sql}\n{plan}\n"));
        // Much of what EXPLAIN ANALYZE counts differs from run to run; it must not fail.
        fixture.explain(sql, Showing { analyze: true, verbose: false }).await.expect(sql);
    }
    check("plans.out", &found.join("\n"), include_str!("scripts/plans.out"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_cost_what_is_expected() {
    let fixture = fixture().await;
    let mut found = Vec::new();
    for sql in include_str!("scripts/analyzed.sql").split("\n;\n").map(str::trim) {
        let plan = fixture.explain(sql, Showing { analyze: true, verbose: true }).await.expect(sql);
        found.push(format!("{sql}\n{}", without_times(&plan)));
    }
    check("analyzed.out", &found.join("\n"), include_str!("scripts/analyzed.out"));
}

/// The lines with times replaced.
fn without_times(plan: &str) -> String {
    let line = |line: &str| {
        if let Some((name, _)) = line.split_once(" Time: ") {
            return format!("{name} Time: T ms\n");
        }
        let words = line.split(' ').map(|word| match word.split_once("time=") {
            Some((before, _)) => format!("{before}time=T"),
            None => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    plan.lines().map(line).collect()
}

fn check(file: &str, found: &str, expected: &str) {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/general/tests/scripts");
    if std::env::var_os("UPDATE_PLANS").is_some() {
        std::fs::write(format!("{directory}/{file}"), found).expect("the file is written");
    } else {
        assert_eq!(found, expected);
    }
}

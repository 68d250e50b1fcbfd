//! Scripts against what PostgreSQL answered.

use super::fixture::Fixture;

/// Runs a script; `UPDATE_SCRIPTS` prints what differs without failing.
async fn script(sql: &str, expected: &str, at_shards: bool) {
    let mut fixture = Fixture::new().await;
    if at_shards {
        fixture.join_at_shards();
    }
    let statements: Vec<&str> = sql.split("\n;\n").map(str::trim).filter(|s| !s.is_empty()).collect();
    let expected: Vec<&str> = expected.split("\n;\n").collect();
    let mut wrong = Vec::new();
    for (number, statement) in statements.iter().enumerate() {
        let ordered = statement.starts_with("--ordered");
        let mut answer = match fixture.execute(statement).await {
            Ok(rows) => rows,
            Err(error) => vec![format!("ERROR: {}", error.state().code()), format!("-- {error:?}")],
        };
        let mut wanted: Vec<String> =
            expected.get(number).unwrap_or(&"").lines().map(str::to_owned).filter(|l| !l.is_empty()).collect();
        if wanted.first().is_some_and(|line| line.starts_with("ERROR")) && answer.len() == 2 {
            answer.truncate(1);
        }
        if !ordered {
            answer.sort();
            wanted.sort();
        }
        if answer != wanted {
            wrong.push(format!("{statement}\n-- expected\n{}\n-- found\n{}", wanted.join("\n"), answer.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n\n{}", wrong.len(), statements.len(), wrong.join("\n\n"));
}

macro_rules! scripts {
    ($at_shards:literal: $($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                script(
                    include_str!(concat!("scripts/", stringify!($name), ".sql")),
                    include_str!(concat!("scripts/", stringify!($name), ".out")),
                    $at_shards,
                )
                .await;
            }
        )*
    };
}

scripts!(false: basics, joins, aggregates, subqueries, windows, sets, indexes, lateral, ordered_sets, whole_rows);

/// The same where the shard that holds the tables joins them.
mod at_shards {
    use super::script;

    scripts!(true: joins, subqueries, lateral, sets, whole_rows);
}

//! Scripts against what PostgreSQL answered.

use super::fixture::Fixture;

/// Runs a script; `UPDATE_SCRIPTS` prints what differs without failing.
async fn script(sql: &str, expected: &str) {
    let mut fixture = Fixture::new().await;
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
    ($($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                script(
                    include_str!(concat!("scripts/", stringify!($name), ".sql")),
                    include_str!(concat!("scripts/", stringify!($name), ".out")),
                )
                .await;
            }
        )*
    };
}

scripts!(basics, joins, aggregates, subqueries, windows, sets, indexes, lateral, ordered_sets, whole_rows);

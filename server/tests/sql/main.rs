//! The SQL corpus: files of statements with their answers, in sqllogictest's format, by feature.
//!
//! Every file runs in a database of its own, once with its tables on one shard and once on eight; the answers must be
//! the same. They were recorded from PostgreSQL 15. `skipif` and `onlyif` with `sharddb` or `postgresql` mark records
//! where the two differ. Failures are expected by SQLSTATE: `statement error 23505`.
//!
//! `SHARDDB_RECORD="postgresql://…"` runs the files against that PostgreSQL server and rewrites the answers; arguments
//! that filter tests filter files.

mod database;
#[path = "../isolation/server.rs"]
mod server;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use libtest_mimic::{Arguments, Failed, Trial};
use sqllogictest::{DefaultColumnType, Normalizer, Record, Runner, parse_file, strict_column_validator};

use crate::{
    database::{Connection, Database},
    server::Server,
};

const PLACEMENTS: [(&str, u16); 2] = [("1_shard", 1), ("8_shards", 8)];
/// A file with more failures than this shows the first ones.
const FAILURES_SHOWN: usize = 50;

fn main() {
    let arguments = Arguments::from_args();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sql");
    let files = files(&folder);
    if let Ok(oracle) = std::env::var("SHARDDB_RECORD") {
        let wanted = |path: &&PathBuf| arguments.filter.as_ref().is_none_or(|filter| title(path).contains(filter));
        files.iter().filter(wanted).for_each(|path| record(path, &oracle));
        return;
    }
    let server: Arc<OnceLock<Server>> = Arc::default();
    let mut trials = Vec::new();
    for (placement, shards) in PLACEMENTS {
        for path in &files {
            let (path, server) = (path.clone(), Arc::clone(&server));
            let title = format!("{placement}/{}", title(&path));
            trials.push(Trial::test(title, move || check(&path, server.get_or_init(Server::start), shards)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(server);
    conclusion.exit();
}

/// Every `.slt` file of the feature folders, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("a folder can be listed");
        entries.map(|entry| entry.expect("an entry can be read").path()).collect()
    };
    let features = list(folder).into_iter().filter(|path| path.is_dir());
    let mut files: Vec<PathBuf> = features.flat_map(|feature| list(&feature)).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "slt"));
    files.sort();
    files
}

/// `feature/file`.
fn title(path: &Path) -> String {
    let feature = path.parent().and_then(Path::file_name).unwrap_or_default();
    format!("{}/{}", feature.to_string_lossy(), path.file_stem().unwrap_or_default().to_string_lossy())
}

fn check(path: &Path, server: &Server, shards: u16) -> Result<(), Failed> {
    let records = parse_file::<DefaultColumnType>(path).map_err(|error| error.to_string())?;
    let failures = runtime().block_on(async {
        let database = Database::create_in_sharddb(&server.address(), shards).await;
        let mut runner = runner(&database);
        let mut failures = Vec::new();
        for record in records {
            if matches!(record, Record::Halt { .. }) {
                break;
            }
            if let Err(failure) = runner.run_async(record).await {
                failures.push(failure.display(false).to_string());
            }
        }
        runner.shutdown_async().await;
        database.forget().await;
        failures
    });
    if failures.is_empty() {
        return Ok(());
    }
    let count = failures.len();
    let shown = failures.into_iter().take(FAILURES_SHOWN).collect::<Vec<_>>().join("\n\n");
    Err(format!("{count} records failed\n{shown}\n").into())
}

fn record(path: &Path, oracle: &str) {
    runtime().block_on(async {
        let database = Database::create_in_postgresql(oracle).await;
        let mut runner = runner(&database);
        let recorded = runner.update_test_file(path, " ", same, AS_IS, strict_column_validator).await;
        runner.shutdown_async().await;
        database.forget().await;
        recorded.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    });
}

fn runner(database: &Database) -> Runner<Connection, impl sqllogictest::MakeConnection<Conn = Connection> + use<'_>> {
    let mut runner = Runner::new(move || database.connect());
    runner.with_validator(same);
    runner.with_normalizer(AS_IS);
    runner.with_column_validator(strict_column_validator);
    runner
}

const AS_IS: Normalizer = Clone::clone;

/// Whether every row is the expected line, blanks included.
fn same(_: Normalizer, rows: &[Vec<String>], expected: &[String]) -> bool {
    rows.iter().map(|row| row.join(" ")).eq(expected.iter().map(String::clone))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

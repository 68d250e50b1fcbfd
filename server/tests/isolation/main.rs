//! Interleaved transactions: what each isolation level lets through, and who waits for whom.
//!
//! A case is a list of steps `session> statement`. A step that does not answer is `blocked`; its answer is shown after
//! the step that let it go on. The expectations in `expected/LEVEL/CASE.txt` were recorded from PostgreSQL 15. Where
//! ShardDB is stricter, `expected/LEVEL/CASE.sharddb.txt` holds its own answer. Every case runs with its table on one
//! shard and again on eight.
//!
//! `ISOLATION_RECORD="host=… user=…"` records the expectations from the PostgreSQL server at that address instead.

mod script;
mod server;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::{script::Script, server::Server};

const LEVELS: [(&str, &str); 3] =
    [("read_committed", "read committed"), ("repeatable_read", "repeatable read"), ("serializable", "serializable")];
const PLACEMENTS: [(&str, &str); 2] = [("1_shard", ""), ("8_shards", " with (shards = 8, shard_by = 'hash')")];

fn main() {
    let arguments = Arguments::from_args();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/isolation");
    if let Ok(oracle) = std::env::var("ISOLATION_RECORD") {
        record(&folder, &oracle);
        return;
    }
    let server = if arguments.list { None } else { Some(Arc::new(Server::start())) };
    let trials = cases(&folder).into_iter().flat_map(|name| trials(&folder, &name, &server)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(server);
    conclusion.exit();
}

fn trials(folder: &Path, name: &str, server: &Option<Arc<Server>>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (level, sql) in LEVELS {
        for (placement, with) in PLACEMENTS {
            let (folder, name, server) = (folder.to_owned(), name.to_owned(), server.clone());
            let title = format!("{level}/{name}/{placement}");
            trials.push(Trial::test(title, move || {
                let server = server.as_ref().expect("a server runs unless tests are only listed");
                let shown = run(&folder, &name, sql, with, &server.address());
                let own = folder.join(format!("expected/{level}/{name}.sharddb.txt"));
                let path = if own.exists() { own } else { folder.join(format!("expected/{level}/{name}.txt")) };
                let expected = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                same(&expected, &shown)
            }));
        }
    }
    trials
}

fn run(folder: &Path, name: &str, level: &str, with: &str, address: &str) -> String {
    let text = fs::read_to_string(folder.join(format!("cases/{name}.txt"))).expect("a case can be read");
    let script = Script::parse(&text.replace("$LEVEL", level));
    script::run(&script, address, with)
}

fn same(expected: &str, shown: &str) -> Result<(), Failed> {
    if expected == shown {
        return Ok(());
    }
    Err(format!("--- expected\n{expected}--- answered\n{shown}").into())
}

fn record(folder: &Path, oracle: &str) {
    for (level, sql) in LEVELS {
        let expected = folder.join("expected").join(level);
        fs::create_dir_all(&expected).expect("the folder can be made");
        for name in cases(folder) {
            let shown = run(folder, &name, sql, "", oracle);
            fs::write(expected.join(format!("{name}.txt")), shown).expect("an expectation can be written");
        }
    }
}

fn cases(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("cases")).expect("the cases can be listed");
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

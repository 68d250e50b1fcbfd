//! Signatures of built-in functions against `pg_proc`.
//!
//! `signatures_of_our_own.txt` lists the signatures that PostgreSQL does not have so, each with a reason in its code.
//! `signatures.txt` has a line `name(argument oids) result volatility strict set` for every function of PostgreSQL 15
//! that exists here, written by the query in its first line.

use std::{collections::HashMap, fmt::Write, fs, path::Path};

use schema::functions::{Volatility, all_aggregates, all_functions, all_set_functions};
use sharddb_schema as schema;

fn letter(volatility: Volatility) -> char {
    match volatility {
        Volatility::Immutable => 'i',
        Volatility::Stable => 's',
        Volatility::Volatile => 'v',
    }
}

/// Signatures as the file writes them; an argument that stands for any number has its type.
fn ours() -> Vec<(String, String)> {
    let key = |name: &str, args: &[schema::Oid], variadic: Option<schema::Oid>| {
        let args: Vec<String> = args.iter().chain(&variadic).map(ToString::to_string).collect();
        format!("{name}({})", args.join(","))
    };
    let scalar = all_functions().map(|function| {
        let facts = format!("{} {} {} f", function.result, letter(function.volatility), function.strict);
        (key(function.name, function.args, function.variadic), facts)
    });
    let sets = all_set_functions().map(|function| {
        let facts = format!("{} {} {} t", function.result, letter(function.volatility), function.strict);
        (key(function.name, function.args, function.variadic), facts)
    });
    let aggregates = all_aggregates().map(|aggregate| {
        (key(aggregate.name, aggregate.args, aggregate.variadic), format!("{} i false f", aggregate.result))
    });
    scalar.chain(sets).chain(aggregates).collect()
}

#[test]
fn signatures_are_postgresqls() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/functions");
    let recorded = fs::read_to_string(directory.join("signatures.txt")).expect("the recorded signatures");
    let recorded: HashMap<&str, &str> =
        recorded.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' ')).collect();
    let known = fs::read_to_string(directory.join("signatures_of_our_own.txt")).expect("our own signatures");
    let mut wrong = String::new();
    for (key, facts) in ours() {
        let facts = facts.replace("true", "t").replace("false", "f");
        let line = format!("{key} {facts}");
        match recorded.get(key.as_str()) {
            Some(expected) if *expected == facts => {}
            _ if known.lines().any(|other| other == line) => {}
            found => writeln!(wrong, "{line}\n  recorded {found:?}").expect("a string takes every write"),
        }
    }
    assert!(wrong.is_empty(), "signatures differ:\n{wrong}");
}

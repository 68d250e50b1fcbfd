//! Built-in functions against answers recorded from PostgreSQL.
//!
//! A case is a line `expression => type value`, `expression => NULL` or `expression => SQLSTATE message`. The part
//! after the arrow was written by PostgreSQL 15 (`record.py` beside this file); the expression is evaluated here by a
//! small parser over the public resolution functions, so that this crate is tested without the planner.

mod catalog;
mod evaluate;
mod parse;
mod robust;
mod signatures;

use std::{fs, path::Path};

/// Evaluates every case of a file and lists those that differ.
fn differences(path: &Path) -> Vec<String> {
    let cases = fs::read_to_string(path).expect("the file of cases is there");
    let mut found = Vec::new();
    for line in cases.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (expression, expected) = line.split_once(" => ").unwrap_or((line, ""));
        let actual = evaluate::show(expression).replace('\n', "\\n");
        if actual != expected {
            found.push(format!("{expression}\n  expected {expected}\n  got      {actual}"));
        }
    }
    found
}

#[test]
fn functions_answer_as_postgresql() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/functions/cases");
    let mut wrong = Vec::new();
    let mut files: Vec<_> = fs::read_dir(cases).expect("cases").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    for file in files {
        wrong.extend(differences(&file));
    }
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}

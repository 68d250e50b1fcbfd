//! What psql's backslash commands show, against what they show of the same objects in PostgreSQL.
//!
//! `psql/introspection.sql` makes objects and looks at them; `psql/introspection.out` is psql 15's transcript against
//! PostgreSQL 15. `SHARDDB_RECORD="postgresql://…"` writes it anew from that server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::process::Process;

/// The version whose transcript is recorded; others send other queries and print other headings.
const RECORDED: &str = "15";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/psql").join(name)
}

fn psql() -> Command {
    let mut command = Command::new("psql");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C.UTF-8");
    command
}

fn major_version() -> String {
    let answer = psql().arg("--version").output().expect("psql is there once scripts/prepare has run");
    let answer = String::from_utf8(answer.stdout).expect("text");
    let digits = answer.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit);
    digits.collect()
}

/// Everything psql prints for a script, errors in their places.
fn transcript(url: &str, script: &Path) -> String {
    let mut command = psql();
    command.args(["-X", "-a", "-P", "pager=off", "-d", url, "-f"]).arg(script.file_name().expect("a file"));
    command.current_dir(script.parent().expect("a folder"));
    // One stream, so that errors come where they belong.
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    command.stdout(writer.try_clone().expect("a second end")).stderr(writer);
    let mut child = command.spawn().expect("psql starts");
    drop(command);
    let mut printed = String::new();
    std::io::Read::read_to_string(&mut reader, &mut printed).expect("text");
    child.wait().expect("psql ends");
    printed
}

/// Removes what the script makes.
fn clean(url: &str) {
    let statements = ["database if exists shop", "role if exists clerk", "role if exists auditor"];
    let commands = statements.iter().flat_map(|rest| ["-c".to_owned(), format!("drop {rest}")]);
    let cleaned = psql().args(["-X", "-q", "-d", url]).args(commands).status();
    assert!(cleaned.expect("psql starts").success());
}

/// The first lines in which two transcripts differ, with the command before them.
fn difference(expected: &str, printed: &str) -> Option<String> {
    let mut command = "";
    let (mut left, mut right) = (expected.lines(), printed.lines());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (Some(one), Some(other)) if one == other => {
                if one.starts_with('\\') {
                    command = one;
                }
            }
            (one, other) => {
                let following = |first: Option<&str>, lines: std::str::Lines<'_>| {
                    let lines = first.into_iter().map(str::to_owned).chain(lines.take(5).map(str::to_owned));
                    lines.collect::<Vec<_>>().join("\n")
                };
                return Some(format!(
                    "after {command}\nPostgreSQL:\n{}\nhere:\n{}",
                    following(one, left.clone()),
                    following(other, right.clone())
                ));
            }
        }
    }
}

#[test]
fn psql_shows_objects_as_in_postgresql() {
    let (script, recorded) = (file("introspection.sql"), file("introspection.out"));
    let version = major_version();
    if let Ok(oracle) = std::env::var("SHARDDB_RECORD") {
        assert_eq!(version, RECORDED, "transcripts are those of psql {RECORDED}");
        clean(&oracle);
        fs::write(recorded, transcript(&oracle, &script)).expect("the transcript is written");
        return clean(&oracle);
    }
    let server = Process::start();
    let printed = transcript(&format!("postgresql://postgres@{}/postgres", server.sql), &script);
    let expected = fs::read_to_string(recorded).expect("the transcript is recorded");
    if version == RECORDED {
        if let Some(difference) = difference(&expected, &printed) {
            panic!("{difference}");
        }
    } else {
        // Headings differ, but every command must be answered.
        let errors = |text: &str| text.lines().filter(|line| line.contains("ERROR:")).map(str::to_owned).collect();
        let (expected, printed): (Vec<String>, Vec<String>) = (errors(&expected), errors(&printed));
        assert_eq!(expected, printed);
    }
}

//! Starting the binary: settings, the data directory, refusals.

use std::{fs, io::Write};

use crate::{
    process::{Process, command, data, directory, refusal, start_arguments},
    raw::Raw,
};

#[test]
fn the_version_is_told() {
    let output = command().arg("--version").output().expect("the binary starts");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("sharddb {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_banner_says_how_to_connect() {
    let process = Process::start();
    let address = process.sql;
    let expected = format!("postgresql://postgres@{address}/postgres");
    assert!(process.banner.iter().any(|line| line.contains(&expected)), "{:?}", process.banner);
    Raw::session(address);
}

#[test]
fn a_second_process_on_the_directory_is_refused() {
    let process = Process::start_with(directory(), &[]);
    let used = process.banner.iter().find_map(|line| line.trim_start().strip_prefix("data")).expect("a directory");
    let mut second = command();
    second.args(start_arguments(used.trim().as_ref()));
    let said = refusal(second);
    assert!(said.contains("in use by another sharddb process"), "{said}");
    assert!(said.contains(&process.id().to_string()), "{said}");
    Raw::session(process.sql);
}

#[test]
fn a_directory_of_an_unknown_format_is_refused() {
    let directory = directory();
    fs::create_dir(data(&directory)).expect("made");
    fs::write(data(&directory).join("FORMAT"), "99\n").expect("written");
    let mut start = command();
    start.args(start_arguments(&data(&directory)));
    let said = refusal(start);
    assert!(said.contains("has format \"99\""), "{said}");
}

#[test]
fn somebody_elses_directory_is_refused() {
    let directory = directory();
    fs::create_dir(data(&directory)).expect("made");
    fs::write(data(&directory).join("thesis.txt"), "mine").expect("written");
    let mut start = command();
    start.args(start_arguments(&data(&directory)));
    let said = refusal(start);
    assert!(said.contains("not a ShardDB data directory"), "{said}");
}

#[test]
fn an_address_for_everybody_needs_authentication() {
    let directory = directory();
    let mut start = command();
    start.args(start_arguments(&data(&directory))).args(["--sql-addr", "0.0.0.0:0"]);
    let twice = refusal(start);
    assert!(twice.contains("cannot be used multiple times"), "{twice}");

    let arguments: Vec<String> = start_arguments(&data(&directory));
    let everybody = |further: &[&str]| {
        let mut start = command();
        let mut arguments = arguments.clone();
        arguments[4] = "0.0.0.0:0".to_owned();
        start.args(arguments).args(further);
        start
    };
    let said = refusal(everybody(&[]));
    assert!(said.contains("no role has a password") && said.contains("--auth password"), "{said}");
    // The refusal leaves the directory as it was.
    for mode in ["trust", "password"] {
        let mut child = everybody(&["--auth", mode]).spawn().expect("the binary starts");
        let mut said = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().expect("its output is piped"));
        while !said.ends_with("ready\n") {
            let read = std::io::BufRead::read_line(&mut out, &mut said).expect("text");
            assert_ne!(read, 0, "it has ended: {said}");
        }
        child.kill().expect("it ends");
        child.wait().expect("it has ended");
    }
}

#[test]
fn an_address_in_use_is_named() {
    let process = Process::start();
    let directory = directory();
    let mut arguments = start_arguments(&data(&directory));
    arguments[4] = process.sql.to_string();
    let mut start = command();
    start.args(arguments);
    let said = refusal(start);
    assert!(said.contains(&format!("could not listen on {} (sql-addr)", process.sql)), "{said}");
}

#[test]
fn settings_come_from_flag_then_environment_then_file() {
    let directory = directory();
    let path = directory.path().join("sharddb.toml");
    let mut file = fs::File::create(&path).expect("made");
    let data = data(&directory);
    writeln!(file, "data = \"{}\"", data.display()).expect("written");
    writeln!(file, "sql-addr = \"203.0.113.1:1\"\nhttp-addr = \"127.0.0.1:0\"\nmax-connections = 1").expect("written");
    let mut start = command();
    start.arg("start").arg("--config").arg(&path).args(["--sql-addr", "127.0.0.1:0"]);
    start.env("SHARDDB_RPC_ADDR", "127.0.0.1:0").env("SHARDDB_SQL_ADDR", "203.0.113.2:1");
    let process = Process::spawn(start, directory);
    assert!(data.join("FORMAT").exists());
    let _only = Raw::session(process.sql);
    let mut second = Raw::connect(process.sql);
    second.send(&crate::raw::startup(3 << 16, b"user\0postgres\0\0"));
    assert_eq!(second.until_end()[0].error().1, "53300");
}

#[test]
fn bad_settings_are_refused() {
    let directory = directory();
    let path = directory.path().join("sharddb.toml");
    for (content, expected) in [
        ("sql_addr = \"x\"", "unknown field `sql_addr`"),
        ("max-connections = \"many\"", "max-connections"),
        ("auth = \"perhaps\"", "perhaps"),
        ("tls-cert = \"x\"", "must be given together"),
    ] {
        fs::write(&path, content).expect("written");
        let mut start = command();
        start.args(start_arguments(&data(&directory))).arg("--config").arg(&path);
        let said = refusal(start);
        assert!(said.contains(expected), "{said}");
    }
    let mut start = command();
    start.args(start_arguments(&data(&directory))).args(["--config", "/nowhere/sharddb.toml"]);
    assert!(refusal(start).contains("/nowhere/sharddb.toml"));
    let mut start = command();
    start.args(start_arguments(&data(&directory))).args(["--tls-cert", "/nowhere/a", "--tls-key", "/nowhere/b"]);
    assert!(refusal(start).contains("/nowhere/a"));
}

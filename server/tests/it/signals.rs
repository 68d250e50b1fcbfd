//! Stopping the process.

use crate::{
    http::get,
    process::{Process, directory},
    raw::{Raw, message, tags, text},
};

/// Sends a query and waits until it runs.
fn run(process: &Process, raw: &mut Raw, sql: &str) {
    let statements = || {
        let (_, metrics) = get(process.http, "/metrics");
        let count = metrics.lines().find_map(|line| line.strip_prefix("sharddb_statements_total "));
        count.and_then(|count| count.parse::<u64>().ok()).expect("a counter")
    };
    let before = statements();
    raw.send(&message(b'Q', &text(sql)));
    while statements() == before {
        std::thread::yield_now();
    }
}

#[test]
fn idle_clients_are_told_and_the_process_ends_in_order() {
    for signal in ["TERM", "INT"] {
        let process = Process::start();
        let mut idle = Raw::session(process.sql);
        process.signal(signal);
        let answers = idle.until_end();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(answers[0].error(), ("FATAL".to_owned(), "57P01".to_owned()));
        let (status, _) = process.wait();
        assert!(status.success(), "{status}");
    }
}

#[test]
fn whoever_has_not_said_who_they_are_does_not_hold_the_process_up() {
    let process = Process::start();
    let mut silent = Raw::connect(process.sql);
    process.signal("TERM");
    assert_eq!(silent.until_end(), []);
    assert!(process.wait().0.success());
}

#[test]
fn the_directory_can_be_used_again() {
    let process = Process::start().restart();
    Raw::session(process.sql);
}

#[test]
fn a_killed_process_leaves_no_lock_behind() {
    let process = Process::start();
    process.signal("KILL");
    let (status, directory) = process.wait();
    assert!(!status.success());
    let process = Process::start_with(directory, &[]);
    Raw::session(process.sql);
}

#[test]
fn a_running_statement_may_finish() {
    let process = Process::start_with(directory(), &["--stop-grace", "60"]);
    let mut raw = Raw::session(process.sql);
    run(&process, &mut raw, "select pg_sleep(1), 'done'");
    process.signal("TERM");
    let answers = raw.until_end();
    assert_eq!(tags(&answers), "TDCZE");
    assert_eq!(answers[4].error().1, "57P01");
    assert!(process.wait().0.success());
}

#[test]
fn a_statement_that_takes_too_long_is_cancelled() {
    let process = Process::start_with(directory(), &["--stop-grace", "0"]);
    let mut raw = Raw::session(process.sql);
    run(&process, &mut raw, "select pg_sleep(1000)");
    process.signal("TERM");
    let last = raw.until_end().pop().expect("an error");
    assert_eq!(last.error(), ("FATAL".to_owned(), "57P01".to_owned()));
    assert!(process.wait().0.success());
}

#[test]
fn a_second_signal_stops_at_once() {
    let process = Process::start_with(directory(), &["--stop-grace", "1000"]);
    let mut raw = Raw::session(process.sql);
    let mut idle = Raw::session(process.sql);
    run(&process, &mut raw, "select pg_sleep(1000)");
    process.signal("TERM");
    // The first signal has been seen.
    assert_eq!(idle.until_end().len(), 1);
    process.signal("INT");
    assert_eq!(process.wait().0.code(), Some(130));
}

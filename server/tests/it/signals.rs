//! Stopping the process.

use crate::{process::Process, raw::Raw};

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

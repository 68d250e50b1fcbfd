//! Startup packets.

use crate::{
    process::Process,
    raw::{Raw, startup, tags},
};

const VERSION: u32 = 3 << 16;
const CANCEL: u32 = (1234 << 16) | 5678;
const TLS: u32 = (1234 << 16) | 5679;
const GSS: u32 = (1234 << 16) | 5680;

/// Severity and SQLSTATE of the only answer to a startup packet.
fn refused(process: &Process, packet: &[u8]) -> (String, String) {
    let mut raw = Raw::connect(process.sql);
    raw.send(packet);
    let answers = raw.until_end();
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers[0].error()
}

fn fatal(state: &str) -> (String, String) {
    ("FATAL".to_owned(), state.to_owned())
}

#[test]
fn packets_that_make_no_sense_are_refused() {
    let process = Process::start();
    for length in [0_u32, 7, 10_001, u32::MAX, 0x8000_0000] {
        assert_eq!(refused(&process, &length.to_be_bytes()), fatal("08P01"), "{length}");
    }
    assert_eq!(refused(&process, b"GET / HTTP/1.1\r\n\r\n"), fatal("08P01"));
    assert_eq!(refused(&process, &startup(VERSION, b"user\0postgres\0")), fatal("08P01"));
    assert_eq!(refused(&process, &startup(VERSION, b"user\0postg\xffres\0\0")), fatal("22021"));
    assert_eq!(refused(&process, &startup(2 << 16, b"user\0postgres\0\0")), fatal("0A000"));
    assert_eq!(refused(&process, &startup(VERSION, b"\0")), fatal("28000"));
    assert_eq!(refused(&process, &startup(VERSION, b"user\0postgres\0replication\0true\0\0")), fatal("0A000"));
    assert_eq!(refused(&process, &startup(VERSION, b"user\0nobody\0\0")), fatal("28000"));
    Raw::session(process.sql);
}

#[test]
fn encryption_is_declined_when_there_is_no_certificate() {
    let process = Process::start();
    let mut raw = Raw::connect(process.sql);
    for request in [GSS, TLS] {
        raw.send(&startup(request, b""));
        assert_eq!(raw.byte(), b'N');
    }
    raw.send(&startup(VERSION, b"user\0postgres\0\0"));
    assert!(tags(&raw.until_ready()).ends_with('Z'));

    let mut endless = Raw::connect(process.sql);
    for _ in 0..3 {
        endless.send(&startup(TLS, b""));
        assert_eq!(endless.byte(), b'N');
    }
    assert_eq!(endless.until_end()[0].error(), fatal("08P01"));
}

#[test]
fn newer_protocol_versions_are_negotiated() {
    let process = Process::start();
    let mut raw = Raw::connect(process.sql);
    raw.send(&startup(VERSION + 2, b"user\0postgres\0_pq_.unknown\0x\0\0"));
    let greeting = raw.until_ready();
    assert_eq!(greeting[0].tag, b'v');
    assert_eq!(greeting[0].body, b"\0\x03\0\0\0\0\0\x01_pq_.unknown\0");
}

#[test]
fn cancel_requests_for_nobody_are_not_answered() {
    let process = Process::start();
    for body in [&[0; 8][..], &[0xff; 8]] {
        let mut raw = Raw::connect(process.sql);
        raw.send(&startup(CANCEL, body));
        assert_eq!(raw.until_end(), []);
    }
}

#[test]
fn too_many_clients_are_told_so() {
    let process = Process::start_with(crate::process::directory(), &["--max-connections", "2"]);
    let first = Raw::session(process.sql);
    let _second = Raw::session(process.sql);
    let packet = startup(VERSION, b"user\0postgres\0\0");
    assert_eq!(refused(&process, &packet), fatal("53300"));
    drop(first);
    // The server sees the end of the first connection in its own time.
    loop {
        let mut raw = Raw::connect(process.sql);
        raw.send(&packet);
        if raw.answer().is_some_and(|answer| answer.tag == b'R') {
            break;
        }
    }
}
#[test]
fn the_greeting_holds_what_drivers_expect() {
    let process = Process::start();
    let mut raw = Raw::connect(process.sql);
    raw.send(&startup(VERSION, b"user\0postgres\0database\0postgres\0application_name\0test\0\0"));
    let greeting = raw.until_ready();
    let tags = tags(&greeting);
    assert!(tags.starts_with('R') && tags.ends_with("KZ"), "{tags}");
    let parameter = |name: &str| {
        let prefix = [name.as_bytes(), &[0]].concat();
        let found = greeting.iter().find(|answer| answer.tag == b'S' && answer.body.starts_with(&prefix));
        found.map(|answer| String::from_utf8_lossy(&answer.body[prefix.len()..answer.body.len() - 1]).into_owned())
    };
    assert_eq!(parameter("client_encoding").as_deref(), Some("UTF8"));
    assert_eq!(parameter("standard_conforming_strings").as_deref(), Some("on"));
    assert_eq!(parameter("integer_datetimes").as_deref(), Some("on"));
    assert_eq!(parameter("application_name").as_deref(), Some("test"));
    assert!(parameter("server_version").is_some_and(|version| version.starts_with("15.")));
    assert_eq!(greeting.last().map(|ready| ready.body.as_slice()), Some(&b"I"[..]));
}

//! What clients should not send: the answer is an error or the end of the connection, and nobody else notices.

use crate::{
    process::Process,
    raw::{Raw, message, startup, tags, text},
};

fn error(severity: &str, state: &str) -> (String, String) {
    (severity.to_owned(), state.to_owned())
}

/// Sends bytes in a session, which they are to end; answers the error.
fn fatal(process: &Process, bytes: &[u8]) -> (String, String) {
    let mut raw = Raw::session(process.sql);
    raw.send(bytes);
    let answers = raw.until_end();
    answers.last().unwrap_or_else(|| panic!("the connection ended without a word after {bytes:?}")).error()
}

#[test]
fn lengths_that_cannot_be_end_the_connection() {
    let process = Process::start();
    for tag in *b"QPBDECHSXdcfF" {
        for length in [0_u32, 3, 0x8000_0000, u32::MAX, 0x7fff_ffff] {
            let bytes = [&[tag][..], &length.to_be_bytes()].concat();
            assert_eq!(fatal(&process, &bytes), error("FATAL", "08P01"), "{} {length}", char::from(tag));
        }
    }
    // Longer than what holds only a name may be.
    assert_eq!(fatal(&process, b"S\0\0\x40\0"), error("FATAL", "08P01"));
    Raw::session(process.sql);
}

#[test]
fn unknown_message_types_end_the_connection() {
    let process = Process::start();
    for tag in (0..=255).filter(|tag| !b"QPBDECHSXdcfFp".contains(tag)) {
        assert_eq!(fatal(&process, &message(tag, b"")), error("FATAL", "08P01"), "{tag}");
    }
    assert_eq!(fatal(&process, &message(b'p', b"password\0")), error("FATAL", "08P01"));
    Raw::session(process.sql);
}

#[test]
fn bodies_that_do_not_add_up_end_the_connection() {
    let process = Process::start();
    let cases: [(u8, &[u8]); 9] = [
        (b'Q', b"select 1"),
        (b'Q', b"select 1\0select 2\0"),
        (b'P', b"\0select 1\0\xff\xff"),
        (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        (b'B', b"\0\0\0\x01\0\0"),
        (b'D', b"X\0"),
        (b'E', b"\0\0"),
        (b'C', b"S"),
        (b'S', b"\0"),
    ];
    for (tag, body) in cases {
        assert_eq!(fatal(&process, &message(tag, body)), error("FATAL", "08P01"), "{} {body:?}", char::from(tag));
    }
    Raw::session(process.sql);
}

#[test]
fn text_that_is_not_utf8_is_an_error_of_the_statement() {
    let process = Process::start();
    let mut raw = Raw::session(process.sql);
    raw.send(&message(b'Q', b"select '\xff'\0"));
    let answers = raw.until_ready();
    assert_eq!((tags(&answers).as_str(), answers[0].error()), ("EZ", error("ERROR", "22021")));

    raw.send(&message(b'P', b"\xc0\0select 1\0\0\0"));
    raw.send(&message(b'D', b"S\0"));
    raw.send(&message(b'S', b""));
    let answers = raw.until_ready();
    assert_eq!((tags(&answers).as_str(), answers[0].error()), ("EZ", error("ERROR", "22021")));
}

#[test]
fn what_does_not_exist_is_an_error_and_the_rest_is_skipped_until_sync() {
    let process = Process::start();
    let mut raw = Raw::session(process.sql);
    let cases: [(u8, &[u8], &str); 5] = [
        (b'B', b"\0nothing\0\0\0\0\0\0\0", "26000"),
        (b'B', b"\0\0\0\0\0\0\0\0", "26000"),
        (b'D', b"Snothing\0", "26000"),
        (b'D', b"Pnothing\0", "34000"),
        (b'E', b"nothing\0\0\0\0\0", "34000"),
    ];
    for (tag, body, state) in cases {
        raw.send(&message(tag, body));
        raw.send(&message(b'E', b"skipped\0\xff\xff\xff\xff"));
        raw.send(&message(b'Q', &text("skipped")));
        raw.send(&message(b'S', b""));
        let answers = raw.until_ready();
        assert_eq!(tags(&answers), "EZ", "{answers:?}");
        assert_eq!(answers[0].error(), error("ERROR", state));
    }
    // Closing what does not exist is no error.
    raw.send(&[message(b'C', b"Snothing\0"), message(b'C', b"Pnothing\0"), message(b'S', b"")].concat());
    assert_eq!(tags(&raw.until_ready()), "33Z");
}

#[test]
fn function_calls_are_not_supported() {
    let process = Process::start();
    let mut raw = Raw::session(process.sql);
    raw.send(&message(b'F', b"anything"));
    let answers = raw.until_ready();
    assert_eq!((tags(&answers).as_str(), answers[0].error()), ("EZ", error("ERROR", "0A000")));
}

#[test]
fn clients_may_leave_at_any_point() {
    let process = Process::start();
    let mut talk = startup(3 << 16, b"user\0postgres\0\0");
    talk.extend(message(b'Q', &text("select 1")));
    talk.extend(message(b'P', b"s\0select $1\0\0\0"));
    talk.extend(message(b'B', b"\0s\0\0\0\0\x01\0\0\0\x011\0\0"));
    talk.extend(message(b'E', b"\0\0\0\0\0"));
    talk.extend(message(b'S', b""));
    for end in 0..talk.len() {
        let mut raw = Raw::connect(process.sql);
        raw.send_last(&talk[..end]);
        raw.until_end();
    }
    Raw::session(process.sql);
}

#[test]
fn noise_ends_the_connection_at_most() {
    let process = Process::start();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..200 {
        let mut raw = if round % 2 == 0 { Raw::connect(process.sql) } else { Raw::session(process.sql) };
        let length = next() % 200;
        let mut noise: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        if round % 4 == 3 && noise.len() > 5 {
            // A frame that holds noise.
            let tag = b"QPBDECHS"[next() as usize % 8];
            noise = message(tag, &noise);
        }
        raw.send_last(&noise);
        raw.until_end();
    }
    Raw::session(process.sql);
}

//! COPY.

use super::server::{Server, completed, done, state, status, value};
use crate::raw::{Raw, message, run, sync, tags, text};

fn data(line: &str) -> Vec<u8> {
    message(b'd', line.as_bytes())
}

fn copy_done() -> Vec<u8> {
    message(b'c', b"")
}

/// Begins COPY FROM STDIN and waits for the server to be ready for data.
fn begin(raw: &mut Raw, server: &Server) {
    raw.send(&message(b'Q', &text(&format!("copy {} from stdin", server.table))));
    let answer = raw.answer().expect("an answer");
    assert_eq!((answer.tag, answer.body.as_slice()), (b'G', &b"\0\0\x02\0\0\0\0"[..]));
}

#[test]
fn data_may_be_cut_anywhere() {
    let server = Server::start();
    let mut raw = server.with_table(0);
    begin(&mut raw, &server);
    raw.send(&[data("1\tone\n2\tt"), data(""), data("wo\n3"), data("\t\\N\n"), copy_done()].concat());
    let answers = raw.until_ready();
    assert_eq!((tags(&answers).as_str(), completed(&answers)), ("CZ", vec!["COPY 3".to_owned()]));
    assert_eq!(value(&raw.query(&format!("select name from {} where id = 2", server.table))).as_deref(), Some("two"));
}

#[test]
fn a_client_may_give_up() {
    let server = Server::start();
    let mut raw = server.with_table(0);
    begin(&mut raw, &server);
    raw.send(&[data("1\tone\n"), message(b'f', &text("no more"))].concat());
    let answers = raw.until_ready();
    assert_eq!(answers[0].error().1, "57014");
    assert_eq!(answers[0].field(b'M').as_deref(), Some("COPY from stdin failed: no more"));
    assert_eq!(server.count(), "0");
}

#[test]
fn bad_data_ends_the_copy_and_the_rest_is_passed_over() {
    let server = Server::start();
    let mut raw = server.with_table(1);
    begin(&mut raw, &server);
    let rest = data(&"5\tfive\n".repeat(100_000));
    raw.send(&[data("2\ttwo\nthree\tx\n"), rest, data("4\tfour\n"), copy_done()].concat());
    let answers = raw.until_ready();
    assert_eq!((tags(&answers).as_str(), state(&answers).as_str()), ("EZ", "22P02"));
    assert_eq!(tags(&raw.query("select 1")), "TDCZ");
    assert_eq!(server.count(), "1");
    begin(&mut raw, &server);
    raw.send(&[data("1\tagain\n"), copy_done()].concat());
    assert_eq!(state(&raw.until_ready()), "23505");
}

#[test]
fn copy_in_the_extended_protocol() {
    let server = Server::start();
    let mut raw = server.with_table(0);
    let copy = run(&format!("copy {} from stdin", server.table));
    // Drivers send the Sync along; it counts once the data has ended.
    raw.send(&[copy, sync()].concat());
    for tag in *b"12G" {
        assert_eq!(raw.answer().map(|answer| answer.tag), Some(tag));
    }
    raw.send(&[data("1\tone\n"), message(b'H', b""), data("2\ttwo\n"), copy_done(), sync()].concat());
    let answers = raw.until_ready();
    assert_eq!((tags(&answers).as_str(), completed(&answers)), ("CZ", vec!["COPY 2".to_owned()]));
    assert_eq!(server.count(), "2");
    let out = raw.batch(&[&run(&format!("copy {} to stdout", server.table))]);
    assert_eq!(tags(&out), "12HddcCZ");
}

#[test]
fn each_row_goes_out_as_a_message() {
    let server = Server::start();
    let mut raw = server.with_table(2);
    let answers = raw.query(&format!("copy (select id, name from {} order by id) to stdout", server.table));
    assert_eq!((tags(&answers).as_str(), completed(&answers)), ("HddcCZ", vec!["COPY 2".to_owned()]));
    assert_eq!((answers[1].body.as_slice(), answers[2].body.as_slice()), (&b"1\trow 1\n"[..], &b"2\trow 2\n"[..]));
    done(&raw.query(&format!("insert into {} values (3, E'a\\nb')", server.table)));
    let sql = format!("copy (select name from {} order by id) to stdout (format csv, header)", server.table);
    let answers = raw.query(&sql);
    let lines: Vec<&[u8]> = answers.iter().filter(|answer| answer.tag == b'd').map(|answer| &answer.body[..]).collect();
    assert_eq!(lines, [&b"name\n"[..], b"row 1\n", b"row 2\n", b"\"a\nb\"\n"]);
}

#[test]
fn other_messages_during_copy_break_the_protocol() {
    let server = Server::start();
    let mut raw = server.with_table(0);
    begin(&mut raw, &server);
    raw.send(&[data("1\tone\n"), message(b'Q', &text("select 1"))].concat());
    let error = raw.answer().expect("an error");
    assert_eq!(error.error().1, "08P01");
    assert_eq!(server.count(), "0");
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind() {
    let server = Server::start();
    let mut raw = server.with_table(0);
    for rest in [&b""[..], &data("2\ttwo\n")[..7], &data("2\ttwo\n")] {
        let mut vanishing = server.session();
        begin(&mut vanishing, &server);
        vanishing.send(&data("1\tone\n"));
        vanishing.send(rest);
        drop(vanishing);
    }
    // Waits for the locks of those that are gone.
    let answers = raw.query(&format!("insert into {} values (1, 'mine')", server.table));
    assert_eq!((completed(&answers), status(&answers)), (vec!["INSERT 0 1".to_owned()], 'I'));
    done(&raw.query(&format!("drop table {}", server.table)));
    done(&raw.query(&format!("create table {} (id int4)", server.table)));
}

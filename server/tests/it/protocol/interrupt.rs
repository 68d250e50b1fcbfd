//! Cancel requests, clients that vanish, timeouts.

use std::sync::atomic::{AtomicBool, Ordering};

use super::server::{Server, completed, done, state, status, value};
use crate::{
    process::Process,
    raw::{Answer, Raw, message, startup, text},
};

const CANCEL: u32 = (1234 << 16) | 5678;

/// A session with the key by which others cancel what it runs.
fn with_key(server: &Server) -> (Raw, Vec<u8>) {
    let mut raw = Raw::connect(server.address());
    raw.send(&startup(3 << 16, b"user\0postgres\0\0"));
    let key = raw.until_ready().into_iter().find(|answer: &Answer| answer.tag == b'K').expect("a key");
    (raw, key.body)
}

fn cancel(server: &Server, key: &[u8]) {
    let mut request = Raw::connect(server.address());
    request.send(&startup(CANCEL, key));
    assert_eq!(request.until_end(), []);
}

fn send_query(raw: &mut Raw, sql: &str) {
    raw.send(&message(b'Q', &text(sql)));
}

#[test]
fn a_running_statement_can_be_cancelled() {
    let server = Server::start();
    let (mut raw, key) = with_key(&server);
    let mut wrong = key.clone();
    wrong[7] ^= 1;
    done(&raw.query("begin"));
    send_query(&mut raw, "select pg_sleep(100)");
    cancel(&server, &wrong);
    // The request may come before the statement has begun: then it means nothing.
    let stop = AtomicBool::new(false);
    let answers = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                cancel(&server, &key);
                std::thread::yield_now();
            }
        });
        let answers = raw.until_ready();
        stop.store(true, Ordering::Relaxed);
        answers
    });
    assert_eq!((state(&answers).as_str(), status(&answers)), ("57014", 'E'));
    done(&raw.query("rollback"));
    cancel(&server, &key);
    done(&raw.query("select 1"));
}

#[test]
fn statement_timeout_ends_a_statement() {
    let server = Server::start();
    let mut raw = server.session();
    done(&raw.query("set statement_timeout = '20ms'"));
    assert_eq!(state(&raw.query("select pg_sleep(100)")), "57014");
}

#[test]
fn a_client_that_vanishes_frees_its_locks() {
    let server = Server::start();
    let mut raw = server.with_table(2);
    let update = format!("update {} set name = 'x' where id = 1", server.table);

    // Idle in a block.
    let mut holder = server.session();
    done(&holder.query(&format!("begin; {update}")));
    send_query(&mut raw, &update);
    drop(holder);
    assert_eq!(completed(&raw.until_ready()), ["UPDATE 1"]);

    // Running a statement, which PostgreSQL would finish first.
    if server.is_oracle() {
        return;
    }
    let mut holder = server.session();
    done(&holder.query(&format!("begin; {update}")));
    send_query(&mut holder, "select pg_sleep(1000)");
    send_query(&mut raw, &update);
    drop(holder);
    assert_eq!(completed(&raw.until_ready()), ["UPDATE 1"]);
}

#[test]
fn a_client_that_vanishes_while_it_waits_for_a_lock_does_not_get_it() {
    let server = Server::start();
    let mut holder = server.with_table(2);
    if server.is_oracle() {
        return;
    }
    let table = &server.table;
    done(&holder.query(&format!("begin; update {table} set name = 'x' where id = 1")));
    let mut waiter = server.session();
    done(&waiter.query(&format!("begin; update {table} set name = 'x' where id = 2")));
    send_query(&mut waiter, &format!("update {table} set name = 'y' where id = 1"));
    drop(waiter);
    // The waiter's own lock is free although what it waited for is not.
    let mut other = server.session();
    assert_eq!(completed(&other.query(&format!("update {table} set name = 'z' where id = 2"))), ["UPDATE 1"]);
    done(&holder.query("commit"));
    assert_eq!(completed(&other.query(&format!("update {table} set name = 'z' where name = 'x'"))), ["UPDATE 1"]);
}

#[test]
fn idle_sessions_end_when_told_so() {
    let server = Server::start();
    let mut raw = server.session();
    done(&raw.query("set idle_in_transaction_session_timeout = '20ms'"));
    done(&raw.query("begin"));
    assert_eq!(raw.until_end()[0].error(), ("FATAL".to_owned(), "25P03".to_owned()));
    let mut raw = server.session();
    done(&raw.query("set idle_session_timeout = '20ms'"));
    assert_eq!(raw.until_end()[0].error(), ("FATAL".to_owned(), "57P05".to_owned()));
}

#[test]
fn a_session_can_end_another() {
    let server = Server::start();
    let (mut raw, key) = with_key(&server);
    let pid = i32::from_be_bytes(key[..4].try_into().expect("four bytes"));
    done(&raw.query("begin"));
    done(&server.session().query(&format!("select pg_terminate_backend({pid})")));
    assert_eq!(raw.until_end()[0].error(), ("FATAL".to_owned(), "57P01".to_owned()));
}

#[test]
fn temporary_tables_end_with_their_session() {
    let server = Server::start();
    let mut raw = server.session();
    done(&raw.query("create temp table mine (a int4); insert into mine values (1)"));
    let left = "select count(*) from pg_class where relname = 'mine'";
    let mut other = server.session();
    assert_eq!(value(&other.query(left)).as_deref(), Some("1"));
    assert_eq!(state(&other.query("select * from mine")), "42P01");
    let schema = value(&other.query("select relnamespace::regnamespace::text from pg_class where relname = 'mine'"));
    let foreign = format!("select * from {}.mine", schema.expect("a schema"));
    if !server.is_oracle() {
        assert_eq!(state(&other.query(&foreign)), "0A000");
    }
    drop(raw);
    while value(&other.query(left)).as_deref() != Some("0") {
        std::thread::yield_now();
    }
}

#[test]
fn temporary_tables_of_killed_sessions_are_gone_after_the_restart() {
    let process = Process::start();
    let mut raw = Raw::session(process.sql);
    done(&raw.query("create temp table mine (a int4); insert into mine values (1)"));
    process.signal("KILL");
    let (_, directory) = process.wait();
    let process = Process::start_with(directory, &[]);
    let answers = Raw::session(process.sql).query("select count(*) from pg_namespace where nspname like 'pg_temp%'");
    assert_eq!(value(&answers).as_deref(), Some("0"));
}

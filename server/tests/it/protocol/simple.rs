//! Simple queries.

use super::server::{Server, completed, done, state, status, value};
use crate::raw::tags;

#[test]
fn every_statement_of_a_string_is_answered() {
    let server = Server::start();
    let mut raw = server.session();
    assert_eq!(tags(&raw.query("select 1; select 2")), "TDCTDCZ");
    assert_eq!(tags(&raw.query("")), "IZ");
    assert_eq!(tags(&raw.query(" ; -- nothing")), "IZ");
    let answers = raw.query("select 1 as a, null::text as b");
    assert_eq!(super::server::row(&answers[1]), [Some(b"1".to_vec()), None]);
}

#[test]
fn statements_of_a_string_commit_together() {
    let server = Server::start();
    let mut raw = server.with_table(1);
    let table = &server.table;
    let answers = raw.query(&format!("insert into {table} values (2); insert into {table} values (1)"));
    assert_eq!((tags(&answers).as_str(), state(&answers).as_str()), ("CEZ", "23505"));
    assert_eq!(server.count(), "1");
    done(&raw.query(&format!("insert into {table} values (2); insert into {table} values (3)")));
    assert_eq!(server.count(), "3");
    // A block that begins inside the string outlives it.
    let answers = raw.query(&format!("insert into {table} values (4); begin; insert into {table} values (5)"));
    assert_eq!(status(&answers), 'T');
    assert_eq!(server.count(), "3");
    done(&raw.query("rollback"));
    assert_eq!(server.count(), "3");
    // A commit inside the string ends what came before.
    let answers = raw.query(&format!(
        "begin; insert into {table} values (6); commit; insert into {table} values (7); insert into {table} values (1)"
    ));
    assert_eq!(state(&answers), "23505");
    assert_eq!(server.count(), "4");
}

#[test]
fn the_transaction_status_is_told() {
    let server = Server::start();
    let mut raw = server.session();
    assert_eq!(status(&raw.query("select 1")), 'I');
    assert_eq!(status(&raw.query("begin")), 'T');
    let failed = raw.query("select 1/0");
    assert_eq!((state(&failed).as_str(), status(&failed)), ("22012", 'E'));
    let refused = raw.query("select 1");
    assert_eq!((state(&refused).as_str(), status(&refused)), ("25P02", 'E'));
    let ended = raw.query("commit");
    assert_eq!((completed(&ended), status(&ended)), (vec!["ROLLBACK".to_owned()], 'I'));
}

#[test]
fn notices_and_changed_parameters_are_told() {
    let server = Server::start();
    let mut raw = server.session();
    let answers = raw.query("drop table if exists no_such_table");
    assert_eq!(tags(&answers), "NCZ");
    assert_eq!(answers[0].field(b'S').as_deref(), Some("NOTICE"));
    let answers = raw.query("set application_name = 'me'");
    assert_eq!(tags(&answers), "CSZ");
    assert_eq!(answers[1].body, b"application_name\0me\0");
    // What was not changed in the end is not told.
    assert_eq!(tags(&raw.query("begin; set application_name = 'you'; rollback")), "CCCZ");
    assert_eq!(value(&raw.query("show application_name")).as_deref(), Some("me"));
}

#[test]
fn errors_have_postgresqls_fields() {
    let server = Server::start();
    let mut raw = server.with_table(1);
    let answers = raw.query(&format!("insert into {} values (1)", server.table));
    let error = &answers[0];
    let field = |code: u8| error.field(code).unwrap_or_default();
    assert_eq!(field(b'V'), "ERROR");
    let constraint = format!("{}_pkey", server.table);
    assert_eq!(field(b'M'), format!("duplicate key value violates unique constraint \"{constraint}\""));
    assert_eq!(field(b'D'), "Key (id)=(1) already exists.");
    assert_eq!((field(b's'), field(b't'), field(b'n')), ("public".to_owned(), server.table.clone(), constraint));
    let answers = raw.query("select \u{e9}, nothing");
    assert_eq!(answers[0].field(b'P').as_deref(), Some("8"));
}

#[test]
fn long_answers_and_long_questions() {
    let server = Server::start();
    let mut raw = server.session();
    let answers = raw.query("select repeat('x', 1000) from generate_series(1, 5000)");
    assert_eq!(answers.iter().filter(|answer| answer.tag == b'D').count(), 5000);
    assert_eq!(completed(&answers), ["SELECT 5000"]);
    let long = "y".repeat(3 << 20);
    let answers = raw.query(&format!("select '{long}'"));
    assert_eq!(value(&answers), Some(long));
}

#[test]
fn sessions_see_what_others_do() {
    let server = Server::start();
    let (mut watched, mut watcher) = (server.session(), server.session());
    let pid = value(&watched.query("select pg_backend_pid()")).expect("a number");
    let mut seen = || {
        let sql = format!("select state || ': ' || query from pg_stat_activity where pid = {pid}");
        value(&watcher.query(&sql)).expect("the session is there")
    };
    assert_eq!(seen(), "idle: select pg_backend_pid()");
    done(&watched.query("begin"));
    done(&watched.query("select 42"));
    assert_eq!(seen(), "idle in transaction: select 42");
    watched.query("select 1 / 0");
    assert_eq!(seen(), "idle in transaction (aborted): select 1 / 0");
    done(&watched.query("rollback"));
    assert_eq!(seen(), "idle: rollback");
}

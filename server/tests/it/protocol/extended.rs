//! The extended protocol.

use super::server::{Server, completed, done, row, state, status, value};
use crate::raw::{bind, bind_as, execute, message, named, parse, run, sync, tags};

#[test]
fn a_statement_is_prepared_described_and_run() {
    let server = Server::start();
    let mut raw = server.with_table(3);
    let table = &server.table;
    let sql = format!("select name, id from {table} where id = $1");
    let answers = raw.batch(&[&parse("s", &sql, &[]), &named(b'D', b'S', "s")]);
    assert_eq!(tags(&answers), "1tTZ");
    assert_eq!(answers[1].body, b"\0\x01\0\0\0\x17");
    assert!(answers[2].body.starts_with(b"\0\x02name\0"));

    let answers = raw.batch(&[&bind("", "s", &[Some(b"2")]), &named(b'D', b'P', ""), &execute("", 0)]);
    assert_eq!(tags(&answers), "2TDCZ");
    assert_eq!(row(&answers[2]), [Some(b"row 2".to_vec()), Some(b"2".to_vec())]);
    assert_eq!(completed(&answers), ["SELECT 1"]);

    // Binary both ways; the formats stand in the portal's description.
    let bound = bind_as("", "s", &[1], &[Some(&[0, 0, 0, 3])], &[1]);
    let answers = raw.batch(&[&bound, &named(b'D', b'P', ""), &execute("", 0)]);
    assert_eq!(row(&answers[2]), [Some(b"row 3".to_vec()), Some(vec![0, 0, 0, 3])]);
    assert!(answers[1].body.ends_with(&[0, 1]));

    let none = raw.batch(&[&bind("", "s", &[None]), &execute("", 0)]);
    assert_eq!(completed(&none), ["SELECT 0"]);
    done(&raw.batch(&[&named(b'C', b'S', "s")]));
    assert_eq!(state(&raw.batch(&[&bind("", "s", &[Some(b"1")])])), "26000");
}

#[test]
fn statements_without_rows() {
    let server = Server::start();
    let mut raw = server.with_table(0);
    let sql = format!("insert into {} values ($1, $2)", server.table);
    let answers = raw.batch(&[&parse("", &sql, &[23, 0]), &named(b'D', b'S', "")]);
    assert_eq!(tags(&answers), "1tnZ");
    assert_eq!(answers[1].body, b"\0\x02\0\0\0\x17\0\0\0\x19");
    let answers = raw.batch(&[&bind("", "", &[Some(b"1"), None]), &named(b'D', b'P', ""), &execute("", 0)]);
    assert_eq!(tags(&answers), "2nCZ");
    assert_eq!(completed(&answers), ["INSERT 0 1"]);

    let nothing = raw.batch(&[&parse("", "", &[]), &bind("", "", &[]), &named(b'D', b'P', ""), &execute("", 0)]);
    assert_eq!(tags(&nothing), "12nIZ");
    let several = raw.batch(&[&parse("", "select 1; select 2", &[])]);
    assert_eq!(state(&several), "42601");
}

#[test]
fn a_portal_answers_as_many_rows_as_are_asked_for() {
    let server = Server::start();
    let mut raw = server.with_table(5);
    let sql = format!("select id from {} order by id", server.table);
    let start = [parse("", &sql, &[]), bind("p", "", &[])].concat();
    let two = execute("p", 2);
    let answers = raw.batch(&[&start, &two, &two, &two, &two]);
    assert_eq!(tags(&answers), "12DDsDDsDCCZ");
    assert_eq!(completed(&answers), ["SELECT 1", "SELECT 0"]);
    let exactly = raw.batch(&[&start, &execute("p", 5), &execute("p", 0)]);
    assert_eq!(tags(&exactly), "12DDDDDsCZ");
    for limit in [0, -1, i32::MIN] {
        assert_eq!(tags(&raw.batch(&[&start, &execute("p", limit)])), "12DDDDDCZ", "{limit}");
    }
    // What was done is not done twice.
    let insert = [parse("", &format!("insert into {} values (9)", server.table), &[]), bind("p", "", &[])].concat();
    let answers = raw.batch(&[&insert, &execute("p", 0), &execute("p", 0)]);
    assert_eq!((tags(&answers).as_str(), state(&answers).as_str()), ("12CEZ", "55000"));
}

#[test]
fn portals_end_with_their_transaction() {
    let server = Server::start();
    let mut raw = server.with_table(3);
    let sql = format!("select id from {} order by id", server.table);
    let start = [parse("s", &sql, &[]), bind("p", "s", &[]), execute("p", 1)].concat();
    assert_eq!(tags(&raw.batch(&[&start])), "12DsZ");
    assert_eq!(state(&raw.batch(&[&execute("p", 1)])), "34000");

    done(&raw.query("begin"));
    done(&raw.batch(&[&bind("p", "s", &[]), &execute("p", 1)]));
    assert_eq!(tags(&raw.batch(&[&execute("p", 1)])), "DsZ");
    assert_eq!(state(&raw.batch(&[&bind("p", "s", &[])])), "42P03");
    assert_eq!(status(&raw.query("rollback")), 'I');
    assert_eq!(state(&raw.batch(&[&execute("p", 1)])), "34000");

    done(&raw.query("begin"));
    done(&raw.batch(&[&bind("p", "s", &[]), &execute("p", 1), &run("commit")]));
    assert_eq!(state(&raw.batch(&[&execute("p", 1)])), "34000");
}

#[test]
fn statements_up_to_a_sync_commit_together() {
    let server = Server::start();
    let mut raw = server.with_table(1);
    let insert = |id: i32| run(&format!("insert into {} values ({id})", server.table));
    let answers = raw.batch(&[&insert(2), &insert(1), &insert(3)]);
    assert_eq!((tags(&answers).as_str(), state(&answers).as_str()), ("12C12EZ", "23505"));
    assert_eq!(server.count(), "1");
    assert_eq!(tags(&raw.batch(&[&insert(2), &insert(3)])), "12C12CZ");
    assert_eq!(server.count(), "3");

    // Several batches in one packet are several transactions.
    raw.send(&[insert(4), sync(), insert(4), sync(), insert(5), sync()].concat());
    let answers: Vec<String> = (0..3).map(|_| tags(&raw.until_ready())).collect();
    assert_eq!(answers, ["12CZ", "12EZ", "12CZ"]);
    assert_eq!(server.count(), "5");

    // What follows a commit inside a batch is a transaction of its own.
    let answers = raw.batch(&[&run("begin"), &insert(6), &run("commit"), &insert(7), &insert(1)]);
    assert_eq!(state(&answers), "23505");
    assert_eq!(server.count(), "6");
}

#[test]
fn flush_answers_before_the_sync() {
    let server = Server::start();
    let mut raw = server.session();
    raw.send(&[parse("", "select 1", &[]), message(b'H', b"")].concat());
    assert_eq!(raw.answer().map(|answer| answer.tag), Some(b'1'));
    raw.send(&[bind("", "", &[]), execute("", 0), message(b'H', b"")].concat());
    for tag in *b"2DC" {
        assert_eq!(raw.answer().map(|answer| answer.tag), Some(tag));
    }
    assert_eq!(tags(&raw.batch(&[])), "Z");
}

#[test]
fn parameters_that_do_not_fit_are_refused() {
    let server = Server::start();
    let mut raw = server.session();
    done(&raw.batch(&[&parse("s", "select $1::int4, $2::text", &[])]));
    let cases: [(Vec<u8>, &str); 7] = [
        (bind("", "s", &[Some(b"1")]), "08P01"),
        (bind_as("", "s", &[0, 0, 0], &[Some(b"1"), None], &[]), "08P01"),
        (bind_as("", "s", &[], &[Some(b"1"), None], &[0, 0, 0]), "08P01"),
        (bind_as("", "s", &[2], &[Some(b"1"), None], &[]), "22023"),
        (bind("", "s", &[Some(b"one"), None]), "22P02"),
        (bind("", "s", &[Some(b"1"), Some(b"\xff")]), "22021"),
        (bind_as("", "s", &[1, 0], &[Some(&[0, 0, 0, 0, 1]), None], &[]), "22P03"),
    ];
    for (bound, expected) in cases {
        assert_eq!(state(&raw.batch(&[&bound])), expected, "{bound:?}");
    }
    let large = vec![b'z'; 2 << 20];
    let answers = raw.batch(&[&bind("", "s", &[Some(b"1"), Some(&large)]), &execute("", 0)]);
    assert_eq!(row(&answers[1])[1].as_ref(), Some(&large));
}

#[test]
fn names_are_used_once() {
    let server = Server::start();
    let mut raw = server.session();
    done(&raw.batch(&[&parse("s", "select 1", &[]), &parse("", "select 2", &[]), &parse("", "select 3", &[])]));
    assert_eq!(state(&raw.batch(&[&parse("s", "select 4", &[])])), "42P05");
    assert_eq!(value(&raw.batch(&[&bind("", "", &[]), &execute("", 0)])).as_deref(), Some("3"));
    // A simple query replaces the unnamed statement.
    done(&raw.query("select 5"));
    assert_eq!(state(&raw.batch(&[&bind("", "", &[])])), "26000");
    // SQL and protocol share the names.
    assert_eq!(value(&raw.query("execute s")).as_deref(), Some("1"));
    assert_eq!(state(&raw.query("prepare s as select 6")), "42P05");
    done(&raw.query("deallocate s"));
    assert_eq!(state(&raw.batch(&[&bind("", "s", &[])])), "26000");
    done(&raw.query("prepare s as select 7"));
    assert_eq!(value(&raw.batch(&[&bind("", "s", &[]), &execute("", 0)])).as_deref(), Some("7"));
    done(&raw.query("deallocate all"));
    assert_eq!(state(&raw.batch(&[&bind("", "s", &[])])), "26000");
}

#[test]
fn a_failed_block_refuses_all_but_its_end() {
    let server = Server::start();
    let mut raw = server.session();
    done(&raw.batch(&[&parse("s", "select 1", &[]), &parse("r", "rollback", &[])]));
    let answers = raw.batch(&[&run("begin"), &run("select 1/0")]);
    assert_eq!((state(&answers).as_str(), status(&answers)), ("22012", 'E'));
    assert_eq!(state(&raw.batch(&[&parse("", "select 1", &[])])), "25P02");
    assert_eq!(state(&raw.batch(&[&bind("", "s", &[])])), "25P02");
    let answers = raw.batch(&[&bind("", "r", &[]), &execute("", 0)]);
    assert_eq!((completed(&answers), status(&answers)), (vec!["ROLLBACK".to_owned()], 'I'));
}

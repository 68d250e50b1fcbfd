//! The server that protocol tests talk to.
//!
//! With `SHARDDB_TEST_ORACLE=127.0.0.1:5432` the tests of this module's users run against the PostgreSQL there (role and
//! database postgres, trust): what they expect is what PostgreSQL does.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    process::Process,
    raw::{Answer, Raw},
};

/// A server, and a name for the test's own table.
pub(crate) struct Server {
    process: Option<Process>,
    address: SocketAddr,
    pub(crate) table: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        static TABLES: AtomicU32 = AtomicU32::new(0);
        let oracle = std::env::var("SHARDDB_TEST_ORACLE").ok();
        let oracle: Option<SocketAddr> = oracle.map(|address| address.parse().expect("an address"));
        let process = oracle.is_none().then(Process::start);
        let address = oracle.or(process.as_ref().map(|process| process.sql)).expect("one of them");
        let number = TABLES.fetch_add(1, Ordering::Relaxed);
        Self { process, address, table: format!("protocol_{}_{number}", std::process::id()) }
    }

    /// Whether this is PostgreSQL itself.
    pub(crate) fn is_oracle(&self) -> bool {
        self.process.is_none()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn session(&self) -> Raw {
        Raw::session(self.address)
    }

    /// A session and the test's table `(id int4 primary key, name text)` with rows 1 to `count`.
    pub(crate) fn with_table(&self, count: i32) -> Raw {
        let mut raw = self.session();
        let table = &self.table;
        done(&raw.query(&format!("create table {table} (id int4 primary key, name text)")));
        if count > 0 {
            let rows: Vec<String> = (1..=count).map(|id| format!("({id}, 'row {id}')")).collect();
            done(&raw.query(&format!("insert into {table} values {}", rows.join(", "))));
        }
        raw
    }

    /// How many rows the table has, as another session sees it.
    pub(crate) fn count(&self) -> String {
        let answers = self.session().query(&format!("select count(*) from {}", self.table));
        value(&answers).expect("a count")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.is_oracle() && !std::thread::panicking() {
            self.session().query(&format!("drop table if exists {}", self.table));
        }
    }
}

/// Makes sure that nothing failed.
pub(crate) fn done(answers: &[Answer]) {
    let error = answers.iter().find(|answer| answer.tag == b'E');
    assert!(error.is_none(), "{:?}", error.and_then(|error| error.field(b'M')));
}

/// The values of a DataRow.
pub(crate) fn row(answer: &Answer) -> Vec<Option<Vec<u8>>> {
    assert_eq!(answer.tag, b'D');
    let count = u16::from_be_bytes([answer.body[0], answer.body[1]]);
    let mut rest = &answer.body[2..];
    let mut next = || {
        let (length, values) = rest.split_first_chunk().expect("a length");
        let length = i32::from_be_bytes(*length);
        let (value, left) = values.split_at(usize::try_from(length).unwrap_or(0));
        rest = left;
        (length >= 0).then(|| value.to_vec())
    };
    (0..count).map(|_| next()).collect()
}

/// First value of the first row, as text.
pub(crate) fn value(answers: &[Answer]) -> Option<String> {
    let first = answers.iter().find(|answer| answer.tag == b'D')?;
    row(first).swap_remove(0).map(|value| String::from_utf8(value).expect("text"))
}

/// Tags of the CommandComplete messages.
pub(crate) fn completed(answers: &[Answer]) -> Vec<String> {
    let complete = answers.iter().filter(|answer| answer.tag == b'C');
    complete.map(|answer| String::from_utf8_lossy(&answer.body[..answer.body.len() - 1]).into_owned()).collect()
}

/// Transaction status of the last ReadyForQuery.
pub(crate) fn status(answers: &[Answer]) -> char {
    let ready = answers.last().expect("an answer");
    assert_eq!(ready.tag, b'Z');
    char::from(ready.body[0])
}

/// SQLSTATE of the only error.
pub(crate) fn state(answers: &[Answer]) -> String {
    let errors: Vec<&Answer> = answers.iter().filter(|answer| answer.tag == b'E').collect();
    assert_eq!(errors.len(), 1, "{answers:?}");
    errors[0].error().1
}

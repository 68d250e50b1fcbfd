//! Transactions that read lists and append unique values to them, over few keys.
//!
//! A list shows the order of all its writers, so that a checker can find out who came before whom (see `check::append`).

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
};

use super::{Run, connect, must};
use crate::{
    check::append::{Op, Txn},
    history::Outcome,
    session::{Failure, Session, Stage, within},
};

/// Keys that are in use at a time.
const KEYS: i32 = 6;
/// Values after which a key is replaced by the next: lists are read as a whole.
const VALUES_PER_KEY: i32 = 40;
/// Operations of a transaction.
const OPS_MAX: usize = 4;

const READ: &str = "SELECT v FROM lists WHERE k = $1";
const APPEND: &str = "INSERT INTO lists VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = lists.v || ',' || excluded.v";

/// Makes the table.
pub async fn prepare(node: SocketAddr) -> Result<(), String> {
    let client = connect(node).await?;
    let table = "CREATE TABLE lists (k int PRIMARY KEY, v text NOT NULL) WITH (shards = 6)";
    must("create table", client.batch_execute(table)).await
}

/// Starts clients.
pub fn start(run: &Run<Txn>, clients: usize) -> Vec<tokio::task::JoinHandle<()>> {
    let values = Arc::new(AtomicI32::new(0));
    (0..clients).map(|client| tokio::spawn(work(run.clone(), client, Arc::clone(&values)))).collect()
}

async fn work(run: Run<Txn>, client: usize, values: Arc<AtomicI32>) {
    let mut session = run.session(client);
    while !run.stopped() {
        let wanted = choose(&values);
        session.client().await;
        let start = run.history.now();
        let (outcome, txn) = transact(&mut session, run.isolation.begin(), &wanted).await;
        run.history.record(client, start, outcome, txn);
    }
}

/// A read has an empty list as yet.
fn choose(values: &AtomicI32) -> Txn {
    let count = rand::random_range(1..=OPS_MAX);
    let op = |_| {
        let base = values.load(Ordering::Relaxed) / (KEYS * VALUES_PER_KEY) * KEYS;
        let key = base + rand::random_range(0..KEYS);
        match rand::random() {
            true => Op::Append(key, values.fetch_add(1, Ordering::Relaxed)),
            false => Op::Read(key, Vec::new()),
        }
    };
    (0..count).map(op).collect()
}

/// Carries out a transaction; answers what was done, with what was read.
async fn transact(session: &mut Session, begin: &str, wanted: &[Op]) -> (Outcome, Txn) {
    let mut done = wanted.to_vec();
    if let Err(failure) = operate(session, begin, &mut done).await {
        let outcome = session.failed(&failure, Stage::Statement);
        session.roll_back().await;
        return (outcome, done);
    }
    let Some(client) = session.same() else { return (Outcome::Failed, done) };
    match within(client.batch_execute("COMMIT")).await {
        Ok(()) => (Outcome::Ok, done),
        Err(failure) => (session.failed(&failure, Stage::Commit), done),
    }
}

async fn operate(session: &mut Session, begin: &str, ops: &mut [Op]) -> Result<(), Failure> {
    let client = session.client().await;
    within(client.batch_execute(begin)).await?;
    for op in ops {
        match op {
            Op::Append(key, value) => drop(within(client.execute(APPEND, &[key, &value.to_string()])).await?),
            Op::Read(key, list) => {
                let row = within(client.query_opt(READ, &[key])).await?;
                *list = row.map_or_else(Vec::new, |row| parse(row.get(0)));
            }
        }
    }
    Ok(())
}

/// A list from its text. What is no number was written by nobody, and neither was -1.
fn parse(text: &str) -> Vec<i32> {
    text.split(',').map(|value| value.parse().unwrap_or(-1)).collect()
}

/// Reads all lists in one transaction on one node.
pub async fn audit(node: SocketAddr, run: &Run<Txn>, client: usize) -> Result<(), String> {
    let connection = connect(node).await?;
    let start = run.history.now();
    let rows = must("read lists", connection.query("SELECT k, v FROM lists", &[])).await?;
    let lists: BTreeMap<i32, Vec<i32>> = rows.iter().map(|row| (row.get(0), parse(row.get(1)))).collect();
    // A key between others that has no row was read too: it is empty.
    let keys = 0..lists.keys().next_back().map_or(0, |last| last + 1);
    let txn = keys.map(|key| Op::Read(key, lists.get(&key).cloned().unwrap_or_default())).collect();
    run.history.record(client, start, Outcome::Ok, txn);
    Ok(())
}

//! Transfers between accounts over many shards, and readers that add everything up.
//!
//! Every transfer changes two accounts and inserts a row with a number of its own, so that afterwards each balance can be
//! computed from the transfers that are there, and each acknowledged transfer looked for.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use tokio_postgres::Client;

use super::{Run, connect, must};
use crate::{
    history::Outcome,
    session::{Failure, Session, Stage, within},
};

/// Accounts, numbered from 1.
pub const ACCOUNTS: i32 = 120;
/// What each begins with.
pub const BALANCE: i64 = 1000;

/// A transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Number of its own.
    pub id: i64,
    /// Who pays.
    pub source: i32,
    /// Who is paid.
    pub target: i32,
    /// How much.
    pub amount: i64,
}

/// What a client did.
#[derive(Clone, Debug)]
pub enum Action {
    /// One transaction.
    Transfer(Transfer),
    /// Number of accounts and their sum, once or several times in one snapshot.
    Sums(Vec<(i64, i64)>),
}

/// Everything, as one node shows it.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// By account.
    pub balances: BTreeMap<i32, i64>,
    /// All that are recorded, by number.
    pub transfers: BTreeMap<i64, Transfer>,
}

/// Makes and fills the tables.
pub async fn prepare(node: SocketAddr) -> Result<(), String> {
    let client = connect(node).await?;
    let tables = "CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL) WITH (shards = 12);
        CREATE TABLE transfers (id bigint PRIMARY KEY, source int NOT NULL, target int NOT NULL, amount bigint NOT NULL)
        WITH (shards = 12);";
    must("create tables", client.batch_execute(tables)).await?;
    let fill = "INSERT INTO accounts SELECT n, $1::bigint FROM generate_series(1, $2::int) AS n";
    must("fill accounts", client.execute(fill, &[&BALANCE, &ACCOUNTS])).await.map(drop)
}

/// Starts clients that write and clients that read.
pub fn start(run: &Run<Action>, writers: usize, readers: usize) -> Vec<tokio::task::JoinHandle<()>> {
    start_as(run, 0..writers, writers..writers + readers, &Arc::new(AtomicI64::new(1)))
}

/// Starts clients with these numbers, whose transfers get their numbers from `ids`.
pub fn start_as(
    run: &Run<Action>,
    writers: Range<usize>,
    readers: Range<usize>,
    ids: &Arc<AtomicI64>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let writers = writers.map(|client| tokio::spawn(write(run.clone(), client, Arc::clone(ids))));
    let readers = readers.map(|client| tokio::spawn(read(run.clone(), client)));
    writers.chain(readers).collect()
}

async fn write(run: Run<Action>, client: usize, ids: Arc<AtomicI64>) {
    let mut session = run.session(client);
    while !run.stopped() {
        let transfer = Transfer {
            id: ids.fetch_add(1, Ordering::Relaxed),
            source: rand::random_range(1..=ACCOUNTS),
            target: rand::random_range(1..=ACCOUNTS),
            amount: rand::random_range(1..=10),
        };
        session.client().await;
        let start = run.history.now();
        let outcome = transact(&mut session, &run, transfer).await;
        run.history.record(client, start, outcome, Action::Transfer(transfer));
    }
}

async fn transact(session: &mut Session, run: &Run<Action>, transfer: Transfer) -> Outcome {
    let client = session.client().await;
    if let Err(failure) = within(change(client, run.isolation.begin(), transfer)).await {
        let outcome = session.failed(&failure, Stage::Statement);
        session.roll_back().await;
        return outcome;
    }
    match within(client.batch_execute("COMMIT")).await {
        Ok(()) => Outcome::Ok,
        Err(failure) => session.failed(&failure, Stage::Commit),
    }
}

async fn change(client: &Client, begin: &str, transfer: Transfer) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(begin).await?;
    let Transfer { id, source, target, amount } = transfer;
    let update = "UPDATE accounts SET balance = balance + $1 WHERE id = $2";
    client.execute(update, &[&-amount, &source]).await?;
    client.execute(update, &[&amount, &target]).await?;
    client.execute("INSERT INTO transfers VALUES ($1, $2, $3, $4)", &[&id, &source, &target, &amount]).await?;
    Ok(())
}

async fn read(run: Run<Action>, client: usize) {
    let mut session = run.session(client);
    while !run.stopped() {
        session.client().await;
        let start = run.history.now();
        let (outcome, sums) = match look(&mut session).await {
            Ok(sums) => (Outcome::Ok, sums),
            Err(failure) => {
                let outcome = session.failed(&failure, Stage::Statement);
                session.roll_back().await;
                (outcome, Vec::new())
            }
        };
        run.history.record(client, start, outcome, Action::Sums(sums));
    }
}

/// Looks twice in one snapshot, or once.
async fn look(session: &mut Session) -> Result<Vec<(i64, i64)>, Failure> {
    let client = session.client().await;
    if rand::random() {
        return Ok(vec![within(sum(client)).await?]);
    }
    within(client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")).await?;
    let sums = vec![within(sum(client)).await?, within(sum(client)).await?];
    within(client.batch_execute("COMMIT")).await?;
    Ok(sums)
}

async fn sum(client: &Client) -> Result<(i64, i64), tokio_postgres::Error> {
    let row = client.query_one("SELECT count(*), sum(balance)::bigint FROM accounts", &[]).await?;
    Ok((row.get(0), row.get::<_, Option<i64>>(1).unwrap_or(0)))
}

/// Reads everything in one snapshot from one node.
pub async fn audit(node: SocketAddr) -> Result<Books, String> {
    let client = connect(node).await?;
    must("begin", client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")).await?;
    let balances = must("read accounts", client.query("SELECT id, balance FROM accounts", &[])).await?;
    let transfers = "SELECT id, source, target, amount FROM transfers";
    let transfers = must("read transfers", client.query(transfers, &[])).await?;
    let transfer = |row: &tokio_postgres::Row| Transfer {
        id: row.get(0),
        source: row.get(1),
        target: row.get(2),
        amount: row.get(3),
    };
    Ok(Books {
        balances: balances.iter().map(|row| (row.get(0), row.get(1))).collect(),
        transfers: transfers.iter().map(|row| (row.get(0), transfer(row))).collect(),
    })
}

//! Single values that are read, written and exchanged, each operation a transaction of its own.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use tokio_postgres::Client;

use super::{Run, connect, must};
use crate::{
    check::register::Call,
    history::Outcome,
    session::{Stage, within},
};

/// Registers that are in use at a time.
const KEYS: i64 = 4;
/// Operations after which a register is replaced by the next, so that histories of one stay short.
const OPS_PER_KEY: i64 = 150;
/// Registers there are; they are used again when all have been, which only makes their histories longer.
const KEYS_MAX: i64 = 4000;

/// Makes the table.
pub async fn prepare(node: SocketAddr) -> Result<(), String> {
    let client = connect(node).await?;
    let table = "CREATE TABLE registers (k bigint PRIMARY KEY, v bigint NOT NULL) WITH (shards = 6)";
    must("create table", client.batch_execute(table)).await?;
    let fill = "INSERT INTO registers SELECT n, 0 FROM generate_series(0, $1::bigint - 1) AS n";
    must("fill registers", client.execute(fill, &[&KEYS_MAX])).await.map(drop)
}

/// Starts clients.
pub fn start(run: &Run<(i64, Call)>, clients: usize) -> Vec<tokio::task::JoinHandle<()>> {
    let counter = Arc::new(AtomicI64::new(1));
    (0..clients).map(|client| tokio::spawn(work(run.clone(), client, Arc::clone(&counter)))).collect()
}

async fn work(run: Run<(i64, Call)>, client: usize, counter: Arc<AtomicI64>) {
    let mut session = run.session(client);
    // The last value seen in each register makes exchanges that succeed likely.
    let mut seen = (0, 0);
    while !run.stopped() {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        let key = (number / (KEYS * OPS_PER_KEY) * KEYS + number % KEYS) % KEYS_MAX;
        let expected = if seen.0 == key { seen.1 } else { 0 };
        let wanted = match rand::random_range(0..4) {
            0 => Call::Write(number),
            1 => Call::Exchange { expected, new: number, done: false },
            _ => Call::Read(0),
        };
        let connection = session.client().await;
        let start = run.history.now();
        let (outcome, call) = match within(carry_out(connection, key, wanted)).await {
            Ok(call) => (Outcome::Ok, call),
            Err(failure) => (session.failed(&failure, Stage::Commit), wanted),
        };
        if let (Outcome::Ok, Call::Read(value) | Call::Write(value)) = (outcome, call) {
            seen = (key, value);
        }
        run.history.record(client, start, outcome, (key, call));
    }
}

async fn carry_out(client: &Client, key: i64, call: Call) -> Result<Call, tokio_postgres::Error> {
    match call {
        Call::Read(_) => {
            let row = client.query_one("SELECT v FROM registers WHERE k = $1", &[&key]).await?;
            Ok(Call::Read(row.get(0)))
        }
        Call::Write(value) => {
            client.execute("UPDATE registers SET v = $2 WHERE k = $1", &[&key, &value]).await?;
            Ok(call)
        }
        Call::Exchange { expected, new, .. } => {
            let exchange = "UPDATE registers SET v = $3 WHERE k = $1 AND v = $2";
            let count = client.execute(exchange, &[&key, &expected, &new]).await?;
            Ok(Call::Exchange { expected, new, done: count == 1 })
        }
    }
}

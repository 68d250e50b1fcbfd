//! Single values that are read, written and exchanged, each operation a transaction of its own.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use bytes::Bytes;
use chaos::{check::register::Call, history::Outcome, workload::Isolation};
use kv::Client;
use rand::Rng;
use sharddb_chaos as chaos;
use sharddb_kv as kv;
use tokio::task::JoinHandle;

use super::{Failure, Run, Worker, begin, finish, insist, key, lock_rows, outcome};

/// Values by number.
const TABLE: u32 = 103;
/// Registers that are in use at a time.
const KEYS: i64 = 3;
/// Operations after which a register is replaced by the next, so that histories of one stay short.
const OPS_PER_KEY: i64 = 60;

fn register_key(register: i64) -> Bytes {
    key(TABLE, &register.to_be_bytes())
}

fn number(value: Option<&[u8]>) -> i64 {
    value.and_then(|value| value.try_into().ok()).map_or(0, i64::from_be_bytes)
}

/// Where shards are cut.
pub(super) fn cuts() -> Vec<Bytes> {
    vec![register_key(1)]
}

/// Starts clients.
pub(crate) fn start(run: &Run<(i64, Call)>, clients: usize) -> Vec<JoinHandle<()>> {
    let counter = Arc::new(AtomicI64::new(1));
    (0..clients).map(|client| tokio::spawn(work(Worker::new(run, client), Arc::clone(&counter)))).collect()
}

async fn work(mut worker: Worker<(i64, Call)>, counter: Arc<AtomicI64>) {
    // The last value seen makes exchanges that succeed likely.
    let mut seen = (0, 0);
    while worker.goes_on().await {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        let register = number / (KEYS * OPS_PER_KEY) * KEYS + number % KEYS;
        let expected = if seen.0 == register { seen.1 } else { 0 };
        let wanted = match worker.random.random_range(0..4) {
            0 => Call::Write(number),
            1 => Call::Exchange { expected, new: number, done: false },
            _ => Call::Read(0),
        };
        let start = worker.run.history.now();
        let result = worker.operate(|client| carry_out(client, register, wanted)).await;
        if let Ok(Call::Read(value) | Call::Write(value)) = result {
            seen = (register, value);
        }
        let outcome = outcome(&result);
        worker.run.history.record(worker.client, start, outcome, (register, result.unwrap_or(wanted)));
    }
}

async fn carry_out(client: Client, register: i64, call: Call) -> Result<Call, Failure> {
    let row = register_key(register);
    let (new, expected) = match call {
        Call::Read(_) => {
            let value = client.read_latest(row).await.map_err(Failure::Statement)?;
            return Ok(Call::Read(number(value.as_deref())));
        }
        Call::Write(new) => (new, None),
        Call::Exchange { expected, new, .. } => (new, Some(expected)),
    };
    let mut txn = begin(&client, Isolation::ReadCommitted);
    let old = match lock_rows(&mut txn, std::slice::from_ref(&row)).await {
        Ok(mut values) => number(values.swap_remove(0).as_deref()),
        Err(error) => return finish(txn, Err(error)).await,
    };
    let done = expected.is_none_or(|expected| expected == old);
    if done {
        txn.put(row, Bytes::copy_from_slice(&new.to_be_bytes()));
    }
    let call = expected.map_or(call, |expected| Call::Exchange { expected, new, done });
    finish(txn, Ok(call)).await
}

/// Reads registers at one node.
pub(crate) async fn audit(run: &Run<(i64, Call)>, node: u64, client: usize) {
    for register in 0..KEYS {
        let start = run.history.now();
        let read = |client: Client| async move { client.read_latest(register_key(register)).await };
        let Some(value) = insist(&run.cluster, "read a register", node, read).await else { return };
        run.history.record(client, start, Outcome::Ok, (register, Call::Read(number(value.as_deref()))));
    }
}

//! Transactions that read lists and append unique values to them, over few keys.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
};

use bytes::Bytes;
use chaos::{
    check::append::{Op, Txn as Ops},
    history::Outcome,
};
use kv::{Client, Txn, TxnOptions};
use rand::{Rng, rngs::StdRng};
use sharddb_chaos as chaos;
use sharddb_kv as kv;
use tokio::task::JoinHandle;

use super::{Run, Worker, begin, finish, insist, key, lock_rows, outcome};

/// Lists by number.
pub(super) const TABLE: u32 = 102;
/// Keys that are in use at a time.
const KEYS: i32 = 6;
/// Values after which a key is replaced by the next: lists are read as a whole.
const VALUES_PER_KEY: i32 = 30;
/// Operations of a transaction.
const OPS_MAX: usize = 4;

fn list_key(list: i32) -> Bytes {
    key(TABLE, &list.to_be_bytes())
}

/// Where shards are cut.
pub(super) fn cuts() -> Vec<Bytes> {
    vec![list_key(KEYS / 2)]
}

/// Starts clients.
pub(crate) fn start(run: &Run<Ops>, clients: usize) -> Vec<JoinHandle<()>> {
    let values = Arc::new(AtomicI32::new(0));
    (0..clients).map(|client| tokio::spawn(work(Worker::new(run, client), Arc::clone(&values)))).collect()
}

async fn work(mut worker: Worker<Ops>, values: Arc<AtomicI32>) {
    while worker.goes_on().await {
        let wanted = choose(&mut worker.random, &values);
        let (start, isolation, ops) = (worker.run.history.now(), worker.run.isolation, wanted.clone());
        let work = |client: Client| async move {
            let mut txn = begin(&client, isolation);
            let done = carry_out(&mut txn, ops).await;
            finish(txn, done).await
        };
        let result = worker.operate(work).await;
        let outcome = outcome(&result);
        // What a transaction without an answer has read is not known.
        let writes = |wanted: Ops| wanted.into_iter().filter(|op| matches!(op, Op::Append(..))).collect();
        let done = result.unwrap_or_else(|_| writes(wanted));
        worker.run.history.record(worker.client, start, outcome, done);
    }
}

/// A read has an empty list as yet.
fn choose(random: &mut StdRng, values: &AtomicI32) -> Ops {
    let count = random.random_range(1..=OPS_MAX);
    let op = |_| {
        let base = values.load(Ordering::Relaxed) / (KEYS * VALUES_PER_KEY) * KEYS;
        let key = base + random.random_range(0..KEYS);
        match random.random() {
            true => Op::Append(key, values.fetch_add(1, Ordering::Relaxed)),
            false => Op::Read(key, Vec::new()),
        }
    };
    (0..count).map(op).collect()
}

async fn carry_out(txn: &mut Txn, mut ops: Ops) -> kv::Result<Ops> {
    for op in &mut ops {
        match op {
            Op::Append(list, value) => {
                let row = list_key(*list);
                let old = lock_rows(txn, std::slice::from_ref(&row)).await?.swap_remove(0).unwrap_or_default();
                txn.put(row, [&old[..], &value.to_be_bytes()].concat().into());
            }
            Op::Read(list, values) => {
                txn.start_statement();
                let value = txn.get(&[list_key(*list)]).await?.swap_remove(0);
                *values = parse(&value.unwrap_or_default());
            }
        }
    }
    Ok(ops)
}

/// A list from its bytes.
fn parse(bytes: &[u8]) -> Vec<i32> {
    bytes.chunks(4).map(|value| value.try_into().map_or(-1, i32::from_be_bytes)).collect()
}

/// Reads all lists in one transaction at one node.
pub(crate) async fn audit(run: &Run<Ops>, node: u64, client: usize) {
    let start = run.history.now();
    let read = |client: Client| async move {
        let mut txn = client.begin(TxnOptions { isolation: kv::Isolation::RepeatableRead, read_only: true });
        txn.scan_all(key(TABLE, &[]), key(TABLE + 1, &[])).await
    };
    let Some(rows) = insist(&run.cluster, "read the lists", node, read).await else { return };
    let number = |key: &[u8]| key[4..].try_into().map_or(-1, i32::from_be_bytes);
    let lists: BTreeMap<i32, Vec<i32>> = rows.iter().map(|(key, value)| (number(key), parse(value))).collect();
    // A key between others that has no row was read too: it is empty.
    let keys = 0..lists.keys().next_back().map_or(0, |last| last + 1);
    let txn = keys.map(|key| Op::Read(key, lists.get(&key).cloned().unwrap_or_default())).collect();
    run.history.record(client, start, Outcome::Ok, txn);
}

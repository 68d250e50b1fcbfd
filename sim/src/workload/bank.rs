//! Transfers between accounts over several shards, and readers that add everything up.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use chaos::workload::bank::{ACCOUNTS, Action, BALANCE, Books, Transfer};
use kv::{Client, Txn, TxnOptions};
use rand::Rng;
use sharddb_chaos as chaos;
use sharddb_kv as kv;
use tokio::task::JoinHandle;

use super::{Failure, Run, Worker, begin, finish, insist, key, lock_rows, outcome};

/// Balances by account.
pub(super) const TABLE: u32 = 100;
/// Transfers by number.
const TRANSFERS: u32 = 101;

fn account_key(account: i32) -> Bytes {
    key(TABLE, &account.to_be_bytes())
}

fn number(value: Option<&[u8]>) -> i64 {
    value.and_then(|value| value.try_into().ok()).map_or(0, i64::from_be_bytes)
}

/// Where shards are cut.
pub(super) fn cuts() -> Vec<Bytes> {
    vec![account_key(ACCOUNTS / 2), key(TRANSFERS, &[])]
}

/// Fills the accounts.
pub(crate) async fn prepare(run: &Run<Action>) {
    let fill = |client: Client| async move {
        let mut txn = client.begin(TxnOptions::default());
        let balance = Bytes::copy_from_slice(&BALANCE.to_be_bytes());
        (1..=ACCOUNTS).for_each(|account| txn.put(account_key(account), balance.clone()));
        txn.commit().await
    };
    insist(&run.cluster, "fill accounts", 1, fill).await;
}

/// Starts clients that write and clients that read.
pub(crate) fn start(run: &Run<Action>, writers: usize, readers: usize) -> Vec<JoinHandle<()>> {
    let ids = Arc::new(AtomicI64::new(1));
    let write = (0..writers).map(|client| tokio::spawn(write(Worker::new(run, client), Arc::clone(&ids))));
    let mut tasks: Vec<_> = write.collect();
    tasks.extend((writers..writers + readers).map(|client| tokio::spawn(read(Worker::new(run, client)))));
    tasks
}

async fn write(mut worker: Worker<Action>, ids: Arc<AtomicI64>) {
    while worker.goes_on().await {
        let transfer = Transfer {
            id: ids.fetch_add(1, Ordering::Relaxed),
            source: worker.random.random_range(1..=ACCOUNTS),
            target: worker.random.random_range(1..=ACCOUNTS),
            amount: worker.random.random_range(1..=10),
        };
        let (start, isolation) = (worker.run.history.now(), worker.run.isolation);
        let work = |client: Client| async move {
            let mut txn = begin(&client, isolation);
            let changed = change(&mut txn, transfer).await;
            finish(txn, changed).await
        };
        let result = worker.operate(work).await;
        worker.run.history.record(worker.client, start, outcome(&result), Action::Transfer(transfer));
    }
}

async fn change(txn: &mut Txn, transfer: Transfer) -> kv::Result<()> {
    for (account, amount) in [(transfer.source, -transfer.amount), (transfer.target, transfer.amount)] {
        let row = account_key(account);
        let balance = lock_rows(txn, std::slice::from_ref(&row)).await?.swap_remove(0);
        let balance = number(balance.as_deref()) + amount;
        txn.put(row, Bytes::copy_from_slice(&balance.to_be_bytes()));
    }
    let row = key(TRANSFERS, &transfer.id.to_be_bytes());
    lock_rows(txn, std::slice::from_ref(&row)).await?;
    let Transfer { source, target, amount, .. } = transfer;
    txn.put(row, [&source.to_be_bytes()[..], &target.to_be_bytes(), &amount.to_be_bytes()].concat().into());
    Ok(())
}

async fn read(mut worker: Worker<Action>) {
    while worker.goes_on().await {
        let start = worker.run.history.now();
        let times = worker.random.random_range(1..=2);
        let result = worker.operate(|client| look(client, times)).await;
        let outcome = outcome(&result);
        worker.run.history.record(worker.client, start, outcome, Action::Sums(result.unwrap_or_default()));
    }
}

fn snapshot(client: &Client) -> Txn {
    client.begin(TxnOptions { isolation: kv::Isolation::RepeatableRead, read_only: true })
}

/// Adds everything up in one snapshot.
async fn look(client: Client, times: u32) -> Result<Vec<(i64, i64)>, Failure> {
    let mut txn = snapshot(&client);
    let mut sums = Vec::new();
    for _ in 0..times {
        let rows = txn.scan_all(key(TABLE, &[]), key(TABLE + 1, &[])).await.map_err(Failure::Statement)?;
        sums.push((rows.len() as i64, rows.iter().map(|(_, value)| number(Some(value))).sum()));
    }
    finish(txn, Ok(sums)).await
}

/// Reads everything in one snapshot at one node.
pub(crate) async fn audit(run: &Run<Action>, node: u64) -> Books {
    insist(&run.cluster, "read the books", node, books).await.unwrap_or_default()
}

async fn books(client: Client) -> kv::Result<Books> {
    let mut txn = snapshot(&client);
    let rows = txn.scan_all(key(TABLE, &[]), key(TABLE + 1, &[])).await?;
    let balances: BTreeMap<i32, i64> = rows.iter().map(|(key, value)| (int(&key[4..]), number(Some(value)))).collect();
    let rows = txn.scan_all(key(TRANSFERS, &[]), key(TRANSFERS + 1, &[])).await?;
    let transfer = |(key, value): &(Bytes, Bytes)| {
        let id = number(Some(&key[4..]));
        let (source, target) = (int(&value[..4]), int(&value[4..8]));
        (id, Transfer { id, source, target, amount: number(Some(&value[8..])) })
    };
    Ok(Books { balances, transfers: rows.iter().map(transfer).collect() })
}

fn int(bytes: &[u8]) -> i32 {
    bytes.try_into().map_or(-1, i32::from_be_bytes)
}

//! Waiting for a lock.

use std::time::Duration;

use bytes::Bytes;
use proto::{TxnId, kv::WaitPolicy};
use sharddb_proto as proto;
use tokio::{
    sync::oneshot::{self, error::RecvError},
    time::timeout,
};

use super::{
    modes::Mode,
    table::{Answer, LockTable, Verdict},
};

/// How long a request may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) policy: WaitPolicy,
    /// `None` waits without bound.
    pub(crate) timeout: Option<Duration>,
}

impl Wait {
    pub(crate) fn new(policy: WaitPolicy, timeout_ms: u32) -> Self {
        Self { policy, timeout: (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into())) }
    }
}

/// Why a lock was not granted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Waiting would have closed this cycle.
    Deadlock(Vec<TxnId>),
    /// The timeout passed.
    Timeout,
    /// The policy forbids waiting.
    Busy,
    /// This node has ceased to lead the shard.
    Lost,
}

impl LockTable {
    /// Takes a row lock, and a shared lock on its table before.
    pub(crate) async fn lock_row(&self, txn: TxnId, key: &Bytes, mode: Mode, wait: Wait) -> Result<(), Refusal> {
        let table = proto::table_prefix(key);
        self.lock(txn, &table, Mode::TableShared, wait).await?;
        self.lock(txn, key, mode, wait).await
    }

    /// Takes a lock. Dropping the future withdraws the request; a lock granted at the same moment stays with the
    /// transaction.
    pub(crate) async fn lock(&self, txn: TxnId, key: &Bytes, mode: Mode, wait: Wait) -> Result<(), Refusal> {
        let may_wait = wait.policy == WaitPolicy::Block;
        let (ticket, verdict) = match self.request(txn, key, mode, may_wait) {
            Answer::Granted => return Ok(()),
            Answer::Busy => return Err(Refusal::Busy),
            Answer::Deadlock(cycle) => return Err(Refusal::Deadlock(cycle)),
            Answer::Wait { ticket, verdict } => (ticket, verdict),
        };
        let mut withdrawal = Withdrawal { table: self, txn, key, ticket, armed: true };
        let outcome = match wait.timeout {
            None => judge(verdict.await),
            Some(limit) => timeout(limit, verdict).await.map_or(Err(Refusal::Timeout), judge),
        };
        withdrawal.armed = outcome.is_err();
        outcome
    }
}

fn judge(verdict: Result<Verdict, RecvError>) -> Result<(), Refusal> {
    match verdict {
        Ok(Verdict::Granted) => Ok(()),
        Ok(Verdict::Deadlock(cycle)) => Err(Refusal::Deadlock(cycle)),
        Err(_) => Err(Refusal::Lost),
    }
}

/// A wait behind an intent: counts for cycles of waits for as long as it lives.
pub(crate) struct BehindIntent<'a> {
    table: &'a LockTable,
    txn: TxnId,
    ticket: u64,
    verdict: oneshot::Receiver<Verdict>,
}

impl LockTable {
    /// Begins to wait until `owner` ends; refused if that closes a cycle of waits.
    pub(crate) fn behind(&self, txn: TxnId, owner: TxnId) -> Result<BehindIntent<'_>, Refusal> {
        match self.wait_behind(txn, owner) {
            Answer::Wait { ticket, verdict } => Ok(BehindIntent { table: self, txn, ticket, verdict }),
            Answer::Deadlock(cycle) => Err(Refusal::Deadlock(cycle)),
            Answer::Granted | Answer::Busy => Err(Refusal::Lost),
        }
    }
}

impl BehindIntent<'_> {
    /// Completes if the wait is ended because it closes a cycle over several nodes.
    pub(crate) async fn doomed(&mut self) -> Refusal {
        match (&mut self.verdict).await {
            Ok(Verdict::Deadlock(cycle)) => Refusal::Deadlock(cycle),
            Ok(Verdict::Granted) | Err(_) => Refusal::Lost,
        }
    }
}

impl Drop for BehindIntent<'_> {
    fn drop(&mut self) {
        self.table.withdraw_behind(self.txn, self.ticket);
    }
}

/// Withdraws a request when dropped.
struct Withdrawal<'a> {
    table: &'a LockTable,
    txn: TxnId,
    key: &'a Bytes,
    ticket: u64,
    armed: bool,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.table.withdraw(self.txn, self.key, self.ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::{Rng, SeedableRng, rngs::StdRng};
    use sharddb_storage::Span;

    use super::*;

    const BLOCK: Wait = Wait { policy: WaitPolicy::Block, timeout: None };
    const NOWAIT: Wait = Wait { policy: WaitPolicy::Nowait, timeout: None };

    fn key(name: &'static str) -> Bytes {
        Bytes::from_static(name.as_bytes())
    }

    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn locks_are_granted_in_order_of_arrival() {
        let table = Arc::new(LockTable::default());
        table.lock(TxnId(1), &key("a"), Mode::Update, BLOCK).await.expect("free");
        let (order, mut granted) = tokio::sync::mpsc::unbounded_channel();
        for txn in 2..=4 {
            let (table, order) = (table.clone(), order.clone());
            tokio::spawn(async move {
                table.lock(TxnId(txn), &key("a"), Mode::Update, BLOCK).await.expect("granted in the end");
                order.send(txn).expect("the test listens");
                table.release_all(TxnId(txn));
            });
            settle().await;
        }
        table.release_all(TxnId(1));
        for expected in 2..=4 {
            assert_eq!(granted.recv().await, Some(expected));
        }
        settle().await;
        assert_eq!(table.counts(), (0, 0));
    }

    #[tokio::test]
    async fn a_sharer_does_not_overtake_a_waiting_writer() {
        let table = Arc::new(LockTable::default());
        table.lock(TxnId(1), &key("a"), Mode::Share, BLOCK).await.expect("free");
        let writer = tokio::spawn({
            let table = table.clone();
            async move { table.lock(TxnId(2), &key("a"), Mode::Update, BLOCK).await }
        });
        settle().await;
        assert_eq!(table.lock(TxnId(3), &key("a"), Mode::Share, NOWAIT).await, Err(Refusal::Busy));
        table.release_all(TxnId(1));
        writer.await.expect("no panic").expect("granted");
    }

    #[tokio::test]
    async fn the_request_that_closes_a_cycle_fails() {
        let table = Arc::new(LockTable::default());
        table.lock(TxnId(1), &key("a"), Mode::Update, BLOCK).await.expect("free");
        table.lock(TxnId(2), &key("b"), Mode::Update, BLOCK).await.expect("free");
        let first = tokio::spawn({
            let table = table.clone();
            async move { table.lock(TxnId(1), &key("b"), Mode::Update, BLOCK).await }
        });
        settle().await;
        let cycle = vec![TxnId(2), TxnId(1), TxnId(2)];
        assert_eq!(table.lock(TxnId(2), &key("a"), Mode::Update, BLOCK).await, Err(Refusal::Deadlock(cycle)));
        table.release_all(TxnId(2));
        first.await.expect("no panic").expect("granted once the victim is gone");
    }

    #[tokio::test]
    async fn two_sharers_that_both_strengthen_their_lock_deadlock() {
        let table = Arc::new(LockTable::default());
        for txn in 1..=2 {
            table.lock(TxnId(txn), &key("a"), Mode::Share, BLOCK).await.expect("shared");
        }
        let first = tokio::spawn({
            let table = table.clone();
            async move { table.lock(TxnId(1), &key("a"), Mode::Update, BLOCK).await }
        });
        settle().await;
        let second = table.lock(TxnId(2), &key("a"), Mode::Update, BLOCK).await;
        assert!(matches!(second, Err(Refusal::Deadlock(_))));
        table.release_all(TxnId(2));
        first.await.expect("no panic").expect("granted");
    }

    #[tokio::test]
    async fn an_exclusive_table_lock_waits_for_row_lockers_and_keeps_new_ones_out() {
        let table = Arc::new(LockTable::default());
        table.lock_row(TxnId(1), &key("tab1row1"), Mode::Update, BLOCK).await.expect("free");
        assert_eq!(table.lock(TxnId(2), &key("tab1"), Mode::TableExclusive, NOWAIT).await, Err(Refusal::Busy));
        table.lock(TxnId(2), &key("tab2"), Mode::TableExclusive, NOWAIT).await.expect("another table is free");
        table.release_all(TxnId(1));
        table.lock(TxnId(2), &key("tab1"), Mode::TableExclusive, NOWAIT).await.expect("free now");
        assert_eq!(table.lock_row(TxnId(1), &key("tab1row2"), Mode::KeyShare, NOWAIT).await, Err(Refusal::Busy));
    }

    #[tokio::test]
    async fn those_who_wait_are_sent_away_and_those_who_hold_stay() {
        let table = Arc::new(LockTable::default());
        table.lock_row(TxnId(1), &key("tab1row1"), Mode::Update, BLOCK).await.expect("free");
        let waiting = |txn: u64, name: &'static str| {
            let table = table.clone();
            tokio::spawn(async move { table.lock_row(TxnId(txn), &key(name), Mode::Update, BLOCK).await })
        };
        let second = waiting(2, "tab1row1");
        settle().await;
        table.dismiss(&Span::new("tab1", "tab2"));
        assert_eq!(second.await.expect("no panic"), Err(Refusal::Lost));
        assert!(table.holds(TxnId(1), b"tab1row1", Mode::Update));
        let third = waiting(3, "tab1row1");
        settle().await;
        assert_eq!(table.release_where(|txn| txn == TxnId(1)), 1);
        third.await.expect("no panic").expect("the holder's locks were freed");
        table.release_where(|_| true);
        assert_eq!(table.counts(), (0, 0));
    }

    #[tokio::test]
    async fn a_dropped_or_timed_out_request_leaves_nothing_behind() {
        let table = Arc::new(LockTable::default());
        table.lock(TxnId(1), &key("a"), Mode::Update, BLOCK).await.expect("free");
        let waiting = tokio::spawn({
            let table = table.clone();
            async move { table.lock(TxnId(2), &key("a"), Mode::Update, BLOCK).await }
        });
        settle().await;
        waiting.abort();
        settle().await;
        let short = Wait::new(WaitPolicy::Block, 1);
        assert_eq!(table.lock(TxnId(3), &key("a"), Mode::Update, short).await, Err(Refusal::Timeout));
        table.release_all(TxnId(1));
        assert_eq!(table.counts(), (0, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn random_lockers_exclude_each_other_and_all_come_to_an_end() {
        let table = Arc::new(LockTable::default());
        let owners: Arc<[std::sync::atomic::AtomicU64; 5]> = Arc::default();
        let mut tasks = Vec::new();
        for worker in 0..8_u64 {
            let (table, owners) = (table.clone(), owners.clone());
            tasks.push(tokio::spawn(async move {
                let mut random = StdRng::seed_from_u64(worker);
                for round in 0..300 {
                    let txn = TxnId(worker * 1000 + round + 1);
                    let mut mine = Vec::new();
                    for _ in 0..3 {
                        let row = random.random_range(0..5_usize);
                        let name = Bytes::from(format!("tab1row{row}"));
                        if table.lock_row(txn, &name, Mode::Update, BLOCK).await.is_err() {
                            break;
                        }
                        let before = owners[row].swap(txn.0, std::sync::atomic::Ordering::SeqCst);
                        assert!(before == 0 || before == txn.0, "two transactions hold one row");
                        mine.push(row);
                        tokio::task::yield_now().await;
                    }
                    for row in mine {
                        owners[row].store(0, std::sync::atomic::Ordering::SeqCst);
                    }
                    table.release_all(txn);
                }
            }));
        }
        for task in tasks {
            task.await.expect("no locker panics");
        }
        assert_eq!(table.counts(), (0, 0));
    }
}

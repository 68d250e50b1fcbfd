//! Granting, queueing and releasing.

use std::{
    collections::{HashSet, VecDeque},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use ahash::AHashMap;
use bytes::Bytes;
use parking_lot::Mutex;
use proto::{TABLE_PREFIX, TxnId};
use sharddb_proto as proto;
use sharddb_storage::Span;
use smallvec::SmallVec;
use tokio::{sync::oneshot, time::Instant};

use super::modes::Mode;

/// All locks of a node.
#[derive(Default)]
pub(crate) struct LockTable {
    state: Mutex<State>,
    /// How often locks were taken away; changed under the lock of `state`.
    seizures: AtomicU64,
}

#[derive(Default)]
struct State {
    keys: AHashMap<Bytes, Entry>,
    held: AHashMap<TxnId, Vec<Bytes>>,
    /// The key each waiting transaction waits for. A transaction runs one statement and so waits for one key.
    waiting: AHashMap<TxnId, Bytes>,
    /// Transactions that wait for the end of another one.
    behind_intents: AHashMap<TxnId, IntentWait>,
    next_ticket: u64,
}

#[derive(Default)]
struct Entry {
    holders: SmallVec<[(TxnId, Mode); 2]>,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    ticket: u64,
    txn: TxnId,
    mode: Mode,
    since: Instant,
    verdict: oneshot::Sender<Verdict>,
}

/// How a wait ends, unless this node ceases to lead.
pub(super) enum Verdict {
    Granted,
    /// It was part of this cycle of waits over several nodes.
    Deadlock(Vec<TxnId>),
}

/// A transaction that waits until another one ends, whose intent stands where it wants to write.
struct IntentWait {
    owner: TxnId,
    ticket: u64,
    since: Instant,
    verdict: oneshot::Sender<Verdict>,
}

/// A wait that has lasted for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongWait {
    /// Distinguishes the waits of a node.
    pub id: u64,
    /// Who waits.
    pub waiter: TxnId,
    /// For whom.
    pub holders: Vec<TxnId>,
}

/// Answer to a request.
pub(super) enum Answer {
    Granted,
    /// Wait until the receiver is told; `ticket` withdraws the request.
    Wait {
        ticket: u64,
        verdict: oneshot::Receiver<Verdict>,
    },
    /// The request would close this cycle of waits.
    Deadlock(Vec<TxnId>),
    /// `may_wait` was false and somebody holds a conflicting lock.
    Busy,
}

/// What came out of a hash map, in an order that is the same whenever it happens again.
fn sorted<T: Ord>(mut found: Vec<T>) -> Vec<T> {
    found.sort_unstable();
    found
}

impl LockTable {
    /// Asks for a lock.
    pub(super) fn request(&self, txn: TxnId, key: &Bytes, mode: Mode, may_wait: bool) -> Answer {
        self.state.lock().request(txn, key, mode, may_wait)
    }

    /// Takes back a request that was not granted yet.
    pub(super) fn withdraw(&self, txn: TxnId, key: &Bytes, ticket: u64) {
        let mut state = self.state.lock();
        if state.waiting.get(&txn) == Some(key) {
            state.waiting.remove(&txn);
        }
        if let Some(entry) = state.keys.get_mut(key) {
            entry.queue.retain(|waiter| waiter.ticket != ticket);
        }
        state.grant_next(key);
    }

    /// Whether the transaction holds the key in this mode or a stronger one.
    pub(crate) fn holds(&self, txn: TxnId, key: &[u8], least: Mode) -> bool {
        let state = self.state.lock();
        let entry = state.keys.get(key);
        entry.is_some_and(|entry| entry.holders.iter().any(|(holder, mode)| *holder == txn && *mode >= least))
    }

    /// Locks held on such keys.
    pub(super) fn held_where(&self, wanted: impl Fn(&Bytes) -> bool) -> Vec<(Bytes, TxnId, Mode)> {
        let state = self.state.lock();
        let entries = state.keys.iter().filter(|(key, _)| wanted(key));
        let held = entries.flat_map(|(key, entry)| entry.holders.iter().map(|(txn, mode)| (key.clone(), *txn, *mode)));
        let mut held: Vec<(Bytes, TxnId, Mode)> = held.collect();
        held.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        held
    }

    /// Every transaction that holds a lock.
    pub(crate) fn owners(&self) -> Vec<TxnId> {
        sorted(self.state.lock().held.keys().copied().collect())
    }

    /// Notes that a transaction waits until `owner` ends. The wait counts for cycles until it is withdrawn.
    pub(super) fn wait_behind(&self, txn: TxnId, owner: TxnId) -> Answer {
        let mut state = self.state.lock();
        state.next_ticket += 1;
        let ticket = state.next_ticket;
        let (verdict, receiver) = oneshot::channel();
        state.behind_intents.insert(txn, IntentWait { owner, ticket, since: Instant::now(), verdict });
        match state.find_cycle(txn) {
            Some(cycle) => {
                state.behind_intents.remove(&txn);
                Answer::Deadlock(cycle)
            }
            None => Answer::Wait { ticket, verdict: receiver },
        }
    }

    /// Takes back a wait behind an intent.
    pub(super) fn withdraw_behind(&self, txn: TxnId, ticket: u64) {
        let mut state = self.state.lock();
        if state.behind_intents.get(&txn).is_some_and(|wait| wait.ticket == ticket) {
            state.behind_intents.remove(&txn);
        }
    }

    /// Waits that have lasted for at least `age`, for the search for deadlocks over several nodes.
    pub(crate) fn waits(&self, age: Duration) -> Vec<LongWait> {
        let state = self.state.lock();
        let old = |since: Instant| since.elapsed() >= age;
        let queued = state.waiting.iter().filter_map(|(txn, key)| {
            let waiter = state.keys.get(key)?.queue.iter().find(|waiter| waiter.txn == *txn)?;
            old(waiter.since).then(|| LongWait { id: waiter.ticket, waiter: *txn, holders: state.blockers(*txn) })
        });
        let behind = state.behind_intents.iter().filter(|(_, wait)| old(wait.since));
        let behind = behind.map(|(txn, wait)| LongWait { id: wait.ticket, waiter: *txn, holders: vec![wait.owner] });
        let mut waits: Vec<LongWait> = queued.chain(behind).collect();
        waits.sort_unstable_by_key(|wait| wait.id);
        waits
    }

    /// Ends a wait that closes a cycle of waits over several nodes, if it lasts still.
    pub(crate) fn end_wait(&self, id: u64, txn: TxnId, cycle: Vec<TxnId>) {
        let mut state = self.state.lock();
        if state.behind_intents.get(&txn).is_some_and(|wait| wait.ticket == id) {
            if let Some(wait) = state.behind_intents.remove(&txn) {
                let _gone = wait.verdict.send(Verdict::Deadlock(cycle));
            }
            return;
        }
        let Some(key) = state.waiting.get(&txn).cloned() else { return };
        let Some(entry) = state.keys.get_mut(&key) else { return };
        let Some(position) = entry.queue.iter().position(|waiter| waiter.ticket == id) else { return };
        if let Some(waiter) = entry.queue.remove(position) {
            let _gone = waiter.verdict.send(Verdict::Deadlock(cycle));
        }
        state.waiting.remove(&txn);
        state.grant_next(&key);
    }

    /// Releases some of a transaction's locks.
    pub(crate) fn release(&self, txn: TxnId, keys: &[Bytes]) {
        let mut state = self.state.lock();
        let doomed: HashSet<&Bytes> = keys.iter().collect();
        if let Some(held) = state.held.get_mut(&txn) {
            held.retain(|key| !doomed.contains(key));
        }
        for key in keys {
            state.drop_holder(txn, key);
        }
    }

    /// Releases every lock of a transaction.
    pub(crate) fn release_all(&self, txn: TxnId) {
        let mut state = self.state.lock();
        for key in state.held.remove(&txn).unwrap_or_default() {
            state.drop_holder(txn, &key);
        }
    }

    /// Forgets the row locks of a span, granted or not: this node does not lead there any more. Who waits for one is told
    /// so. Table locks stay until their transactions end: other shards of the table may still be led here.
    pub(crate) fn forget_rows(&self, span: &Span) {
        let mut state = self.state.lock();
        let concerned = |key: &Bytes| key.len() > TABLE_PREFIX && span.contains(key);
        for key in sorted(state.keys.keys().filter(|key| concerned(key)).cloned().collect()) {
            state.forget(&key);
        }
    }

    /// Sends away who waits for row locks of a span: this node does not lead there any more, or not now.
    pub(crate) fn dismiss(&self, span: &Span) {
        let mut state = self.state.lock();
        let State { keys, waiting, .. } = &mut *state;
        for (key, entry) in keys.iter_mut().filter(|(key, _)| key.len() > TABLE_PREFIX && span.contains(key)) {
            for waiter in entry.queue.drain(..) {
                if waiting.get(&waiter.txn) == Some(key) {
                    waiting.remove(&waiter.txn);
                }
            }
        }
    }

    /// Releases the locks of transactions for which `is_over` holds. Answers how many there were.
    ///
    /// Nothing is locked or looked up meanwhile. So when it answers no for a transaction whose commit is under way, a commit
    /// that sets out afterwards misses its locks.
    pub(crate) fn release_where(&self, is_over: impl Fn(TxnId) -> bool) -> usize {
        let mut state = self.state.lock();
        let over = sorted(state.held.keys().copied().filter(|txn| is_over(*txn)).collect());
        self.seizures.fetch_add(u64::from(!over.is_empty()), Ordering::SeqCst);
        for txn in &over {
            for key in state.held.remove(txn).unwrap_or_default() {
                state.drop_holder(*txn, &key);
            }
        }
        over.len()
    }

    /// How often locks were taken away from transactions, which may not know and come back. Read before a lock is asked
    /// for, the same number later says that it was held since, if it is held then.
    pub(crate) fn seizures(&self) -> u64 {
        self.seizures.load(Ordering::SeqCst)
    }

    /// Whether another transaction keeps everybody from the rows of a key's table.
    pub(crate) fn is_shut(&self, txn: TxnId, key: &[u8]) -> bool {
        let state = self.state.lock();
        let entry = state.keys.get(&key[..key.len().min(TABLE_PREFIX)]);
        entry.is_some_and(|entry| {
            entry.holders.iter().any(|(holder, mode)| *holder != txn && *mode == Mode::TableExclusive)
        })
    }

    /// Keys locked and requests waiting.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.keys.len(), state.waiting.len())
    }
}

impl State {
    fn request(&mut self, txn: TxnId, key: &Bytes, mode: Mode, may_wait: bool) -> Answer {
        let entry = self.keys.entry(key.clone()).or_default();
        let held = entry.holders.iter().position(|(holder, _)| *holder == txn);
        if held.is_some_and(|held| entry.holders[held].1 >= mode) {
            return Answer::Granted;
        }
        let conflicts = |other: &(TxnId, Mode)| other.0 != txn && other.1.conflicts(mode);
        let blocked_by_holder = entry.holders.iter().any(conflicts);
        let behind = held.is_none() && entry.queue.iter().any(|waiter| waiter.mode.conflicts(mode));
        if !blocked_by_holder && !behind {
            self.hold(txn, key, mode);
            return Answer::Granted;
        }
        if !may_wait {
            return Answer::Busy;
        }
        self.queue(txn, key, mode, held.is_some())
    }

    fn hold(&mut self, txn: TxnId, key: &Bytes, mode: Mode) {
        let entry = self.keys.get_mut(key).expect("a requested key has an entry");
        match entry.holders.iter_mut().find(|(holder, _)| *holder == txn) {
            Some((_, held)) => *held = (*held).max(mode),
            None => {
                entry.holders.push((txn, mode));
                self.held.entry(txn).or_default().push(key.clone());
            }
        }
        let holders = &self.keys[key].holders;
        debug_assert!(holders.iter().all(|a| holders.iter().all(|b| a.0 == b.0 || !a.1.conflicts(b.1))));
    }

    fn queue(&mut self, txn: TxnId, key: &Bytes, mode: Mode, upgrade: bool) -> Answer {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let (verdict, receiver) = oneshot::channel();
        let entry = self.keys.get_mut(key).expect("a requested key has an entry");
        let waiter = Waiter { ticket, txn, mode, since: Instant::now(), verdict };
        if upgrade {
            entry.queue.push_front(waiter);
        } else {
            entry.queue.push_back(waiter);
        }
        self.waiting.insert(txn, key.clone());
        if let Some(cycle) = self.find_cycle(txn) {
            self.waiting.remove(&txn);
            let entry = self.keys.get_mut(key).expect("a requested key has an entry");
            entry.queue.retain(|waiter| waiter.ticket != ticket);
            return Answer::Deadlock(cycle);
        }
        Answer::Wait { ticket, verdict: receiver }
    }

    /// The transactions a waiting one waits for: the owner of an intent, conflicting holders, and conflicting requests ahead
    /// of it.
    fn blockers(&self, txn: TxnId) -> Vec<TxnId> {
        if let Some(wait) = self.behind_intents.get(&txn) {
            return vec![wait.owner];
        }
        let Some(entry) = self.waiting.get(&txn).and_then(|key| self.keys.get(key)) else { return Vec::new() };
        let Some(position) = entry.queue.iter().position(|waiter| waiter.txn == txn) else { return Vec::new() };
        let mode = entry.queue[position].mode;
        let holders = entry.holders.iter().filter(|(holder, held)| *holder != txn && held.conflicts(mode));
        let ahead = entry.queue.iter().take(position).filter(|waiter| waiter.mode.conflicts(mode));
        holders.map(|(holder, _)| *holder).chain(ahead.map(|waiter| waiter.txn)).collect()
    }

    /// A cycle of waits through `start`, beginning and ending with it.
    fn find_cycle(&self, start: TxnId) -> Option<Vec<TxnId>> {
        let mut seen = HashSet::new();
        let mut path = vec![start];
        let mut pending = vec![self.blockers(start)];
        while let Some(next) = pending.last_mut() {
            match next.pop() {
                Some(txn) if txn == start => {
                    path.push(start);
                    return Some(path);
                }
                Some(txn) if seen.insert(txn) => {
                    path.push(txn);
                    pending.push(self.blockers(txn));
                }
                Some(_) => {}
                None => {
                    pending.pop();
                    path.pop();
                }
            }
        }
        None
    }

    fn forget(&mut self, key: &Bytes) {
        let Some(entry) = self.keys.remove(key) else { return };
        for (holder, _) in entry.holders {
            if let Some(held) = self.held.get_mut(&holder) {
                held.retain(|other| other != key);
            }
        }
        for waiter in entry.queue {
            self.waiting.remove(&waiter.txn);
        }
    }

    fn drop_holder(&mut self, txn: TxnId, key: &Bytes) {
        if let Some(entry) = self.keys.get_mut(key) {
            entry.holders.retain(|(holder, _)| *holder != txn);
        }
        self.grant_next(key);
    }

    /// Grants requests from the front of the queue for as long as they are compatible.
    fn grant_next(&mut self, key: &Bytes) {
        loop {
            let Some(entry) = self.keys.get_mut(key) else { return };
            let Some(front) = entry.queue.front() else {
                if entry.holders.is_empty() {
                    self.keys.remove(key);
                }
                return;
            };
            let (txn, mode) = (front.txn, front.mode);
            if entry.holders.iter().any(|(holder, held)| *holder != txn && held.conflicts(mode)) {
                return;
            }
            let waiter = entry.queue.pop_front().expect("the front was just seen");
            self.waiting.remove(&txn);
            self.hold(txn, key, mode);
            // The waiter may have gone away meanwhile; its transaction releases the lock at its end.
            let _gone = waiter.verdict.send(Verdict::Granted);
        }
    }
}

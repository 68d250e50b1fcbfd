//! Row and table locks of a transaction.

use bytes::Bytes;
use proto::{
    LOCKED_ELSEWHERE,
    kv::{self, LockMode, WaitPolicy, request, response},
};
use sharddb_proto as proto;

use crate::{
    Attempts, Error, Result, Txn,
    client::{Routed, unexpected},
    reads::group_by_route,
};

/// Keys of one lock request: a bound on what one answer carries.
const LOCK_KEYS_MAX: usize = 1024;

/// How rows are locked.
#[derive(Clone, Copy, Debug)]
pub struct RowLock {
    /// Strength.
    pub mode: LockMode,
    /// What to do when somebody else holds a conflicting lock.
    pub wait: WaitPolicy,
    /// Longest wait in milliseconds; 0 waits without bound.
    pub timeout_ms: u32,
}

/// Answer for one key.
#[derive(Clone, Debug, Default)]
pub struct LockedRow {
    /// False only when SKIP LOCKED left the row out.
    pub locked: bool,
    /// The newest committed value, or the own write.
    pub value: Option<Bytes>,
    /// A transaction that this one's snapshot does not see has written the row. Always false when this transaction
    /// has no snapshot yet or wrote the row itself.
    pub newer_than_snapshot: bool,
}

/// A lock as it was granted first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grant {
    /// Commit timestamp of the version that was newest then. What the transaction writes follows it.
    pub(crate) version: u64,
    /// The tenure in which it was granted last.
    pub(crate) tenure: u64,
}

impl Grant {
    /// Of a key that another key's lock protects.
    pub(crate) const ELSEWHERE: Self = Self { version: LOCKED_ELSEWHERE, tenure: 0 };
}

impl Txn {
    /// Locks rows, in order within each shard, and answers their newest values. One answer for each key, in order.
    pub async fn lock(&mut self, keys: &[Bytes], lock: RowLock) -> Result<Vec<LockedRow>> {
        let mut rows: Vec<Option<LockedRow>> = vec![None; keys.len()];
        let mut attempts = Attempts::default();
        loop {
            let missing = keys.iter().enumerate().filter(|(i, _)| rows[*i].is_none());
            let mut stale = None;
            for (route, positions) in group_by_route(&self.client, missing) {
                self.holdings.note(&self.client, self.id, route.node);
                for chunk in positions.chunks(LOCK_KEYS_MAX) {
                    let body = lock_request(chunk.iter().map(|i| keys[*i].clone()).collect(), lock);
                    match self.client.send(&route, self.id, body).await? {
                        Routed::Done(response::Body::Lock(answer)) if answer.rows.len() == chunk.len() => {
                            for (i, row) in chunk.iter().zip(answer.rows) {
                                rows[*i] = Some(self.granted(&keys[*i], row, answer.tenure)?);
                            }
                        }
                        Routed::Done(_) => return Err(unexpected("Lock")),
                        Routed::Stale(reason) => stale = Some(reason),
                    }
                }
            }
            match stale {
                None => {
                    keys.iter().for_each(|key| self.guard(key));
                    return Ok(rows.into_iter().map(Option::unwrap_or_default).collect());
                }
                Some(reason) => self.client.reroute(&mut attempts, reason).await?,
            }
        }
    }

    /// Whether this transaction holds a lock on the key.
    pub fn has_lock(&self, key: &Bytes) -> bool {
        self.locks.contains_key(key)
    }

    /// Gives a lock back before the end, for a row that turned out not to be concerned. Keys that are written stay
    /// locked.
    pub async fn unlock(&mut self, key: &Bytes) -> Result<()> {
        if self.buffer.get(key).is_some() || self.locks.remove(key).is_none() {
            return Ok(());
        }
        let body = request::Body::ReleaseLocks(kv::ReleaseLocks { keys: vec![key.clone()] });
        self.client.send_to_key(key, self.id, body).await.map(drop)
    }

    /// Locks a table's span on each of its shards. Exclusive: waits for every writer and keeps new ones out.
    pub async fn lock_table(
        &mut self,
        span: kv::Span,
        exclusive: bool,
        wait: WaitPolicy,
        timeout_ms: u32,
    ) -> Result<()> {
        if exclusive {
            self.shut_tables.push(span.clone());
        }
        let mut rest = Some(span);
        let mut attempts = Attempts::default();
        while let Some(span) = rest.take() {
            let (route, part) = self.client.ranges().routes(&span).swap_remove(0);
            self.holdings.note(&self.client, self.id, route.node);
            let wait = wait.into();
            let body =
                request::Body::LockTable(kv::LockTable { span: Some(part.clone()), wait, timeout_ms, exclusive });
            match self.client.send(&route, self.id, body).await? {
                Routed::Done(_) => {
                    self.guard(&part.start);
                    let done = part.end.is_empty() || (!span.end.is_empty() && part.end >= span.end);
                    rest = (!done).then(|| kv::Span { start: part.end, end: span.end });
                }
                Routed::Stale(reason) => {
                    self.client.reroute(&mut attempts, reason).await?;
                    rest = Some(span);
                }
            }
        }
        Ok(())
    }

    /// Records a grant. The version seen at the first grant is the one the commit checks against. Granted again in another
    /// tenure, the lock was lost meanwhile: nobody may have written the key.
    fn granted(&mut self, key: &Bytes, row: kv::LockedRow, tenure: u64) -> Result<LockedRow> {
        if !row.locked {
            return Ok(LockedRow::default());
        }
        let newest = row.newest.unwrap_or_default();
        let now = Grant { version: newest.commit_ts, tenure };
        let grant = self.locks.entry(key.clone()).or_insert(now);
        if grant.tenure != tenure && newest.commit_ts > grant.version {
            return Err(Error::Conflict { key: key.clone() });
        }
        grant.tenure = tenure;
        if let Some(own) = self.buffer.get(key) {
            return Ok(LockedRow { locked: true, value: own.clone(), newer_than_snapshot: false });
        }
        let newer = self.registered_snapshot().is_some_and(|snapshot| newest.commit_ts > snapshot.0);
        Ok(LockedRow { locked: true, value: newest.present.then_some(newest.value), newer_than_snapshot: newer })
    }
}

fn lock_request(keys: Vec<Bytes>, lock: RowLock) -> request::Body {
    request::Body::Lock(kv::Lock { keys, mode: lock.mode.into(), wait: lock.wait.into(), timeout_ms: lock.timeout_ms })
}

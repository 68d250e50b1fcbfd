//! Commit and rollback.
//!
//! One shard written: one request (`commit_one_phase`). Several: two phases, run by a task of their own
//! (`TwoPhase::run`) so that a client that goes away cannot leave the transaction half way.

use std::collections::BTreeMap;

use ahash::AHashMap;
use bytes::Bytes;
use proto::{Timestamp, TxnId, kv};
use sharddb_proto as proto;
use tokio::sync::oneshot;

use crate::{
    Client, Error, Isolation, Result, Route, Txn,
    buffer::Value,
    holdings::Holdings,
    intents::Flushed,
    locks::Grant,
    one_phase::OnePhase,
    reads::point_span,
    two_phase::{TwoPhase, record_abort, resolve_spans},
};

/// Two-phase commits whose intents are not all resolved. At this bound a commit waits for an earlier one.
pub(crate) const RESOLVING_MAX: usize = 4096;

impl Txn {
    /// Commits. Answers the commit timestamp, or `None` if nothing was written.
    pub async fn commit(mut self) -> Result<Option<Timestamp>> {
        self.finished = true;
        if !self.has_writes() {
            std::mem::take(&mut self.holdings).release().await;
            return Ok(None);
        }
        let result = match self.single_route() {
            Some(route) => self.commit_one_phase(route).await,
            None => self.commit_two_phase().await,
        };
        result.map(Some)
    }

    /// Undoes everything and frees the locks.
    pub async fn rollback(mut self) {
        self.finished = true;
        self.undo().await;
    }

    /// Rolls back in the background; for a transaction that is dropped.
    pub(crate) fn abandon(&mut self) {
        if self.holdings.is_empty() && self.flushed.is_none() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(undo(self.client.clone(), self.id, self.flushed.take(), std::mem::take(&mut self.holdings)));
    }

    async fn undo(&mut self) {
        let (flushed, holdings) = (self.flushed.take(), std::mem::take(&mut self.holdings));
        undo(self.client.clone(), self.id, flushed, holdings).await;
    }

    /// The one route that holds every write and every span to validate, if there is one.
    fn single_route(&self) -> Option<Route> {
        if self.flushed.is_some() || !self.shut_tables.is_empty() {
            return None;
        }
        let map = self.client.ranges();
        let mut keys = self.buffer.iter().map(|(key, _)| key);
        let route = map.route(keys.next()?);
        let spans_inside = || {
            self.read_spans.iter().all(|span| {
                route.contains(&span.start) && (route.end.is_empty() || (!span.end.is_empty() && span.end <= route.end))
            })
        };
        (keys.all(|key| route.contains(key)) && self.locks.keys().all(|key| route.contains(key)) && spans_inside())
            .then(|| route.clone())
    }

    async fn commit_one_phase(&mut self, route: Route) -> Result<Timestamp> {
        let writes = self.buffer.take_all();
        let commit = kv::Commit {
            writes: self.writes(&writes),
            locked: locked_only(&self.locks, &writes),
            read_spans: self.read_spans.clone(),
            snapshot_ts: self.registered_snapshot().map_or(0, |snapshot| snapshot.0),
            min_commit_ts: 0,
            fences: self.fences.clone(),
            retried: false,
        };
        match OnePhase::new(&self.client, self.id, self.guards.clone(), commit).run(route).await {
            Ok(Some((timestamp, node))) => {
                std::mem::take(&mut self.holdings).release_but(Some(node)).await;
                Ok(timestamp)
            }
            // The range was cut: the writes may belong to several shards now.
            Ok(None) => self.two_phase(writes).await,
            Err(error) => {
                self.undo().await;
                Err(error)
            }
        }
    }

    async fn commit_two_phase(&mut self) -> Result<Timestamp> {
        let writes = self.buffer.take_all();
        self.two_phase(writes).await
    }

    async fn two_phase(&mut self, writes: BTreeMap<Bytes, Value>) -> Result<Timestamp> {
        let permit = self.client.inner.resolving.clone().acquire_owned().await.map_err(|_| Error::Expired)?;
        let flushed = self.flushed.take();
        let first = writes.keys().next().cloned();
        let Some(primary) = flushed.as_ref().map(|flushed| flushed.primary.clone()).or(first) else {
            return Err(Error::Internal("a two-phase commit without writes".to_owned()));
        };
        let mut spans = std::mem::take(&mut self.read_spans);
        spans.extend(locked_only(&self.locks, &writes).iter().map(|locked| point_span(&locked.key)));
        let task = TwoPhase {
            client: self.client.clone(),
            id: self.id,
            primary,
            writes: self.writes(&writes),
            validate: if self.options.isolation == Isolation::Serializable { spans } else { Vec::new() },
            snapshot: self.registered_snapshot().unwrap_or(Timestamp::ZERO),
            fences: std::mem::take(&mut self.fences),
            guards: std::mem::take(&mut self.guards),
            shut_tables: std::mem::take(&mut self.shut_tables),
            flushed,
            holdings: std::mem::take(&mut self.holdings),
        };
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            task.run(answer).await;
            drop(permit);
        });
        answered.await.unwrap_or_else(|_| Err(Error::CommitUnknown { reason: "the commit task ended".to_owned() }))
    }

    fn writes(&self, writes: &BTreeMap<Bytes, Value>) -> Vec<kv::Write> {
        let write = |(key, value): (&Bytes, &Value)| {
            let grant = self.locks.get(key).copied().unwrap_or_default();
            let (key, value) = (key.clone(), value.clone());
            kv::Write { key, value, locked_version: grant.version, tenure: grant.tenure }
        };
        writes.iter().map(write).collect()
    }
}

/// Keys locked but not written.
fn locked_only(locks: &AHashMap<Bytes, Grant>, writes: &BTreeMap<Bytes, Value>) -> Vec<kv::LockedKey> {
    let unwritten = locks.iter().filter(|(key, _)| !writes.contains_key(*key));
    let locked = |(key, grant): (&Bytes, &Grant)| kv::LockedKey {
        key: key.clone(),
        locked_version: grant.version,
        tenure: grant.tenure,
    };
    let mut unwritten: Vec<kv::LockedKey> = unwritten.map(locked).collect();
    unwritten.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    unwritten
}

/// Aborts what was flushed and frees the locks.
async fn undo(client: Client, id: TxnId, flushed: Option<Flushed>, holdings: Holdings) {
    if let Some(flushed) = flushed
        && let Some(decided) = record_abort(&client, id, &flushed.primary, flushed.spans.clone()).await
    {
        resolve_spans(&client, id, decided, flushed.spans.clone(), &flushed.primary).await;
    }
    holdings.release().await;
}

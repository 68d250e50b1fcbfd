//! Commit and rollback.
//!
//! One shard written: one request (`commit_one_phase`). Several: two phases, run by a task of their own
//! (`TwoPhase::run`) so that a client that goes away cannot leave the transaction half way.
//!
//! # Order of the two-phase commit
//! 1. Prepare on every written shard, in parallel: intents in the log, and a lower bound for the commit timestamp.
//! 2. The commit timestamp: above every answer and above every timestamp handed out so far.
//! 3. SERIALIZABLE: validate every read span. Only now, when all writes are in place, does a clean answer prove that no
//!    writer slipped in between.
//! 4. The commit record at the primary's shard: the transaction is committed.
//! 5. Answer; then resolve the intents, the primary's last, and forget the record.

use std::collections::BTreeMap;

use ahash::AHashMap;
use bytes::Bytes;
use futures::future::join_all;
use proto::{
    Timestamp, TxnId,
    kv::{self, request, response, txn_status},
};
use sharddb_proto as proto;
use tokio::sync::oneshot;

use crate::{
    Attempts, Client, Error, Isolation, Result, Route, Txn,
    buffer::Value,
    client::{Routed, unexpected},
    holdings::Holdings,
    intents::{EXPIRY_MS, Flushed, hull},
    locks::Grant,
    one_phase::{OnePhase, unknown_outcome},
    reads::{group_by_route, point_span},
};

/// Two-phase commits whose intents are not all resolved. At this bound a commit waits for an earlier one.
pub(crate) const RESOLVING_MAX: usize = 4096;
/// Timestamps tried for a commit that readers keep passing by.
const DECIDE_ATTEMPTS_MAX: u32 = 64;
/// Keys that a Resolve names one by one; above this it names the spans around them.
const RESOLVE_KEYS_MAX: usize = 1024;

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

/// Everything a two-phase commit needs, detached from the session.
struct TwoPhase {
    client: Client,
    id: TxnId,
    primary: Bytes,
    /// In key order.
    writes: Vec<kv::Write>,
    validate: Vec<kv::Span>,
    snapshot: Timestamp,
    fences: Vec<kv::Fence>,
    guards: Vec<kv::Guard>,
    shut_tables: Vec<kv::Span>,
    flushed: Option<Flushed>,
    holdings: Holdings,
}

impl TwoPhase {
    async fn run(self, answer: oneshot::Sender<Result<Timestamp>>) {
        let result = self.decide().await;
        let outcome = result.as_ref().ok().copied();
        let unknown = matches!(result, Err(Error::CommitUnknown { .. }));
        // A client that went away hears nothing; the outcome holds all the same.
        let _gone = answer.send(result);
        if !unknown {
            if outcome.is_none() {
                self.record_abort().await;
            }
            self.resolve(outcome).await;
        }
        self.holdings.release().await;
    }

    async fn decide(&self) -> Result<Timestamp> {
        let prepared = self.prepare().await?;
        self.fence_shut_tables().await?;
        for _ in 0..DECIDE_ATTEMPTS_MAX {
            let commit_ts = prepared.max(self.client.timestamp().await?);
            self.validate(commit_ts).await?;
            let status = self.record_commit(commit_ts).await?;
            match status.state() {
                txn_status::State::Committed => return Ok(Timestamp(status.commit_ts)),
                txn_status::State::Aborted => return Err(Error::Expired),
                // Readers passed by above this timestamp.
                txn_status::State::Pending => {}
            }
        }
        Err(Error::Unavailable { reason: "readers moved the commit timestamp again and again".to_owned() })
    }

    async fn record_commit(&self, commit_ts: Timestamp) -> Result<kv::TxnStatus> {
        let record = kv::Decide {
            primary: self.primary.clone(),
            commit: true,
            commit_ts: commit_ts.0,
            intent_spans: self.intent_spans(),
        };
        let answer = self.client.send_to_key(&self.primary, self.id, request::Body::Decide(record)).await;
        match answer.map_err(unknown_outcome)? {
            response::Body::TxnStatus(status) => Ok(status),
            _ => Err(Error::CommitUnknown { reason: "an answer of the wrong kind to Decide".to_owned() }),
        }
    }

    /// Prepares every shard and answers the highest lower bound of the commit timestamp.
    async fn prepare(&self) -> Result<Timestamp> {
        let now = self.client.timestamp().await?;
        let begun_ms = self.flushed.as_ref().map_or(now.millis(), |flushed| flushed.begun_ms);
        let mut highest = Timestamp::ZERO;
        let mut left: Vec<usize> = (0..self.writes.len()).collect();
        let mut attempts = Attempts::default();
        while !left.is_empty() {
            let expires_ms =
                if attempts.is_first() { now } else { self.client.timestamp().await? }.millis() + EXPIRY_MS;
            let keys = left.iter().map(|i| (*i, &self.writes[*i].key));
            let groups = group_by_route(&self.client, keys);
            let answers =
                groups.iter().map(|(route, positions)| self.prepare_shard(route, positions, begun_ms, expires_ms));
            let mut stale = None;
            left.clear();
            for (answer, (_, positions)) in join_all(answers).await.into_iter().zip(&groups) {
                match answer? {
                    Routed::Done(response::Body::Prepare(done)) => highest = highest.max(Timestamp(done.min_commit_ts)),
                    Routed::Done(_) => return Err(unexpected("Prepare")),
                    Routed::Stale(reason) => {
                        left.extend(positions);
                        stale = Some(reason);
                    }
                }
            }
            if let Some(reason) = stale {
                self.client.reroute(&mut attempts, reason).await?;
            }
        }
        Ok(highest)
    }

    /// Brings the fences to shards of the tables where nothing is written.
    async fn fence_shut_tables(&self) -> Result<()> {
        let mut left = self.shut_tables.clone();
        let mut attempts = Attempts::default();
        while !left.is_empty() {
            let parts: Vec<(Route, kv::Span)> =
                left.drain(..).flat_map(|span| self.client.ranges().routes(&span)).collect();
            let fencing = parts.iter().map(|(route, _)| self.prepare_shard(route, &[], 0, 0));
            let mut stale = None;
            for (answer, (_, part)) in join_all(fencing).await.into_iter().zip(&parts) {
                if let Routed::Stale(reason) = answer? {
                    left.push(part.clone());
                    stale = Some(reason);
                }
            }
            if let Some(reason) = stale {
                self.client.reroute(&mut attempts, reason).await?;
            }
        }
        Ok(())
    }

    async fn prepare_shard(
        &self,
        route: &Route,
        positions: &[usize],
        begun_ms: u64,
        expires_ms: u64,
    ) -> Result<Routed<response::Body>> {
        let prepare = kv::Prepare {
            writes: positions.iter().map(|i| self.writes[*i].clone()).collect(),
            locked: Vec::new(),
            primary: self.primary.clone(),
            expires_ms,
            fences: self.fences.clone(),
            is_primary: !positions.is_empty() && route.contains(&self.primary),
            begun_ms,
        };
        self.client.send_guarded(route, self.id, self.guards.clone(), request::Body::Prepare(prepare)).await
    }

    /// Checks what was read, and that tables that others are kept from still are: a new leader knows of no lock.
    async fn validate(&self, commit_ts: Timestamp) -> Result<()> {
        let shut = self.shut_tables.iter().map(|span| (span.clone(), true));
        let mut left: Vec<(kv::Span, bool)> =
            self.validate.iter().map(|span| (span.clone(), false)).chain(shut).collect();
        let mut attempts = Attempts::default();
        while !left.is_empty() {
            let mut by_shard: Vec<(Route, Vec<(kv::Span, bool)>)> = Vec::new();
            for (span, is_table) in left.drain(..) {
                for (route, part) in self.client.ranges().routes(&span) {
                    match by_shard.iter_mut().find(|(known, _)| *known == route) {
                        Some((_, parts)) => parts.push((part, is_table)),
                        None => by_shard.push((route, vec![(part, is_table)])),
                    }
                }
            }
            let mut stale = None;
            for (route, parts) in by_shard {
                let body = request::Body::Validate(self.validation(&parts, commit_ts));
                if let Routed::Stale(reason) = self.client.send(&route, self.id, body).await? {
                    left.extend(parts);
                    stale = Some(reason);
                }
            }
            if let Some(reason) = stale {
                self.client.reroute(&mut attempts, reason).await?;
            }
        }
        Ok(())
    }

    fn validation(&self, parts: &[(kv::Span, bool)], commit_ts: Timestamp) -> kv::Validate {
        let spans = parts.iter().filter(|(_, is_table)| !is_table).map(|(span, _)| span.clone());
        let tables = parts.iter().filter(|(_, is_table)| *is_table).map(|(span, _)| proto::table_prefix(&span.start));
        kv::Validate {
            spans: spans.collect(),
            snapshot_ts: self.snapshot.0,
            commit_ts: commit_ts.0,
            shut_tables: tables.collect(),
        }
    }

    /// Spans around everything this transaction may have left as intents: one for each shard, and the flushed ones.
    fn intent_spans(&self) -> Vec<kv::Span> {
        let groups = group_by_route(&self.client, self.writes.iter().map(|write| &write.key).enumerate());
        let hulls = groups.into_iter().filter_map(|(_, positions)| {
            let (first, last) = (*positions.first()?, *positions.last()?);
            hull(&self.writes[first..=last])
        });
        hulls.chain(self.flushed.iter().flat_map(|flushed| flushed.spans.iter().cloned())).collect()
    }

    async fn record_abort(&self) {
        let (primary, intent_spans) = (self.primary.clone(), self.intent_spans());
        let record = kv::Decide { primary, commit: false, commit_ts: 0, intent_spans };
        if let Err(error) = self.client.send_to_key(&self.primary, self.id, request::Body::Decide(record)).await {
            tracing::debug!(txn = %self.id, %error, "could not record an abort; it expires");
        }
    }

    /// Resolves every intent, the primary's shard last, and forgets the record.
    async fn resolve(&self, outcome: Option<Timestamp>) {
        let spans = if self.flushed.is_none() && self.writes.len() <= RESOLVE_KEYS_MAX {
            self.writes.iter().map(|write| point_span(&write.key)).collect()
        } else {
            self.intent_spans()
        };
        resolve_spans(&self.client, self.id, outcome, spans, &self.primary).await;
    }
}

impl Client {
    /// Does what is left to do for a decided transaction: resolves its intents and forgets its record.
    pub async fn finish_txn(&self, txn: TxnId, primary: &Bytes, status: kv::TxnStatus) {
        let committed = status.state() == txn_status::State::Committed;
        let outcome = committed.then_some(Timestamp(status.commit_ts));
        resolve_spans(self, txn, outcome, status.intent_spans, primary).await;
    }
}

/// Resolves the intents in `spans`, those in the primary's shard last. A shard that cannot be reached keeps its
/// intents until somebody meets them, and the record stays for those.
async fn resolve_spans(client: &Client, id: TxnId, outcome: Option<Timestamp>, spans: Vec<kv::Span>, primary: &Bytes) {
    let mut by_shard: Vec<(Route, Vec<kv::Span>)> = Vec::new();
    for (route, part) in spans.iter().flat_map(|span| client.ranges().routes(span)) {
        match by_shard.iter_mut().find(|(known, _)| *known == route) {
            Some((_, parts)) => parts.push(part),
            None => by_shard.push((route, vec![part])),
        }
    }
    let (last, others): (Vec<_>, Vec<_>) = by_shard.into_iter().partition(|(route, _)| route.contains(primary));
    let others = others.into_iter().map(|(route, parts)| resolve_at(client, id, outcome, route, parts, None));
    let complete = join_all(others).await.into_iter().all(|complete| complete);
    for (route, parts) in last {
        resolve_at(client, id, outcome, route, parts, complete.then_some(primary)).await;
    }
}

async fn resolve_at(
    client: &Client,
    id: TxnId,
    outcome: Option<Timestamp>,
    route: Route,
    parts: Vec<kv::Span>,
    forget: Option<&Bytes>,
) -> bool {
    let is_point = |span: &kv::Span| span.end == proto::after_prefix(&span.start);
    let (points, spans): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_point);
    let resolve = kv::Resolve {
        commit: outcome.is_some(),
        commit_ts: outcome.unwrap_or_default().0,
        keys: points.into_iter().map(|span| span.start).collect(),
        spans,
        forget_record: forget.is_some(),
        primary: forget.cloned().unwrap_or_default(),
    };
    match client.send(&route, id, request::Body::Resolve(resolve)).await {
        Ok(Routed::Done(_)) => true,
        Ok(Routed::Stale(stale)) => {
            tracing::debug!(txn = %id, reason = stale.reason, "intents are left for whoever meets them");
            false
        }
        Err(error) => {
            tracing::debug!(txn = %id, %error, "intents are left for whoever meets them");
            false
        }
    }
}

/// Aborts what was flushed and frees the locks.
async fn undo(client: Client, id: TxnId, flushed: Option<Flushed>, holdings: Holdings) {
    if let Some(flushed) = flushed {
        let (primary, intent_spans) = (flushed.primary.clone(), flushed.spans.clone());
        let record = kv::Decide { primary, commit: false, commit_ts: 0, intent_spans };
        if let Err(error) = client.send_to_key(&flushed.primary, id, request::Body::Decide(record)).await {
            tracing::debug!(txn = %id, %error, "could not record an abort; it expires");
        }
        resolve_spans(&client, id, None, flushed.spans.clone(), &flushed.primary).await;
    }
    holdings.release().await;
}

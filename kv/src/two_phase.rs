//! Commit of a transaction that wrote several shards.
//!
//! # Order
//! 1. Prepare on every written shard, in parallel: intents in the log, and a lower bound for the commit timestamp.
//! 2. The commit timestamp: above every answer and above every timestamp handed out so far.
//! 3. SERIALIZABLE: validate every read span. Only now, when all writes are in place, does a clean answer prove that no
//!    writer slipped in between.
//! 4. The commit record at the primary's shard: the transaction is committed.
//! 5. Answer; then resolve the intents, the primary's last, and forget the record.
//!
//! Most transactions need no second round ([`staged`](crate::staged)).

use bytes::Bytes;
use futures::future::join_all;
use proto::{
    Timestamp, TxnId,
    kv::{self, request, response, txn_status},
};
use sharddb_proto as proto;
use tokio::sync::oneshot;

use crate::{
    Attempts, Client, Error, Result, Route,
    client::{Routed, unexpected},
    holdings::Holdings,
    intents::{EXPIRY_MS, Flushed, hull},
    one_phase::unknown_outcome,
    reads::{group_by_route, point_span},
};

/// Timestamps tried for a commit that readers keep passing by.
const DECIDE_ATTEMPTS_MAX: u32 = 64;
/// Keys that a Resolve names one by one; above this it names the spans around them.
const RESOLVE_KEYS_MAX: usize = 1024;

/// What every prepare of a transaction says.
#[derive(Clone, Copy, Default)]
struct Round {
    begun_ms: u64,
    expires_ms: u64,
    min_commit_ts: u64,
    staged: bool,
}

/// Everything a two-phase commit needs, detached from the session.
pub(crate) struct TwoPhase {
    pub(crate) client: Client,
    pub(crate) id: TxnId,
    pub(crate) primary: Bytes,
    /// In key order.
    pub(crate) writes: Vec<kv::Write>,
    pub(crate) validate: Vec<kv::Span>,
    pub(crate) snapshot: Timestamp,
    pub(crate) fences: Vec<kv::Fence>,
    pub(crate) guards: Vec<kv::Guard>,
    pub(crate) shut_tables: Vec<kv::Span>,
    pub(crate) flushed: Option<Flushed>,
    pub(crate) holdings: Holdings,
}

impl TwoPhase {
    pub(crate) async fn run(self, answer: oneshot::Sender<Result<Timestamp>>) {
        if self.is_staged() {
            self.run_staged(answer).await;
        } else {
            self.run_recorded(answer).await;
        }
        self.holdings.release().await;
    }

    async fn run_recorded(&self, answer: oneshot::Sender<Result<Timestamp>>) {
        let result = self.decide().await;
        let outcome = result.as_ref().ok().copied();
        let unknown = matches!(result, Err(Error::CommitUnknown { .. }));
        // A client that went away hears nothing; the outcome holds all the same.
        let _gone = answer.send(result);
        if !unknown {
            match outcome {
                Some(_) => self.resolve(outcome).await,
                // Only what the record says counts. Without its answer the intents are left to whoever meets them.
                None => {
                    if let Some(decided) = self.record_abort().await {
                        self.resolve(decided).await;
                    }
                }
            }
        }
    }

    async fn decide(&self) -> Result<Timestamp> {
        let prepared = self.prepare(false).await?;
        self.fence_shut_tables().await?;
        let mut sent = false;
        for _ in 0..DECIDE_ATTEMPTS_MAX {
            let commit_ts = prepared.max(self.client.timestamp().await?);
            self.validate(commit_ts).await?;
            let status = self.record_commit(commit_ts, &mut sent).await?;
            match status.state() {
                txn_status::State::Committed => return Ok(Timestamp(status.commit_ts)),
                txn_status::State::Aborted => return Err(Error::Expired),
                // Readers passed by above this timestamp.
                txn_status::State::Pending => {}
            }
        }
        Err(Error::Unavailable { reason: "readers moved the commit timestamp again and again".to_owned() })
    }

    /// `sent` tells whether an earlier attempt may have been carried out. If it has, others may have resolved everything by
    /// now and forgotten the record; then that there is none says nothing.
    async fn record_commit(&self, commit_ts: Timestamp, sent: &mut bool) -> Result<kv::TxnStatus> {
        let record = kv::Decide {
            primary: self.primary.clone(),
            commit: true,
            commit_ts: commit_ts.0,
            intent_spans: self.intent_spans(),
            staged: false,
        };
        let unknown = |reason: &str| Err(Error::CommitUnknown { reason: reason.to_owned() });
        let mut attempts = Attempts::default();
        loop {
            let route = self.client.ranges().route(&self.primary).clone();
            let sending = self.client.send(&route, self.id, request::Body::Decide(record.clone()));
            let stale = match sending.await.map_err(|error| open_outcome(error, *sent))? {
                Routed::Done(response::Body::TxnStatus(status)) if status.unrecorded && *sent => {
                    return unknown("the transaction's record is gone");
                }
                Routed::Done(response::Body::TxnStatus(status)) => return Ok(status),
                Routed::Done(_) => return unknown("an answer of the wrong kind to Decide"),
                Routed::Stale(stale) => stale,
            };
            *sent = true;
            self.client.reroute(&mut attempts, stale).await.map_err(|error| open_outcome(error, true))?;
        }
    }

    /// Prepares every shard and answers the highest lower bound of the commit timestamp.
    pub(crate) async fn prepare(&self, staged: bool) -> Result<Timestamp> {
        let now = self.client.timestamp().await?;
        let begun_ms = self.flushed.as_ref().map_or(now.millis(), |flushed| flushed.begun_ms);
        let mut round = Round { begun_ms, expires_ms: 0, min_commit_ts: now.0, staged };
        let mut highest = Timestamp::ZERO;
        let mut left: Vec<usize> = (0..self.writes.len()).collect();
        let mut attempts = Attempts::default();
        while !left.is_empty() {
            let present = if attempts.is_first() { now } else { self.client.timestamp().await? };
            round.expires_ms = present.millis() + EXPIRY_MS;
            let keys = left.iter().map(|i| (*i, &self.writes[*i].key));
            let groups = group_by_route(&self.client, keys);
            let answers = groups.iter().map(|(route, positions)| self.prepare_shard(route, positions, round));
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
            let fencing = parts.iter().map(|(route, _)| self.prepare_shard(route, &[], Round::default()));
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

    async fn prepare_shard(&self, route: &Route, positions: &[usize], round: Round) -> Result<Routed<response::Body>> {
        // A staged record is written together with the primary's intent, or not at all.
        let has_primary = || positions.iter().any(|i| self.writes[*i].key == self.primary);
        let is_primary = !positions.is_empty() && route.contains(&self.primary) && (!round.staged || has_primary());
        let staged_keys = || self.writes.iter().map(|write| write.key.clone()).collect();
        let prepare = kv::Prepare {
            writes: positions.iter().map(|i| self.writes[*i].clone()).collect(),
            locked: Vec::new(),
            primary: self.primary.clone(),
            expires_ms: round.expires_ms,
            fences: self.fences.clone(),
            is_primary,
            begun_ms: round.begun_ms,
            min_commit_ts: round.min_commit_ts,
            staged: round.staged,
            staged_keys: if round.staged && is_primary { staged_keys() } else { Vec::new() },
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
    pub(crate) fn intent_spans(&self) -> Vec<kv::Span> {
        let groups = group_by_route(&self.client, self.writes.iter().map(|write| &write.key).enumerate());
        let hulls = groups.into_iter().filter_map(|(_, positions)| {
            let (first, last) = (*positions.first()?, *positions.last()?);
            hull(&self.writes[first..=last])
        });
        hulls.chain(self.flushed.iter().flat_map(|flushed| flushed.spans.iter().cloned())).collect()
    }

    async fn record_abort(&self) -> Option<Option<Timestamp>> {
        record_abort(&self.client, self.id, &self.primary, self.intent_spans()).await
    }

    /// Resolves every intent, the primary's shard last, and forgets the record.
    pub(crate) async fn resolve(&self, outcome: Option<Timestamp>) {
        let spans = if self.flushed.is_none() && self.writes.len() <= RESOLVE_KEYS_MAX {
            self.writes.iter().map(|write| point_span(&write.key)).collect()
        } else {
            self.intent_spans()
        };
        resolve_spans(&self.client, self.id, outcome, spans, &self.primary).await;
    }
}

/// What a failed attempt to commit tells, when an earlier one was `sent` that may have been carried out.
fn open_outcome(error: Error, sent: bool) -> Error {
    match unknown_outcome(error) {
        error @ Error::CommitUnknown { .. } => error,
        error if sent => Error::CommitUnknown { reason: error.to_string() },
        error => error,
    }
}

/// Records that a transaction is aborted, unless it is decided already. Answers what the record says: when it was committed,
/// if it was.
pub(crate) async fn record_abort(
    client: &Client,
    id: TxnId,
    primary: &Bytes,
    intent_spans: Vec<kv::Span>,
) -> Option<Option<Timestamp>> {
    let record = kv::Decide { primary: primary.clone(), intent_spans, ..kv::Decide::default() };
    match client.send_to_key(primary, id, request::Body::Decide(record)).await {
        Ok(response::Body::TxnStatus(status)) => match status.state() {
            txn_status::State::Committed => Some(Some(Timestamp(status.commit_ts))),
            txn_status::State::Aborted => Some(None),
            txn_status::State::Pending => None,
        },
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(txn = %id, %error, "could not record an abort; it expires");
            None
        }
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
pub(crate) async fn resolve_spans(
    client: &Client,
    id: TxnId,
    outcome: Option<Timestamp>,
    spans: Vec<kv::Span>,
    primary: &Bytes,
) {
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

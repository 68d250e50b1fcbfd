//! Commit of several shards in one round.
//!
//! Every prepare is sent at once. The primary's record is *staged*: it names all keys that are written, and the transaction
//! is committed once each of them has its intent, at the highest of their timestamps. The coordinator knows that first, by
//! the answers to its prepares, and tells its client; then it has the record say so and resolves the intents.
//!
//! # How coordinator and others agree
//! * An intent of a staged transaction never changes and goes only once the record says how it ended. So whoever finds all
//!   of them finds the same commit timestamp as the coordinator does.
//! * Whoever wants to abort bars a missing key first ([`FindIntents.bar`](kv::FindIntents)), so that the coordinator never
//!   hears of a success there. The coordinator itself may abort without that: it has acknowledged nothing, and what others
//!   conclude counts only once the record says so.
//! * The record's first outcome stands, and everybody goes by it.
//!
//! Not so committed, because more has to happen between prepare and commit: transactions with reads to validate, fences or
//! tables to shut; and those with intents from before their commit, about which readers may have been promised something.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use proto::{
    Timestamp, TxnId,
    kv::{self, request, response, txn_status},
};
use sharddb_proto as proto;
use tokio::{sync::oneshot, time::Instant};

use crate::{
    Attempts, Client, Error, Result,
    client::{Routed, unexpected},
    intents::keep_alive,
    one_phase::unknown_outcome,
    reads::{group_by_route, point_span},
    two_phase::TwoPhase,
};

/// Keys of a transaction that is committed in one round. Whoever meets it may have to ask for each of them.
const STAGED_KEYS_MAX: usize = 256;
/// Bytes of these keys, which the record holds.
const STAGED_BYTES_MAX: usize = 16 << 10;
/// A committed record is forgotten once its intents are resolved, by others than the coordinator not before it is older than
/// the safe point, which lags by 25 s. Until then a missing record means that the transaction was not committed.
const RECORD_KEPT: Duration = Duration::from_secs(20);

impl TwoPhase {
    /// Whether it can be committed in one round.
    pub(crate) fn is_staged(&self) -> bool {
        let bytes = || self.writes.iter().map(|write| write.key.len()).sum::<usize>();
        self.flushed.is_none()
            && self.validate.is_empty()
            && self.fences.is_empty()
            && self.shut_tables.is_empty()
            && self.writes.len() <= STAGED_KEYS_MAX
            && bytes() <= STAGED_BYTES_MAX
    }

    /// Commits in one round; resolves afterwards.
    pub(crate) async fn run_staged(&self, answer: oneshot::Sender<Result<Timestamp>>) {
        let since = Instant::now();
        let prepared = tokio::select! {
            biased;
            prepared = self.prepare(true) => prepared,
            never = keep_alive(self.client.clone(), self.id, self.primary.clone()) => match never {},
        };
        let result = match prepared {
            Ok(commit_ts) => Ok(commit_ts),
            Err(error) => self.give_up(error, since).await,
        };
        let outcome = match &result {
            Ok(commit_ts) => Some(Some(*commit_ts)),
            Err(Error::CommitUnknown { .. }) => None,
            Err(_) => Some(None),
        };
        // A client that went away hears nothing; the outcome holds all the same.
        let _gone = answer.send(result);
        match outcome {
            Some(Some(commit_ts)) => {
                if let Some(recorded) = self.record_staged(commit_ts).await {
                    self.resolve(Some(recorded)).await;
                }
            }
            Some(None) => self.resolve(None).await,
            // Left to whoever meets it.
            None => {}
        }
    }

    /// Has the record say that the transaction is committed. Whoever met it may have done so before.
    async fn record_staged(&self, commit_ts: Timestamp) -> Option<Timestamp> {
        let decided = decide(&self.client, self.id, &self.primary, Some(commit_ts), self.intent_spans()).await;
        match decided {
            Ok(status) if status.state() == txn_status::State::Committed => return Some(Timestamp(status.commit_ts)),
            // Only after its record was forgotten, and it forgets late.
            Ok(status) => tracing::warn!(txn = %self.id, ?status, "a committed transaction's record is gone"),
            Err(error) => tracing::debug!(txn = %self.id, %error, "a commit is left for whoever meets it to record"),
        }
        None
    }

    /// Not every prepare has answered, but all may have been carried out: the record is asked to say that the transaction is
    /// aborted, and what it says counts.
    async fn give_up(&self, error: Error, since: Instant) -> Result<Timestamp> {
        let status = match decide(&self.client, self.id, &self.primary, None, self.intent_spans()).await {
            Ok(status) => status,
            Err(unknown) => return Err(Error::CommitUnknown { reason: format!("{error}; {unknown}") }),
        };
        match status.state() {
            txn_status::State::Committed => Ok(Timestamp(status.commit_ts)),
            txn_status::State::Aborted if !status.unrecorded || since.elapsed() < RECORD_KEPT => {
                Err(match unknown_outcome(error) {
                    Error::CommitUnknown { reason } => Error::Lost { reason },
                    error => error,
                })
            }
            _ => Err(Error::CommitUnknown { reason: error.to_string() }),
        }
    }
}

/// Decides a staged transaction, unless it is decided. Answers the outcome that holds.
async fn decide(
    client: &Client,
    id: TxnId,
    primary: &Bytes,
    outcome: Option<Timestamp>,
    intent_spans: Vec<kv::Span>,
) -> Result<kv::TxnStatus> {
    let decide = kv::Decide {
        primary: primary.clone(),
        commit: outcome.is_some(),
        commit_ts: outcome.unwrap_or_default().0,
        intent_spans,
        staged: true,
    };
    match client.send_to_key(primary, id, request::Body::Decide(decide)).await? {
        response::Body::TxnStatus(status) => Ok(status),
        _ => Err(unexpected("Decide")),
    }
}

impl Client {
    /// Finds out how a staged transaction stands, and decides it where that is possible. Answers a status that is not
    /// staged: decided; or pending, then it was not committed at some moment of the question and will not be at or below
    /// [`above_ts`](kv::QueryTxn).
    pub(crate) async fn find_out(&self, query: &kv::QueryTxn, staged: kv::TxnStatus) -> Result<kv::TxnStatus> {
        let (id, primary) = (TxnId(query.txn), &query.primary);
        let spans = || staged.staged_keys.iter().map(point_span).collect();
        let look = kv::FindIntents { above_ts: query.above_ts, ..kv::FindIntents::default() };
        let found = self.find_intents(id, &staged.staged_keys, &look).await?;
        if found.all {
            return decide(self, id, primary, Some(Timestamp(found.highest_ts)), spans()).await;
        }
        // Decided meanwhile, it may have had every intent, and some be resolved.
        let again = self.ask_primary(query).await?;
        if !again.staged {
            return Ok(again);
        }
        let now_ms = self.timestamp().await?.millis();
        if again.expires_ms >= now_ms {
            return Ok(kv::TxnStatus { floor_ts: query.above_ts, ..kv::TxnStatus::default() });
        }
        let bar = kv::FindIntents { bar: true, now_ms, ..kv::FindIntents::default() };
        let found = self.find_intents(id, &staged.staged_keys, &bar).await?;
        let outcome = found.all.then_some(Timestamp(found.highest_ts));
        decide(self, id, primary, outcome, spans()).await
    }

    async fn find_intents(&self, id: TxnId, keys: &[Bytes], find: &kv::FindIntents) -> Result<kv::FoundIntents> {
        let mut found = kv::FoundIntents { all: true, highest_ts: 0 };
        let mut left: Vec<usize> = (0..keys.len()).collect();
        let mut attempts = Attempts::default();
        while !left.is_empty() {
            let groups = group_by_route(self, left.drain(..).map(|i| (i, &keys[i])));
            let asking = groups.iter().map(|(route, positions)| {
                let keys = positions.iter().map(|i| keys[*i].clone()).collect();
                self.send(route, id, request::Body::FindIntents(kv::FindIntents { keys, ..find.clone() }))
            });
            let mut stale = None;
            for (answer, (_, positions)) in join_all(asking).await.into_iter().zip(&groups) {
                match answer? {
                    Routed::Done(response::Body::FoundIntents(part)) => {
                        found.all &= part.all;
                        found.highest_ts = found.highest_ts.max(part.highest_ts);
                    }
                    Routed::Done(_) => return Err(unexpected("FindIntents")),
                    Routed::Stale(reason) => {
                        left.extend(positions);
                        stale = Some(reason);
                    }
                }
            }
            if let Some(reason) = stale {
                self.reroute(&mut attempts, reason).await?;
            }
        }
        Ok(found)
    }
}

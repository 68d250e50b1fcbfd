//! Large transactions: part of the write buffer becomes intents at the shards before the commit.
//!
//! # Invariants
//! * The primary is fixed at the first flush; its shard holds the pending record from then on, and a background task
//!   moves the record's expiry until the transaction ends.
//! * Every flushed key lies in one of `spans`, so commit and rollback can find it. No two of them touch: each intent is
//!   looked for once.
//! * Nothing is flushed while a savepoint is open: an intent cannot be undone alone.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use proto::{
    TxnId,
    kv::{self, request},
};
use sharddb_proto as proto;
use tokio::task::AbortHandle;

use crate::{Attempts, Client, Result, Route, Txn, buffer::Value, client::Routed, reads::point_span, retry::Stale};

/// Buffer size from which writes are flushed. One consensus round carries a few MiB well; more would delay others.
const FLUSH_BYTES: usize = 8 << 20;
/// Bytes of one request of intents.
const REQUEST_BYTES: usize = 2 << 20;
/// Requests of one flush under way at a time.
const REQUESTS_MAX: usize = 8;
/// How long a pending record lives without a sign of its coordinator. Rows of a dead one are free after this.
pub(crate) const EXPIRY_MS: u64 = 3000;
/// Three signs within one expiry.
const HEARTBEAT: Duration = Duration::from_millis(EXPIRY_MS / 3);

/// What a transaction has flushed.
#[derive(Debug)]
pub(crate) struct Flushed {
    pub(crate) primary: Bytes,
    pub(crate) spans: Vec<kv::Span>,
    /// When the first flush set out.
    pub(crate) begun_ms: u64,
    heartbeat: AbortHandle,
}

impl Drop for Flushed {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

impl Txn {
    /// Sends the buffer as intents once it is large. Called after each batch of writes; without it the buffer grows.
    pub async fn relieve(&mut self) -> Result<()> {
        if self.buffer.bytes() < FLUSH_BYTES {
            return Ok(());
        }
        if self.buffer.has_savepoints() {
            return self.check_buffer_bound();
        }
        let begun_ms = self.client.timestamp().await?.millis();
        let writes = self.buffer.take();
        let Some(first) = writes.keys().next().cloned() else { return Ok(()) };
        let primary = self.flushed.as_ref().map_or(first, |flushed| flushed.primary.clone());
        if self.flushed.is_none() {
            let heartbeat = tokio::spawn(keep_alive(self.client.clone(), self.id, primary.clone())).abort_handle();
            self.flushed = Some(Flushed { primary: primary.clone(), spans: Vec::new(), begun_ms, heartbeat });
        }
        self.flush(writes, &primary).await
    }

    async fn flush(&mut self, writes: BTreeMap<Bytes, Value>, primary: &Bytes) -> Result<()> {
        let mut left: Vec<kv::Write> = writes
            .into_iter()
            .map(|(key, value)| {
                let grant = self.locks.remove(&key).unwrap_or_default();
                kv::Write { locked_version: grant.version, tenure: grant.tenure, key, value }
            })
            .collect();
        let keys: Vec<Bytes> = left.iter().map(|write| write.key.clone()).collect();
        let mut attempts = Attempts::default();
        while !left.is_empty() {
            let requests = requests(&self.client, left);
            if let Some(flushed) = &mut self.flushed {
                requests
                    .iter()
                    .filter_map(|request| hull(&request.writes))
                    .for_each(|span| add(&mut flushed.spans, span));
            }
            left = self.send_intents(requests, primary, &mut attempts).await?;
        }
        // The intents keep others out from now on.
        self.holdings.release_keys(keys).await;
        Ok(())
    }

    /// Sends requests to several shards at once, after the one with the primary, which opens the record. Answers the
    /// writes that an old range map sent to the wrong place, once there is a new one.
    async fn send_intents(
        &self,
        requests: Vec<IntentRequest>,
        primary: &Bytes,
        attempts: &mut Attempts,
    ) -> Result<Vec<kv::Write>> {
        let is_opening = |request: &IntentRequest| request.writes.iter().any(|write| write.key == *primary);
        let (opening, others): (Vec<_>, Vec<_>) = requests.into_iter().partition(is_opening);
        let mut stale = Vec::new();
        for requests in [opening, others] {
            // Nothing may stand anywhere before there is a record.
            if !stale.is_empty() {
                stale.extend(requests);
                continue;
            }
            let sending = requests.into_iter().map(|request| self.send_part(request, primary));
            let mut answers = stream::iter(sending).buffer_unordered(REQUESTS_MAX);
            while let Some(answer) = answers.next().await {
                stale.extend(answer?);
            }
        }
        if !stale.is_empty() {
            self.client.reroute(attempts, Stale::old_map("intents found their shard cut or moved")).await?;
        }
        Ok(stale.into_iter().flat_map(|request| request.writes).collect())
    }

    /// Sends one request; answers it if it went to the wrong place.
    async fn send_part(&self, request: IntentRequest, primary: &Bytes) -> Result<Option<IntentRequest>> {
        let now_ms = self.client.timestamp().await?.millis();
        let intents = kv::WriteIntents {
            writes: request.writes.clone(),
            primary: primary.clone(),
            expires_ms: now_ms + EXPIRY_MS,
            begun_ms: self.flushed.as_ref().map_or(now_ms, |flushed| flushed.begun_ms),
        };
        match self.client.send(&request.route, self.id, request::Body::WriteIntents(intents)).await? {
            Routed::Done(_) => Ok(None),
            Routed::Stale(_) => Ok(Some(request)),
        }
    }
}

/// Writes for one shard, in key order.
struct IntentRequest {
    route: Route,
    writes: Vec<kv::Write>,
}

/// Cuts writes into requests of about `REQUEST_BYTES`.
fn requests(client: &Client, mut writes: Vec<kv::Write>) -> Vec<IntentRequest> {
    writes.sort_by(|a, b| a.key.cmp(&b.key));
    let map = client.ranges();
    let mut requests: Vec<IntentRequest> = Vec::new();
    let mut bytes = 0;
    for write in writes {
        let size = write.key.len() + write.value.as_ref().map_or(0, Bytes::len);
        match requests.last_mut() {
            Some(last) if bytes < REQUEST_BYTES && last.route.contains(&write.key) => {
                bytes += size;
                last.writes.push(write);
            }
            _ => {
                bytes = size;
                requests.push(IntentRequest { route: map.route(&write.key).clone(), writes: vec![write] });
            }
        }
    }
    requests
}

/// Moves the pending record's expiry until aborted.
pub(crate) async fn keep_alive(client: Client, txn: TxnId, primary: Bytes) -> Infallible {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let Ok(now) = client.timestamp().await else { continue };
        let beat = kv::Heartbeat { primary: primary.clone(), expires_ms: now.millis() + EXPIRY_MS };
        if let Err(error) = client.send_to_key(&primary, txn, request::Body::Heartbeat(beat)).await {
            tracing::debug!(%txn, %error, "could not extend a transaction's lease");
        }
    }
}

/// The smallest span that holds all these writes, which are in key order.
pub(crate) fn hull(writes: &[kv::Write]) -> Option<kv::Span> {
    let (first, last) = (writes.first()?, writes.last()?);
    Some(kv::Span { start: first.key.clone(), end: point_span(&last.key).end })
}

/// Adds a span to spans that do not touch each other.
fn add(spans: &mut Vec<kv::Span>, mut span: kv::Span) {
    spans.retain(|other| {
        let touches = other.start <= span.end && span.start <= other.end;
        if touches {
            span.start = span.start.clone().min(other.start.clone());
            span.end = span.end.clone().max(other.end.clone());
        }
        !touches
    });
    spans.push(span);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_touch_become_one() {
        let span = |start: &'static str, end: &'static str| kv::Span { start: start.into(), end: end.into() };
        let mut spans = Vec::new();
        for new in [span("a", "c"), span("m", "p"), span("e", "g"), span("c", "d"), span("o", "z"), span("b", "f")] {
            add(&mut spans, new);
        }
        spans.sort_by(|a, b| a.start.cmp(&b.start));
        assert_eq!(spans, [span("a", "g"), span("m", "z")]);
    }
}

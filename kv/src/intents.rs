//! Large transactions: part of the write buffer becomes intents at the shards before the commit.
//!
//! # Invariants
//! * The primary is fixed at the first flush; its shard holds the pending record from then on, and a background task
//!   moves the record's expiry until the transaction ends.
//! * Every flushed key lies in one of `spans`, so commit and rollback can find it.
//! * Nothing is flushed while a savepoint is open: an intent cannot be undone alone.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use proto::{
    TxnId,
    kv::{self, request},
};
use sharddb_proto as proto;
use tokio::task::AbortHandle;

use crate::{
    Client, Result, Txn,
    buffer::Value,
    client::Routed,
    reads::{group_by_route, point_span},
};

/// Buffer size from which writes are flushed. One consensus round carries a few MiB well; more would delay others.
const FLUSH_BYTES: usize = 8 << 20;
/// Bytes of one request of intents.
const INTENT_REQUEST_BYTES: usize = 2 << 20;
/// How long a pending record lives without a sign of its coordinator. Rows of a dead one are free after this.
pub(crate) const EXPIRY_MS: u64 = 3000;
/// Three signs within one expiry.
const HEARTBEAT: Duration = Duration::from_millis(EXPIRY_MS / 3);

/// What a transaction has flushed.
#[derive(Debug)]
pub(crate) struct Flushed {
    pub(crate) primary: Bytes,
    /// One span for each flush and shard.
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
        let writes: Vec<kv::Write> = writes
            .into_iter()
            .map(|(key, value)| kv::Write { locked_version: self.locks.remove(&key).unwrap_or(0), key, value })
            .collect();
        for chunk in chunks(&writes) {
            if let (Some(flushed), Some(span)) = (&mut self.flushed, hull(chunk)) {
                extend(&mut flushed.spans, span);
            }
            self.send_intents(chunk, primary).await?;
        }
        Ok(())
    }

    async fn send_intents(&self, writes: &[kv::Write], primary: &Bytes) -> Result<()> {
        let mut left: Vec<&kv::Write> = writes.iter().collect();
        let mut attempt = 0;
        while !left.is_empty() {
            let mut stale = Vec::new();
            let mut reason = String::new();
            for (route, positions) in group_by_route(&self.client, left.iter().map(|w| &w.key).enumerate()) {
                let part: Vec<kv::Write> = positions.iter().map(|i| left[*i].clone()).collect();
                let keys = part.iter().map(|write| write.key.clone()).collect();
                let now_ms = self.client.timestamp().await?.millis();
                let begun_ms = self.flushed.as_ref().map_or(now_ms, |flushed| flushed.begun_ms);
                let expires_ms = now_ms + EXPIRY_MS;
                let intents = kv::WriteIntents { writes: part, primary: primary.clone(), expires_ms, begun_ms };
                match self.client.send(&route, self.id, request::Body::WriteIntents(intents)).await? {
                    Routed::Done(_) => {
                        // The intents keep others out from now on.
                        let release = request::Body::ReleaseLocks(kv::ReleaseLocks { keys });
                        self.client.send(&route, self.id, release).await?;
                    }
                    Routed::Stale(why) => {
                        reason = why;
                        stale.extend(positions.iter().map(|i| left[*i]));
                    }
                }
            }
            if !stale.is_empty() {
                self.client.reroute(&mut attempt, reason).await?;
            }
            left = stale;
        }
        Ok(())
    }
}

/// Moves the pending record's expiry until aborted.
async fn keep_alive(client: Client, txn: TxnId, primary: Bytes) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let Ok(now) = client.timestamp().await else { continue };
        let beat = kv::Heartbeat { primary: primary.clone(), expires_ms: now.millis() + EXPIRY_MS };
        if let Err(error) = client.send_to_key(&primary, txn, request::Body::Heartbeat(beat)).await {
            tracing::debug!(%txn, %error, "could not extend a transaction's lease");
        }
    }
}

/// Runs of writes of about `INTENT_REQUEST_BYTES`.
fn chunks(writes: &[kv::Write]) -> Vec<&[kv::Write]> {
    let mut chunks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (i, write) in writes.iter().enumerate() {
        bytes += write.key.len() + write.value.as_ref().map_or(0, Bytes::len);
        if bytes >= INTENT_REQUEST_BYTES {
            chunks.push(&writes[start..=i]);
            (start, bytes) = (i + 1, 0);
        }
    }
    if start < writes.len() {
        chunks.push(&writes[start..]);
    }
    chunks
}

/// The smallest span that holds all these writes, which are in key order.
pub(crate) fn hull(writes: &[kv::Write]) -> Option<kv::Span> {
    let (first, last) = (writes.first()?, writes.last()?);
    Some(kv::Span { start: first.key.clone(), end: point_span(&last.key).end })
}

/// Adds a span, growing the last one when they touch, as they do for keys that ascend.
fn extend(spans: &mut Vec<kv::Span>, span: kv::Span) {
    match spans.last_mut() {
        Some(last) if last.start <= span.start && span.start <= last.end => {
            last.end = last.end.clone().max(span.end);
        }
        _ => spans.push(span),
    }
}

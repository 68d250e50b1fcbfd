//! Envelopes that wait to leave, already encoded.
//!
//! Not synchronized: each side of a link keeps it under its own lock, together with what belongs to it.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use proto::rpc::{Envelope, envelope::Body};
use sharddb_proto as proto;

use crate::{codec, limits::BATCH_BYTES};

/// Envelopes that wait to leave.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Batches that are full.
    full: VecDeque<(Bytes, u64)>,
    /// The batch that is being filled.
    filling: BytesMut,
    /// Id of the last request in `filling`.
    last: u64,
    /// Id of the last request that has left.
    sent: u64,
    bytes: usize,
    /// Whoever takes.
    waker: Option<Waker>,
    closed: bool,
}

impl Outbox {
    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the request with this id has left, which it does in the order of ids.
    pub(crate) fn has_sent(&self, id: u64) -> bool {
        id <= self.sent
    }

    /// Appends an envelope of this encoded length. Answers whoever is to be woken once the lock is released.
    #[must_use]
    pub(crate) fn push(&mut self, envelope: &Envelope, length: usize) -> Option<Waker> {
        let before = self.filling.len();
        codec::append(&mut self.filling, envelope, length);
        self.bytes += self.filling.len() - before;
        if matches!(envelope.body, Some(Body::Request(_) | Body::MetaCall(_))) {
            debug_assert!(envelope.id > self.last);
            self.last = envelope.id;
        }
        if self.filling.len() >= BATCH_BYTES {
            self.full.push_back((self.filling.split().freeze(), self.last));
        }
        self.waker.take()
    }

    /// Takes the next batch, if there is one.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let (batch, last) = match self.full.pop_front() {
            Some(full) => full,
            None if self.filling.is_empty() => return None,
            None => (self.filling.split().freeze(), self.last),
        };
        self.bytes -= batch.len();
        self.sent = last;
        Some(batch)
    }

    /// Takes the next batch; `None` once the outbox is closed.
    pub(crate) fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.closed {
            return Poll::Ready(None);
        }
        let batch = self.take();
        if batch.is_none() {
            self.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(batch)
    }

    /// Nothing leaves any more.
    #[must_use]
    pub(crate) fn close(&mut self) -> Option<Waker> {
        self.closed = true;
        self.full = VecDeque::new();
        self.filling = BytesMut::new();
        self.bytes = 0;
        self.waker.take()
    }
}

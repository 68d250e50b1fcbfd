//! The requesting end of a link: requests wait for their answers, messages of consensus leave and are forgotten.
//!
//! A link exists before its connection does, so that requests can wait for a connection that is being made, and ends with
//! it. Whatever has not left by then is `Unreachable`; what has left without an answer is `Ambiguous`.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use ahash::AHashMap;
use futures::Stream;
use parking_lot::Mutex;
use prost::Message as _;
use proto::{
    raft::Message,
    rpc::{Cancel, Envelope, envelope::Body},
};
use sharddb_proto as proto;
use tokio::sync::{Notify, oneshot, watch};

use crate::{
    CallError,
    codec::Batch,
    dial::Channel,
    limits::{OUTBOX_BYTES_MAX, OUTBOX_RAFT_BYTES_MAX, REQUESTS_MAX},
    outbox::Outbox,
};

/// Stands for the id of a request until it has one. Not zero, so that the envelope's encoded length stays the same.
pub(crate) const UNNUMBERED: u64 = u64::MAX;

/// The requesting end of a link.
#[derive(Debug)]
pub(crate) struct Link {
    state: Mutex<State>,
    /// Told when envelopes have left.
    room: Notify,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct State {
    outbox: Outbox,
    waiting: AHashMap<u64, oneshot::Sender<Result<Body, CallError>>>,
    last_id: u64,
    lost: Option<String>,
}

/// How far the connection is.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    Connecting,
    Up(Channel),
    Lost(String),
}

/// What became of the attempt to put an envelope into the outbox.
enum Submitted {
    Waits(u64, oneshot::Receiver<Result<Body, CallError>>),
    Full,
}

impl Link {
    pub(crate) fn new() -> Arc<Self> {
        let progress = watch::Sender::new(Progress::Connecting);
        Arc::new(Self { state: Mutex::default(), room: Notify::new(), progress })
    }

    /// Sends a request, still unnumbered, of this encoded length and waits for its answer. A deadline of zero is none.
    pub(crate) async fn call(
        &self,
        mut envelope: Envelope,
        length: usize,
        deadline: Duration,
    ) -> Result<Body, CallError> {
        let (id, answer) = loop {
            let room = self.room.notified();
            match self.submit(&mut envelope, length)? {
                Submitted::Waits(id, answer) => break (id, answer),
                Submitted::Full => {
                    within(deadline, room).await.ok_or_else(|| late(deadline, CallError::Unreachable))?
                }
            }
        };
        drop(envelope);
        let _interest = Interest { link: self, id };
        match within(deadline, answer).await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => Err(CallError::Ambiguous("the link ended".to_owned())),
            None => Err(late(deadline, CallError::Ambiguous)),
        }
    }

    fn submit(&self, envelope: &mut Envelope, length: usize) -> Result<Submitted, CallError> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock();
        if let Some(reason) = &state.lost {
            return Err(CallError::Unreachable(reason.clone()));
        }
        if state.waiting.len() >= REQUESTS_MAX {
            return Err(CallError::Unreachable(format!("{REQUESTS_MAX} requests to the node are running already")));
        }
        if state.outbox.bytes() >= OUTBOX_BYTES_MAX {
            return Ok(Submitted::Full);
        }
        state.last_id += 1;
        let id = state.last_id;
        envelope.id = id;
        state.waiting.insert(id, sender);
        let waker = state.outbox.push(envelope, length);
        drop(state);
        wake(waker);
        Ok(Submitted::Waits(id, receiver))
    }

    /// Queues a message of consensus, or drops it.
    pub(crate) fn send(&self, message: Message) {
        let envelope = Envelope { id: 0, deadline_ms: 0, body: Some(Body::Raft(message)) };
        let length = envelope.encoded_len();
        let mut state = self.state.lock();
        let waiting = state.outbox.bytes();
        if state.lost.is_some() || (waiting > 0 && waiting + length > OUTBOX_RAFT_BYTES_MAX) {
            return;
        }
        let waker = state.outbox.push(&envelope, length);
        drop(state);
        wake(waker);
    }

    /// Nobody waits for the answer any more.
    fn abandon(&self, id: u64) {
        let mut state = self.state.lock();
        if state.waiting.remove(&id).is_none() {
            return;
        }
        let cancel = Envelope { id, deadline_ms: 0, body: Some(Body::Cancel(Cancel {})) };
        let length = cancel.encoded_len();
        let waker = state.outbox.push(&cancel, length);
        drop(state);
        wake(waker);
    }

    /// Hands answers to those who wait for them.
    pub(crate) fn receive(&self, envelopes: Vec<Envelope>) {
        let mut answered = Vec::with_capacity(envelopes.len());
        let mut state = self.state.lock();
        for envelope in envelopes {
            // Nobody waits for an answer that crossed its cancellation.
            if let (Some(sender), Some(body)) = (state.waiting.remove(&envelope.id), envelope.body) {
                answered.push((sender, body));
            }
        }
        drop(state);
        for (sender, body) in answered {
            let _ = sender.send(match body {
                Body::TurnedAway(reason) => Err(CallError::Unreachable(reason)),
                Body::MetaFailed(reason) => Err(CallError::Ambiguous(reason)),
                body => Ok(body),
            });
        }
    }

    /// The connection is there.
    pub(crate) fn connected(&self, channel: Channel) {
        self.progress.send_replace(Progress::Up(channel));
    }

    /// The connection is gone, or never came.
    pub(crate) fn lose(&self, reason: &str) {
        let mut state = self.state.lock();
        if state.lost.is_some() {
            return;
        }
        state.lost = Some(reason.to_owned());
        let waiting = std::mem::take(&mut state.waiting);
        let sorted = waiting.into_iter().map(|(id, sender)| (sender, state.outbox.has_sent(id))).collect::<Vec<_>>();
        let waker = state.outbox.close();
        drop(state);
        wake(waker);
        self.progress.send_replace(Progress::Lost(reason.to_owned()));
        self.room.notify_waiters();
        for (sender, sent) in sorted {
            let error = if sent { CallError::Ambiguous } else { CallError::Unreachable };
            let _ = sender.send(Err(error(reason.to_owned())));
        }
    }

    /// The connection, once it is there.
    pub(crate) async fn channel(&self) -> Result<Channel, CallError> {
        let mut progress = self.progress.subscribe();
        loop {
            match &*progress.borrow_and_update() {
                Progress::Up(channel) => return Ok(channel.clone()),
                Progress::Lost(reason) => return Err(CallError::Unreachable(reason.clone())),
                Progress::Connecting => {}
            }
            if progress.changed().await.is_err() {
                return Err(CallError::Unreachable("the link ended".to_owned()));
            }
        }
    }

    /// Whether the connection is there.
    pub(crate) fn is_up(&self) -> bool {
        matches!(&*self.progress.borrow(), Progress::Up(_))
    }
}

/// What leaves on a link.
#[derive(Debug)]
pub(crate) struct Outgoing(pub(crate) Arc<Link>);

impl Stream for Outgoing {
    type Item = Batch;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Batch>> {
        let taken = self.0.state.lock().outbox.poll_take(context);
        if matches!(taken, Poll::Ready(Some(_))) {
            self.0.room.notify_waiters();
        }
        taken.map(|batch| batch.map(Batch::Encoded))
    }
}

/// Cancels a request whose caller has gone.
struct Interest<'a> {
    link: &'a Link,
    id: u64,
}

impl Drop for Interest<'_> {
    fn drop(&mut self) {
        self.link.abandon(self.id);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn late(deadline: Duration, error: fn(String) -> CallError) -> CallError {
    error(format!("no answer within {deadline:?}"))
}

/// Waits this long, or as long as it takes if that is zero.
pub(crate) async fn within<T>(deadline: Duration, future: impl Future<Output = T>) -> Option<T> {
    if deadline.is_zero() { Some(future.await) } else { tokio::time::timeout(deadline, future).await.ok() }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use proto::kv;

    use super::*;

    fn request(bytes: usize) -> (Envelope, usize) {
        let get = kv::Get { keys: vec![vec![0; bytes].into()], read_ts: 0 };
        let request = kv::Request { header: None, body: Some(kv::request::Body::Get(get)) };
        let envelope = Envelope { id: UNNUMBERED, deadline_ms: 0, body: Some(Body::Request(request)) };
        let length = envelope.encoded_len();
        (envelope, length)
    }

    fn call(link: &Arc<Link>, bytes: usize) -> impl Future<Output = Result<Body, CallError>> + Unpin + use<> {
        let (link, (envelope, length)) = (Arc::clone(link), request(bytes));
        Box::pin(async move { link.call(envelope, length, Duration::ZERO).await })
    }

    fn answer(id: u64) -> Envelope {
        Envelope { id, deadline_ms: 0, body: Some(Body::Answer(kv::Response::default())) }
    }

    #[test]
    fn only_what_has_left_is_ambiguous() {
        let link = Link::new();
        let (mut sent, mut kept) = (call(&link, 1), call(&link, 1));
        assert!((&mut sent).now_or_never().is_none());
        assert!(Outgoing(Arc::clone(&link)).next().now_or_never().is_some());
        assert!((&mut kept).now_or_never().is_none());
        link.lose("why");
        assert_eq!(sent.now_or_never(), Some(Err(CallError::Ambiguous("why".to_owned()))));
        assert_eq!(kept.now_or_never(), Some(Err(CallError::Unreachable("why".to_owned()))));
        let late = call(&link, 1).now_or_never();
        assert_eq!(late, Some(Err(CallError::Unreachable("why".to_owned()))));
        assert!(matches!(Outgoing(link).next().now_or_never(), Some(None)));
    }

    #[test]
    fn whoever_finds_the_link_full_waits_for_room() {
        let link = Link::new();
        let mut large: Vec<_> = (0..2).map(|_| call(&link, OUTBOX_BYTES_MAX)).collect();
        assert!(large.iter_mut().all(|call| call.now_or_never().is_none()));
        assert_eq!(link.state.lock().waiting.len(), 1);
        assert!(Outgoing(Arc::clone(&link)).next().now_or_never().is_some());
        assert!((&mut large[1]).now_or_never().is_none());
        assert_eq!(link.state.lock().waiting.len(), 2);
        link.receive(vec![answer(2), answer(1), answer(7)]);
        assert!(large.into_iter().all(|call| matches!(call.now_or_never(), Some(Ok(Body::Answer(_))))));
    }

    #[test]
    fn messages_of_consensus_are_dropped_rather_than_piled_up() {
        let link = Link::new();
        let chunk = proto::raft::Entry {
            payload: Some(proto::raft::entry::Payload::Command(vec![0; 1 << 20].into())),
            log_id: None,
        };
        let append = proto::raft::Append { entries: vec![chunk], ..proto::raft::Append::default() };
        let message = Message { group: 1, id: 0, body: Some(proto::raft::message::Body::Append(append)) };
        (0..100).for_each(|_| link.send(message.clone()));
        let waiting = link.state.lock().outbox.bytes();
        assert!(waiting <= OUTBOX_RAFT_BYTES_MAX && waiting > OUTBOX_BYTES_MAX, "{waiting} bytes");
    }

    #[test]
    fn a_caller_that_leaves_sends_a_cancellation_once() {
        let link = Link::new();
        let mut left = call(&link, 1);
        assert!((&mut left).now_or_never().is_none());
        let before = link.state.lock().outbox.bytes();
        drop(left);
        let cancelled = link.state.lock().outbox.bytes();
        assert!(cancelled > before && link.state.lock().waiting.is_empty());
        let mut answered = call(&link, 1);
        assert!((&mut answered).now_or_never().is_none());
        link.receive(vec![answer(2)]);
        let before = link.state.lock().outbox.bytes();
        assert!(answered.now_or_never().is_some());
        assert_eq!(link.state.lock().outbox.bytes(), before);
    }
}

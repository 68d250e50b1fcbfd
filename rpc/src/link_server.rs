//! The answering end of a link: reads requests and messages, and is itself the stream of answers.
//!
//! Reading and answering are one task. A request is polled once where it was read, since most are done at once or soon
//! wait for something else; the rest of it, and requests that may compute for long, run in tasks of their own. While
//! answers that nobody takes pile up, nothing is read. The end of the link ends what runs.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ahash::AHashMap;
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture};
use parking_lot::Mutex;
use prost::Message;
use proto::{
    NodeId,
    kv::{self, failure, request, response},
    meta,
    rpc::{Envelope, envelope::Body},
};
use sharddb_proto as proto;
use tokio::{sync::Notify, task::AbortHandle};
use tonic::{Status, Streaming};

use crate::{
    Service,
    codec::Batch,
    limits::{ENVELOPE_BYTES_MAX, OUTBOX_BYTES_MAX, REQUESTS_MAX},
    link::within,
    outbox::Outbox,
};

/// The answering end of a link.
pub(crate) struct LinkServer {
    incoming: Streaming<Batch>,
    from: NodeId,
    service: Arc<dyn Service>,
    answers: Arc<Answers>,
}

/// Answers on their way, and what is still running.
#[derive(Default)]
struct Answers {
    state: Mutex<State>,
    /// Told when answers have left.
    room: Notify,
}

#[derive(Default)]
struct State {
    outbox: Outbox,
    running: AHashMap<u64, AbortHandle>,
}

impl LinkServer {
    pub(crate) fn new(incoming: Streaming<Batch>, from: NodeId, service: Arc<dyn Service>) -> Self {
        Self { incoming, from, service, answers: Arc::default() }
    }

    fn receive(&self, envelope: Envelope, context: &mut Context<'_>) -> Result<(), Status> {
        match envelope.body {
            Some(Body::Raft(message)) => self.service.raft(self.from, message),
            Some(Body::Request(request)) => {
                let at_once = is_brief(&request);
                let begin = || self.service.request(self.from, request);
                self.start(begin, done, at_once, (envelope.id, envelope.deadline_ms), context);
            }
            Some(Body::MetaCall(call)) => {
                let begin = || self.service.meta(self.from, call);
                self.start(begin, answered_by_meta, true, (envelope.id, envelope.deadline_ms), context);
            }
            Some(Body::Cancel(_)) => self.answers.cancel(envelope.id),
            Some(Body::Answer(_) | Body::MetaAnswer(_) | Body::MetaFailed(_) | Body::TurnedAway(_)) | None => {
                return Err(Status::invalid_argument("an envelope that does not belong here"));
            }
        }
        Ok(())
    }

    /// Begins to carry out a request, and hands what is not done at once to a task. A panic is told to `body`.
    fn start<T: Send + 'static>(
        &self,
        begin: impl FnOnce() -> BoxFuture<'static, T>,
        body: fn(Option<T>) -> Body,
        at_once: bool,
        (id, deadline_ms): (u64, u32),
        context: &mut Context<'_>,
    ) {
        if self.answers.state.lock().running.len() >= REQUESTS_MAX {
            let reason = format!("{REQUESTS_MAX} requests are running in the node already");
            return self.answers.push(id, Body::TurnedAway(reason));
        }
        let begun = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let mut work = begin();
            let polled = if at_once { work.poll_unpin(context) } else { Poll::Pending };
            (work, polled)
        }));
        let work = match begun {
            Ok((work, Poll::Pending)) => work,
            Ok((_, Poll::Ready(answer))) => return self.answers.push(id, body(Some(answer))),
            Err(_) => return self.answers.push(id, body(None)),
        };
        let answers = Arc::clone(&self.answers);
        let task = async move {
            let work = AssertUnwindSafe(work).catch_unwind();
            let answer = within(Duration::from_millis(deadline_ms.into()), work).await;
            answers.finish(id, answer.map(|answer| body(answer.ok()))).await;
        };
        // Under the lock, so that a task that ends at once finds itself here.
        let mut state = self.answers.state.lock();
        let handle = tokio::spawn(task).abort_handle();
        state.running.insert(id, handle);
    }
}

impl Stream for LinkServer {
    type Item = Result<Batch, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(batch) = self.answers.take() {
                return Poll::Ready(Some(Ok(batch)));
            }
            match self.incoming.poll_next_unpin(context) {
                Poll::Pending => return self.answers.poll_take(context).map(|batch| batch.map(Ok)),
                Poll::Ready(Some(Ok(Batch::Received(envelopes)))) => {
                    for envelope in envelopes {
                        if let Err(status) = self.receive(envelope, context) {
                            return Poll::Ready(Some(Err(status)));
                        }
                    }
                }
                Poll::Ready(Some(Ok(Batch::Encoded(_)))) => unreachable!("decoding makes received batches"),
                Poll::Ready(Some(Err(status))) => return Poll::Ready(Some(Err(status))),
                Poll::Ready(None) => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for LinkServer {
    fn drop(&mut self) {
        let mut state = self.answers.state.lock();
        state.running.drain().for_each(|(_, task)| task.abort());
        // Nobody takes any more.
        let _ = state.outbox.close();
    }
}

impl Answers {
    fn push(&self, id: u64, body: Body) {
        let (envelope, length) = answer(id, body);
        let waker = self.state.lock().outbox.push(&envelope, length);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Queues the answer of a task, once there is room for it.
    async fn finish(&self, id: u64, body: Option<Body>) {
        // The requester has given up, too.
        let Some(body) = body else {
            self.state.lock().running.remove(&id);
            return;
        };
        let (envelope, length) = answer(id, body);
        loop {
            let room = self.room.notified();
            if let Some(waker) = self.push_task(&envelope, length) {
                return waker.into_iter().for_each(std::task::Waker::wake);
            }
            room.await;
        }
    }

    fn push_task(&self, envelope: &Envelope, length: usize) -> Option<Option<std::task::Waker>> {
        let mut state = self.state.lock();
        if state.outbox.bytes() >= OUTBOX_BYTES_MAX {
            return None;
        }
        state.running.remove(&envelope.id);
        Some(state.outbox.push(envelope, length))
    }

    fn cancel(&self, id: u64) {
        if let Some(task) = self.state.lock().running.remove(&id) {
            task.abort();
        }
    }

    fn poll_take(&self, context: &mut Context<'_>) -> Poll<Option<Batch>> {
        let taken = self.state.lock().outbox.poll_take(context);
        if matches!(taken, Poll::Ready(Some(_))) {
            self.room.notify_waiters();
        }
        taken.map(|batch| batch.map(Batch::Encoded))
    }

    /// Takes what is there without asking to be woken.
    fn take(&self) -> Option<Batch> {
        let taken = self.state.lock().outbox.take()?;
        self.room.notify_waiters();
        Some(Batch::Encoded(taken))
    }
}

/// Whether a request computes so little that it may hold up what follows on its link.
fn is_brief(request: &kv::Request) -> bool {
    use request::Body;
    matches!(
        request.body,
        Some(Body::Get(_) | Body::Lock(_) | Body::Commit(_) | Body::Prepare(_) | Body::Decide(_) | Body::QueryTxn(_))
            | Some(Body::Heartbeat(_) | Body::ReleaseLocks(_))
    )
}

/// The answer to a request; `None` is a panic.
pub(crate) fn done(answer: Option<kv::Response>) -> Body {
    let panicked = || failed(failure::Kind::Internal("the request failed in the node".to_owned()));
    Body::Answer(answer.unwrap_or_else(panicked))
}

fn answered_by_meta(answer: Option<meta::Answer>) -> Body {
    answer.map_or_else(|| Body::MetaFailed("the call failed in the node".to_owned()), Body::MetaAnswer)
}

/// The envelope of an answer and its length; an answer that is too large is told of instead.
pub(crate) fn answer(id: u64, body: Body) -> (Envelope, usize) {
    let envelope = Envelope { id, deadline_ms: 0, body: Some(body) };
    let length = envelope.encoded_len();
    if length <= ENVELOPE_BYTES_MAX {
        return (envelope, length);
    }
    let message = format!("the answer has {length} bytes, and {ENVELOPE_BYTES_MAX} are allowed");
    let refused = kv::Refused { sqlstate: proto::SqlState::ProgramLimitExceeded.code().to_owned(), message };
    let body = Some(Body::Answer(failed(failure::Kind::Refused(refused))));
    let envelope = Envelope { id, deadline_ms: 0, body };
    let length = envelope.encoded_len();
    (envelope, length)
}

pub(crate) fn failed(kind: failure::Kind) -> kv::Response {
    kv::Response { body: Some(response::Body::Failure(kv::Failure { kind: Some(kind) })), ..kv::Response::default() }
}

//! Cancelling a running statement, from any thread or by a deadline.
//!
//! Each statement takes a new generation, so a late cancel request never hits the statement after the one it was
//! meant for once that has ended.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Instant,
};

use futures::task::AtomicWaker;
use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

/// Cancels the statement a session is running. Cheap to clone; may outlive the session.
#[derive(Clone, Debug, Default)]
pub struct CancelHandle {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    running: AtomicBool,
    cancelled: AtomicBool,
    /// A commit is under way: to give up waiting for it would tell the client that it did not happen.
    committing: AtomicBool,
    waker: AtomicWaker,
}

impl CancelHandle {
    /// Asks the running statement to end with 57014. Nothing happens if none runs.
    pub fn cancel(&self) {
        if self.state.running.load(Ordering::Acquire) {
            self.state.cancelled.store(true, Ordering::Release);
            self.state.waker.wake();
        }
    }

    /// A statement begins: requests for earlier ones are forgotten.
    pub(crate) fn begin(&self) {
        self.state.cancelled.store(false, Ordering::Release);
        self.state.running.store(true, Ordering::Release);
    }

    /// The statement has ended.
    pub(crate) fn end(&self) {
        self.state.running.store(false, Ordering::Release);
    }

    /// Whether a statement runs.
    pub(crate) fn is_running(&self) -> bool {
        self.state.running.load(Ordering::Acquire)
    }

    /// Lets neither requests nor deadlines end the statement as long as the answer lives.
    pub(crate) fn hold(&self) -> Held {
        self.state.committing.store(true, Ordering::Relaxed);
        Held(self.clone())
    }

    /// Fails with 57014 if the statement was cancelled; for loops that do not wait.
    pub(crate) fn check(&self) -> SqlResult<()> {
        if self.state.cancelled.load(Ordering::Acquire) { Err(cancelled_by_user()) } else { Ok(()) }
    }

    /// Runs `work` until it ends, the statement is cancelled, or the deadline passes. A future that is ready at once
    /// costs no timer and no registration.
    pub(crate) async fn guard<T>(
        &self,
        deadline: Option<Instant>,
        work: impl Future<Output = SqlResult<T>>,
    ) -> SqlResult<T> {
        let mut work = pin!(work);
        let mut timer = None;
        std::future::poll_fn(|context| {
            if let Poll::Ready(answer) = work.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            self.state.waker.register(context.waker());
            if self.state.committing.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            if self.state.cancelled.load(Ordering::Acquire) {
                return Poll::Ready(Err(cancelled_by_user()));
            }
            if let Some(deadline) = deadline {
                let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
                if timer.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(timed_out()));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Keeps a statement from being cancelled.
pub(crate) struct Held(CancelHandle);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state.committing.store(false, Ordering::Relaxed);
    }
}

fn cancelled_by_user() -> SqlError {
    SqlError::new(SqlState::QueryCanceled, "canceling statement due to user request")
}

fn timed_out() -> SqlError {
    SqlError::new(SqlState::QueryCanceled, "canceling statement due to statement timeout")
}

//! Waiting: for the client's next message, for a statement, for the client to take output.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use proto::{SqlError, SqlState};
use sharddb_proto as proto;

use super::{Connection, End};
use crate::{
    control::{Control, Order},
    socket::{AHEAD_BYTES, Socket},
};

/// How often a statement is cancelled again whose client is gone, should it have started another piece of work.
const CANCEL_INTERVAL: Duration = Duration::from_millis(50);

fn terminated() -> End {
    let message = "terminating connection due to administrator command";
    End::Fatal(SqlError::new(SqlState::AdminShutdown, message))
}

impl Connection {
    /// Sends what is due and reads once, while nothing runs.
    pub(super) async fn wait_for_input(&mut self, needs: usize) -> Result<(), End> {
        let Self { socket, control, session, .. } = self;
        // Waiting for the rest of a message is not idleness.
        let limit = if socket.input.is_empty() { session.idle_limit() } else { None };
        let input = poll_fn(|cx| {
            if control.poll_order(cx) != Order::GoOn {
                return Poll::Ready(Err(terminated()));
            }
            let flushed = socket.poll_flush_due(cx)?;
            if flushed.is_pending() && socket.input.len() >= needs.max(AHEAD_BYTES) {
                // The client sends but does not read.
                return Poll::Pending;
            }
            socket.poll_fill(cx, needs).map_err(End::from)
        });
        let Some((limit, error)) = limit else { return input.await };
        match tokio::time::timeout(limit, input).await {
            Ok(input) => input,
            Err(_) => Err(End::Fatal(error)),
        }
    }

    /// Sends everything and waits for it.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        poll_fn(|cx| {
            if self.control.poll_order(cx) == Order::Terminate {
                return Poll::Ready(Err(terminated()));
            }
            self.socket.poll_flush(cx).map_err(End::from)
        })
        .await
    }
}

/// Runs a piece of work of the session. Meanwhile it sends what the client waits for, reads ahead, and looks out for
/// the client's end and for orders: then the work is cancelled, and its outcome is not returned. The work comes pinned:
/// such futures are large, and moving one costs more than a point select may.
pub(super) async fn watch<T>(
    socket: &mut Socket,
    control: &Control,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, End> {
    control.mark_busy();
    let end = poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        poll_end(socket, control, cx).map(Err)
    });
    let end = end.await;
    control.mark_idle();
    let end = match end {
        Ok(done) => return Ok(done),
        Err(end) => end,
    };
    // The work is not dropped halfway: it ends by itself, soon, and leaves the session in order.
    loop {
        control.cancel();
        if tokio::time::timeout(CANCEL_INTERVAL, work.as_mut()).await.is_ok() {
            return Err(end);
        }
    }
}

/// Ready when the connection is to end although something runs.
fn poll_end(socket: &mut Socket, control: &Control, cx: &mut Context<'_>) -> Poll<End> {
    if control.poll_order(cx) == Order::Terminate {
        return Poll::Ready(terminated());
    }
    if let Poll::Ready(Err(error)) = socket.poll_flush_due(cx) {
        return Poll::Ready(error.into());
    }
    while socket.input.len() < AHEAD_BYTES {
        match socket.poll_fill(cx, 0) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(error.into()),
            Poll::Pending => return Poll::Pending,
        }
    }
    // Too much is there already to read on until the end of the stream would show: the monitor sees it.
    Poll::Pending
}

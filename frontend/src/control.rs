//! Who is connected, and how others reach them: cancel requests, termination, shutdown.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::Context,
};

use executor::CancelHandle;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use rustix::{
    event::{PollFd, PollFlags, poll},
    time::Timespec,
};
use sharddb_executor as executor;

use crate::metrics::metrics;

/// What a connection was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    /// Nothing.
    GoOn = 0,
    /// End once no statement runs.
    Drain = 1,
    /// End now; the running statement is cancelled.
    Terminate = 2,
}

/// The handle by which others reach one connection.
#[derive(Debug)]
pub(crate) struct Control {
    /// Process id told to the client.
    pub(crate) pid: i32,
    /// Proves that a cancel request comes from the client.
    pub(crate) secret: i32,
    order: AtomicU8,
    waker: AtomicWaker,
    cancel: OnceLock<CancelHandle>,
    /// Pieces of work begun and ended: odd while one runs. Written by the connection's task only.
    work: AtomicU64,
    /// The socket, for the monitor to look at.
    socket: Option<OwnedFd>,
}

impl Control {
    /// What the connection was told, for its task to look at whenever it waits: the task is woken when that changes.
    #[inline]
    pub(crate) fn poll_order(&self, cx: &Context<'_>) -> Order {
        self.waker.register(cx.waker());
        self.order()
    }

    /// What the connection was told.
    #[inline]
    pub(crate) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::GoOn,
            1 => Order::Drain,
            _ => Order::Terminate,
        }
    }

    /// The session has begun.
    pub(crate) fn set_cancel(&self, handle: CancelHandle) {
        // Set once, when the connection's session is made.
        let _ = self.cancel.set(handle);
    }

    pub(crate) fn cancel(&self) {
        if let Some(handle) = self.cancel.get() {
            handle.cancel();
        }
    }

    /// Tells the connection. To be terminated means that what runs is cancelled.
    fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        self.waker.wake();
        if order == Order::Terminate {
            self.cancel();
        }
    }

    /// The session begins a piece of work.
    #[inline]
    pub(crate) fn mark_busy(&self) {
        self.work.store(self.work.load(Ordering::Relaxed) | 1, Ordering::Relaxed);
    }

    /// The piece of work is done.
    #[inline]
    pub(crate) fn mark_idle(&self) {
        self.work.store((self.work.load(Ordering::Relaxed) | 1).wrapping_add(1), Ordering::Relaxed);
    }

    /// The number of the piece of work that runs, if one does.
    fn work(&self) -> Option<u64> {
        Some(self.work.load(Ordering::Relaxed)).filter(|work| work % 2 == 1)
    }

    /// Whether the client has closed its side or is gone.
    fn is_hung_up(&self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let mut looked = [PollFd::new(socket, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut looked, Some(&now)), Ok(1..))
    }
}

/// All connections of a server.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    connections: HashMap<i32, Arc<Control>>,
    last_pid: i32,
    /// What everybody was told, newcomers included.
    order: Option<Order>,
}

impl Registry {
    /// Enters a connection; it stays until the guard is dropped. `None` when there are `limit` of them.
    pub(crate) fn enter(self: &Arc<Self>, limit: usize, socket: Option<OwnedFd>) -> Option<Entry> {
        let mut inner = self.inner.lock();
        if inner.connections.len() >= limit {
            return None;
        }
        let mut pid = inner.last_pid;
        loop {
            pid = if pid == i32::MAX { 1 } else { pid + 1 };
            if !inner.connections.contains_key(&pid) {
                break;
            }
        }
        inner.last_pid = pid;
        let control = Arc::new(Control {
            pid,
            secret: rand::random(),
            order: AtomicU8::new(inner.order.unwrap_or(Order::GoOn) as u8),
            waker: AtomicWaker::new(),
            cancel: OnceLock::new(),
            work: AtomicU64::new(0),
            socket,
        });
        inner.connections.insert(pid, Arc::clone(&control));
        metrics().connections.add(1);
        metrics().connections_opened.add(1);
        Some(Entry { registry: Arc::clone(self), control })
    }

    /// A cancel request: it counts if the secret is right, and tells nothing otherwise.
    pub(crate) fn cancel(&self, pid: i32, secret: i32) {
        let control = self.inner.lock().connections.get(&pid).cloned();
        if let Some(control) = control
            && control.secret == secret
        {
            metrics().cancel_requests.add(1);
            control.cancel();
        }
    }

    /// Cancels or ends another session (`pg_cancel_backend`, `pg_terminate_backend`); false if there is none.
    pub(crate) fn signal(&self, pid: i32, terminate: bool) -> bool {
        let Some(control) = self.inner.lock().connections.get(&pid).cloned() else { return false };
        if terminate {
            control.give(Order::Terminate);
        } else {
            control.cancel();
        }
        true
    }

    /// Ends the connections whose client is gone, or that were told to end, and whose task is too busy to notice: a
    /// statement that computes, or a client that has sent more than is read ahead. Looks at those that do the same work as at the last look, which
    /// `seen` holds.
    pub(crate) fn end_lost(&self, seen: &mut HashMap<i32, u64>) {
        let connections: Vec<Arc<Control>> = self.inner.lock().connections.values().cloned().collect();
        let before = std::mem::take(seen);
        for control in connections {
            let Some(work) = control.work() else { continue };
            if control.order() == Order::Terminate {
                // The work may have begun after it was cancelled.
                control.cancel();
            }
            if before.get(&control.pid) == Some(&work) && control.is_hung_up() {
                control.give(Order::Terminate);
            }
            seen.insert(control.pid, work);
        }
    }

    /// Tells everybody, and whoever comes later.
    pub(crate) fn order_all(&self, order: Order) {
        let mut inner = self.inner.lock();
        inner.order = Some(order);
        let connections: Vec<Arc<Control>> = inner.connections.values().cloned().collect();
        drop(inner);
        connections.iter().for_each(|control| control.give(order));
    }
}

/// A connection's place in the registry.
#[derive(Debug)]
pub(crate) struct Entry {
    registry: Arc<Registry>,
    pub(crate) control: Arc<Control>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.inner.lock().connections.remove(&self.control.pid);
        metrics().connections.subtract(1);
    }
}

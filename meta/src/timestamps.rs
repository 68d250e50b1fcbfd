//! Handing out timestamps while this member leads.
//!
//! # Why time never goes back over a change of leader
//! A leader serves only after it has applied everything of terms before its own ([`Serving`]), and begins at the window it
//! finds then. Every window of a former leader is in there, because a leader uses a window only once it is applied. So the
//! new leader's timestamps lie above the old one's.
//!
//! The old leader might still hand out low ones. After it has taken a timestamp it therefore looks at its lease: still held
//! in the term it serves in, no other leader has begun before that look, so the timestamp is the newest at that moment.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use proto::{Timestamp, meta::command};
use sharddb_proto as proto;
use tokio::sync::Notify;

use crate::{Error, Meta, group::Inner, oracle::WINDOW_MS, registry::Registry, state::Counter};

/// How often a leader looks at the oracle's window.
pub(crate) const WINDOW_CHECK: Duration = Duration::from_millis(WINDOW_MS / 8);

/// Wakes those who wait for a longer window, and the task that extends it.
#[derive(Debug, Default)]
pub(crate) struct WindowSignals {
    extended: Notify,
    exhausted: Notify,
}

/// The term this member hands out timestamps in; none while it does not.
#[derive(Debug, Default)]
pub(crate) struct Serving(AtomicU64);

impl Serving {
    pub(crate) fn term(&self) -> Option<u64> {
        Some(self.0.load(Ordering::SeqCst)).filter(|term| *term != 0)
    }

    fn set(&self, term: Option<u64>) {
        self.0.store(term.unwrap_or(0), Ordering::SeqCst);
    }
}

impl Meta {
    /// A timestamp if this member leads and the window allows one at once.
    pub fn try_timestamp(&self) -> Option<Timestamp> {
        self.try_timestamps(1, Timestamp::ZERO)
    }

    /// The first of `count` timestamps in a row, above `above` as far as the window reaches.
    pub fn try_timestamps(&self, count: u64, above: Timestamp) -> Option<Timestamp> {
        let inner = &self.inner;
        let serving = inner.serving.term()?;
        let first = inner.oracle.take(inner.pace.now_ms(), count, above)?;
        (inner.group.lease() == Some(serving)).then_some(first)
    }

    /// A timestamp above every one handed out before.
    pub async fn timestamp(&self) -> Result<Timestamp, Error> {
        self.timestamps(1, Timestamp::ZERO).await
    }

    /// As [`Meta::try_timestamps`], waiting for a longer window where that helps.
    pub async fn timestamps(&self, count: u64, above: Timestamp) -> Result<Timestamp, Error> {
        loop {
            let extended = self.inner.signals.extended.notified();
            if let Some(first) = self.try_timestamps(count, above) {
                return Ok(first);
            }
            if let Some(failure) = self.inner.group.failure() {
                return Err(Error::Raft(failure.into()));
            }
            self.check_leads()?;
            self.inner.signals.exhausted.notify_one();
            // A window that is not extended in time has failed; the loop finds out why.
            let _elapsed = tokio::time::timeout(WINDOW_CHECK, extended).await;
        }
    }

    /// A timestamp that every later one is above, if this member leads. Who does not lead may think of a window as used up
    /// that another one has only begun.
    pub fn last_timestamp(&self) -> Option<Timestamp> {
        let last = self.inner.oracle.last();
        self.leads().then_some(last)
    }

    /// A timestamp without waiting. With the window used up it is the last one again: nothing can be committed then,
    /// because the log that the window could not be written to is the one commits go through.
    pub fn fresh(&self) -> Timestamp {
        self.try_timestamp().unwrap_or_else(|| {
            self.inner.signals.exhausted.notify_one();
            self.inner.oracle.last()
        })
    }

    /// Begins or ends to serve, as leadership has it.
    pub(crate) fn follow_leadership(&self) {
        let inner = &self.inner;
        // Held throughout: whoever starts a member follows as well as the task that keeps the window.
        let mut registry = inner.registry.lock();
        let leads = inner.leading();
        if leads == inner.serving.term() {
            return;
        }
        inner.serving.set(None);
        let Some(term) = leads else { return };
        // Everything before the term is applied: no window was ever longer than this one.
        let window = inner.shared.read(|state| state[Counter::Window]);
        inner.oracle.begin(Timestamp(window));
        *registry = Registry::new(term, inner.clock.uptime_ms());
        inner.serving.set(Some(term));
    }

    /// Makes the window long enough.
    pub(crate) async fn extend_window(&self) -> Result<(), Error> {
        let inner = &self.inner;
        inner.pace.follow(inner.oracle.last());
        let Some(window) = inner.oracle.wanted(inner.pace.now_ms()) else { return Ok(()) };
        self.propose(command::Body::ExtendWindow(window.0)).await?;
        inner.oracle.extend(window);
        inner.signals.extended.notify_waiters();
        Ok(())
    }
}

/// Follows leadership, and while this member leads extends the window ahead of time.
pub(crate) async fn keep_window(inner: Weak<Inner>) {
    let Some(strong) = inner.upgrade() else { return };
    let (signals, mut leadership) = (Arc::clone(&strong.signals), strong.group.leadership());
    drop(strong);
    loop {
        leadership.borrow_and_update();
        let Some(strong) = inner.upgrade() else { return };
        let meta = Meta { inner: strong };
        meta.follow_leadership();
        let leads = meta.inner.serving.term().is_some();
        if leads && let Err(error) = meta.extend_window().await {
            tracing::warn!(%error, "could not extend the timestamp window");
        }
        drop(meta);
        // Whichever comes first; who does not lead has nothing to do.
        tokio::select! {
            () = tokio::time::sleep(WINDOW_CHECK), if leads => {}
            () = signals.exhausted.notified(), if leads => {}
            changed = leadership.changed() => if changed.is_err() { return },
        }
    }
}

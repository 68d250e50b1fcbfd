//! The failure that stopped a log, to ask for and to wait for.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::shared::LogError;

/// Empty until the first failure; keeps that one.
pub(super) struct Failure {
    /// Asked before every proposal, so without a lock.
    set: AtomicBool,
    first: watch::Sender<Option<LogError>>,
}

impl Failure {
    pub(super) fn new() -> Self {
        Self { set: AtomicBool::new(false), first: watch::Sender::new(None) }
    }

    pub(super) fn get(&self) -> Option<LogError> {
        if !self.set.load(Ordering::Acquire) {
            return None;
        }
        self.first.borrow().clone()
    }

    /// Keeps the failure if it is the first. Answers whether it is.
    pub(super) fn set(&self, failure: LogError) -> bool {
        let first = self.first.send_if_modified(|first| {
            let empty = first.is_none();
            first.get_or_insert(failure);
            empty
        });
        self.set.store(true, Ordering::Release);
        first
    }

    /// Waits for a failure that is not an orderly end.
    pub(super) async fn wait(&self) -> LogError {
        let mut failures = self.first.subscribe();
        let failed = |failure: &Option<LogError>| !matches!(failure, None | Some(LogError::Closed));
        match failures.wait_for(failed).await.map(|failure| failure.clone()) {
            Ok(Some(failure)) => failure,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

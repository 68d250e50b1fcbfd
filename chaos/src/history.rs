//! What clients did and were told: the input of all checkers.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// What a client knows about an operation afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was acknowledged.
    Ok,
    /// It had no effect.
    Failed,
    /// It may have had its effect, or may still have it.
    Unknown,
}

/// Microseconds since the history began.
pub type Micros = u64;

/// One operation of one client.
#[derive(Clone, Debug)]
pub struct Operation<T> {
    /// Who did it; one client does one thing at a time.
    pub client: usize,
    /// Before it was sent.
    pub start: Micros,
    /// After it was answered or given up.
    pub end: Micros,
    /// What the client was told.
    pub outcome: Outcome,
    /// What it was.
    pub action: T,
}

/// Operations of many clients.
#[derive(Debug)]
pub struct History<T> {
    begun: Instant,
    operations: Arc<Mutex<Vec<Operation<T>>>>,
}

impl<T> Clone for History<T> {
    fn clone(&self) -> Self {
        Self { begun: self.begun, operations: Arc::clone(&self.operations) }
    }
}

impl<T> History<T> {
    /// An empty history that began at a moment.
    pub fn new(begun: Instant) -> Self {
        Self { begun, operations: Arc::default() }
    }

    /// The time now.
    pub fn now(&self) -> Micros {
        micros(self.begun.elapsed())
    }

    /// Adds an operation that ends now.
    pub fn record(&self, client: usize, start: Micros, outcome: Outcome, action: T) {
        let operation = Operation { client, start, end: self.now(), outcome, action };
        self.operations.lock().push(operation);
    }

    /// Everything so far, in the order of the ends.
    pub fn take(&self) -> Vec<Operation<T>> {
        let mut operations = std::mem::take(&mut *self.operations.lock());
        operations.sort_by_key(|operation| operation.end);
        operations
    }
}

/// As microseconds.
pub fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

//! What happens in a simulation, line by line: the same for the same seed.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Events in order. Clones share them.
#[derive(Clone)]
pub(crate) struct Trace {
    begun: Instant,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Trace {
    pub(crate) fn new(begun: Instant) -> Self {
        Self { begun, lines: Arc::default() }
    }

    /// Adds an event that happens now.
    pub(crate) fn note(&self, event: fmt::Arguments<'_>) {
        let line = format!("{:>10} {event}", self.begun.elapsed().as_micros());
        tracing::debug!(target: "sim", "{line}");
        self.lines.lock().push(line);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock())
    }
}

//! What a host needs from outside: peers, a clock, randomness, a place for snapshots.

use std::{path::PathBuf, sync::Arc};

use tokio::time::Instant;

use crate::transport::{NoPeers, Transport};

/// A clock that only runs forward. Leases hang on it.
///
/// Clocks of different nodes need not agree on the time; their rates may differ by less than a tenth. It has to go on while
/// the machine sleeps: a node that wakes up must not believe that its lease still holds.
pub trait MonotonicClock: Send + Sync + 'static {
    /// Nanoseconds since some moment.
    fn now_ns(&self) -> u64;
}

/// Tokio's clock, which tests can pause. It need not go on while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    started: Instant,
}

impl Default for TokioClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl MonotonicClock for TokioClock {
    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

/// Where work is done that waits for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// On threads kept for it.
    Threads,
    /// Where it comes up: for simulations, in which nothing happens beside the runtime.
    Inline,
}

impl Blocking {
    /// Does a piece of work. Answers nothing if it panicked on its thread.
    pub async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        match self {
            Self::Threads => match tokio::task::spawn_blocking(work).await {
                Ok(done) => Some(done),
                Err(error) => {
                    tracing::error!(%error, "a piece of work for the disk has panicked");
                    None
                }
            },
            Self::Inline => Some(work()),
        }
    }
}

/// A host's surroundings.
#[derive(Clone)]
pub struct Surroundings {
    /// The way to other nodes.
    pub transport: Arc<dyn Transport>,
    /// The clock of leases and promises.
    pub clock: Arc<dyn MonotonicClock>,
    /// Source of all random choices. A process must not start twice with the same one.
    pub seed: u64,
    /// Where snapshots lie while they are sent or received, on the file system of the engine. Nothing else may be there.
    pub snapshots: PathBuf,
    /// Where work is done that waits for a disk.
    pub blocking: Blocking,
}

impl Surroundings {
    /// Those of a node without peers.
    pub fn alone() -> Self {
        let clock = Arc::<TokioClock>::default();
        Self { transport: Arc::new(NoPeers), clock, seed: 0, snapshots: PathBuf::new(), blocking: Blocking::Threads }
    }
}

/// A clock that tests set by hand.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Hand(std::sync::atomic::AtomicU64);

#[cfg(test)]
impl Hand {
    pub(crate) fn set(&self, at: std::time::Duration) {
        self.0.store(at.as_nanos() as u64, std::sync::atomic::Ordering::SeqCst);
    }

    pub(crate) fn go_on(&self, for_so_long: std::time::Duration) {
        self.0.fetch_add(for_so_long.as_nanos() as u64, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(test)]
impl MonotonicClock for Hand {
    fn now_ns(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

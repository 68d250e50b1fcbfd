//! The clocks of one node: a wall clock that is set back and forth, and one that only runs, at a rate of its own.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use sharddb_meta::Clock;
use sharddb_raft::MonotonicClock;
use tokio::time::Instant;

/// What the wall clocks show when a simulation begins, in milliseconds since 1970.
const BEGIN_MS: i64 = 1_700_000_000_000;

/// A machine's clocks. They outlive processes.
pub(crate) struct Clocks {
    begun: Instant,
    /// Nanoseconds that pass for a thousand of the simulated time.
    rate: u64,
    /// How far the wall clock is ahead.
    ahead_ms: AtomicI64,
}

impl Clocks {
    pub(crate) fn new(begun: Instant, rate: u64, ahead_ms: i64) -> Arc<Self> {
        Arc::new(Self { begun, rate, ahead_ms: AtomicI64::new(ahead_ms) })
    }

    /// Sets the wall clock forward or back.
    pub(crate) fn jump(&self, ms: i64) {
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
    }

    fn elapsed_ns(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64 / 1000 * self.rate
    }
}

impl MonotonicClock for Clocks {
    fn now_ns(&self) -> u64 {
        // Not zero, as no machine has just been started.
        1_000_000_000 + self.elapsed_ns()
    }
}

impl Clock for Clocks {
    fn now_ms(&self) -> u64 {
        let elapsed = (self.elapsed_ns() / 1_000_000) as i64;
        (BEGIN_MS + elapsed + self.ahead_ms.load(Ordering::Relaxed)).max(0) as u64
    }

    fn uptime_ms(&self) -> u64 {
        self.elapsed_ns() / 1_000_000
    }
}

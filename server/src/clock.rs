//! The system clocks.

use rustix::time::{ClockId, clock_gettime};
use sharddb_meta::Clock;
use sharddb_raft::MonotonicClock;
use tokio::time::Instant;

/// Time since the machine was started, its sleep included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootClock;

impl MonotonicClock for BootClock {
    fn now_ns(&self) -> u64 {
        let now = clock_gettime(ClockId::Boottime);
        now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
    }
}

/// Reads the operating system's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    started: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place where the wall clock is read for timestamps")]
    fn now_ms(&self) -> u64 {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A clock before 1970 stands still as far as timestamps are concerned.
        since_epoch.map_or(0, |elapsed| elapsed.as_millis() as u64)
    }

    fn uptime_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

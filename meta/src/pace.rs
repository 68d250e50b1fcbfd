//! The pace of timestamps: the wall clock's, or half that of time passed where the wall clock lies behind.
//!
//! Timestamps lie ahead of the wall clock after a restart, which begins at the end of the replicated window, and after
//! the wall clock was set back. They must go on all the same, or whatever waits for an age (leases, old intents, old
//! snapshots) would wait until the wall clock has caught up. At half the pace it does catch up.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use proto::Timestamp;
use sharddb_proto as proto;

use crate::Clock;

/// Milliseconds for the oracle.
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    /// Added to half of the uptime. Only rises.
    lead_ms: AtomicU64,
}

impl Pace {
    /// Begins at the timestamps handed out so far.
    pub(crate) fn new(clock: Arc<dyn Clock>, last: Timestamp) -> Self {
        let pace = Self { clock, lead_ms: AtomicU64::new(0) };
        pace.follow(last);
        pace
    }

    /// Now.
    pub(crate) fn now_ms(&self) -> u64 {
        let paced = self.lead_ms.load(Ordering::Relaxed) + self.clock.uptime_ms() / 2;
        self.clock.now_ms().max(paced)
    }

    /// Takes note of the last timestamp. To be called now and then.
    pub(crate) fn follow(&self, last: Timestamp) {
        let lead = last.millis().saturating_sub(self.clock.uptime_ms() / 2);
        self.lead_ms.fetch_max(lead, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Hands {
        now: AtomicU64,
        uptime: AtomicU64,
    }

    impl Hands {
        fn set(&self, now: u64, uptime: u64) {
            self.now.store(now, Ordering::Relaxed);
            self.uptime.store(uptime, Ordering::Relaxed);
        }
    }

    impl Clock for Arc<Hands> {
        fn now_ms(&self) -> u64 {
            self.now.load(Ordering::Relaxed)
        }

        fn uptime_ms(&self) -> u64 {
            self.uptime.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn timestamps_go_on_while_the_wall_clock_lies_behind() {
        let hands = Arc::new(Hands::default());
        hands.set(1000, 0);
        let pace = Pace::new(Arc::new(Arc::clone(&hands)), Timestamp::from_millis(5000));
        assert_eq!(pace.now_ms(), 5000);
        hands.set(3000, 2000);
        assert_eq!(pace.now_ms(), 6000);
        hands.set(20_000, 19_000);
        assert_eq!(pace.now_ms(), 20_000, "the wall clock has caught up");
        pace.follow(Timestamp::from_millis(20_000));
        hands.set(4000, 20_000);
        assert_eq!(pace.now_ms(), 20_500, "and was set back");
    }
}

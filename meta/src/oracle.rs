//! The timestamp oracle: hands out timestamps from a window that was replicated before.
//!
//! # Invariants
//! * Timestamps ascend, and each is handed out once.
//! * None is at or above `window`, and whoever begins to lead begins at the window replicated last: time never goes back.
//! * Timestamps follow the clock where the window lets them; a clock that stands still or goes back only makes them
//!   count up, one that leaps ahead is followed once the window was extended.
//!
//! The window keeps leaders apart only once the newer one has begun. That the older one has ended by then is for its
//! caller to check, after a timestamp was taken and before it is handed out (`timestamps`).

use std::sync::atomic::{AtomicU64, Ordering};

use proto::Timestamp;
use sharddb_proto as proto;

/// How far ahead of the clock the window reaches. Long enough to bridge slow syncs, short enough that a restart, which
/// starts at the window's end, does not run far ahead of the clock.
pub const WINDOW_MS: u64 = 4000;
/// Most timestamps taken at once; a fraction of a millisecond's, so that any new window has room for them.
pub const COUNT_MAX: u64 = 1 << 16;

const _: () = assert!(COUNT_MAX < 1 << Timestamp::COUNTER_BITS);

/// Hands out timestamps without a lock.
#[derive(Debug)]
pub struct Oracle {
    last: AtomicU64,
    window: AtomicU64,
}

impl Oracle {
    /// Starts at the end of the window that was replicated last.
    pub fn new(window: Timestamp) -> Self {
        Self { last: AtomicU64::new(window.0), window: AtomicU64::new(window.0) }
    }

    /// The next timestamp; `None` while the window is used up.
    pub fn next(&self, now_ms: u64) -> Option<Timestamp> {
        self.take(now_ms, 1, Timestamp::ZERO)
    }

    /// The first of `count` timestamps in a row, above `above` where the window reaches so far; `None` while the window has
    /// no room for them.
    pub fn take(&self, now_ms: u64, count: u64, above: Timestamp) -> Option<Timestamp> {
        let window = self.window.load(Ordering::SeqCst);
        let count = count.clamp(1, COUNT_MAX);
        let fits = |first: &u64| *first < window && window - *first >= count;
        // What lies beyond the window is not followed: one step would use the window up.
        let clock = Some(Timestamp::from_millis(now_ms).0).filter(fits).unwrap_or(0);
        let floor = above.0.checked_add(1).filter(fits).unwrap_or(0).max(clock);
        let step = |last: u64| Some((last + 1).max(floor)).filter(fits).map(|first| first + count - 1);
        let before = self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).ok()?;
        Some(Timestamp((before + 1).max(floor)))
    }

    /// The last timestamp handed out.
    pub fn last(&self) -> Timestamp {
        Timestamp(self.last.load(Ordering::SeqCst))
    }

    /// Begins to lead: goes on at the end of the window that was replicated last, by whomever.
    pub fn begin(&self, window: Timestamp) {
        self.last.fetch_max(window.0, Ordering::SeqCst);
        self.window.fetch_max(window.0, Ordering::SeqCst);
    }

    /// Takes over a window that was replicated.
    pub fn extend(&self, window: Timestamp) {
        self.window.fetch_max(window.0, Ordering::SeqCst);
    }

    /// The window to replicate next; `None` while the present one is long enough.
    pub fn wanted(&self, now_ms: u64) -> Option<Timestamp> {
        let wanted = Timestamp::from_millis(now_ms.max(self.last().millis()) + WINDOW_MS);
        let present = Timestamp(self.window.load(Ordering::SeqCst));
        (present.millis() < wanted.millis() - WINDOW_MS / 2).then_some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_ascend_whatever_the_clock_does_and_stay_in_the_window() {
        let oracle = Oracle::new(Timestamp::from_millis(1000));
        assert_eq!(oracle.next(2000), None);
        oracle.extend(Timestamp::from_millis(3000));
        let mut last = Timestamp::from_millis(1000);
        for now in [500, 1500, 1500, 1400, 9999, 9999, 2999] {
            let next = oracle.next(now).expect("inside the window");
            assert!(next > last && next < Timestamp::from_millis(3000), "{next} after {last}");
            last = next;
        }
        let rest = std::iter::from_fn(|| oracle.next(2999)).count();
        assert!(rest < 1 << Timestamp::COUNTER_BITS);
        assert_eq!(oracle.next(9999), None);
        assert_eq!(Oracle::new(Timestamp::from_millis(3000)).last(), Timestamp::from_millis(3000));
    }

    #[test]
    fn several_are_taken_in_a_row_and_above_what_was_asked() {
        let oracle = Oracle::new(Timestamp::from_millis(1000));
        oracle.extend(Timestamp::from_millis(2000));
        let first = oracle.take(1500, 10, Timestamp::ZERO).expect("room");
        assert_eq!(first, Timestamp::from_millis(1500));
        assert_eq!(oracle.last(), Timestamp(first.0 + 9));
        assert_eq!(oracle.take(1500, 1, Timestamp::from_millis(1700)), Some(Timestamp::from_millis(1700).next()));
        assert_eq!(oracle.take(1500, 1, Timestamp::MAX), Some(Timestamp::from_millis(1700).next().next()));
        let near = Timestamp(Timestamp::from_millis(2000).0 - 3);
        assert_eq!(oracle.take(0, 3, near.prev()), Some(near));
        assert_eq!(oracle.take(0, 1, Timestamp::ZERO), None, "the window is used up");
    }

    #[test]
    fn the_window_is_extended_before_it_is_used_up() {
        let oracle = Oracle::new(Timestamp::ZERO);
        let wanted = oracle.wanted(1000).expect("a new window is needed");
        oracle.extend(wanted);
        assert_eq!(oracle.wanted(1000), None);
        assert!(oracle.wanted(1000 + WINDOW_MS).is_some());
    }
}

//! Counters of all connections.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Parts of a counter. A few threads share a part at most, so that counting a statement does not move a cache line
/// between cores.
const PARTS: usize = 16;

/// A number that many threads add to.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    parts: [Part; PARTS],
}

/// On cache lines of its own (two: processors fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.parts[part()].0.fetch_add(count, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn subtract(&self, count: u64) {
        self.parts[part()].0.fetch_sub(count, Ordering::Relaxed);
    }

    /// The sum. Parts wrap around when one thread subtracts what another has added; the sum does not.
    fn read(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.wrapping_add(part.0.load(Ordering::Relaxed)))
    }
}

/// The part of the running thread.
#[inline]
fn part() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PART: usize = THREADS.fetch_add(1, Ordering::Relaxed) % PARTS;
    }
    PART.with(|part| *part)
}

macro_rules! metrics {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Counters since the start of the process, except for `connections`, which counts those open now.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[doc = $doc])* pub(crate) $name: Counter,)*
        }

        impl Metrics {
            /// Name, description and present value of each.
            pub fn read(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($doc),*), self.$name.read()),)*]
            }
        }
    };
}

metrics! {
    /// Client sessions open now
    connections,
    /// Client sessions opened
    connections_opened,
    /// Connections refused: too many, or not authenticated
    connections_refused,
    /// Statements run
    statements,
    /// Errors answered to clients
    errors,
    /// Rows answered to clients
    rows_sent,
    /// Bytes received from clients
    bytes_received,
    /// Bytes sent to clients
    bytes_sent,
    /// Cancel requests that named a session
    cancel_requests,
    /// Sessions that ended by a panic: each is a bug
    panics,
}

static METRICS: std::sync::LazyLock<Metrics> = std::sync::LazyLock::new(Metrics::default);

/// The counters of this process.
pub fn metrics() -> &'static Metrics {
    &METRICS
}

#[cfg(test)]
mod tests {
    use super::Counter;

    #[test]
    fn what_one_thread_adds_another_may_subtract() {
        let counter = Counter::default();
        counter.add(5);
        std::thread::scope(|scope| {
            scope.spawn(|| counter.subtract(3));
        });
        assert_eq!(counter.read(), 2);
    }
}

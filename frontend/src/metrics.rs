//! Counters of all connections.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! metrics {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Counters since the start of the process, except for `connections`, which counts those open now.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[doc = $doc])* pub(crate) $name: AtomicU64,)*
        }

        impl Metrics {
            /// Name, description and present value of each.
            pub fn read(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($doc),*), self.$name.load(Ordering::Relaxed)),)*]
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

#[inline]
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

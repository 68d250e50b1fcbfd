//! Cluster timestamps, handed out by the meta group's oracle.

use std::fmt;

/// A point in the cluster's total order of commits: milliseconds since the Unix epoch in the upper
/// 46 bits, a counter in the lower 18.
///
/// `ZERO` is before every commit and, in a read request, stands for "the latest committed state".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Before every commit.
    pub const ZERO: Self = Self(0);
    /// After every commit.
    pub const MAX: Self = Self(u64::MAX);
    /// Width of the counter. 2^18 timestamps a millisecond is far above what one oracle serves.
    pub const COUNTER_BITS: u32 = 18;

    /// The first timestamp of a millisecond.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis << Self::COUNTER_BITS)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        self.0 >> Self::COUNTER_BITS
    }

    /// The smallest later timestamp.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The greatest earlier timestamp; `ZERO` stays.
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.millis(), self.0 & ((1 << Self::COUNTER_BITS) - 1))
    }
}

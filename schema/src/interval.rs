//! PostgreSQL's interval: months, days and microseconds kept apart.

/// An interval. A day is not always 24 hours and a month not always 30 days, so the three are kept apart;
/// comparison counts a month as 30 days and a day as 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interval {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

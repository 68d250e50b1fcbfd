//! What a run tells at its end.

use std::{collections::BTreeMap, fmt};

use crate::{
    check::Violation,
    history::{Micros, Operation, Outcome},
    nemesis::{Happened, Step},
};

/// How long after the end of a fault an interruption still belongs to it.
const AFTERMATH: Micros = 10_000_000;

/// Violations of one kind that are told in full.
const TOLD_MAX: usize = 12;

/// What the operations were like, whatever they were.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    /// Who.
    pub client: usize,
    /// From when.
    pub start: Micros,
    /// Till when.
    pub end: Micros,
    /// With which outcome.
    pub outcome: Outcome,
}

/// Operations without what they did.
pub fn traces<T>(history: &[Operation<T>]) -> Vec<Trace> {
    let trace = |operation: &Operation<T>| {
        let Operation { client, start, end, outcome, .. } = *operation;
        Trace { client, start, end, outcome }
    };
    history.iter().map(trace).collect()
}

/// Median, 95 of 100, and the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Half are below.
    pub median: Micros,
    /// 95 of 100 are below.
    pub p95: Micros,
    /// All are at most this.
    pub max: Micros,
    /// How many there are.
    pub count: usize,
}

impl Distribution {
    /// Of some durations.
    pub fn of(mut values: Vec<Micros>) -> Self {
        values.sort_unstable();
        let at =
            |hundredths: usize| values.get(values.len().saturating_sub(1) * hundredths / 100).copied().unwrap_or(0);
        Self { median: at(50), p95: at(95), max: at(100), count: values.len() }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
        let seconds = |micros: Micros| micros as f64 / 1e6;
        let (median, p95, max) = (seconds(self.median), seconds(self.p95), seconds(self.max));
        write!(f, "median {median:.3} s, p95 {p95:.3} s, max {max:.3} s ({} values)", self.count)
    }
}

/// For each client the longest time between two acknowledgements that touches a span of time.
pub fn interruptions(traces: &[Trace], from: Micros, to: Micros) -> Vec<Micros> {
    let (mut last, mut longest) = (BTreeMap::new(), BTreeMap::new());
    let mut acknowledged: Vec<&Trace> = traces.iter().filter(|trace| trace.outcome == Outcome::Ok).collect();
    acknowledged.sort_by_key(|trace| trace.end);
    for trace in acknowledged {
        if let Some(before) = last.insert(trace.client, trace.end)
            && before <= to
            && trace.end >= from
        {
            let longest: &mut Micros = longest.entry(trace.client).or_default();
            *longest = (*longest).max(trace.end - before);
        }
    }
    longest.into_values().collect()
}

/// A run.
#[derive(Debug, Default)]
pub struct Report {
    /// What the schedule was made from.
    pub seed: u64,
    /// Faults that happened.
    pub faults: Vec<Happened>,
    /// All operations.
    pub traces: Vec<Trace>,
    /// Code, count and first message of errors that clients met.
    pub errors: Vec<(String, usize, String)>,
    /// Broken promises.
    pub violations: Vec<Violation>,
    /// What is worth knowing besides.
    pub notes: Vec<String>,
}

impl Report {
    fn count(&self, outcome: Outcome) -> usize {
        self.traces.iter().filter(|trace| trace.outcome == outcome).count()
    }

    fn latency(&self) -> Distribution {
        let acknowledged = self.traces.iter().filter(|trace| trace.outcome == Outcome::Ok);
        Distribution::of(acknowledged.map(|trace| trace.end - trace.start).collect())
    }

    fn around(&self, fault: &Happened) -> Distribution {
        Distribution::of(interruptions(&self.traces, fault.start, fault.end + AFTERMATH))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [ok, failed, unknown] = [Outcome::Ok, Outcome::Failed, Outcome::Unknown].map(|outcome| self.count(outcome));
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "operations: {ok} acknowledged, {failed} failed, {unknown} unknown")?;
        writeln!(f, "latency of acknowledged operations: {}", self.latency())?;
        for fault in &self.faults {
            #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
            let [start, end] = [fault.start, fault.end].map(|micros| micros as f64 / 1e6);
            let Step { fault: kind, victims, flip, .. } = &fault.step;
            writeln!(f, "fault {kind:?} {victims:?} flip {flip}, {start:.1} s to {end:.1} s")?;
            writeln!(f, "  longest interruption of each client: {}", self.around(fault))?;
        }
        for (code, count, message) in &self.errors {
            writeln!(f, "error {code}: {count} times, first: {message}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let mut told: BTreeMap<&str, usize> = BTreeMap::new();
        for violation in &self.violations {
            let told = told.entry(violation.kind).or_default();
            *told += 1;
            if *told <= TOLD_MAX {
                writeln!(f, "VIOLATION {violation}")?;
            }
        }
        for (kind, count) in told {
            writeln!(f, "{count} times: {kind}")?;
        }
        writeln!(f, "{} violations", self.violations.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(client: usize, end: Micros) -> Trace {
        Trace { client, start: end, end, outcome: Outcome::Ok }
    }

    #[test]
    fn an_interruption_touches_its_fault() {
        let traces = [0, 10, 500, 510, 2000].map(|end| acknowledged(0, end));
        assert_eq!(interruptions(&traces, 100, 400), [490]);
        assert_eq!(interruptions(&traces, 505, 508), [10]);
        assert_eq!(interruptions(&traces, 3000, 4000), [0u64; 0]);
    }

    #[test]
    fn what_is_not_acknowledged_ends_no_interruption() {
        let mut traces = vec![acknowledged(0, 0), acknowledged(1, 0), acknowledged(1, 50), acknowledged(0, 100)];
        traces.push(Trace { outcome: Outcome::Unknown, ..acknowledged(0, 50) });
        assert_eq!(interruptions(&traces, 40, 60), [100, 50]);
    }

    #[test]
    fn a_distribution() {
        let distribution = Distribution::of((1..=101).collect());
        assert_eq!(distribution, Distribution { median: 51, p95: 96, max: 101, count: 101 });
        assert_eq!(Distribution::of(Vec::new()), Distribution::default());
    }
}

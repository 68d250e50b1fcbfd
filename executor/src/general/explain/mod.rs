//! EXPLAIN: the plan as an indented tree in PostgreSQL's style.
//!
//! Lowering leaves a note for each operator; operators inside a fragment hang below their scan. ANALYZE adds what the
//! physical operators have counted.

mod deparse;

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, metrics::MetricsSet};

pub(super) use self::deparse::{deparse, deparse_aggregate, deparse_all, deparse_keys};

use super::scan::ShardScanExec;

/// What EXPLAIN shows beside the plan.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Showing {
    /// Runs the query and shows what the operators have counted.
    pub(crate) analyze: bool,
    /// Shows each fragment.
    pub(crate) verbose: bool,
}

/// One operator of a plan with its details.
#[derive(Clone, Debug, Default)]
pub(super) struct Note {
    /// What the operator is.
    pub(super) title: String,
    /// Lines below it.
    pub(super) details: Vec<String>,
    /// Said before the operator: InitPlan, SubPlan, CTE, Fragment.
    pub(super) label: Option<&'static str>,
    /// Where rows and time are counted.
    pub(super) plan: Option<Arc<dyn ExecutionPlan>>,
    pub(super) children: Vec<Note>,
}

impl Note {
    pub(super) fn titled(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    #[must_use]
    pub(super) fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    #[must_use]
    pub(super) fn labelled(mut self, label: &'static str) -> Self {
        self.label = Some(label);
        self
    }

    #[must_use]
    pub(super) fn with_child(mut self, child: Note) -> Self {
        self.children.push(child);
        self
    }

    /// Counts are those of this operator.
    #[must_use]
    pub(super) fn metered(mut self, plan: &Arc<dyn ExecutionPlan>) -> Self {
        self.plan = Some(Arc::clone(plan));
        self
    }

    /// Changes the topmost operator of a scan's fragment.
    #[must_use]
    pub(super) fn in_fragment(mut self, change: impl FnOnce(Note) -> Note) -> Self {
        if let Some(fragment) = self.children.pop() {
            self.children.push(change(fragment));
        }
        self
    }

    /// The topmost operator of a scan's fragment alone.
    #[must_use]
    pub(super) fn into_fragment(mut self) -> Self {
        let fragment = self.children.pop().unwrap_or_default();
        Self { label: None, ..fragment }
    }

    /// Puts an operator above the others of a scan's fragment.
    #[must_use]
    pub(super) fn wrap_fragment(self, operator: Note) -> Self {
        self.in_fragment(|mut inner| {
            let label = inner.label.take();
            Note { label, ..operator.with_child(inner) }
        })
    }

    /// The tree as text.
    pub(super) fn render(&self, showing: Showing) -> Vec<String> {
        let mut lines = Vec::new();
        self.write(0, showing, &mut lines);
        lines
    }

    /// `indent` is that of the arrow; the root has none.
    fn write(&self, indent: usize, showing: Showing, lines: &mut Vec<String>) {
        let mut indent = indent;
        if let Some(label) = self.label {
            lines.push(format!("{:indent$}{label}", ""));
            indent += 2;
        }
        let root = lines.is_empty();
        let counts = if showing.analyze { self.counts() } else { String::new() };
        let arrow = if root { "" } else { "->  " };
        lines.push(format!("{:indent$}{arrow}{}{counts}", "", self.title));
        let below = if root { 2 } else { indent + 6 };
        lines.extend(self.details.iter().map(|detail| format!("{:below$}{detail}", "")));
        if showing.analyze && showing.verbose {
            lines.extend(self.fragments().iter().map(|fragment| format!("{:below$}{fragment}", "")));
        }
        self.children.iter().for_each(|child| child.write(below, showing, lines));
    }

    /// What the operator's fragments have cost, if it is a scan.
    fn fragments(&self) -> Vec<String> {
        let scan = self.plan.as_ref().and_then(|plan| plan.downcast_ref::<ShardScanExec>());
        scan.map(|scan| scan.figures().lines()).unwrap_or_default()
    }

    fn counts(&self) -> String {
        let Some(metrics) = self.plan.as_ref().and_then(counted) else { return String::new() };
        let rows = metrics.output_rows();
        let time = metrics.elapsed_compute().map(|nanos| nanos as f64 / 1e6);
        match (time, rows) {
            (Some(time), Some(rows)) => format!(" (actual time={time:.3} rows={rows} loops=1)"),
            (None, Some(rows)) => format!(" (actual rows={rows} loops=1)"),
            _ => String::new(),
        }
    }
}

/// Counts of a plan, or of its only input where it counts nothing itself.
fn counted(plan: &Arc<dyn ExecutionPlan>) -> Option<MetricsSet> {
    match plan.metrics() {
        Some(metrics) if metrics.output_rows().is_some() => Some(metrics),
        _ => match plan.children()[..] {
            [input] => counted(input),
            _ => None,
        },
    }
}

//! Lines and indentation.

/// How far a query's parts are moved to the right.
pub(super) const STEP: isize = 8;

/// Text under construction.
#[derive(Debug, Default)]
pub(super) struct Layout {
    out: String,
    level: isize,
}

impl Layout {
    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    pub(super) fn level(&self) -> isize {
        self.level
    }

    pub(super) fn set_level(&mut self, level: isize) {
        self.level = level;
    }

    /// A query begins: with a space, and further to the right.
    pub(super) fn enter(&mut self) {
        self.level += STEP;
        self.out.push(' ');
    }

    pub(super) fn leave(&mut self) {
        self.level -= STEP;
    }

    /// Begins a line with `text`. The level changes before and after; `further` counts for this line alone.
    pub(super) fn line(&mut self, text: &str, before: isize, after: isize, further: usize) {
        self.level += before;
        self.out.truncate(self.out.trim_end_matches(' ').len());
        self.out.push('\n');
        let indent = usize::try_from(self.level).unwrap_or(0) + further;
        self.out.push_str(&" ".repeat(indent));
        self.out.push_str(text);
        self.level = (self.level + after).max(0);
    }

    /// A clause of a query, left of the query's own column.
    pub(super) fn clause(&mut self, text: &str, further: usize) {
        self.line(text, -STEP, STEP, further);
    }

    /// Indentation for what is written apart.
    pub(super) fn indent(&self) -> usize {
        usize::try_from(self.level).unwrap_or(0)
    }

    /// An item of a list: on a line of its own unless it is the first or begins one.
    pub(super) fn item(&mut self, text: &str, first: bool, after_lines: bool) {
        if text.starts_with('\n') {
            self.out.truncate(self.out.trim_end_matches(' ').len());
        } else if !first || after_lines {
            self.line("", -STEP, STEP, 4);
        }
        self.out.push_str(text);
    }
}

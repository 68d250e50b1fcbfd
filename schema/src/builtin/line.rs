//! Lines of the tables of facts: fields between tabs.

use std::str::{FromStr, Split};

use crate::Oid;

/// The fields of a line in order. A field that is missing or does not parse reads as nothing, which tests rule out.
pub(super) struct Line(Split<'static, char>);

impl Line {
    pub(super) fn new(line: &'static str) -> Self {
        Self(line.split('\t'))
    }

    pub(super) fn text(&mut self) -> &'static str {
        self.0.next().unwrap_or_default()
    }

    pub(super) fn number<N: FromStr + Default>(&mut self) -> N {
        self.text().parse().unwrap_or_default()
    }

    pub(super) fn oid(&mut self) -> Oid {
        Oid(self.number())
    }

    pub(super) fn flag(&mut self) -> bool {
        self.text() == "t"
    }

    pub(super) fn code(&mut self) -> char {
        self.text().chars().next().unwrap_or_default()
    }

    /// OIDs between spaces.
    pub(super) fn oids(&mut self) -> Vec<Oid> {
        self.text().split_ascii_whitespace().filter_map(|oid| oid.parse().ok().map(Oid)).collect()
    }
}
